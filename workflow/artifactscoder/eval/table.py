"""eval/table: the models side by side, table.parquet.

In: the judged answers of every model. Out: one row a model: tasks asked and judged, the share that rendered, the mean
checklist score in percent with a 95 % bootstrap interval, both bounds for what failed (left out, or counted as 0),
mean reward, mean tokens, and the judge, for numbers of different judges must not be mixed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from artifactscoder import tables
from artifactscoder.errors import UserError
from artifactscoder.eval.judge import JUDGED
from artifactscoder.ledger import beside
from artifactscoder.records import INT, LEDGER, REAL, TEXT, columns

TABLE = columns(
    model=TEXT, tasks=INT, judged=INT, failed=INT, rendered=REAL, checklist=REAL, low=REAL, high=REAL,
    checklist_failed_as_0=REAL, reward=REAL, tokens=REAL, judge=TEXT,
)  # fmt: skip
DRAWS = 2000


def interval(values: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """2.5 % and 97.5 % quantiles of the mean over bootstrap draws."""
    draws = np.random.default_rng(seed).choice(values, (DRAWS, len(values)))
    low, high = np.quantile(draws.mean(axis=1), [0.025, 0.975])
    return float(low), float(high)


def run(inputs: list[Path], output: Path) -> None:
    """Write the table over the judged files, one a model, in their order."""
    rows = []
    for path in inputs:
        judged = list(tables.rows(path, JUDGED.names))
        failed = [row for row in tables.rows(beside(path), LEDGER.names) if row["status"] != "ok"]
        if not judged:
            raise UserError(f"{path} holds no judged answer; its ledger says why")
        points = 100 * np.array([row["s_chk"] for row in judged])
        low, high = interval(points)
        rows.append(
            {
                "model": judged[0]["model"],
                "tasks": len(judged) + len(failed),
                "judged": len(judged),
                "failed": len(failed),
                "rendered": float(np.mean([row["rendered"] for row in judged])),
                "checklist": float(points.mean()),
                "low": low,
                "high": high,
                "checklist_failed_as_0": float(points.sum() / (len(judged) + len(failed))),
                "reward": float(np.mean([row["score"] for row in judged])),
                "tokens": float(np.mean([row["tokens"] for row in judged])),
                "judge": judged[0]["judge"],
            }
        )
    tables.write(output, TABLE, rows)
