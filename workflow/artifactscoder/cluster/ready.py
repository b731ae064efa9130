"""What the jobs of a plan need of their user before the first of them starts: keys, the base model, what trains.

In come the rules of the jobs that would run, so a target that needs none of this is not held up by it (on Slurm
preflight's red lines, which look at the whole configuration, come before); out goes a sentence for each thing that is
lacking. Snakemake does not start with one (workflow/Snakefile), so that nothing is
found out after days of other steps; a dry run goes through and tells them at its end.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator

from artifactscoder.cluster import checks
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.html import tokens
from artifactscoder.recipe import STEPS

COUNTS = ("cpt_pack", "sft_select")  # read the base model's tokenizer, and no more of it


def lacking(config: Config, jobs: Collection[tuple[str, str]], image: bool) -> Iterator[str]:
    """`jobs`: the rule of each, and the model that `eval_generate` and `eval_generate_asked` answer for. `image`:
    whether training is in one."""
    rules = {rule for rule, _ in jobs}
    asked = {model for rule, model in jobs if rule == "eval_generate_asked"}
    yield from _keys(config, rules, asked)
    if config.train.tiny_model is None:
        yield from _base(config, jobs)
    if not image:
        yield from checks.unable(config, rules)


def tell(sentences: Iterable[str]) -> None:
    """What a dry run says of them, where the run would not start."""
    for words in sentences:
        print(f"A run would stop at its start: {words}", file=sys.stderr)


def _keys(config: Config, rules: set[str], models: set[str]) -> Iterator[str]:
    """The keys that are not set, of endpoints that some rule asks, of those under evaluation `models`."""
    asking: dict[str, tuple[str, list[str]]] = {}
    for rule in sorted(rules - {"eval_generate"}):  # which answers with a model's folder
        step = "eval/generate" if rule == "eval_generate_asked" else rule.replace("_", "/", 1)
        for role in STEPS[step].roles if step in STEPS else ():
            for name in sorted(models) if role == "model" else config.players(role):
                endpoint = config.endpoints[name]
                if endpoint.kind == "api" and endpoint.key_env and not os.environ.get(endpoint.key_env):
                    asking.setdefault(endpoint.key_env, (name, []))[1].append(step)
    for variable, (name, steps) in asking.items():
        yield (
            f"{_named(steps)} the key of the endpoint '{name}', which stands in the environment variable {variable}; "
            f"that is not set: run `export {variable}=...` first"
        )


def _base(config: Config, jobs: Collection[tuple[str, str]]) -> Iterator[str]:
    """Whether the base model is there, whole or its tokenizer alone, for the rules that read it."""
    base, remedy = config.train.base, "set train.base to the folder of a model in Hugging Face format"
    start = "train_cpt" if config.train.cpt.enabled else "train_sft"
    whole = {r for r, model in jobs if r in ("train_cpt", start) or (r, model) == ("eval_generate", "base")}
    counts = sorted({rule for rule, _ in jobs if rule in COUNTS})
    found = checks.folder("model", base, "train.base", remedy)
    if whole and found.mark == "FAIL":
        yield f"{_named(_steps(whole) + _steps(counts))} the base model: {found.detail}; {remedy}"
    elif counts:
        try:
            tokens.file_of(base)
        except UserError as error:
            yield f"{_named(_steps(counts))} the base model's tokenizer: {error}"


def _steps(rules: Collection[str]) -> list[str]:
    return [rule.replace("_", "/", 1) for rule in sorted(rules)]


def _named(steps: list[str]) -> str:
    """`sft/select needs`, `cpt/pack and sft/select need`, `a and 4 more steps need`."""
    if len(steps) == 1:
        return f"{steps[0]} needs"
    return f"{steps[0]} and {steps[1] if len(steps) == 2 else f'{len(steps) - 1} more steps'} need"
