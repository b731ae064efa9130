"""The subcommands: the arguments of each, and what of its module is called with them.

A module is imported by the front door (`cli.py`) when its subcommand is called, and handed to the call.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from artifactscoder.errors import UserError


class Command:
    """One subcommand: its arguments by name, what calls it, and the module whose docstring is its help.

    `example`: arguments of a call as it may be typed.
    """

    def __init__(
        self,
        module: str,
        arguments: str,
        call: Callable[[Any, Any, Any], Any],
        summary: str = "",
        example: str = "",
    ) -> None:
        self.module, self.arguments, self.call, self.summary = module, arguments.split(), call, summary
        self.example = example


def _dedup(stage: str) -> dict[str, Command]:
    """The parts of near-duplicate removal among a stage's pages."""
    module = "dedup.phases"

    def d(c: Any) -> Any:
        return getattr(c, stage).dedup

    return {
        f"{stage} dedup-signature": Command(
            module, "input output", lambda m, c, a: m.signature(d(c), a.input, a.output), "MinHash signatures"
        ),
        f"{stage} dedup-bands": Command(
            module, "signatures part parts output",
            lambda m, c, a: m.bands(d(c), a.signatures, a.output, a.part, a.parts), "candidates of a group of bands",
        ),
        f"{stage} dedup-components": Command(
            module, "signatures bands visits output",
            lambda m, c, a: m.components(a.signatures, a.bands, a.output, a.visits), "all candidates, in chunks",
        ),
        f"{stage} dedup-route": Command(
            module, "input visits output",
            lambda m, c, a: m.route(a.input, m.HTML, a.visits, a.output), "the texts that chunks need",
        ),
        f"{stage} dedup-verify": Command(
            module, "candidates routes part parts output",
            lambda m, c, a: m.verify(d(c), a.candidates, a.routes, a.output, a.part, a.parts), "their exact similarity",
        ),
        f"{stage} dedup-keep": Command(
            module, "signatures verified output",
            lambda m, c, a: m.keep(d(c), a.signatures, a.verified, a.output), "which pages have a kept twin",
        ),
        f"{stage} dedup-pairs": Command(
            module, "signatures pages output",
            lambda m, c, a: m.pairs(d(c), a.signatures, a.pages, a.output), "bands to keep in a single job",
        ),
        f"{stage} dedup": Command(
            module, "input dropped output", lambda m, c, a: m.filter(d(c), a.input, a.dropped, a.output)
        ),
    }  # fmt: skip


