"""report: `results/report/index.html`, one self-contained page over the whole run.

In: all tables and ledgers, the training curves, the rulegraph. Out: a page without scripts and without outside
resources: the funnel with every count, why records left, the 25 scores, coverage of the 80 categories, tokens and
seconds, the reward's parts over training, the models side by side, pages with prompts and scores, the rulegraph. What
no model made is marked. Text of models is escaped; their pages are shown as pictures and as source, never run.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from artifactscoder import files, seeds, tables
from artifactscoder.config import Config
from artifactscoder.llm import forecast
from artifactscoder.progress import Progress
from artifactscoder.recipe import STEPS
from artifactscoder.report import accounts, charts, data, rulegraph

CLUSTERS = [("2 pages", 2, 2), ("3 pages", 3, 3), ("4 to 9", 4, 9), ("10 to 99", 10, 99), ("100 and more", 100, 10**9)]
REWARD_PARTS = {
    "score": "reward", "s_chk": "checklist", "s_sim": "similarity", "s_len": "length", "i_rep": "no loop",
    "i_render": "rendered",
}  # fmt: skip
WATCHED = {
    "blank": "next to nothing shown", "repetition": "in loops", "template": "another's skeleton",
    "directed": "speaks to the judge", "gap": "judge less rules", "failed": "could not be scored",
}  # fmt: skip


def run(config: Config, results: Path, graph: Path, output: Path) -> None:
    """Write the report of everything under `results`."""
    progress = Progress("report", None)
    books = accounts.collect(config, results)
    scored = data.scores(config, results)
    tiles, kinds = data.coverage(config, results)
    rewards_path = results / "train/grpo/rewards.parquet"
    rewards = data.rewards(rewards_path, REWARD_PARTS)
    differing, steps = data.spread(rewards_path)
    evaluation = data.evaluation(results)
    for compared in evaluation:
        drawn = [row for row in compared["rows"] if row["checklist"] is not None]
        compared["chart"] = charts.draw(charts.models(drawn), "Checklist score by model") if drawn else ""
    problems = [problem for account in books for problem in account.problems]
    for problem in problems:
        print(f"report: the accounts do not balance: {problem}", file=sys.stderr)
    environment = templates()
    page = environment.get_template("template.html.j2").render(
        made=time.strftime("%Y-%m-%d %H:%M"),
        procedural=data.procedural(scored.makers),
        makers=dict(scored.makers),
        judges=dict(scored.judges),
        tiny=config.train.tiny_model is not None,
        headline=_headline(results, books, evaluation),
        accounts=books,
        balanced=not problems,
        problems=problems,
        steps=STEPS,
        funnel=charts.draw(charts.funnel(_funnel(books)), "Records by step: ok, rejected, failed"),
        reasons=_chart_reasons(books),
        levels=charts.draw(charts.levels(_levels(scored)), "Share of pages at each level, by dimension"),
        percents=charts.draw(
            charts.histogram(
                [{"percent": value} for value in scored.percents],
                "percent",
                "weighted score [%]",
                config.sft.select.min_percent,
            ),
            "Distribution of the weighted score",
        ),
        threshold=config.sft.select.min_percent,
        judging=data.judges(results / "sft/agreement/agreement.parquet"),
        tiles=_by_domain(tiles),
        most=max(1, max(tile["pages"] for tile in tiles)),
        kinds=charts.draw(charts.heat(kinds, "category", "kind", "pages"), "Selected pages by category and kind"),
        **_corpus(config, results),
        tokens=_chart_sums(books, "tokens_out", "answer tokens"),
        seconds=_seconds(books),
        spending=_spending(config, books),
        sft=_chart_curve(results / "train/sft/curve.parquet", {"loss": "training loss"}, "loss"),
        cpt=_chart_curve(results / "train/cpt/curve.parquet", {"loss": "training loss"}, "loss"),
        kl=_chart_curve(results / "train/grpo/curve.parquet", {"kl": "KL to the SFT model"}, "KL"),
        watched=_chart_curve(results / "train/grpo/watch.parquet", WATCHED, "share of the step's answers"),
        lengths=_chart_curve(results / "train/grpo/watch.parquet", {"tokens": "mean length"}, "tokens"),
        trained=data.manifest(results / "train/grpo/manifest.json"),
        grpo=charts.draw(charts.lines(rewards, "mean over the step's answers"), "Parts of the reward over training"),
        differing=differing,
        training_steps=steps,
        evaluation=evaluation,
        answers=data.side_by_side(config, results),
        gallery=scored.gallery,
        rulegraph=rulegraph.draw(graph),
    )
    files.write_bytes(output, page.encode())
    progress.end(f"{output} ({len(page) / 1e6:.1f} MB)")


def templates() -> Environment:
    """The templates of this folder; text of models is escaped, and a name that nothing fills is an error."""
    loader = FileSystemLoader(Path(__file__).parent)
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True)


def _headline(results: Path, books: list[accounts.Account], evaluation: list[dict[str, Any]]) -> list[tuple[str, str]]:
    ok = {account.step: account.counts["ok"] for account in books}
    tokens = sum(account.tokens_out for account in books if account.step == "cpt/pack")
    best = max(evaluation[0]["rows"], key=lambda row: row["checklist"] or 0.0)
    return [
        ("SFT pages", f"{tables.count(results / 'sft/select/sft_train.parquet'):,}"),
        ("asked for", f"{ok.get('sft/distinct_variants', 0):,}"),
        ("RL prompts", f"{ok.get('rl/parquet', 0):,}"),
        ("CPT tokens", f"{tokens:,}"),
        (f"checklist, {best['model']}", f"{best['checklist'] or 0.0:.1f} %"),
    ]


def _spending(config: Config, books: list[accounts.Account]) -> list[dict[str, Any]]:
    """What each step was foreseen to ask, before any answer was known, and what it did ask."""
    planned: dict[str, dict[str, float]] = {}
    for share in forecast.shares(config):
        row = planned.setdefault(share.step, dict.fromkeys(("requests", "tokens_in", "tokens_out", "cost"), 0.0))
        tokens = (share.requests * share.tokens_in, share.requests * share.tokens_out)
        cost = config.endpoints[share.endpoint].cost(round(tokens[0]), round(tokens[1]))
        for name, value in zip(row, (share.requests, *tokens, cost), strict=True):
            row[name] += value
    return [
        {
            "step": account.step,
            "planned": planned[account.step],
            "actual": {
                "requests": account.attempts,
                **{n: getattr(account, n) for n in ("tokens_in", "tokens_out", "cost")},
            },
        }
        for account in books
        if account.attempts and account.step in planned
    ]


def _funnel(books: list[accounts.Account]) -> list[dict[str, Any]]:
    return [
        {"step": account.step, "status": status, "records": account.counts[status], "rank": rank}
        for account in books
        for rank, status in enumerate(charts.STATUS)
    ]


def _chart_reasons(books: list[accounts.Account]) -> str:
    rows = [
        {"reason": f"{account.step}: {reason or status}", "records": count, "status": status}
        for account in books
        for (status, reason), count in account.reasons.most_common()
    ]
    return charts.draw(charts.bars(rows, "reason", "records", "status"), "Why records left") if rows else ""


def _levels(scored: data.Scores) -> list[dict[str, Any]]:
    def mean(slug: str) -> float:
        counts = scored.levels[slug]
        return sum(level * count for level, count in counts.items()) / max(1, sum(counts.values()))

    return [
        {
            "dimension": f"{slug} ({mean(slug):.1f})",
            "level": level,
            "rank": rank,
            "share": scored.levels[slug][float(level)] / max(1, scored.votes),
        }
        for slug in sorted(scored.levels, key=mean, reverse=True)
        for rank, level in enumerate(charts.LEVELS)
    ]


def _chart_sums(books: list[accounts.Account], field: str, label: str) -> str:
    rows = [{"step": a.step, label: getattr(a, field)} for a in books if getattr(a, field)]
    return charts.draw(charts.bars(rows, "step", label), label) if rows else ""


def _seconds(books: list[accounts.Account]) -> str:
    """Wall seconds of the rules' jobs, as Snakemake measured them (its benchmark files), summed by step."""
    sums: dict[str, float] = {}
    for path in sorted(Path("benchmarks").rglob("*.tsv")):
        lines = path.read_text().splitlines()
        parts = path.relative_to("benchmarks").with_suffix("").parts
        if len(lines) > 1:
            name = "/".join(parts[:2]) if len(parts) > 1 else parts[0]
            sums[name] = sums.get(name, 0.0) + float(lines[1].split("\t")[0])
    ordered = sorted(sums.items(), key=lambda item: -item[1])
    rows: list[dict[str, object]] = [{"step": step, "seconds of jobs": round(value, 1)} for step, value in ordered]
    return charts.draw(charts.bars(rows, "step", "seconds of jobs"), "Seconds by step") if rows else ""


