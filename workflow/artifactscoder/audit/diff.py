"""Two runs side by side: what changed, what was made again, and why.

A run that makes something leaves a record of what it was made of, RESULTS/audit/TIME.json (audit/record.py). Compared
are the two that are named, each by its file or by its results folder, or the last two of RESULTS: settings, prompts,
seeds, files from outside, images, code, versions; and which jobs were made again, with what did that: one of these
changes, or a rule before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from artifactscoder.audit import record
from artifactscoder.audit.record import Record
from artifactscoder.errors import UserError
from artifactscoder.recipe import STEPS
from artifactscoder.train.runs import digits

PARTS = ("settings", "prompts", "seeds", "inputs", "images", "code", "versions")
SHOWN = 12  # names of one line


@dataclass
class Change:
    """Something that is not what it was; `before` or `after` is empty for what is new or gone."""

    part: str
    name: str
    before: Any
    after: Any


@dataclass
class Again:
    """A job that was made again (or for the first time), and what did that."""

    job: str
    rule: str
    causes: list[str]


@dataclass
class Difference:
    """What two runs differ in."""

    before: str
    after: str
    jobs: int
    changes: list[Change] = field(default_factory=list)
    again: list[Again] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Fit for JSON."""
        return asdict(self)


def compare(a: Record, b: Record) -> Difference:
    """What changed from run `a` to run `b`. In one folder, made again is what began at another time than in `a`; of two
    folders, what was made of something else."""
    out = Difference(a["name"], b["name"], len(b["jobs"]), list(_changes(a, b)))
    out.gone = sorted(a["jobs"].keys() - b["jobs"].keys())
    one_place = a["place"] == b["place"]
    maker = {output: name for name, job in b["jobs"].items() for output in job["outputs"]}

    def remade(name: str) -> bool:
        old, new = a["jobs"].get(name), b["jobs"][name]
        return old is None or (new["began"] != old["began"] if one_place else _unlike(old, new))

    made = {name for name in b["jobs"] if remade(name)}
    for name in sorted(made, key=lambda name: (b["jobs"][name]["began"], name)):
        causes = list(_causes(a, b, name, made, maker))
        out.again.append(Again(name, b["jobs"][name]["rule"], causes))
    return out


def _changes(a: Record, b: Record) -> Iterator[Change]:
    if a["commit"] != b["commit"]:
        yield Change("commit", "", digits(a["commit"]), digits(b["commit"]))
    for part in PARTS:
        for name, before, after in _pairs(a[part], b[part]):
            if part != "seeds":
                yield Change(part, name, before, after)
                continue
            for line, was, is_ in _pairs(before or {}, after or {}):
                yield Change(part, f"{name}: {line}", was, is_)


def _pairs(a: dict[str, Any], b: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for name in dict.fromkeys([*a, *b]):
        if a.get(name) != b.get(name):
            yield name, a.get(name), b.get(name)


def _unlike(a: Record, b: Record) -> bool:
    return any(a[part] != b[part] for part in ("params", "code", "software", "inputs"))


def _causes(a: Record, b: Record, name: str, made: set[str], maker: dict[str, str]) -> Iterator[str]:
    """Why a job was made again; the same words for all jobs of a rule that have the same cause."""
    old, new = a["jobs"].get(name), b["jobs"][name]
    before = sorted({b["jobs"][maker[path]]["rule"] for path in new["inputs"] if maker.get(path) in made - {name}})
    if old is None:
        yield "new"
        return
    found = False
    if old["code"] != new["code"]:
        yield "its rule changed"
        found = True
    if old["software"] != new["software"]:
        yield "its image changed"
        found = True
    if old["params"] != new["params"]:
        yield from _parameters(a, b, new["rule"])
        found = True
    if old["inputs"].keys() != new["inputs"].keys():
        more, less = new["inputs"].keys() - old["inputs"].keys(), old["inputs"].keys() - new["inputs"].keys()
        yield "inputs: " + ", ".join(
            [*(f"+{one}" for one in sorted(more)), *(f"-{one}" for one in sorted(less))][:SHOWN]
        )
        found = True
    for path, checksum in new["inputs"].items():
        outside = path not in maker and old["inputs"].get(path, checksum) != checksum
        if outside:
            yield f"{path} changed"
            found = True
    for rule in before:
        yield f"after {rule}"
        found = True
    if not found:
        yield "asked for again, or its output was gone"


def _parameters(a: Record, b: Record, rule: str) -> Iterator[str]:
    """What of a step's recipe is not what it was; what the recipe does not hold are the shard's seeds."""
    step = _step(rule)
    parts = [name for name, _, _ in _pairs(a["recipe"].get(step, {}), b["recipe"].get(step, {}))]
    for name in parts:
        kind, _, rest = name.partition(".")
        if kind == "prompts":  # a list of digests: named by what changed
            yield from (
                f"prompt {one}" for one in STEPS[step].prompts if a["prompts"].get(one) != b["prompts"].get(one)
            )
        else:
            yield {"settings": f"setting {rest}", "roles": f"role {rest}"}.get(kind, kind)
    if not parts:
        yield "its seeds" if a["seeds"] != b["seeds"] else "its parameters"


def _step(rule: str) -> str:
    name = rule.replace("_", "/", 1)
    return max((step for step in STEPS if name == step or name.startswith(f"{step}_")), key=len, default=name)


def lines(found: Difference) -> Iterator[str]:
    """The difference for the terminal."""
    yield f"from {found.before} to {found.after}"
    yield ""
    yield f"changed: {len(found.changes) or 'nothing'}"
    for part in ("commit", *PARTS):
        own = [change for change in found.changes if change.part == part]
        if part in ("code", "seeds") and len(own) > SHOWN:
            yield f"  {part:<9} {len(own)}: {', '.join(change.name for change in own[:SHOWN])} …"
            continue
        for change in own:
            what = f"{change.name}: " if change.name else ""
            yield f"  {part:<9} {what}{_value(change.before)} -> {_value(change.after)}"
    yield ""
    yield f"made again: {len(found.again)} of {found.jobs} jobs" + (f"; gone: {len(found.gone)}" if found.gone else "")
    groups: dict[tuple[str, str], list[str]] = {}
    for again in found.again:
        groups.setdefault((again.rule, "; ".join(again.causes)), []).append(again.job)
    for (rule, causes), names in groups.items():
        some = ", ".join(name.rpartition("/")[2] for name in names[:SHOWN])
        yield f"  {rule:<24} {len(names):>5}  {causes}   ({some}{' …' if len(names) > SHOWN else ''})"


def _value(value: Any) -> str:
    text = "(none)" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:60]} …"


def run(results: Path, runs: list[Path], as_json: bool) -> None:
    """Print what two runs differ in: the two that are named, or the last two of `results`."""
    if len(runs) not in (0, 2):
        raise UserError("name two runs, each by its file in RESULTS/audit or its results folder, or none")
    if not runs:
        runs = record.every(results)[-2:]
        if len(runs) < 2:
            raise UserError(
                f"{results}/audit holds the records of {len(runs)} runs, and two are compared; a run that makes "
                "something leaves one"
            )
    a, b = (record.load(path) for path in runs)
    if a["began"] > b["began"]:
        a, b = b, a
    found = compare(a, b)
    if as_json:
        print(json.dumps(found.to_dict(), ensure_ascii=False, indent=1))
        return
    for one in (a, b):
        when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one["began"]))
        how = "" if one["well"] else ", ended with an error"
        print(f"{one['name']}  began {when}, commit {digits(one['commit']) or 'unknown'}{how}  {one['file']}")
    print("\n".join(lines(found)))