# What each step does: `m` is its module, imported; `c` the Config; `a` the arguments.
COMMANDS: dict[str, Command] = {
    "cpt websight-source": Command(
        "cpt.websight", "files output", lambda m, c, a: m.source(a.files, a.output), "list WebSight's files and rows"
    ),
    "cpt websight-sample": Command(
        "cpt.websight", "count output", lambda m, c, a: m.sample(c, a.count, a.output), "DEMO ONLY: stand-in rows"
    ),
    "cpt websight": Command(
        "cpt.websight", "source shard output", lambda m, c, a: m.run(c, a.source, a.shard, a.output)
    ),
    "cpt tree": Command("cpt.tree", "root output", lambda m, c, a: m.run(c, a.root, a.output)),
    "cpt templates": Command("cpt.templates", "output", lambda m, c, a: m.run(c, a.output)),
    "cpt prompts": Command(
        "cpt.prompts", "tree templates shard output", lambda m, c, a: m.run(c, a.tree, a.templates, a.shard, a.output)
    ),
    "cpt code": Command("cpt.code", "input output", lambda m, c, a: m.run(c, a.input, a.output.stem, a.output)),
    **_dedup("cpt"),
    "cpt pack": Command(
        "cpt.pack", "input model packed processes", lambda m, c, a: m.run(c, a.input, a.model, a.output, a.processes)
    ),
    "cpt stats": Command("cpt.stats", "input ledger json_output", lambda m, c, a: m.run(a.input, a.ledger, a.output)),
    "cpt mixture": Command("cpt.mixture", "indices json_output", lambda m, c, a: m.run(c, a.inputs, a.output)),
    "sft tasks": Command("sft.tasks", "category output", lambda m, c, a: m.run(c, a.category, a.output)),
    "sft distinct_tasks": Command(
        "sft.distinct_tasks", "inputs distinct", lambda m, c, a: m.run(c, a.inputs, a.output)
    ),
    "sft variants": Command("sft.variants", "input output", lambda m, c, a: m.run(c, a.input, a.output.stem, a.output)),
    "sft decontaminate": Command("sft.decontaminate", "input output", lambda m, c, a: m.run(c, a.input, a.output)),
    "sft distinct_variants": Command(
        "sft.distinct_variants", "inputs distinct", lambda m, c, a: m.run(c, a.inputs, a.output)
    ),
    "sft code": Command("sft.code", "input output", lambda m, c, a: m.run(c, a.input, a.output.stem, a.output)),
    **_dedup("sft"),
    "sft rules": Command("sft.rules", "input output", lambda m, c, a: m.run(c, a.input, a.output)),
    "sft score": Command(
        "sft.score", "input output browsers", lambda m, c, a: m.run(c, a.input, a.output.stem, a.output, a.browsers),
        example="--input results/sft/rules/game-puzzle.parquet --output results/sft/score/game-puzzle.parquet",
    ),
    "sft agreement": Command("sft.agreement", "inputs output", lambda m, c, a: m.run(c, a.inputs, a.output)),
    "sft calibrate": Command(
        "sft.calibrate", "calibration browsers", lambda m, c, a: m.run(c, a.folder, a.browsers),
        "the judges' scores of pages of known levels",
    ),
    "sft select": Command("sft.select", "inputs model output", lambda m, c, a: m.run(c, a.inputs, a.model, a.output)),
    "rl prompts": Command("rl.prompts", "output", lambda m, c, a: m.run(c, a.output)),
    "rl reference": Command("rl.reference", "input output", lambda m, c, a: m.run(c, a.input, a.output)),
    "rl valid": Command("rl.valid", "input output browsers", lambda m, c, a: m.run(c, a.input, a.output, a.browsers)),
    "rl parquet": Command(
        "rl.parquet", "prompts valid train val", lambda m, c, a: m.run(c, a.prompts, a.valid, a.train, a.val)
    ),
    "train tiny_model": Command("train.tiny_model", "inputs folder", lambda m, c, a: _tiny_model(m, c, a)),
    "train cpt": Command(
        "train.cpt", "mixture model work manifest",
        lambda m, c, a: m.run(c.train.cpt, a.mixture, a.model, a.work, a.manifest, c.train.loggers),
    ),
    "train sft": Command(
        "train.sft", "train model work manifest",
        lambda m, c, a: m.run(c.train.sft, a.train, a.model, a.work, a.manifest, c.train.loggers),
    ),
    "train grpo": Command(
        "train.grpo", "train val model work manifest rendezvous",
        lambda m, c, a: m.whole(c, a.config, a.train, a.val, a.model, a.work, a.manifest, a.rendezvous),
    ),
    "train launch": Command(
        "cluster.launch", "job_folder resources command",
        lambda m, c, a: m.run(c.launcher, a.command, a.work, dict(a.resources)),
        "a training step as a Slurm job of several nodes or partitions",
    ),
    "train fit": Command(
        "train.fit", "shape node_counts tokens document tflops json",
        lambda m, c, a: m.run(c, a.model, a.nodes, a.tokens, a.document, a.tflops, a.json),
        "memory of each GPU by stage and node count; refuses what cannot fit and says what would",
    ),
    "train export": Command(
        "train.export", "checkpoint folder", lambda m, c, a: m.run(c.train.export, a.checkpoint, a.folder)
    ),
    "eval tasks": Command("eval.tasks", "held_out output", lambda m, c, a: m.run(c, a.val, a.output)),
    "eval generate": Command(
        "eval.generate", "input answering name output", lambda m, c, a: m.run(c, a.input, a.model, a.name, a.output)
    ),
    "eval render": Command(
        "eval.render", "input name output browsers", lambda m, c, a: m.run(c, a.input, a.name, a.output, a.browsers)
    ),
    "eval judge": Command("eval.judge", "input name output", lambda m, c, a: m.run(c, a.input, a.name, a.output)),
    "eval score": Command("eval.score", "input name output", lambda m, c, a: m.run(c, a.input, a.name, a.output)),
    "eval table": Command(
        "eval.table", "tasks inputs scored output", lambda m, c, a: m.run(c, a.tasks, a.inputs, a.scored, a.output)
    ),
    "report": Command(
        "report.build", "results rulegraph page_output", lambda m, c, a: m.run(c, a.results, a.rulegraph, a.output)
    ),
    "generate": Command(
        "generate", "prompt maker endpoint made serve port",
        lambda m, c, a: m.run(c, a.prompt, a.model, a.endpoint, a.folder, a.serve, a.port),
        "one page of a request in words, by a trained model or any endpoint",
    ),
    "preflight": Command(
        "cluster.preflight", "configs profile only from_compute",
        lambda m, c, a: m.run(a.configs, a.profile, a.only, a.from_compute), "what would stop a run, before it starts",
    ),
    "plan": Command(
        "cluster.plan", "jobs json", lambda m, c, a: m.run(c, a.jobs, a.json), "what is still to ask and pay, by step"
    ),
    "watch": Command(
        "cluster.watch", "once", lambda m, c, a: m.run(c, a.once), "all shards under way, live: rate, tokens, cost"
    ),
    "status": Command("cluster.status", "", lambda m, c, a: m.run(c), "what runs now, how far, and what failed last"),
    "trace": Command(
        "trace", "record run_results json", lambda m, c, a: m.run(a.results, a.id, a.json),
        "a record's whole life, each step proven from the journal", "game-puzzle/number-place/01/layout",
    ),
    "audit diff": Command(
        "audit.diff", "audited run_results json", lambda m, c, a: m.run(a.results, a.runs, a.json),
        "what two runs differ in, and what that made again",
    ),
    "audit pictures": Command(
        "audit.pictures", "dot filegraph folder", lambda m, c, a: m.run(a.rulegraph, a.filegraph, a.folder),
        "the workflow and each stage of it, drawn (SVG)",
    ),
    "audit crate": Command(
        "audit.crate", "run_results", lambda m, c, a: m.run(a.results), "the whole run described as an RO-Crate"
    ),
    "publish": Command(
        "publish", "published run_results licence base push to prefix public",
        lambda m, c, a: m.run(a.results, a.names, a.licence, a.push, a.to, a.prefix, a.public, a.base),
        "datasets and models as folders with cards; to the Hub by --push",
    ),
    "demo": Command("demo", "snakemake", lambda m, c, a: m.run(a.snakemake), "the whole line on this machine, offline"),
    "render serve": Command(
        "render.serve", "browsers host port rendezvous", lambda m, c, a: _serve(m, c, a), "the HTTP render service"
    ),
    "render page": Command(
        "render", "page shots", lambda m, c, a: _render_page(c, a), "one page: verdict and pictures", "page.html",
    ),
    "reward explain": Command(
        "reward.explain", "answer task data checklist reference counter pictures json",
        lambda m, c, a: m.run(
            c, a.page, a.task, a.data, a.checklist, a.reference, a.model, a.folder, a.json
        ), "the reward of one page, part by part", "page.html --task forms/talk-proposal/web-components",
    ),
    "images build": Command(
        "cluster.images", "image_roles",
        lambda m, c, a: m.build(c, a.role), "build the Apptainer images still missing",
    ),
    "images list": Command("cluster.images", "", lambda m, c, a: m.show(c), "role, state, size and path of each image"),
    "journal stats": Command("cluster.journals", "", lambda m, c, a: m.stats(c), "answers, tokens and cost by step"),
    "journal prune": Command(
        "cluster.journals", "yes", lambda m, c, a: m.prune(c, a.yes), "remove answers that no step asks for any more"
    ),
    "config keys": Command("config", "", lambda m, c, a: _keys(m), "every key, its default and meaning"),
    "config yaml": Command("config", "", lambda m, c, a: _yaml(c), "the configuration as commented YAML"),
    "config reference": Command("config", "", lambda m, c, a: _reference(m), "every key as a page: docs/config.md"),
    "config schema": Command("config", "", lambda m, c, a: _schema(m), "the JSON schema of the configuration"),
}  # fmt: skip
NO_CONFIG = {
    "config keys", "config reference", "config schema", "demo", "preflight", "trace", "publish",
    "audit diff", "audit pictures", "audit crate",
}  # fmt: skip


