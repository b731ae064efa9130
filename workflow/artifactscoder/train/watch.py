"""Whether GRPO learns the task or its judge: figures of each step, and alarms where they drift.

In come reward records (`reward_function`: lines while training runs, rewards.parquet afterwards); out go a row a step
and, where the last steps differ from the first ones by more than `train.watch` allows, an alarm in words. They do not
stop a run: a rising length may be what was wanted. They stand in the log, in `artifactscoder status` and on the report.

What is looked at, as the mean over a step's scored answers:
  tokens      length of the answers
  blank       share of answers whose page shows next to nothing, or no page
  repetition  share of answers in loops (the gate i_rep)
  template    share of answers whose page has the same skeleton as an answer to another prompt of the step
  directed    share of pages with text that speaks to the judge
  gap         the judge's checklist score less what rules say of the same pages: half the similarity to the reference,
              half whether scripts ran without an error. A judge that is being fooled gives more while they do not
  failed      share of the step's answers that could not be scored

Of a step that was repeated, because a job was killed or halted in it or before the next checkpoint, the last attempt
counts alone.

A drift counts when it is larger than its limit and than three standard errors of the steps compared, so scatter from
step to step raises none. It is looked for after each step, from `first` + `last` steps on.
"""

from __future__ import annotations

import hashlib
import json
import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from math import isnan, nan, sqrt
from pathlib import Path
from typing import Any

import pyarrow as pa

from artifactscoder import files
from artifactscoder.config.trainers import WatchSettings

BLANK_SHARE = 0.985  # of the picture in one colour
BLANK_CHARS = 20
ERRORS = 3.0  # standard errors that a drift must exceed
LEAST = 0.01  # a step's scatter that is taken at least, in shares

_TAG = re.compile(r"<([a-zA-Z][a-zA-Z0-9-]*)")

COLUMNS = {
    "score": "reward", "s_chk": "checklist", "s_sim": "similarity", "s_len": "length score", "i_render": "rendered",
    "tokens": "tokens", "blank": "next to nothing shown", "repetition": "in loops",
    "template": "same skeleton as another prompt's", "directed": "speaks to the judge", "gap": "judge less rules",
}  # fmt: skip
SCHEMA = pa.schema(
    [("step", pa.int64()), ("answers", pa.int64()), ("failed", pa.float64()), *((n, pa.float64()) for n in COLUMNS)]
)
SHARES = {
    "blank": "answers that show next to nothing",
    "repetition": "answers in loops",
    "template": "answers with the skeleton of an answer to another prompt",
    "directed": "pages with text that speaks to the judge",
}


@dataclass(frozen=True)
class Alarm:
    """`signal` was out of its limit at `step` for the first time; `until` is the last step at which it was."""

    signal: str
    step: int
    until: int
    text: str


def skeleton(answer: str) -> str:
    """A digest of an answer's element names in their order, repeats in a row taken once; empty without elements.

    Lists of any length look alike.
    """
    names = " ".join(name for name, _ in groupby(name.lower() for name in _TAG.findall(answer)))
    return hashlib.sha256(names.encode()).hexdigest()[:12] if names else ""


