"""Data beside the report's page: scripts of which each holds one compressed JSON value.

A page that is opened from disk may not read files, but it may load scripts. So `data/NAME.js` is one call,
`report.take("NAME", "...")`, whose text is JSON, compressed by gzip and written in base64: the browser takes it apart
again (DecompressionStream). Served or from disk, there is one way for both.
"""

from __future__ import annotations

import base64
import gzip
import re
from pathlib import Path
from typing import Any

import orjson

from artifactscoder import files

LEVEL = 5  # of gzip: three times as fast as the usual 9, and 3 % larger
NAME = re.compile(r"[\w.-]+(/[\w.-]+)*")


def write(folder: Path, name: str, content: Any) -> int:
    """Write `folder`/`name`.js; returns its size [bytes]. `name` is made of plain words and slashes."""
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name for a file of the report")
    text = base64.b64encode(gzip.compress(orjson.dumps(content), LEVEL, mtime=0)).decode()
    path = folder / f"{name}.js"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'report.take("{name}", "{text}");\n')
    return path.stat().st_size


def picture(folder: Path, name: str, data: bytes) -> str:
    """Write a picture to `folder`/`name` with the ending that it needs; returns that name."""
    name = f"{name}.{files.picture_kind(data).replace('jpeg', 'jpg')}"
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return name
