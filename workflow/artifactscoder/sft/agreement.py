"""sft/agreement: whether judges agree with one another and with themselves, and whether a longer page is scored higher.

In: the votes of all scored pages. Out: one row a dimension (and `percent`, the weighted whole) for all votes together
(`judge` empty) and one for each judge: the mean, the judge's `bias` (its mean less that of all), the `spread` of the
votes on a page (standard deviation), `kappa`, and two rank correlations with the page's length in characters.

Kappa is Cohen's with quadratic weights, which fits five ordered levels: 1 is equal, 0 as by chance; the mean over all
pairs of votes (for a judge: of its own). Of `percent` it is that of all dimensions' answers taken together. `length` is
Spearman's correlation over all pages; `length_within` correlates the ranks within each category, for a category may
rightly have both longer and better pages. A number that is not defined (a single vote, one level throughout) is empty.

200K pages with three votes take half a minute and 420 MB, besides the reading of the pages.
"""

from __future__ import annotations

import itertools
import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.progress import Progress
from artifactscoder.records import INT, REAL, TEXT, columns
from artifactscoder.reward.scoring import LEVELS

TABLE = columns(
    dimension=TEXT, judge=TEXT, pages=INT, votes=INT, mean=REAL, bias=REAL, spread=REAL, kappa=REAL, length=REAL,
    length_within=REAL,
)  # fmt: skip
PERCENT = "percent"
NONE = 255  # a vote that a page does not have
Array = np.ndarray


@dataclass
class Votes:
    """`levels`: vote x page x dimension, as indices into LEVELS; `judges`: who gave each vote."""

    slugs: list[str]
    judges: list[str]
    levels: Array
    chars: Array
    groups: Array


def kappa(levels: Array) -> float | None:
    """Mean weighted kappa over the pairs of `levels` (votes x units, indices into LEVELS), by their common units."""
    from sklearn.metrics import cohen_kappa_score  # takes seconds to import

    found: list[tuple[float, int]] = []
    for one, other in itertools.combinations(levels, 2):
        both = (one != NONE) & (other != NONE)
        if not both.any():
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # not defined where both know one level only: left out below
            value = cohen_kappa_score(one[both], other[both], labels=list(range(len(LEVELS))), weights="quadratic")
        if np.isfinite(value):
            found.append((float(value), int(both.sum())))
    weight = sum(units for _, units in found)
    return sum(value * units for value, units in found) / weight if found else None


def correlation(values: Array, chars: Array) -> float | None:
    """Spearman's rank correlation; none where one side does not vary."""
    if len(values) < 3 or np.ptp(values) == 0 or np.ptp(chars) == 0:
        return None
    return float(stats.spearmanr(values, chars).statistic)


def correlation_within(values: Array, chars: Array, groups: Array) -> float | None:
    """The correlation of the ranks that pages have among those of their own group, over all groups."""
    left, right = np.zeros(len(values)), np.zeros(len(values))
    order = np.argsort(groups, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(groups[order])) + 1):
        for ranks, given in ((left, values), (right, chars)):
            ranks[part] = (stats.rankdata(given[part]) - (len(part) + 1) / 2) / len(part)
    if len(values) < 3 or np.ptp(left) == 0 or np.ptp(right) == 0:
        return None
    return float(np.corrcoef(left, right)[0, 1])


def read(paths: Iterable[Path], slugs: list[str], progress: Progress) -> Votes:
    """The votes of all tables. Raises UserError for pages that were scored on other dimensions than `slugs`."""
    index = {level: number for number, level in enumerate(LEVELS)}
    columns: dict[tuple[str, int], bytearray] = {}
    groups: dict[str, int] = {}
    chars: list[int] = []
    group_of: list[int] = []
    for path in paths:
        for row in tables.rows(path, ["group", "html", "votes"], batch=128):
            for vote in json.loads(row["votes"]):
                if set(vote["scores"]) != set(slugs):
                    raise UserError(f"{path} was scored on other dimensions than seeds.dimensions has; score it again")
                column = columns.setdefault((vote["judge"], vote["time"]), bytearray())
                column.extend(bytes([NONE]) * (len(chars) * len(slugs) - len(column)))
                column.extend(index[vote["scores"][slug]] for slug in slugs)
            group_of.append(groups.setdefault(row["group"], len(groups)))
            chars.append(len(row["html"]))
            progress.step()
    if not chars:
        raise UserError("no page was scored, so there is no agreement to measure; the ledgers of sft/score say why")
    for column in columns.values():
        column.extend(bytes([NONE]) * (len(chars) * len(slugs) - len(column)))
    levels = np.stack([np.frombuffer(column, np.uint8).reshape(len(chars), -1) for column in columns.values()])
    return Votes(slugs, [judge for judge, _ in columns], levels, np.array(chars), np.array(group_of))


def measure(votes: Votes, weights: list[float]) -> list[dict[str, object]]:
    """The rows of the table: for `percent` and each dimension, all votes first, then each judge's."""
    points = np.append(np.array(LEVELS), np.zeros(NONE + 1 - len(LEVELS)))
    points[NONE] = np.nan
    rows = []
    for number, slug in enumerate([PERCENT, *votes.slugs], -1):
        if slug == PERCENT:
            values = 10 * np.average(points[votes.levels], axis=2, weights=weights)
            levels = votes.levels.reshape(len(votes.levels), -1)
        else:
            values, levels = points[votes.levels[:, :, number]], votes.levels[:, :, number]
        overall = np.nanmean(values, axis=0)
        for judge in ["", *dict.fromkeys(votes.judges)]:
            own = [place for place, name in enumerate(votes.judges) if judge in ("", name)]
            asked = np.isfinite(values[own]).any(axis=0)
            mean = np.nanmean(values[own][:, asked], axis=0)
            rows.append(
                {
                    "dimension": slug,
                    "judge": judge,
                    "pages": int(asked.sum()),
                    "votes": len(own),
                    "mean": mean.mean(),
                    "bias": (mean - overall[asked]).mean() if judge else None,
                    "spread": np.nanstd(values[own][:, asked], axis=0).mean() if len(own) > 1 else None,
                    "kappa": kappa(levels[own]),
                    "length": correlation(mean, votes.chars[asked]),
                    "length_within": correlation_within(mean, votes.chars[asked], votes.groups[asked]),
                }
            )
    return [{k: round(float(v), 6) if isinstance(v, float) else v for k, v in row.items()} for row in rows]


def run(config: Config, inputs: list[Path], output: Path) -> None:
    """Measure the votes of all tables of sft/score together."""
    dimensions = seeds.dimensions(config)
    progress = Progress("sft/agreement", sum(tables.count(path) for path in inputs))
    votes = read(sorted(inputs), [dimension["slug"] for dimension in dimensions], progress)
    tables.write(output, TABLE, measure(votes, [dimension["weight"] for dimension in dimensions]))
    progress.end(f"{len(votes.levels)} votes a page by {', '.join(dict.fromkeys(votes.judges))}")