def measures(record: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of one reward record: its prompt, its skeleton, and the figures; those are NaN where it failed."""
    parts = record.get("parts") or record
    kept: dict[str, Any] = {
        "prompt": str(record["sample"]).rpartition("_")[0],
        "ok": record["status"] == "ok",
        "skeleton": record.get("skeleton") or "",
    }
    if not kept["ok"]:
        return kept

    def number(name: str) -> float:
        value = parts.get(name)
        return float(value) if value is not None else nan

    verdict = json.loads(parts.get("verdict") or "{}")
    shown = bool(verdict) and (
        verdict.get("dominant_share", 0.0) < BLANK_SHARE or verdict.get("text_chars", 0) >= BLANK_CHARS
    )
    rules = 0.5 * number("s_sim") + 0.5 * float(not verdict.get("script_errors"))
    judged = bool(json.loads(parts.get("points") or "{}"))
    return kept | {
        **{name: number(name) for name in ("score", "s_chk", "s_sim", "s_len", "i_render", "tokens")},
        "blank": float(not shown),
        "repetition": 1.0 - number("i_rep"),
        "directed": float(bool(json.loads(parts.get("directed") or "[]"))),
        "gap": number("s_chk") - rules if judged else nan,
    }


def summary(step: int, answers: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The row of one step."""
    scored = [answer for answer in answers if answer["ok"]]
    prompts: defaultdict[str, set[str]] = defaultdict(set)
    for answer in scored:
        prompts[answer["skeleton"]].add(answer["prompt"])
    row: dict[str, Any] = {"step": step, "answers": len(answers), "failed": 1 - len(scored) / max(1, len(answers))}
    for name in COLUMNS:
        if name == "template":
            values = [float(bool(a["skeleton"]) and len(prompts[a["skeleton"]]) > 1) for a in scored]
        else:
            values = [value for a in scored if not isnan(value := a.get(name, nan))]
        row[name] = statistics.fmean(values) if values else None
    return row


def rows(records: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A row for each step of the records."""
    by_step: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
    for record in records:
        by_step[int(record["step"])].append(measures(record))
    return [summary(step, by_step[step]) for step in sorted(by_step)]


def gain(records: Iterable[Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean reward of the first and the last third of the steps, and what chance explains of the difference.

    The groups of answers to one prompt are the units: which prompts a step draws, and what is sampled for them, is
    what a seed decides. `chance`: three standard errors of the difference of the two means over groups, none where
    there is one group only.
    """
    groups: defaultdict[int, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        kept = measures(record)
        if kept["ok"]:
            groups[int(record["step"])][kept["prompt"]].append(kept["score"])
    steps = sorted(groups)
    third = max(1, len(steps) // 3)
    first, last = (
        [statistics.fmean(scores) for step in part for scores in groups[step].values()]
        for part in (steps[:third], steps[-third:])
    )
    told = min(len(first), len(last)) > 1
    errors = [statistics.variance(means) / len(means) for means in (first, last) if told]
    return {
        "first": statistics.fmean(first),
        "last": statistics.fmean(last),
        "chance": ERRORS * sqrt(sum(errors)) if told else None,
        "steps": float(third),
    }


def words(gain: Mapping[str, Any]) -> str:
    """The same in words."""
    by = gain["last"] - gain["first"]
    told = (
        f"mean reward {gain['first']:.3f} in the first {gain['steps']:.0f} steps, {gain['last']:.3f} in the last: "
        f"a {'rise' if by >= 0 else 'fall'} of {abs(by):.3f}; "
    )
    if gain["chance"] is None:
        return told + "too few prompts to tell it from chance"
    return told + (
        f"the draw of prompts and answers alone can make one of {gain['chance']:.3f} ({ERRORS:.0f} standard errors)"
    )


def calm(steps: int, settings: WatchSettings) -> str:
    """What no alarm after so many steps means."""
    least = settings.first + settings.last
    if steps < least:
        return f"{steps} steps, the watch needs {least} (train.grpo.watch, first and last): nothing was compared."
    return "Nothing drifted beyond its limit (train.grpo.watch)."


def alarms(steps: Sequence[Mapping[str, Any]], settings: WatchSettings) -> list[Alarm]:
    """Every signal that drifted, in the order in which they did. `steps`: rows in the order of their steps."""
    found: dict[str, Alarm] = {}
    first, last = settings.first, settings.last
    for end in range(first + last, len(steps) + 1):
        step = int(steps[end - 1]["step"])
        for signal, text in _drifts(steps[:first], steps[end - last : end], settings):
            begun = found.get(signal)
            found[signal] = Alarm(signal, begun.step if begun else step, step, text)
    return list(found.values())


def _drifts(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], settings: WatchSettings
) -> Iterable[tuple[str, str]]:
    """(signal, what to know) of all that differ more than they may."""

    def means(name: str, scale: float = 1.0) -> tuple[float, float, float]:
        """(mean before, mean after, what scatter alone explains)."""
        a, b = ([row[name] for row in part if row[name] is not None] for part in (before, after))
        if len(a) < 2 or len(b) < 2:
            return nan, nan, nan
        errors = (max(statistics.stdev(values), LEAST * scale) ** 2 / len(values) for values in (a, b))
        return statistics.fmean(a), statistics.fmean(b), ERRORS * sqrt(sum(errors))

    was, now, noise = means("tokens", scale=100.0)
    ratio = settings.length_ratio
    if was > 0 and abs(now - was) > noise and not was / ratio <= now <= was * ratio:
        yield "tokens", f"answers have {now:,.0f} tokens, {was:,.0f} at first; look at the longest and the shortest"
    for name, label in SHARES.items():
        was, now, noise = means(name)
        if now - was > max(getattr(settings, name), noise):
            yield name, f"{now:.0%} {label}, {was:.0%} at first; read some"
    was, now, noise = means("gap")
    if now - was > max(settings.gap, noise):
        yield (
            "gap",
            f"the judge gives {now:+.2f} against what rules say, {was:+.2f} at first; read pages with its reasons",
        )
    lost = statistics.fmean(row["failed"] for row in after)
    if lost > settings.failed:
        yield "failed", f"{lost:.0%} of the answers could not be scored; look at the render service and the judge"


def attempts(records: Iterable[Mapping[str, Any]]) -> dict[int, int]:
    """step -> the last attempt of it; 0 where records do not say which."""
    last: defaultdict[int, int] = defaultdict(int)
    for record in records:
        step = int(record["step"])
        last[step] = max(last[step], record.get("attempt") or 0)
    return last


class Watch:
    """Follows a run: takes records as they come and says each alarm once."""

    def __init__(self, settings: WatchSettings, held_out: Iterable[str]) -> None:
        """`held_out`: ids of validation prompts, whose answers are not trained on."""
        self.settings, self.held_out = settings, set(held_out)
        self._answers: defaultdict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
        self._attempts: defaultdict[int, int] = defaultdict(int)
        self._said: set[str] = set()
        self.alarms: list[Alarm] = []

    def take(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Records of any steps; of a sample that was scored twice the later one counts."""
        for record in records:
            step, attempt = int(record["step"]), record.get("attempt") or 0
            if record["id"] in self.held_out or attempt < self._attempts[step]:
                continue
            if attempt > self._attempts[step]:
                self._attempts[step], self._answers[step] = attempt, {}
            self._answers[step][record["sample"]] = measures(record)

    def new(self, through: int) -> list[Alarm]:
        """Alarms at the steps up to `through` that were not told before."""
        steps = [summary(step, list(self._answers[step].values())) for step in sorted(self._answers) if step <= through]
        self.alarms = alarms(steps, self.settings)
        new = [alarm for alarm in self.alarms if alarm.signal not in self._said]
        self._said.update(alarm.signal for alarm in new)
        return new


def write(path: Path, step: int, found: Sequence[Alarm]) -> None:
    """Every alarm up to a step, for `artifactscoder status`."""
    told = {"step": step, "alarms": [asdict(alarm) for alarm in found]}
    files.write_bytes(path, json.dumps(told, ensure_ascii=False).encode())


def read(path: Path) -> list[str]:
    """A sentence for each alarm that `write` left; none where there is no file."""
    try:
        told = json.loads(path.read_text())
    except FileNotFoundError:
        return []
    return [
        f"since step {alarm['step']}" + (f" until {alarm['until']}" if alarm["until"] < told["step"] else "")
        + f": {alarm['text']}"
        for alarm in told["alarms"]
    ]  # fmt: skip
