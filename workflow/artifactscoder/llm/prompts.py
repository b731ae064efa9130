"""Prompts, each in a file of its own under `workflow/prompts/`, never in code.

A file has a `### system` and a `### user` part with `{{field}}` holes. A hole is filled once: braces in a filled-in
text stay text. The digest of the file is part of what a step depends on. `read` is the inverse of `fill`: it finds the
fields in messages again, which is how the procedural endpoint understands what it is asked, exactly as a model would:
from the messages alone.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[2] / "prompts"
_HOLE = re.compile(r"\{\{(\w+)\}\}")

Message = dict[str, Any]


@dataclass(frozen=True)
class Prompt:
    """One template: `system` and `user` texts with holes."""

    name: str
    system: str
    user: str

    @property
    def digest(self) -> str:
        return hashlib.sha256(f"{self.system}\0{self.user}".encode()).hexdigest()[:12]

    def fill(self, images: list[str] | None = None, **fields: str) -> list[Message]:
        """Chat messages; `images` are data URLs shown after the text. Every hole must be given, and no more."""
        holes = set(_HOLE.findall(self.system + self.user))
        if holes != set(fields):
            raise ValueError(f"prompt {self.name} has the holes {sorted(holes)}, given were {sorted(fields)}")

        def put(text: str) -> str:
            return _HOLE.sub(lambda match: fields[match.group(1)], text)

        content: Any = put(self.user)
        if images:
            content = [{"type": "text", "text": content}] + [
                {"type": "image_url", "image_url": {"url": url}} for url in images
            ]
        return [{"role": "system", "content": put(self.system)}, {"role": "user", "content": content}]

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        seen: set[str] = set()

        def group(match: re.Match[str]) -> str:
            name = match.group(1)
            if name in seen:
                return f"(?P={name})"
            seen.add(name)
            return f"(?P<{name}>.*?)"

        parts, last = [], 0
        for match in _HOLE.finditer(self.user):
            parts += [re.escape(self.user[last : match.start()]), group(match)]
            last = match.end()
        parts.append(re.escape(self.user[last:]))
        return re.compile("".join(parts), re.DOTALL)

    def read(self, messages: list[Message]) -> dict[str, str] | None:
        """The fields of messages that `fill` made of this template's user part; None when they are another's."""
        if messages[0]["content"] != self.system:
            return None
        match = self._pattern.fullmatch(text_of(messages[1]))
        return match.groupdict() if match else None


def text_of(message: Message) -> str:
    """The text of a message, with or without pictures beside it."""
    content = message["content"]
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part["type"] == "text")


def images_of(message: Message) -> list[str]:
    """The data URLs of a message's pictures."""
    content = message["content"]
    return [] if isinstance(content, str) else [p["image_url"]["url"] for p in content if p["type"] == "image_url"]


@lru_cache(maxsize=64)
def load(name: str) -> Prompt:
    """The template `workflow/prompts/NAME.txt`."""
    text = (FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    head, _, user = text.partition("### user\n")
    system = head.removeprefix("### system\n")
    if head == text or not system.strip():
        raise ValueError(f"prompts/{name}.txt must have a '### system' and a '### user' part")
    return Prompt(name, system.strip(), user.strip())


def digest(names: tuple[str, ...]) -> list[str]:
    """Digests of several templates, for what a step depends on."""
    return [load(name).digest for name in names]
