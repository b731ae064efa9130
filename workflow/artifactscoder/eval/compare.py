"""What the evaluation's numbers are worth: intervals of a mean, and whether two models differ.

Pure functions over points in percent. Tasks of one name are much alike (one task in several tech stacks), so they are
drawn and flipped together, as one: intervals of rows drawn alone would be too narrow. All draws come from a seed, and
numbers are rounded to six digits, so the same answers and the same judge give the same table to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

DRAWS = 10_000
DIGITS = 6


@dataclass(frozen=True)
class Pair:
    """`difference`: mean of b minus a [percentage points], from `low` to `high` with 95 %, which are None where there
    is one task; `p`: two-sided."""

    difference: float
    low: float | None
    high: float | None
    better: int
    equal: int
    worse: int
    p: float


def interval(values: np.ndarray, tasks: list[str], seed: int) -> tuple[float, float] | tuple[None, None]:
    """2.5 % and 97.5 % quantiles of the mean of `values` over bootstrap draws of the tasks they belong to.

    None below two tasks: all draws of one are the same, and say nothing of another.
    """
    if len(set(tasks)) < 2:
        return None, None
    sums, sizes = _by_task(values, tasks)
    drawn = np.random.default_rng(seed).integers(0, len(sums), (DRAWS, len(sums)))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return _round(low), _round(high)


def pair(a: np.ndarray, b: np.ndarray, tasks: list[str], seed: int) -> Pair:
    """How b differs from a on the same rows: bootstrap interval, and a paired permutation test.

    The test flips the sign of each task's difference (scipy.stats.permutation_test, all flips up to 13 tasks, DRAWS of
    them beyond): it asks nothing of how points are distributed, which are bounded and often 0, and it speaks of the
    mean that the table shows, which Wilcoxon's does not.
    """
    apart = b - a
    low, high = interval(apart, tasks, seed)
    sums, _ = _by_task(apart, tasks)
    p = 1.0
    if np.any(sums) and len(sums) > 1:
        test = stats.permutation_test(
            (sums, np.zeros_like(sums)),
            lambda x, y, axis: (x - y).sum(axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=DRAWS,
            batch=1000,
            rng=np.random.default_rng(seed),
        )
        p = float(test.pvalue)
    counts = (int((apart > 0).sum()), int((apart == 0).sum()), int((apart < 0).sum()))
    return Pair(_round(apart.mean()), low, high, *counts, _round(p))


def holm(p: list[float]) -> list[float]:
    """Holm's correction: each p so that all comparisons together are wrong as seldom as one of them alone."""
    out, last = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        last = max(last, min(1.0, (len(p) - rank) * p[place]))
        out[place] = _round(last)
    return out


def _by_task(values: np.ndarray, tasks: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sum and number of the values of each task."""
    _, place = np.unique(np.array(tasks), return_inverse=True)
    return np.bincount(place, values), np.bincount(place).astype(float)


def _round(value: float | np.floating) -> float:
    return round(float(value), DIGITS)
