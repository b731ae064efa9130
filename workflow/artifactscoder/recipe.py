"""The steps, in the order in which records pass them: one name for rule, subcommand, module, folder and report row.

What a step depends on besides its input files stands here too: the settings and prompts that shape its records, the
roles it asks, and a version that is raised when its code makes other records from the same input. A digest of just
that is a parameter of the step's rule, so that a change reruns what it must and no more: operational fields of a
section (`Section.OPERATIONAL`) do not enter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from artifactscoder import config as configs
from artifactscoder import vendored
from artifactscoder.config import Config
from artifactscoder.config.base import Section
from artifactscoder.config.train import TRAINED


@dataclass(frozen=True)
class Step:
    """`settings`: dotted paths of the configuration, `but`: those in them that change none of this step's records.

    `roles`: who is asked. `prompts`: files of workflow/prompts. `shown`: the roles that are shown pictures, where
    `vision` of their endpoint says so.
    """

    summary: str
    settings: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()
    version: int = 1
    but: tuple[str, ...] = ()


def _dedup(where: str) -> tuple[str, ...]:
    """What near-duplicates depend on: not how many jobs find them, nor which engine makes the same signatures."""
    names = ("threshold", "permutations", "bands", "rows", "recall", "shingle", "bucket")
    more = ("structure",) if where.endswith(".dedup") else ()
    return tuple(f"{where}.{name}" for name in names + more)


STEPS: dict[str, Step] = {
    "cpt/websight": Step(
        "WebSight rows: seed, fuller prompt, rewritten page",
        ("cpt.websight.sampling", "cpt.websight.shards"),
        ("teacher", "coder"),
        ("cpt_seed", "cpt_seed_page", "cpt_expand", "cpt_rewrite"),
        shown=("teacher",),
        version=2,
    ),
    "cpt/tree": Step(
        "topics below each root, breadth first",
        ("cpt.tree.children", "cpt.tree.asks", "cpt.tree.sampling"),
        ("teacher",),
        ("cpt_tree",),
        version=2,
    ),
    "cpt/templates": Step(
        "distinct prompt templates with placeholders", ("cpt.templates",), ("teacher",), ("cpt_templates",), version=2
    ),
    "cpt/prompts": Step("leaves times templates", ("cpt.prompts", "seed"), version=2),
    "cpt/code": Step("a page for each prompt", ("cpt.code",), ("coder",), ("cpt_code",)),
    "cpt/dedup": Step("near-duplicate pages removed", _dedup("cpt.dedup"), version=2),
    "cpt/pack": Step(
        "pages as tokens, in the files that training reads",
        ("cpt.pack.include_prompt", "cpt.pack.fim_rate", "cpt.pack.fim_spm_rate", "mask", "seed"),
        version=3,
    ),
    "cpt/stats": Step("what the pages are: tokens by category, languages, libraries"),
    "cpt/mixture": Step("what training draws of each source: mixture.json", ("cpt.pack.length", "cpt.mixture")),
    "sft/tasks": Step("tasks of each subcategory", ("sft.tasks",), ("teacher",), ("sft_tasks",), version=2),
    "sft/distinct_tasks": Step("near-duplicate tasks removed", _dedup("sft.distinct_tasks"), version=2),
    "sft/variants": Step("each task in several kinds", ("sft.variants",), ("teacher",), ("sft_variants",)),
    "sft/decontaminate": Step(
        "variants taken from a benchmark removed", ("decontaminate.ngram", "decontaminate.threshold")
    ),
    "sft/distinct_variants": Step("near-duplicate variants removed", _dedup("sft.distinct_variants"), version=2),
    "sft/code": Step("a page for each variant", ("sft.code",), ("coder",), ("sft_code",)),
    "sft/dedup": Step("near-duplicate pages removed", _dedup("sft.dedup"), version=2),
    "sft/rules": Step("pages that cannot work removed, private data masked", ("sft.rules", "mask"), version=3),
    "sft/score": Step(
        "25 dimensions judged on page and rendering", ("sft.score", "render"), ("judge",), ("sft_score",),
        shown=("judge",), version=3,
    ),
    "sft/agreement": Step("whether judges agree, and whether length pays", ("sft.score.weights",)),
    "sft/select": Step("the best, fairly spread: sft_train.parquet", ("sft.select",), version=2),
    "rl/prompts": Step(
        "task families times tech stacks",
        ("rl.prompts", "seed", "mask", "decontaminate.ngram", "decontaminate.threshold"),
        (),
        ("rl_task",),
        version=2,
    ),
    "rl/reference": Step("a reference page for each prompt", ("rl.reference",), ("reference",), ("rl_reference",)),
    "rl/valid": Step("reference pages rendered and checked", ("render", "sft.rules", "mask"), version=3),
    "rl/parquet": Step(
        "rl_train.parquet and rl_val.parquet, split by task", ("rl.parquet", "seed", "sft.select.system")
    ),
    "train/tiny_model": Step(
        "demo only: a random small model and its tokenizer", ("train.tiny_model", "sft.select.system")
    ),
    "train/cpt": Step("continual pre-training with verl on packed tokens", ("train.cpt",)),
    "train/sft": Step("supervised fine-tuning with verl", ("train.sft",)),
    "train/grpo": Step(
        "GRPO with verl, rewarded by rendering and judge",
        ("train.grpo", "reward", "render", "seed"),
        ("vision_judge",),
        ("reward_checklist",),
        shown=("vision_judge",),
        version=2,
        but=("reward.asks",),  # an answer that the judge has no use for is not scored, as in an outage
    ),
    "train/export": Step("a checkpoint as a model in Hugging Face format", ("train.export",)),
    "eval/tasks": Step("the tasks that models are compared on", ("eval.tasks", "seed", "sft.select.system")),
    "eval/generate": Step(
        "answers of a model to them", ("eval.engine", "eval.arguments", "eval.sampling", "eval.batch", "seed"),
        ("model",), version=3,
    ),
    "eval/render": Step(
        "each answer rendered and used, pictures over time",
        ("eval.screenshots", "eval.interactions", "render", "reward.max_chars"), version=4,
    ),
    "eval/judge": Step(
        "each rendering judged by its checklist", ("reward", "seed"), ("checklist_judge",), ("reward_checklist",),
        shown=("checklist_judge",), version=4,
    ),
    "eval/score": Step(
        "each rendering judged on 25 dimensions", ("sft.score", "reward.judge_directed"), ("judge",), ("sft_score",),
        shown=("judge",), version=2,
    ),
    "eval/table": Step(
        "the models side by side: table.parquet", ("eval.tasks", "decontaminate.benchmarks", "seed"), version=4
    ),
    "report": Step("one page that shows it all, and its data", ("report",), version=4),
}  # fmt: skip


def descent(config: Config, model: str) -> list[str]:
    """The trainings that lead from the base to a model, its own last; CPT leads on only where SFT starts from it."""
    if model == "base":
        return []
    before = TRAINED[: TRAINED.index(model)]
    return [*(name for name in before if name != "cpt" or config.train.cpt.enabled), model]


def depends(config: Config, name: str) -> dict[str, Any]:
    """What the step `name` depends on besides its input files, as plain data."""
    from artifactscoder.llm import prompts  # the only look upwards: prompts are files, and only their digests count

    step = STEPS[name]
    mirrored = "render" in step.settings and config.render.mirror
    return {
        "version": step.version,
        "settings": {path: _counting(config, path, step.but) for path in step.settings},
        "roles": {role: _identity(config, role, role in step.shown) for role in step.roles},
        "prompts": prompts.digest(step.prompts),
        **({"mirror": vendored.digest()} if mirrored else {}),
    }


def _counting(config: Config, path: str, but: tuple[str, ...]) -> Any:
    """The value at a dotted path, of a section those fields that count."""
    value, section = configs.select(config, path), reduce(getattr, path.split("."), config)
    if not isinstance(section, Section):
        return value
    return {k: v for k, v in value.items() if k not in section.OPERATIONAL and f"{path}.{k}" not in but}


def _identity(config: Config, role: str, shown: bool) -> Any:
    """Who plays a role, and whether pictures are shown to them; several play theirs together. Of the models under
    evaluation each job says its own."""
    if role == "model":
        return []
    several = role == "checklist_judge" or (role == "judge" and config.sft.score.judges)
    endpoints = [config.endpoints[name] for name in config.players(role)] if several else [config.endpoint(role)[1]]
    players = [one.identity() | ({"vision": one.vision} if shown else {}) for one in endpoints]
    return players if several else players[0]


def digest(config: Config, name: str, *more: Any) -> str:
    """Digest of `depends` and of what the caller adds (the seeds of a shard)."""
    return configs.digest(depends(config, name), *more)