def _tiny_model(module: Any, config: Any, args: Any) -> None:
    from artifactscoder import tables

    if config.train.tiny_model is None:
        raise UserError("train.tiny_model is not set in the configuration; it is for the demo only")

    def texts() -> Any:
        for path in args.inputs:
            with tables.open_table(path, ["prompt"]) as file:
                columns = [name for name in ("prompt", "html") if name in file.schema_arrow.names]
            for row in tables.rows(path, columns):
                yield from row.values()

    module.make([config.sft.select.system, *texts()], args.folder, config.train.tiny_model)


def _serve(module: Any, config: Any, args: Any) -> int:
    from artifactscoder.render import RenderOptions

    options = RenderOptions(**config.render.model_dump())
    return module.serve(options, args.browsers, args.host, args.port, args.rendezvous)


async def _render_page(config: Any, args: Any) -> None:
    from artifactscoder.render import RenderOptions, RenderPool

    try:
        html = args.page.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot read {args.page}: {error.strerror}") from None
    options = RenderOptions(**config.render.model_dump(), screenshots=config.eval.screenshots)
    async with RenderPool(options, browsers=1) as pool:
        print(pool.containment.describe(), file=sys.stderr)
        render = await pool.render(html)
    folder = args.folder or config.results / "render" / args.page.stem
    folder.mkdir(parents=True, exist_ok=True)
    for number, shot in enumerate(render.screenshots, 1):
        path = folder / f"{args.page.stem}-{number}.{config.render.image}"
        path.write_bytes(shot)
        print(path)
    print(json.dumps(render.verdict.to_dict(), indent=1, ensure_ascii=False))


def _keys(module: Any) -> None:
    from artifactscoder.config.reference import lines

    print("\n".join(lines(module.Config)))


def _reference(module: Any) -> None:
    from artifactscoder.config.reference import page

    print(page(module.Config), end="")


def _yaml(config: Any) -> None:
    from artifactscoder.config.reference import as_yaml

    print(as_yaml(config), end="")


def _schema(module: Any) -> None:
    print(json.dumps(module.Config.model_json_schema(), indent=1, sort_keys=True))
