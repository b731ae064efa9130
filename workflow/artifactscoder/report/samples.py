"""The gallery's data: every page that was ever asked for, in files beside the report, and sums over the scored ones.

In: the SFT tables and ledgers, a shard (category) at a time. Out, in the folder given:

    samples.js               what lists, filters and sorts, about 10 bytes a page; the tasks that were lost
    scores.js                the 25 scores, a byte each
    pages/CATEGORY/words.js  the requests, for searching
    pages/CATEGORY/N.js      request, code, scores, reasons and life of `PACK` pages
    pictures/CATEGORY/N.jpg  the pictures

Every page has its life. Code and picture have `report.pages` of the scored ones: all, or where there are more a third
each of the best, of those nearest to the threshold and of the worst. Of pages that were rejected before, a tenth of
that number has its code, some of each verdict; secrets and personal data in them are masked as in sft/rules. Memory:
one shard's ledgers, `PACK` pages, and 30 numbers for each scored page.
"""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifactscoder import seeds, shards, tables
from artifactscoder.config import Config
from artifactscoder.html import mask
from artifactscoder.progress import Progress
from artifactscoder.report import lives, packs

PACK = 40  # pages in a file: some 300 KB
AFTER_CODE = ("sft/dedup", "sft/rules", "sft/score")
NO_SCORE = 255  # in the bytes of scores.js, where a score is worth 20 a point
BINS = np.arange(0.0, 102.5, 2.5)  # of the weighted score [%]


@dataclass
class Samples:
    """Sums over the scored pages. `levels` counts single votes; `cells` selected pages by category and kind."""

    rows: int = 0
    pages: int = 0
    shown: int = 0  # of the scored pages, with code and picture
    votes: int = 0
    makers: Counter[str] = field(default_factory=Counter)
    judges: Counter[str] = field(default_factory=Counter)
    levels: dict[str, Counter[float]] = field(default_factory=dict)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    histogram: dict[str, list[int]] = field(default_factory=dict)  # pages by bin of the weighted score
    correlations: list[list[float | None]] = field(default_factory=list)


class _Columns:
    """What samples.js and scores.js hold, gathered shard by shard."""

    def __init__(self, slugs: list[str]) -> None:
        self.shards: list[tuple[str, int]] = []
        self.ids: list[str] = []
        self.kinds: list[str] = []
        self.verdicts: list[tuple[str, str, str]] = []
        self.percents: list[float | None] = []
        self.pictures: list[str] = []
        self.scores: list[NDArray[np.float32]] = []  # of the scored pages
        self.slugs = slugs
        self.dropped: dict[str, tuple[str, str, str]] = {}

    def add(self, id_: str, kind: str, verdict: tuple[str, str, str], percent: float | None, picture: str) -> None:
        self.ids.append(id_)
        self.kinds.append(kind)
        self.verdicts.append(verdict)
        self.percents.append(percent)
        self.pictures.append(picture)

    def index(self) -> dict[str, Any]:
        """Columns of equal length; kinds, verdicts and endings of pictures are numbers of entries of a list."""
        kinds = sorted(set(self.kinds))
        of_kind = {kind: n for n, kind in enumerate(kinds)}
        verdicts = [verdict for verdict, _ in Counter(self.verdicts).most_common()]
        number = {verdict: n for n, verdict in enumerate(verdicts)}
        endings = sorted(set(self.pictures) | {""})
        return {
            "shards": self.shards,
            "ids": "\n".join(self.ids),
            "kinds": kinds,
            "kind": [of_kind[kind] for kind in self.kinds],
            "verdicts": verdicts,
            "verdict": [number[verdict] for verdict in self.verdicts],
            "percent": self.percents,
            "endings": endings,
            "picture": [endings.index(ending) for ending in self.pictures],
            "pack": PACK,
            "dropped": self.dropped,
        }

    def bytes_of_scores(self) -> dict[str, str]:
        """For each dimension the score of every page, a byte each, in base64."""
        table = np.full((len(self.ids), len(self.slugs)), NO_SCORE, np.uint8)
        scored = [n for n, percent in enumerate(self.percents) if percent is not None]
        if scored:
            table[scored] = np.rint(20 * np.stack(self.scores)).astype(np.uint8)
        return {slug: base64.b64encode(table[:, n].tobytes()).decode() for n, slug in enumerate(self.slugs)}


