"""Whether a text holds what must not be published: secrets, personal data, keys of this environment.

The rules are those that mask the pages (html/mask.py), and a few more that a publisher has; what is found is named by
its rule and its place, and never shown.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.html import mask
from artifactscoder.tables import Row

MORE = {
    "hugging_face_token": re.compile(r"\bhf_[A-Za-z0-9]{30,}\b"),
    "anthropic_key": re.compile(r"\bsk-ant-[\w-]{20,}"),
    "nvidia_key": re.compile(r"\bnvapi-[\w-]{40,}"),
}
LEAST = 8  # characters of a key: a shorter one is found in any text
SHOWN = 5


class Search:
    """Looks through rows and texts, and refuses at the end; `found`: places and rules."""

    def __init__(self, config: Config) -> None:
        names = {"HF_TOKEN", *(endpoint.key_env for endpoint in config.endpoints.values())}
        values = {name: os.environ.get(name, "") for name in names if name}
        self._keys = {name: value for name, value in values.items() if len(value) >= LEAST}
        self.found: list[str] = []

    def row(self, row: Row) -> None:
        """Every text of a row, whatever column and depth it stands in."""
        for where, text in _texts(row):
            self.text(f"{row.get('id') or _inner_id(row)}, {where}", text)

    def text(self, where: str, text: str) -> None:
        rules = dict(_masked(text))
        rules |= {name: 1 for name, pattern in MORE.items() if pattern.search(text)}
        rules |= {f"the value of {name}": 1 for name, value in self._keys.items() if value in text}
        if rules:
            self.found.append(f"{where}: {', '.join(sorted(rules))}")

    def refuse(self, target: Path, advice: str) -> None:
        """Where something was found, remove what an earlier call left at `target` and raise UserError."""
        if self.found:
            shutil.rmtree(target, ignore_errors=True)
            some = "; ".join(self.found[:SHOWN]) + (" ..." if len(self.found) > SHOWN else "")
            raise UserError(
                f"{target.name} is not published: {len(self.found)} of its texts hold "
                f"what looks like a secret or personal data ({some}); {advice}"
            )


def _masked(text: str) -> dict[str, int]:
    found = mask.Mask()
    found.text(text)
    return found.counts


def _texts(value: Any, where: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield where, value
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _texts(inner, f"{where}.{name}" if where else str(name))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _texts(inner, f"{where}[{number}]")


def _inner_id(row: Row) -> str:
    return str((row.get("extra_info") or {}).get("id", "a row"))
