"""What a run will ask, by step and endpoint: requests, and tokens in and out of each.

In: the configuration and its prompts; where answers of the model that is configured are in the journal already, their
mean tokens stand in for the assumed ones; those of other models say nothing. Out: a `Share` for each step and endpoint.
Requests follow from the configuration, as if every record came through, so they are an upper estimate after
rejections; a re-ask is not foreseen. Tokens of an answer that nobody has measured yet are ASSUMED below, at four
characters a token.
"""

from __future__ import annotations

import glob
import json
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pyarrow.parquet as pq

from artifactscoder import benchmarks, seeds
from artifactscoder.config import Config
from artifactscoder.config.train import TaskSet
from artifactscoder.journal import Paid
from artifactscoder.llm import prompts

ENOUGH = 20  # answers of a step from which their mean is believed
# Tokens of one answer, and of what its prompt holds besides the template. A page is what `max_tokens` of 16,384 leaves
# half empty; a level with its reason is 40 tokens, a task or variant 180.
PAGE, LEVEL, TEXT = 8_000, 40, 180
BRIEF, EVIDENCE, PICTURE = 150, 500, 1_500


@dataclass
class Share:
    """What one step asks of one endpoint. `measured`: whether tokens are those of answers that came already."""

    step: str
    endpoint: str
    requests: int
    tokens_in: float  # of one request
    tokens_out: float
    measured: bool = False
    answered: int = 0


def websight_rows(config: Config) -> int | None:
    """Rows of WebSight: as the run has counted them, else by the footers of its files; None where there are none."""
    websight = config.cpt.websight
    if websight.sample or not websight.shards:
        return websight.sample if websight.shards else 0
    try:
        counted = json.loads((config.results / "cpt/websight/source.json").read_text())["files"]
        return sum(file["rows"] for file in counted)
    except (OSError, ValueError, LookupError, TypeError):
        return _footers(tuple(sorted(glob.glob(websight.input))))


@lru_cache(maxsize=4)
def _footers(paths: tuple[str, ...]) -> int | None:
    try:
        return sum(pq.read_metadata(path).num_rows for path in paths) if paths else None
    except (OSError, ValueError):  # what pyarrow raises of a file that is no Parquet is a ValueError too
        return None


