"""What a reward is asked for, and what it comes to: data only, for the engine, the trainer and `reward explain`.

Without imports that cost: verl's reward workers hold this before they know their engine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from artifactscoder.render import Render


@dataclass(frozen=True)
class Task:
    """What a page was asked to be."""

    id: str
    prompt: str
    """The request's text."""
    checklist: list[dict[str, Any]]
    reference: str
    """A page to compare with; may be empty."""


@dataclass(frozen=True)
class Score:
    """One answer's reward."""

    parts: dict[str, float | str]
    """All that it was made of, `score` among it; the same keys for every answer."""
    render: Render | None = None
    """What a browser showed; None where there was nothing to render."""
