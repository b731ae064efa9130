"""Whether a step of a training's curve is what verl wrote of it, as far as verl's own files are still there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifactscoder.tables import Row
from artifactscoder.trace.book import Book, Stop, differing
from artifactscoder.train import curves, grpo, torchrun

NOT_KEPT = "verl's metrics are not in the work folder any more, so the curve is shown as it stands"


def check(book: Book, out: Stop, name: str, run: str, row: Row) -> None:
    """Compare a row of the curve with the metrics of the attempts of its run, of which the last one counts."""
    metrics = book.results / "train" / name / "work" / run / "metrics"
    found = _measured(sorted(metrics.glob("*.jsonl")), row["step"])
    if not found:
        out.facts["not checked"] = NOT_KEPT
        return
    columns = grpo.CURVE if name == "grpo" else torchrun.CURVE
    gives = dict.fromkeys(columns) | curves.figures(columns, found)
    out.check("the curve is what verl's metrics say", *differing(row, gives))


def _measured(attempts: list[Path], step: int) -> dict[str, Any]:
    """What the attempts measured at a step, each figure as it was measured last."""
    out: dict[str, Any] = {}
    for path in attempts:
        for number, measured in curves.MetricsFile(path).new():
            out |= measured if number == step else {}
    return out
