"""Benchmark files, read and checked: what training data must not contain (`decontaminate.benchmarks`), and what
models are compared on (`eval.tasks`).

Two formats are known by their columns: ArtifactsBench (`question`, `checklist`) and WebGen-Bench (`instruction`,
`ui_instruct`); as JSON Lines or as one JSON list. Decontamination compares what a model is asked there, not how its
answer is checked. The workflow takes the files' digests whenever it is parsed: 10 MB cost about 10 ms.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifactscoder.errors import UserError

FORMATS = {  # name -> (column of the request, column that tells the format, column of the item's name)
    "ArtifactsBench": ("question", "checklist", "index"),
    "WebGen-Bench": ("instruction", "ui_instruct", "id"),
}


@dataclass(frozen=True)
class Item:
    """One request of a benchmark; `name`: `artifacts_bench.json item 17`, `row`: all that the file says of it."""

    name: str
    text: str
    format: str
    row: dict[str, Any]


def read(paths: list[Path], key: str = "decontaminate.benchmarks") -> list[Item]:
    """All items of all files, in their order. Raises UserError for a file of another format; `key` names them."""
    return [item for path in paths for item in _items(path, key)]


def digests(paths: list[Path], key: str = "decontaminate.benchmarks") -> list[str]:
    """What changes when a file's name or content does."""
    return [f"{path.name} {hashlib.sha256(_bytes(path, key)).hexdigest()[:16]}" for path in paths]


def _bytes(path: Path, key: str) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the benchmark file {path}: {error.strerror}; correct {key}") from None


def _items(path: Path, key: str) -> list[Item]:
    rows = _rows(path, key)
    out = []
    for number, row in enumerate(rows, 1):
        known_by = (name for name, f in FORMATS.items() if isinstance(row, dict) and f[0] in row and f[1] in row)
        format_ = next(known_by, "")
        text, _, index = FORMATS.get(format_, ("", "", ""))
        if not format_ or not isinstance(row[text], str):
            has = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            known = "; ".join(f"{name}: {asked}, {sign}" for name, (asked, sign, _) in FORMATS.items())
            raise UserError(f"{path}, item {number} is of no benchmark format known here ({known}); it has {has}")
        out.append(Item(f"{path.name} item {row.get(index, number)}", row[text], format_, row))
    if not out:
        raise UserError(f"the benchmark file {path} is empty; correct {key}")
    return out


def _rows(path: Path, key: str) -> list[Any]:
    try:
        text = _bytes(path, key).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"the benchmark file {path} is not text in UTF-8; give JSON or JSON Lines") from None
    try:
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise UserError(f"the benchmark file {path} is neither JSON Lines nor a JSON list ({error})") from None
