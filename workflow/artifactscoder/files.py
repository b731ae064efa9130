"""Files that are there whole or not at all."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path


def temporary(path: Path) -> Path:
    """A name beside `path` that no other process uses; the caller moves it into place.

    What killed processes of this host left under such names of `path` is removed.
    """
    draft = _draft(path)
    begin = draft.name.removesuffix(f"{os.getpid()}.tmp")
    for name in os.listdir(path.parent):
        pid = name.removeprefix(begin).removesuffix(".tmp")
        if name == f"{begin}{pid}.tmp" and pid.isdigit() and not _runs(int(pid)):
            left = path.with_name(name)
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
            else:
                left.unlink(missing_ok=True)
    return draft


def _draft(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.with_name(f".{path.name}.{os.uname().nodename}.{os.getpid()}.tmp")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def write_bytes(path: Path, data: bytes, sync: bool = True) -> None:
    """Write a small file so that it is there whole or not at all; without `sync` a power cut may take it back."""
    draft = _draft(path)  # small: what a kill leaves of it is not worth a look through the folder
    with open(draft, "wb") as file:
        file.write(data)
        if sync:
            file.flush()
            os.fsync(file.fileno())
    os.replace(draft, path)


def picture_kind(picture: bytes) -> str:
    """What a PNG, WebP or JPEG picture is, by its first bytes: `png`, `webp` or `jpeg`."""
    return "png" if picture[:4] == b"\x89PNG" else "webp" if picture[:4] == b"RIFF" else "jpeg"


def data_url(picture: bytes) -> str:
    """A PNG, WebP or JPEG picture as a data URL."""
    return f"data:image/{picture_kind(picture)};base64,{base64.b64encode(picture).decode()}"
