"""report: `results/report/index.html`, the page over the whole run, and `data/` beside it.

In: all tables and ledgers, the training curves, the rulegraph. Out: a page that opens from disk and from any static
server and loads nothing else: the funnel with every loss, why records left, the 25 scores, coverage, near-duplicates
side by side, planned and actual cost, training, the models side by side, the rulegraph; and every page that was ever
asked for, with picture, code, scores and life, to be searched and filtered. What no model made is marked. Text of
models is escaped, or set as text; their pages are shown as pictures and as source, never run: the page's policy names
the scripts in it by their digests.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from artifactscoder import files, seeds, shards, tables
from artifactscoder.config import Config
from artifactscoder.llm import forecast
from artifactscoder.progress import Progress
from artifactscoder.recipe import STEPS
from artifactscoder.report import accounts, charts, data, duplicates, funnel, packs, rulegraph, samples
from artifactscoder.reward import components
from artifactscoder.train import runs, watch

HERE = Path(__file__).parent
SCRIPTS = ("page.js", "gallery.js", "sample.js")
CLUSTERS = [("2 pages", 2, 2), ("3 pages", 3, 3), ("4 to 9", 4, 9), ("10 to 99", 10, 99), ("100 and more", 100, 10**9)]
REWARD_PARTS = {
    "score": "reward", "s_chk": "checklist", "s_sim": "similarity", "s_len": "length", "i_rep": "no loop",
    "i_render": "rendered",
}  # fmt: skip
WATCHED = {
    "blank": "next to nothing shown", "repetition": "in loops", "template": "another's skeleton",
    "directed": "speaks to the judge", "gap": "judge less rules", "failed": "could not be scored",
}  # fmt: skip
LOSS = {"loss": "training loss"}


def run(config: Config, results: Path, graph: Path, output: Path) -> None:
    """Write the report of everything under `results` to `output`, and its data to `data/` beside that."""
    progress = Progress("report", None)
    draft, folder = files.temporary(output.with_name("data")), output.with_name("data")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    try:
        page = _page(config, results, graph, draft)
        shutil.rmtree(folder, ignore_errors=True)
        draft.rename(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    files.write_bytes(output, page.encode())
    progress.end(f"{output} ({len(page) / 1e6:.1f} MB)")


def _page(config: Config, results: Path, graph: Path, folder: Path) -> str:
    books = accounts.collect(config, results)
    found = samples.write(config, results, folder)
    examples = _duplicates(config, results, folder)
    answers = data.side_by_side(config, results, folder)
    evaluation = _evaluation(results)
    problems = [problem for account in books for problem in account.problems]
    left = shards.said(shards.left_over(config, results))
    if left:
        print(f"report: {left}", file=sys.stderr)
    for problem in problems:
        print(f"report: the accounts do not balance: {problem}", file=sys.stderr)
    shutil.copyfile(charts.library(), folder / "plotly.min.js")
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    scripts = [(HERE / name).read_text() for name in SCRIPTS]
    template = templates().get_template("page.html.j2")
    return template.render(
        made=time.strftime("%Y-%m-%d %H:%M"),
        commit=runs.digits(runs.commit()),
        style=Markup((HERE / "page.css").read_text()),
        scripts=[Markup(script) for script in scripts],
        hashes=[base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts],
        procedural=data.procedural(found.makers),
        makers=dict(found.makers),
        judges=dict(found.judges),
        tiny=config.train.tiny_model is not None,
        headline=_headline(results, books, found, evaluation),
        accounts=books,
        balanced=not problems,
        problems=problems,
        left=left,
        steps=STEPS,
        funnel=charts.funnel(flows) if (flows := funnel.flows(books, len(seeds.variants(config)))) else None,
        reasons=_reasons(books),
        failures=_failures(config, results, books),
        **_scores(config, found),
        judging=data.judges(results / "sft/agreement/agreement.parquet"),
        **_coverage(config, found),
        **examples,
        gallery=_gallery(config, found),
        files=len(sizes),
        megabytes=sum(sizes) / 1e6,
        **_corpus(config, results),
        **_cost(config, books),
        **_training(config, results),
        evaluation=evaluation,
        answers=answers,
        answered=data.tasks(config, results),
        rulegraph=Markup(rulegraph.draw(graph)),
    )


def templates() -> Environment:
    """The templates of this folder; text of models is escaped, and a name that nothing fills is an error."""
    return Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


def _evaluation(results: Path) -> list[dict[str, Any]]:
    """The tables of the evaluation by set of tasks, each with its chart."""
    out = data.evaluation(results)
    for compared in out:
        drawn = [row for row in compared["rows"] if row["checklist"] is not None]
        compared["chart"] = charts.models(drawn, f"Checklist score by model, {compared['name']}") if drawn else None
    return out


def _headline(
    results: Path, books: list[accounts.Account], found: samples.Samples, evaluation: list[dict[str, Any]]
) -> list[tuple[str, str]]:
    ok = {account.step: account.counts["ok"] for account in books}
    tokens = sum(account.tokens_out for account in books if account.step == "cpt/pack")
    return [
        ("SFT pages", f"{tables.count(results / 'sft/select/sft_train.parquet'):,}"),
        ("asked for", f"{found.rows:,}"),
        ("RL prompts", f"{ok.get('rl/parquet', 0):,}"),
        ("CPT tokens", f"{tokens:,}"),
        *map(_best, evaluation[:1]),
    ]


def _best(compared: dict[str, Any]) -> tuple[str, str]:
    """The best model of a set of tasks and its score; a dash where no answer was judged."""
    judged = [row for row in compared["rows"] if row["checklist"] is not None]
    if not judged:
        return f"checklist, {compared['name']}", "–"
    best = max(judged, key=lambda row: row["checklist"])
    return f"checklist, {best['model']} on {compared['name']}", f"{best['checklist']:.1f} %"


def _reasons(books: list[accounts.Account]) -> charts.Chart | None:
    rows = [
        {"reason": f"{account.step}: {reason or status}", "records": count, "status": status}
        for account in books
        for (status, reason), count in account.reasons.most_common()
    ]
    return charts.bars(rows, "reason", "records", "Records that left, by step and reason", "status") if rows else None


def _failures(config: Config, results: Path, books: list[accounts.Account]) -> charts.Chart | None:
    rows = data.failures(results, books, list(config.eval.models))
    return charts.bars(rows, "cause", "pages", "Pages that did not render, by cause and step", "step") if rows else None


def _scores(config: Config, found: samples.Samples) -> dict[str, Any]:
    """The section on the 25 dimensions."""

    def mean(slug: str) -> float:
        counts = found.levels[slug]
        return sum(level * count for level, count in counts.items()) / max(1, sum(counts.values()))

    ordered = sorted(found.levels, key=mean, reverse=True)
    rows = [
        {"dimension": slug, "mean": mean(slug)}
        | {level: found.levels[slug][float(level)] / max(1, found.votes) for level in charts.LEVELS}
        for slug in ordered
    ]
    slugs = [dimension["slug"] for dimension in seeds.dimensions(config)]
    names = [*slugs, "weighted score"]
    least = config.sft.select.min_percent
    edges = samples.BINS.tolist()
    return {
        "threshold": least,
        "levels": charts.levels(rows, "Share of the judges' answers at each level, by dimension"),
        "percents": charts.histogram(found.histogram, edges, least, "Distribution of the weighted score"),
        "correlations": charts.heat(
            names, names, found.correlations, "", "Correlation of the 25 scores and the weighted score", signed=True
        )
        if found.correlations
        else None,
    }


def _coverage(config: Config, found: samples.Samples) -> dict[str, Any]:
    """The map of categories and kinds, and the categories that this run leaves out."""
    everything = config.model_copy(update={"sft": config.sft.model_copy(update={"categories": "all"})})
    running, kinds = seeds.categories(config), [kind["slug"] for kind in seeds.variants(config)]
    slugs = [row["slug"] for row in running]
    values = [[found.cells[slug, kind] for kind in kinds] for slug in slugs]
    empty = sum(value == 0 for row in values for value in row)
    label = f"Pages in the set by category and kind: {len(slugs)} x {len(kinds)} cells, {empty} of them empty"
    return {
        "coverage": charts.heat(slugs, kinds, values, "pages", label),
        "categories_running": len(slugs),
        "cells_empty": empty,
        "idle": [row["name"] for row in seeds.categories(everything) if row["slug"] not in set(slugs)],
    }


def _duplicates(config: Config, results: Path, folder: Path) -> dict[str, Any]:
    """Sizes of clusters, and examples whose code lies in data/duplicates.js."""
    deduplicated = {stage: shards.done(config, results, f"{stage}/dedup") for stage in ("cpt", "sft")}
    sizes = {stage: duplicates.clusters(paths) for stage, paths in deduplicated.items()}
    rows = [
        {"cluster": f"{stage}: {label}", "clusters": sum(n for size, n in counts.items() if least <= size <= most)}
        for stage, counts in sizes.items()
        for label, least, most in CLUSTERS
        if any(least <= size <= most for size in counts)
    ]
    pages = shards.done(config, results, "sft/code")
    found = duplicates.examples(deduplicated["sft"], pages, config.mask)
    packs.write(folder, "duplicates", [[member["html"] for member in cluster["members"]] for cluster in found])
    label = "Clusters of near-duplicates by size"
    return {
        "clusters": charts.bars(rows, "cluster", "clusters", label) if rows else None,
        "clusters_in_all": sizes["sft"].total(),
        "duplicates": found,
    }


def _gallery(config: Config, found: samples.Samples) -> dict[str, Any]:
    """What the gallery says of itself and needs at once; the rest it reads from data/."""
    return {
        "rows": found.rows,
        "pages": found.pages,
        "shown": found.shown,
        "settings": {
            "threshold": config.sft.select.min_percent,
            "dimensions": [[row["slug"], row["name"], row["weight"]] for row in seeds.dimensions(config)],
            "categories": {row["slug"]: row["name"] for row in seeds.categories(config)},
        },
    }


def _corpus(config: Config, results: Path) -> dict[str, Any]:
    """The section on the data of continual pre-training."""
    found = data.corpus(config, results)
    names = {root["slug"]: root["name"] for root in seeds.cpt_roots(config)} | {"websight": "WebSight"}
    ordered = sorted(found.groups.items(), key=lambda item: -item[1]["tokens"])
    categories = [{"category": names.get(group, group), "tokens": counts["tokens"]} for group, counts in ordered]

    def shares(counts: Counter[str], name: str, most: int) -> charts.Chart | None:
        rows = [{name: key, "pages": count} for key, count in counts.most_common(most)]
        some = f", the {most} most frequent of {len(counts):,}" if len(counts) > most else ""
        return charts.bars(rows, name, "pages", f"Pages by {name}{some}") if rows else None

    return {
        "sources": found.sources,
        "corpus_pages": found.pages,
        "categories": charts.bars(categories, "category", "tokens", "CPT tokens by category"),
        "languages": shares(found.languages, "language", 12),
        "libraries": shares(found.libraries, "library", 20),
    }


def _cost(config: Config, books: list[accounts.Account]) -> dict[str, Any]:
    """Planned beside actual, and the seconds of jobs."""
    spending = _spending(config, books)
    names = {"planned": "planned", "actual": "actual"}
    found: dict[str, Any] = {"spending": spending, "seconds": _seconds(config)}
    for column, label in (("tokens_out", "Answer tokens"), ("requests", "Requests"), ("cost", "Cost")):
        rows = [{"step": row["step"], **{name: row[name][column] for name in names}} for row in spending]
        some = any(row[name] for row in rows for name in names)
        found[f"planned_{column}"] = charts.pairs(rows, "step", names, label) if some else None
    return found


def _spending(config: Config, books: list[accounts.Account]) -> list[dict[str, Any]]:
    """What each step was foreseen to ask, before any answer was known, and what it did ask; None where nothing says."""
    planned: dict[str, dict[str, float]] = {}
    for share in forecast.shares(config):
        row = planned.setdefault(share.step, dict.fromkeys(("requests", "tokens_in", "tokens_out", "cost"), 0.0))
        tokens = (share.requests * share.tokens_in, share.requests * share.tokens_out)
        cost = config.endpoints[share.endpoint].cost(round(tokens[0]), round(tokens[1]))
        for name, value in zip(row, (share.requests, *tokens, cost), strict=True):
            row[name] += value
    names = ("tokens_in", "tokens_out", "cost")
    actual: dict[str, dict[str, Any]] = {
        account.step: {"requests": account.attempts, **{name: getattr(account, name) for name in names}}
        for account in books
        if account.attempts
    }
    paid = data.rewards_paid(config.journal)  # it has no ledger
    actual["train/grpo"] = {"requests": paid and paid.answers, **{name: paid and getattr(paid, name) for name in names}}
    return [{"step": step, "planned": planned[step], "actual": actual[step]} for step in planned if step in actual]


def _seconds(config: Config) -> charts.Chart | None:
    """Wall seconds of the rules' jobs, as Snakemake measured them (its benchmark files), summed by step."""
    sums: dict[str, float] = {}
    paths = {str(path.relative_to("benchmarks").with_suffix("")): path for path in Path("benchmarks").rglob("*.tsv")}
    for job in sorted(paths.keys() - shards.others(config, paths)):
        lines = paths[job].read_text().splitlines()
        if len(lines) > 1:
            name = "/".join(job.split("/")[:2])
            sums[name] = sums.get(name, 0.0) + float(lines[1].split("\t")[0])
    rows = [{"step": step, "seconds": round(value, 1)} for step, value in sorted(sums.items(), key=lambda i: -i[1])]
    return charts.bars(rows, "step", "seconds", "Seconds of jobs by step") if rows else None