def write(config: Config, results: Path, folder: Path) -> Samples:
    """Write the gallery's files to `folder`; one pass over sft/score."""
    slugs = [dimension["slug"] for dimension in seeds.dimensions(config)]
    out = Samples(levels={slug: Counter() for slug in slugs})
    columns = _Columns(slugs)
    names = {row["slug"]: row for row in seeds.categories(config)}
    places = seeds.subcategories(config)
    selected = lives.chosen(results)
    shown = _shown(config, results)
    progress = Progress("report: pages by category", len(names))
    for table in shards.done(config, results, "sft/variants"):
        shard = table.stem
        found = lives.lives(results, shard, names[shard], places[shard], selected)
        columns.dropped |= lives.dropped(results, shard)
        files = _Files(folder, shard, found, columns)
        seen = _write_scored(results, files, shown.get(shard), out)
        _write_unscored(config, results, files, seen, config.report.pages // (10 * len(names)))
        files.close()
        progress.step()
    out.rows = len(columns.ids)
    packs.write(folder, "samples", columns.index())
    packs.write(folder, "scores", columns.bytes_of_scores())
    _sum_up(out, columns)
    return out


def _shown(config: Config, results: Path) -> dict[str, NDArray[np.bool_]]:
    """For each shard which rows of sft/score are shown with code and picture."""
    scored = shards.done(config, results, "sft/score")
    by_shard = {path.stem: np.array(tables.column(path, "percent")) for path in scored}
    percents = np.concatenate([np.empty(0), *by_shard.values()])
    chosen = np.ones(len(percents), bool)
    if len(percents) > config.report.pages:
        chosen[:] = False
        orders = (-percents, np.abs(percents - config.sft.select.min_percent), percents)
        for left, order in zip((3, 2, 1), orders, strict=True):  # what two thirds share goes to the next one
            ranked = np.argsort(order, kind="stable")
            free = ranked[~chosen[ranked]]
            chosen[free[: (config.report.pages - int(chosen.sum())) // left]] = True
    ends = np.cumsum([len(one) for one in by_shard.values()])
    parts = np.split(chosen, ends[:-1]) if len(ends) else []
    return dict(zip(by_shard, parts, strict=True))


class _Files:
    """The files of a shard: entries in packs of `PACK`, requests in words.js, and a row of the columns for each."""

    def __init__(self, folder: Path, shard: str, found: dict[str, list[lives.Stage]], columns: _Columns) -> None:
        self.folder, self.shard, self.found, self.columns = folder, shard, found, columns
        self.words: list[str] = []
        self._pack: list[dict[str, Any]] = []

    def picture(self, data: bytes) -> str:
        """Write the picture of the next entry; returns the ending of its name."""
        return packs.picture(self.folder, f"pictures/{self.shard}/{len(self.words)}", data).rpartition(".")[2]

    def add(
        self, id_: str, prompt: str, entry: dict[str, Any], percent: float | None = None, picture: str = ""
    ) -> None:
        stages = self.found[id_]
        self.columns.add(id_, id_.rpartition("/")[2], lives.verdict(stages), percent, picture)
        self.words.append(prompt)
        self._pack.append({"prompt": prompt, "life": stages, **entry})
        if len(self._pack) == PACK:
            self._flush()

    def close(self) -> None:
        if self._pack:
            self._flush()
        packs.write(self.folder, f"pages/{self.shard}/words", self.words)
        self.columns.shards.append((self.shard, len(self.words)))

    def _flush(self) -> None:
        packs.write(self.folder, f"pages/{self.shard}/{(len(self.words) - 1) // PACK}", self._pack)
        self._pack = []


def _write_scored(results: Path, files: _Files, shown: NDArray[np.bool_] | None, out: Samples) -> set[str]:
    """The scored pages of a shard, in their table's order; returns their ids."""
    slugs, seen = files.columns.slugs, set()
    for number, row in enumerate(_scored(results, files.shard)):
        if row["id"] not in files.found:
            continue  # the accounts name it
        seen.add(row["id"])
        _count(out, row, files.found[row["id"]])
        scores = [row[f"score:{slug}"] for slug in slugs]
        files.columns.scores.append(np.array(scores, np.float32))
        entry = {"scores": scores, "reasons": json.loads(row["reasons"]), "percent": row["percent"]}
        ending = ""
        if shown is not None and shown[number]:
            entry |= {"html": row["html"], "evidence": json.loads(row["evidence"])}
            ending = files.picture(row["screenshot"])
            out.shown += 1
        files.add(row["id"], row["prompt"], entry, row["percent"], ending)
    return seen


def _write_unscored(config: Config, results: Path, files: _Files, seen: set[str], most: int) -> None:
    """The pages of a shard that were never scored, masked; some of each verdict, `most` in all, with their code."""
    left = [id_ for id_ in files.found if id_ not in seen]
    by_verdict: dict[tuple[str, str, str], list[str]] = {}
    for id_ in left:
        verdict = lives.verdict(files.found[id_])
        if verdict[0] in AFTER_CODE:
            by_verdict.setdefault(verdict, []).append(id_)
    in_turn = (id_ for ids in zip_longest(*by_verdict.values()) for id_ in ids if id_ is not None)
    wanted = set(islice(in_turn, most))
    codes: dict[str, str] = {}
    if wanted:
        for row in tables.rows(results / f"sft/code/{files.shard}.parquet", ["id", "html"], batch=64):
            if row["id"] in wanted:
                codes[row["id"]] = row["html"]
    requests = tables.rows(results / f"sft/variants/{files.shard}.parquet", ["id", "prompt"], batch=2000)
    prompts = {row["id"]: row["prompt"] for row in requests if row["id"] not in seen}
    for id_ in left:
        row = {"prompt": prompts.get(id_, ""), "html": codes.get(id_, "")}
        if config.mask:
            row, _ = mask.masked(row, ["prompt", "html"])
        files.add(id_, row["prompt"], {"html": row["html"]} if row["html"] else {})


def _scored(results: Path, shard: str) -> Iterator[tables.Row]:
    table = results / f"sft/score/{shard}.parquet"
    return tables.rows(table, batch=32) if table.exists() else iter(())


def _count(out: Samples, row: tables.Row, stages: list[lives.Stage]) -> None:
    out.pages += 1
    out.makers[row["maker"]] += 1
    out.judges[row["judge"]] += 1
    if lives.verdict(stages)[:2] == (lives.SELECT, "ok"):
        out.cells[row["group"], row["kind"]] += 1
    for vote in json.loads(row["votes"]):
        out.votes += 1
        for slug, score in vote["scores"].items():
            out.levels[slug][score] += 1


def _sum_up(out: Samples, columns: _Columns) -> None:
    """Histogram and rank-free (Pearson's) correlations; a dimension that never varies has none."""
    scored = [n for n, percent in enumerate(columns.percents) if percent is not None]
    percents = np.array([columns.percents[n] for n in scored], float)
    inside = np.array([columns.verdicts[n][:2] == (lives.SELECT, "ok") for n in scored], bool)
    for name, group in (("in the set", inside), ("not in the set", ~inside)):
        out.histogram[name] = np.histogram(percents[group], BINS)[0].tolist()
    if len(scored) < 3:
        return
    table = np.stack(columns.scores)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = np.corrcoef(np.column_stack([table, percents]), rowvar=False)
    out.correlations = [[None if np.isnan(value) else round(float(value), 3) for value in row] for row in found]
