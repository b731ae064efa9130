"""A trace for the terminal. Text of models is data: control characters are made visible."""

from __future__ import annotations

import re
from typing import Any

from artifactscoder.trace.book import Asked, Stop

WIDTH = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
_LONG = {"settings", "versions", "evidence", "checklist", "points"}  # for --json only


def lines(id_: str, kind: str, stops: list[Stop]) -> str:
    """The whole of it."""
    out = [f"{_one_line(id_)}  ({kind})"]
    for stop in stops:
        out += ["", _head(stop)]
        out += [
            f"    {name.replace('_', ' ')}: {_short(value)}"
            for name, value in stop.facts.items()
            if isinstance(value, float) or (name not in _LONG and value is not None)
        ]
        out += [f"    asked {_asked(one)}" for one in stop.asked]
        held = [check.claim for check in stop.checks if check.holds]
        out += [f"    holds: {'; '.join(held)}"] if held else []
        out += [f"    DOES NOT HOLD: {check.claim}? {check.note}" for check in stop.checks if not check.holds]
    return "\n".join([*out, ""])


def _head(stop: Stop) -> str:
    status = {"none": "not there", "ok": "ok"}.get(stop.status, f"{stop.status}: {stop.reason}")
    detail = f" ({_one_line(stop.detail)})" if stop.detail else ""
    return f"{stop.step:<22} {status}{detail}   {stop.table}"


def _asked(one: Asked) -> str:
    who = one.endpoint.get("model", "") + (f"@{one.endpoint['revision']}" if one.endpoint.get("revision") else "")
    prompt = f", prompt {one.prompt} {one.prompt_digest}" if one.prompt else ""
    cost = f", cost {one.cost:g}" if one.cost else ""
    answered = (
        f"{one.tokens_in:,} + {one.tokens_out:,} tokens{cost}, {one.finish}" if one.finish else "no answer on record"
    )
    return f"{one.key} of {who}{prompt}: {answered}"


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, dict):
        text = ", ".join(f"{key} {_short(inner)}" for key, inner in value.items())
        return text if len(text) < 4 * WIDTH else text[: 4 * WIDTH] + " …"
    if isinstance(value, list):
        shown = ", ".join(_short(inner) for inner in value[:8])
        return shown + (f" … {len(value)} in all" if len(value) > 8 else "")
    text = _one_line(str(value))
    return text if len(text) <= WIDTH else f"{text[:WIDTH]} … {len(str(value)):,} characters"


def _one_line(text: str) -> str:
    return _CONTROL.sub(" ", text).strip()
