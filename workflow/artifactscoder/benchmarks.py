"""Benchmark files that training data must not contain (`decontaminate.benchmarks`), read and checked.

Two formats are known by their columns: ArtifactsBench (`question`, `checklist`) and WebGen-Bench (`instruction`,
`ui_instruct`); as JSON Lines or as one JSON list. What is compared is what a model is asked there, not how its answer
is checked. The workflow takes the files' digests whenever it is parsed: 10 MB cost about 10 ms.
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
    """One request of a benchmark; `name`: `artifacts_bench.json item 17`."""

    name: str
    text: str


def read(paths: list[Path]) -> list[Item]:
    """All items of all files, in their order. Raises UserError for a file of another format."""
    return [item for path in paths for item in _items(path)]


def digests(paths: list[Path]) -> list[str]:
    """What changes when a file's name or content does."""
    return [f"{path.name} {hashlib.sha256(_bytes(path)).hexdigest()[:16]}" for path in paths]


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot read the benchmark file {path}: {error.strerror}; correct decontaminate.benchmarks"
        ) from None


def _items(path: Path) -> list[Item]:
    rows = _rows(path)
    out = []
    for number, row in enumerate(rows, 1):
        format_ = next((f for f in FORMATS.values() if isinstance(row, dict) and f[0] in row and f[1] in row), None)
        if format_ is None or not isinstance(row[format_[0]], str):
            has = ", ".join(row) if isinstance(row, dict) else type(row).__name__
            known = "; ".join(f"{name}: {text}, {sign}" for name, (text, sign, _) in FORMATS.items())
            raise UserError(f"{path}, item {number} is of no benchmark format known here ({known}); it has {has}")
        out.append(Item(f"{path.name} item {row.get(format_[2], number)}", row[format_[0]]))
    if not out:
        raise UserError(f"the benchmark file {path} is empty; correct decontaminate.benchmarks")
    return out


def _rows(path: Path) -> list[Any]:
    try:
        text = _bytes(path).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"the benchmark file {path} is not text in UTF-8; give JSON or JSON Lines") from None
    try:
        if text.lstrip().startswith("["):
            return list(json.loads(text))
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    except ValueError as error:
        raise UserError(f"the benchmark file {path} is neither JSON Lines nor a JSON list ({error})") from None
