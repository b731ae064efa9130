"""The library of widgets, by kind. `WIDGETS` maps a slug to its record; its order never changes a page."""

from __future__ import annotations

from .controls import CONTROLS
from .data import DATA
from .drawing import DRAWING
from .games import GAMES
from .people import PEOPLE
from .record import Widget
from .times import TIMES
from .wishes import WISHES
from .work import WORK

WIDGETS: dict[str, Widget] = {
    part.slug: part for part in (*CONTROLS, *TIMES, *DATA, *GAMES, *DRAWING, *WORK, *PEOPLE, *WISHES)
}
WISH_SLUGS = tuple(part.slug for part in WISHES)

__all__ = ["WIDGETS", "WISH_SLUGS", "Widget"]
