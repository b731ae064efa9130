"""What the mirror of front-end libraries is made from: the digest by which it, and all that was rendered with it, is
known. Data only, so that the workflow may ask without loading a renderer; envs/mirror.sh computes the same.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

SOURCES = Path(__file__).resolve().parents[2] / "envs/mirror"
MADE_FROM = ("package.json", "package-lock.json", "build.mjs")


def digest() -> str | None:
    """Of envs/mirror/; None where the package stands without its checkout."""
    try:
        return hashlib.sha256(b"".join((SOURCES / name).read_bytes() for name in MADE_FROM)).hexdigest()
    except OSError:
        return None