def shares(config: Config, paid: dict[str, dict[Path, Paid]] | None = None) -> list[Share]:
    """All that is asked, in the recipe's order. `paid`: what the journal holds of each model (budget.paid_to)."""
    subcategories = sum(map(len, seeds.subcategories(config).values()))
    kinds, dimensions = len(seeds.variants(config)), len(seeds.dimensions(config))
    tasks = subcategories * config.sft.tasks.per_subcategory
    pages = tasks * kinds
    score = config.sft.score
    groups = math.ceil(dimensions / (score.group or dimensions))
    roots, children = len(seeds.cpt_roots(config)), config.cpt.tree.children
    nodes = roots * sum(math.prod(children[:level]) for level in range(len(children)))
    prompted = roots * math.prod(children) * config.cpt.prompts.per_leaf
    templates, grpo = config.cpt.templates, config.train.grpo
    items = 20 * LEVEL
    rl = config.rl.prompts.count
    trained = max(1, round(rl * (1 - config.rl.parquet.validation)))
    steps = grpo.steps or max(1, trained // grpo.batch_prompts) * grpo.epochs
    rows = websight_rows(config) or 0
    checklist = PAGE + EVIDENCE + items
    compared = config.eval.tasks.values()
    tasks_each = sum(held_out(each, rl - trained) for each in compared)
    judged = len(config.eval.models) * tasks_each
    pictures = config.eval.screenshots + config.eval.interactions
    found = [
        _share(config, "cpt/websight", "teacher", "cpt_seed", rows, PAGE // 4, BRIEF),
        _share(config, "cpt/websight", "teacher", "cpt_expand", rows, BRIEF, 2 * TEXT),
        _share(config, "cpt/websight", "coder", "cpt_rewrite", rows, 2 * TEXT, PAGE),
        _share(config, "cpt/tree", "teacher", "cpt_tree", nodes, BRIEF, 10 * sum(children) // len(children)),
        _share(
            config, "cpt/templates", "teacher", "cpt_templates",
            math.ceil(templates.count / templates.per_request), 0, 60 * templates.per_request,
        ),
        _share(config, "cpt/code", "coder", "cpt_code", prompted, BRIEF, PAGE),
        _share(
            config, "sft/tasks", "teacher", "sft_tasks", subcategories, BRIEF, TEXT * config.sft.tasks.per_subcategory
        ),
        _share(config, "sft/variants", "teacher", "sft_variants", tasks, TEXT + 40 * kinds, TEXT * kinds),
        _share(config, "sft/code", "coder", "sft_code", pages, TEXT, PAGE),
        *(
            Share(
                "sft/score", name, pages * groups * score.times,
                _template("sft_score") + PAGE + EVIDENCE + 80 * dimensions / groups + PICTURE * score.screenshots,
                LEVEL * dimensions / groups,
            )
            for name in config.judges
        ),
        _share(config, "rl/reference", "reference", "rl_reference", rl, BRIEF, PAGE),
        _share(
            config, "train/grpo", "vision_judge", "reward_checklist",
            steps * grpo.batch_prompts * grpo.rollouts, checklist + PICTURE * config.reward.screenshots, items,
        ),
        *(
            Share("eval/generate", name, tasks_each, BRIEF, PAGE)
            for name in config.asked_models
        ),
        *(
            Share("eval/judge", name, judged, _template("reward_checklist") + checklist + PICTURE * pictures, items)
            for name in config.checklist_judges
        ),
        *(
            Share(
                "eval/score", name, judged * groups * score.times,
                _template("sft_score") + PAGE + EVIDENCE + 80 * dimensions / groups + PICTURE * score.screenshots,
                LEVEL * dimensions / groups,
            )
            for name in (config.judges if config.eval.dimensions else ())
        ),
    ]  # fmt: skip
    found = _together([share for share in found if share.requests])
    groups_of: dict[tuple[str, str], list[Share]] = {}
    for share in found:
        groups_of.setdefault((share.step, config.endpoints[share.endpoint].label), []).append(share)
    for (step, model), own in groups_of.items():
        _measure(own, held(config, step, (paid or {}).get(model, {})))
    return found


def held_out(each: TaskSet, split: int) -> int:
    """Tasks of a set of the evaluation; `split`: those that RL does not see."""
    if each.count == 0:
        return 0
    there = split if each.path is None else len(benchmarks.read([each.path], "eval.tasks"))
    return there if each.count is None else min(each.count, there)


def held(config: Config, step: str, paid: dict[Path, Paid]) -> Paid:
    """What the journal of a step holds, over all its shards."""
    root = config.journal / step
    return sum((one for folder, one in paid.items() if folder == root or root in folder.parents), Paid())


def _share(config: Config, step: str, role: str, prompt: str, requests: int, more: float, answer: float) -> Share:
    return Share(step, config.endpoint(role)[0], requests, _template(prompt) + more, answer)


def _template(name: str) -> float:
    prompt = prompts.load(name)
    return (len(prompt.system) + len(prompt.user)) / 4


def _together(found: list[Share]) -> list[Share]:
    """One share for a step and endpoint; several kinds of requests are averaged."""
    out: dict[tuple[str, str], Share] = {}
    for share in found:
        key = (share.step, share.endpoint)
        if key not in out:
            out[key] = share
            continue
        first = out[key]
        total = first.requests + share.requests
        first.tokens_in = (first.tokens_in * first.requests + share.tokens_in * share.requests) / total
        first.tokens_out = (first.tokens_out * first.requests + share.tokens_out * share.requests) / total
        first.requests = total
    return list(out.values())


def _measure(own: list[Share], have: Paid) -> None:
    """What a model has answered of a step, and its mean tokens in place of assumed ones.

    Endpoints of one model share them in proportion to their requests.
    """
    requests = sum(share.requests for share in own)
    for share in own:
        share.answered = min(share.requests, round(have.answers * share.requests / requests))
        share.measured = have.answers >= ENOUGH
    if have.answers < ENOUGH:
        return
    for name, measured in (("tokens_in", have.tokens_in), ("tokens_out", have.tokens_out)):
        assumed = sum(getattr(share, name) * share.requests for share in own) / requests
        factor = measured / have.answers / assumed
        for share in own:
            setattr(share, name, getattr(share, name) * factor)
