"""Large files and model folders in Hugging Face format: what tells one from another."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from artifactscoder.errors import UserError

EDGE = 1 << 20  # bytes read at either end of a weight file


def fingerprint(model: Path) -> str:
    """Digest of a model folder: names and sizes of its files, all of the small ones, both ends of the large ones.

    Reads 2 MB of a weight file, so 60 GB cost no minutes; weights that were trained differ in every part.
    """
    if not (model / "config.json").is_file():
        raise UserError(f"{model} is not a Hugging Face model folder (no config.json); give the folder of a model")
    return edges(p for p in model.iterdir() if p.is_file() and p.name != "manifest.json")


def small_files(model: Path, *names: str) -> str:
    """Digest of files of a model folder that are quick to read whole; empty where there are none of them."""
    total = ""
    for path in (model / name for name in names):
        if path.is_file():
            total = hashlib.sha256(f"{total}{path.name}\0".encode() + path.read_bytes()).hexdigest()
    return total


def edges(paths: Iterable[Path]) -> str:
    """Digest of files: their names and sizes, all of the small ones, both ends of the large ones."""
    total = hashlib.sha256()
    for path in sorted(paths):
        size = path.stat().st_size
        total.update(f"{path.name}\0{size}\0".encode())
        with open(path, "rb") as file:
            total.update(file.read(EDGE))
            if size > EDGE:
                file.seek(max(EDGE, size - EDGE))
                total.update(file.read(EDGE))
    return total.hexdigest()