def _training(config: Config, results: Path) -> dict[str, Any]:
    """The curves of all trainings, and the parts of the reward."""
    trained = data.manifest(results / "train/grpo/manifest.json")
    path = results / "train/grpo/rewards.parquet"
    differing, steps = data.spread(path)
    parts = data.rewards(path, _reward_parts(config))
    label = "Parts of the reward over training"
    return {
        "trained": trained | {"commit": runs.digits(trained.get("commit", ""))},
        "gained": watch.words(trained["gain"]),
        "calm": watch.calm(tables.count(results / "train/grpo/watch.parquet"), config.train.grpo.watch),
        "differing": differing,
        "training_steps": steps,
        "cpt": _curve(results / "train/cpt/curve.parquet", LOSS, "loss", "CPT: training loss"),
        "sft": _curve(results / "train/sft/curve.parquet", LOSS, "loss", "SFT: training loss"),
        "grpo": charts.lines(parts, "mean over the step's answers", label),
        "kl": _curve(results / "train/grpo/curve.parquet", {"kl": "KL"}, "KL", "GRPO: KL to the SFT model"),
        "watched": _curve(
            results / "train/grpo/watch.parquet",
            WATCHED,
            "share of the step's answers",
            "GRPO: shares of answers, and how far the judge is from the rules",
        ),
        "lengths": _curve(
            results / "train/grpo/watch.parquet", {"tokens": "mean length"}, "tokens", "GRPO: mean length of answers"
        ),
    }


def _reward_parts(config: Config) -> dict[str, str]:
    """Columns of rewards.parquet and their names in the chart; what configuration adds is called by its column."""
    columns = [*components.weights(config.reward), *components.gates(config.reward)]
    return REWARD_PARTS | {name: name for name in columns if name not in REWARD_PARTS}


def _curve(path: Path, names: dict[str, str], unit: str, label: str) -> charts.Chart | None:
    rows = data.curve(path, names)
    return charts.lines(rows, unit, label, zero=False) if rows else None
