"""From what was seen of a page to its verdict: pure, but for the decoding of pictures.

In: the shots of a page, its deeds, the reason if it did not come to a picture. Out: a `Verdict`. A page is flat if
its picture is of one colour, or nearly, or a gradient, and nothing shows where its DOM says that something ought to;
it is blank if it is flat though its DOM has visible parts (covered, white on white, failed script), without content if
its DOM has none, or nothing but images that did not load. Its picture is noise if it is restless and without order. Of
several pictures the fullest decides, since a page may rightly begin or end empty.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

from artifactscoder.render.actions import Done
from artifactscoder.render.guard import Deeds
from artifactscoder.render.page import MAX_LISTED, Reason, RenderOptions, Verdict
from artifactscoder.render.pixels import Box, Pixels, measure
from artifactscoder.render.tab import Shot

FEW_COLOURS_SHARE = 0.99
"""A picture of very few colours is flat only if one of them covers this much: flags have few colours too."""

COUNTS = ("elements", "visible_elements", "text_chars", "buttons", "inputs", "links", "canvases", "svgs")


def judge(
    shots: list[Shot], deeds: Deeds, options: RenderOptions, failed: Reason | None, done: Sequence[Done] = ()
) -> Verdict:
    """The verdict without its `seconds`. Takes about 15 ms a picture; pictures after actions decide nothing."""
    return _writable(_verdict(shots, deeds, options, failed, done))


def _verdict(
    shots: list[Shot], deeds: Deeds, options: RenderOptions, failed: Reason | None, done: Sequence[Done]
) -> Verdict:
    verdict = Verdict(
        rendered=False,
        reason=failed or "no_content",
        script_errors=deeds.script_errors,
        console_errors=deeds.console_errors,
        requests_refused=sorted(deeds.refused)[:MAX_LISTED],
        requests_refused_count=deeds.refused_count,
        requests_mirrored=[f"{url} -> {served}" for url, served in sorted(deeds.mirrored.items())][:MAX_LISTED],
        requests_mirrored_count=deeds.mirrored_count,
        dialogs=deeds.dialogs,
        downloads=deeds.downloads,
        navigations=deeds.navigations,
        popups=deeds.popups,
        budget_expired=deeds.budget_expired,
    )
    if not shots:
        return verdict
    pictures = [measure(shot.picture) for shot in shots]
    _describe(verdict, shots[-1].figures)
    fullest = min(pictures, key=lambda pixels: pixels.dominant_share)
    verdict.colours, verdict.edges = fullest.colours, fullest.edges
    verdict.dominant_share, verdict.order = fullest.dominant_share, fullest.order
    if failed is None:
        verdict.reason = _reason(shots, pictures, verdict, options)
    verdict.rendered = verdict.reason == "ok"
    verdict.actions = _outcomes(pictures[-1], done, options)
    return verdict


def _outcomes(before: Pixels, done: Sequence[Done], options: RenderOptions) -> list[dict[str, Any]]:
    """Of each action that was asked for or offered, how it went."""
    outcomes = []
    begun = 1 + max((entry.place for entry in done), default=-1)
    asked = (one for one in options.actions[begun:] if one.do != "explore")  # of a page that offers nothing, none
    for entry in [*done, *(Done(action, "an action before it hung") for action in asked)]:
        action, changed = entry.action, 0.0
        if entry.picture:
            after = measure(entry.picture)
            changed, before = before.changed(after), after
        what = {"do": action.do, "target": action.target} | ({"key": action.key} if action.key else {})
        outcomes.append(what | {"done": not entry.why, "why": entry.why, "changed": changed})
    return outcomes


def _describe(verdict: Verdict, figures: dict) -> None:
    for name in (*COUNTS, "images", "broken_images", "width", "height"):
        setattr(verdict, name, int(figures[name]))
    verdict.visible_text = figures["visible_text"]
    verdict.seen = {str(kind): int(count) for kind, count in figures["seen"].items()}


def _writable(verdict: Verdict) -> Verdict:
    """The verdict as UTF-8 can hold it: half of a surrogate pair, which any text of a page may hold, becomes "?"."""
    seen: Counter[str] = Counter()
    for kind, count in verdict.seen.items():
        seen[_whole(kind)] += count
    values = {entry.name: _whole(getattr(verdict, entry.name)) for entry in dataclasses.fields(verdict)}
    return Verdict(**values | {"seen": dict(seen)})


def _whole(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _whole(one) for key, one in value.items()}
    return [_whole(one) for one in value] if isinstance(value, list) else value


def _reason(shots: list[Shot], pictures: list[Pixels], verdict: Verdict, options: RenderOptions) -> Reason:
    if all(is_flat(pixels, _boxes(shot), options) for shot, pixels in zip(shots, pictures, strict=True)):
        return "blank" if verdict.visible_elements or verdict.text_chars else "no_content"
    if not verdict.text_chars and 0 < verdict.visible_elements <= verdict.broken_images:
        return "no_content"
    if all(is_noise(pixels, options) for pixels in pictures):
        return "noise"
    return "ok"


def is_flat(pixels: Pixels, boxes: list[Box], options: RenderOptions) -> bool:
    """Whether a picture shows nothing, also not at the places of text and drawn elements."""
    few = pixels.colours <= options.blank_colours and pixels.dominant_share >= FEW_COLOURS_SHARE
    flat = few or pixels.colours == 1 or pixels.dominant_share >= options.blank_share
    return not pixels.marked or (flat and not pixels.shows_something(boxes))


def is_noise(pixels: Pixels, options: RenderOptions) -> bool:
    """Whether a picture is random: small text, dithering and grain are as restless, but have order."""
    return pixels.edges > options.noise_edges and pixels.order < options.noise_order


def _boxes(shot: Shot) -> list[Box]:
    """Where text and drawn elements stand in the picture."""
    x, y = shot.origin
    return [(left - x, top - y, right - x, bottom - y) for left, top, right, bottom in shot.figures["ink"]]
