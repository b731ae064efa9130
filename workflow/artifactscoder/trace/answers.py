"""The way of an answer that GRPO learned from: its prompt, the models behind it, its text, its reward."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from artifactscoder import tables
from artifactscoder.reward import measure
from artifactscoder.trace import rl, train
from artifactscoder.trace.book import Book, Stop

_TEXTS = ("points", "reasons", "verdict", "directed")  # JSON


def takes(id_: str) -> bool:
    """Whether an id names an answer: train/grpo/STEP/SAMPLE."""
    return re.fullmatch("train/grpo/[0-9]+/[^/]+", id_) is not None


async def stops(book: Book, id_: str) -> list[Stop]:
    """The way to one answer."""
    *_, step, sample = id_.split("/")
    path = book.results / "train/grpo/rewards.parquet"
    out = Stop("train/grpo", id_, str(path), "none")
    if not path.exists():
        return [out]
    found = tables.read(path, train.columns(path), [("step", "==", int(step)), ("sample", "==", sample)]).to_pylist()
    if not found:
        return [out]
    row = found[0]
    out.status, out.reason = ("ok", "") if row["status"] == "ok" else ("failed", row["error"])
    out.facts |= {name: row[name] for name in row if name not in _TEXTS and row[name] is not None}
    directed, out.facts["points"] = (json.loads(row[name] or "null") for name in ("directed", "points"))
    if row["status"] == "ok":
        total = measure.total(book.config.reward, row, directed or [])
        out.check("the reward is that of its parts", abs(total - row["score"]) < 1e-6, f"{row['score']}, not {total}")
    run = (train.manifest(book.results / "train/grpo/manifest.json") or {}).get("run")
    texts = book.results / f"train/grpo/work/{run}/rollouts/{step}.jsonl"
    if texts.exists():
        answers = {hashlib.sha256(text.encode()).hexdigest(): text for text in _outputs(texts)}
        out.check("its text is among those of the step", row["answer_sha256"] in answers, f"it is not in {texts}")
        out.facts["answer"] = answers.get(row["answer_sha256"], "")
    before = [stop for stop in await rl.stops(book, row["id"]) if not stop.step.startswith("train/")]
    return [*before, *train.line(book, "grpo")[:-1], out]


def _outputs(path: Path) -> Iterator[str]:
    with open(path, encoding="utf-8") as file:
        for one in file:
            yield json.loads(one)["output"]
