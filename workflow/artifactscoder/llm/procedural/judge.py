"""The procedural judges: no model, no chance, no constants. They read page, code and rendering and add up signals.

Each of the 25 dimensions is the mean of the signals that speak of it; what hinders a page from working at all pulls
every dimension down. Checklist items are matched to signals by their own words. They stand in for a model in the
demo and the tests; a better page scores higher, and that is all they claim.
"""

from __future__ import annotations

import re
from typing import Any

from artifactscoder.html import signals as s

# Signals of each dimension (html/signals.py says what they are).
DIMENSIONS: dict[str, tuple[str, ...]] = {
    "executability": ("parses", "complete", "rendered", "error_free", "offline"),
    "core-function-completeness": ("relevance", "working", "controls", "state", "functions"),
    "code-standards": ("head", "modern_script", "listeners", "short_lines", "parses"),
    "engineering-quality": ("functions", "variables", "listeners", "modern_script", "unrepeated"),
    "boundary-handling": ("bounds", "empty_state", "handling", "validation"),
    "data-validation": ("validation", "labels", "messages", "bounds"),
    "interaction-completeness": ("working", "controls", "keyboard", "state"),
    "design-professionalism": ("styled", "variables", "layout", "colourful", "filled"),
    "interaction-smoothness": ("motion", "hover", "focus", "error_free", "calm"),
    "user-feedback": ("live", "messages", "state", "hover"),
    "requirement-understanding": ("relevance", "seen_text", "headings", "working"),
    "solution-rationality": ("self_contained", "landmarks", "functions", "layout", "relevance"),
    "comment-quality": ("comments", "header_comment"),
    "documentation-completeness": ("header_comment", "help", "labels", "head"),
    "tech-selection": ("modern_script", "layout", "self_contained", "modern_features"),
    "performance-optimisation": ("unrepeated", "self_contained", "calm", "error_free", "reduced_motion"),
    "modern-features": ("modern_features", "variables", "modern_script", "media"),
    "innovative-features": ("richness", "drawn", "timing", "storage", "modern_features"),
    "ux-enhancement": ("focus", "hover", "empty_state", "live", "storage", "help"),
    "code-redundancy": ("unrepeated", "variables", "functions"),
    "exception-handling": ("handling", "messages", "validation", "bounds"),
    "cross-platform": ("media", "head", "fits", "layout"),
    "accessibility": ("labels", "aria", "landmarks", "focus", "keyboard", "headings"),
    "readability": ("short_lines", "comments", "headings", "unrepeated", "functions"),
    "extensibility": ("variables", "functions", "listeners", "unrepeated"),
}

# What a checklist item speaks of -> the signals that answer it.
TOPICS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"error|renders|offline|loads|resource", ("rendered", "error_free", "parses", "offline")),
    (r"request|brief|fulfil|requirement", ("relevance", "working", "seen_text")),
    (r"respons|narrow|mobile|small screen|viewport|width", ("media", "fits", "head")),
    (r"accessib|keyboard|aria|contrast|label|screen reader|focus", ("labels", "aria", "focus", "keyboard")),
    (r"hierarch|layout|grid|align|spacing|arrang", ("layout", "headings", "landmarks", "filled")),
    (
        r"polish|visual|style|colour|palette|typograph|consisten",
        ("styled", "variables", "colourful", "hover"),
    ),
    (r"interact|click|drag|control|button|operat", ("working", "controls", "state")),
    (r"feedback|state|message|confirm|status|undo", ("live", "messages", "state", "empty_state")),
    (r"code|robust|function|maintain|structure", ("functions", "modern_script", "handling", "unrepeated")),
    (r"placeholder|complete|finish|filler", ("complete", "text", "richness", "seen")),
    (r"animat|motion|transition|smooth|frame", ("motion", "reduced_motion", "timing")),
    (r"chart|axis|legend|graph|plot|data|figure", ("drawn", "seen", "text", "labels")),
    (r"svg|draw|shape|illustrat|icon|scene|canvas|3d|depth", ("drawn", "colourful", "richness")),
    (r"game|score|win|lose|level|player|rule", ("state", "timing", "keyboard", "working")),
    (r"valid|check|input|limit|form", ("validation", "labels", "messages", "bounds")),
    (r"save|storage|reload|persist|remember", ("storage", "handling")),
    (r"time|clock|real-time|live|tick", ("timing", "state", "live")),
    (r"language|format|local|unit|currency", ("language", "text")),
    (r"filter|sort|search|table|list", ("controls", "state", "functions")),
    (r"explain|teach|learn|help|guid|document|copy|text", ("help", "text", "headings", "relevance")),
)


def gate(signals: dict[str, float]) -> float:
    """What is left of every score when a page does not render, has no content or stops with errors."""
    left = 1.0 if signals.get("rendered", 1.0) else 0.1
    left *= 0.6 + 0.4 * signals.get("error_free", 1.0)
    left *= 0.5 + 0.5 * max(signals.get("seen_text", 1.0), signals["drawn"])
    return left * (0.6 + 0.4 * signals["parses"])


def dimensions(html: str, evidence: dict[str, Any], request: str, slugs: list[str]) -> list[dict[str, Any]]:
    """A score of 0, 2.5, 5, 7.5 or 10 for each dimension, with the weakest sign as the reason."""
    signals = s.measure(html, evidence, request)
    factor = gate(signals)
    overall = s.mean(signals, ("relevance", "working", "styled", "head", "landmarks", "functions"))
    out = []
    for slug in slugs:
        names = DIMENSIONS.get(slug, ("relevance", "working", "styled"))
        value = factor * (0.85 * s.mean(signals, names) + 0.15 * overall)
        weak = s.weakest(signals, names)
        reason = f"weakest sign: {weak.replace('_', ' ')} at {signals.get(weak, 0.0):.0%}"
        out.append({"dimension": slug, "score": round(4 * value) * 2.5, "reason": reason})
    return out


def checklist(
    html: str, evidence: dict[str, Any], request: str, items: list[tuple[str, str, float]]
) -> list[dict[str, Any]]:
    """Whole or half points for each (id, text, most points) of a checklist."""
    signals = s.measure(html, evidence, request)
    factor = gate(signals)
    said = s.original(html, " ".join([request, *(text for _, text, _ in items)]))
    out = []
    for id_, text, maximum in items:
        low = text.lower()
        names = [name for pattern, found in TOPICS if re.search(pattern, low) for name in found]
        names = names or ["relevance", "working", "styled"]
        own = s.relevance(text, said)  # do the item's own words stand in the page?
        value = factor * (0.7 * s.mean(signals, names) + 0.3 * own)
        reason = f"{len(set(names))} signs at {s.mean(signals, names):.0%}, own words at {own:.0%}"
        out.append({"id": id_, "points": round(2 * maximum * value) / 2, "reason": reason})
    return out