def _corpus(config: Config, results: Path) -> dict[str, Any]:
    """The section on the data of continual pre-training."""
    found = data.corpus(results)
    names = {root["slug"]: root["name"] for root in seeds.cpt_roots(config)} | {"websight": "WebSight"}
    ordered = sorted(found.groups.items(), key=lambda item: -item[1]["tokens"])
    categories = [{"category": names.get(group, group), "tokens": counts["tokens"]} for group, counts in ordered]
    sizes = [
        {"cluster": f"{stage}: {label}", "clusters": sum(n for size, n in counts.items() if least <= size <= most)}
        for stage in ("cpt", "sft")
        for counts in [data.clusters(results / stage / "dedup")]
        for label, least, most in CLUSTERS
        if any(least <= size <= most for size in counts)
    ]

    def shares(counts: Counter[str], name: str, most: int) -> str:
        rows = [{name: key, "pages": count} for key, count in counts.most_common(most)]
        return charts.draw(charts.bars(rows, name, "pages"), f"Pages by {name}") if rows else ""

    return {
        "sources": found.sources,
        "corpus_pages": found.pages,
        "categories": charts.draw(charts.bars(categories, "category", "tokens"), "CPT tokens by category"),
        "clusters": charts.draw(charts.bars(sizes, "cluster", "clusters"), "Near-duplicates by size") if sizes else "",
        "languages": shares(found.languages, "language", 12),
        "libraries": shares(found.libraries, "library", 20),
    }


def _chart_curve(path: Path, names: dict[str, str], title: str) -> str:
    rows = data.curve(path, names)
    return charts.draw(charts.lines(rows, title, zero=False), title) if rows else ""


def _by_domain(tiles: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    out: dict[str, list[dict[str, Any]]] = {}
    for tile in tiles:
        out.setdefault(tile["domain"], []).append(tile)
    return out
