"""artifactscoder publish: folders that others can load, made of what a run has made; pushed only where that is asked.

What there is of dataset-sft, dataset-rl, model-cpt, model-sft and model-grpo (or what is named) is put into
RESULTS/publish/NAME: datasets as Parquet shards, models as they were exported; each with a card in Hugging Face's
format that says what really ran, and its licence. Every text is searched for secrets and personal data (the rules of
html/mask.py, and the values of this environment's keys): where one is found, nothing of that folder is left, not even
of an earlier call, and the exit code is 2. Where no model made the data or the model is the demo's, the card says so
on top.

`--push --to USER_OR_ORGANISATION` uploads the folders to the Hugging Face Hub as USER_OR_ORGANISATION/PREFIX-NAME,
private unless `--public`. The token comes from the environment variable HF_TOKEN, never from an argument.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from pathlib import Path

from artifactscoder import config as configs
from artifactscoder import shards
from artifactscoder.config import Config
from artifactscoder.config.train import TRAINED
from artifactscoder.errors import UserError
from artifactscoder.publish import cards, datasets, hub, licences, models

NAMES = (*(f"dataset-{name}" for name in datasets.MADE), *(f"model-{name}" for name in TRAINED))


# The published sets that each model learned from.
LEARNED = {"cpt": (), "sft": ("dataset-sft",), "grpo": ("dataset-sft", "dataset-rl")}


def run(
    results: Path,
    names: list[str],
    licence: str,
    push: bool = False,
    to: str = "",
    prefix: str = "",
    public: bool = False,
    base: str = "",
) -> None:
    """Prepare the folders of `names`, or of all there is, and push them where that is asked."""
    config = configs.of_run(results)
    for name in names:
        if name not in NAMES:
            raise UserError(f"there is nothing called '{name}' to publish; there are {', '.join(NAMES)}")
    licences.must_be_known(licence)
    if base and not re.fullmatch(r"[\w.-]+/[\w.-]+", base):
        raise UserError(
            f"--base '{base}' is no model of the Hub; say OWNER/NAME, as in Qwen/Qwen3-Coder-30B-A3B-Instruct"
        )
    token = hub.must_be_able(to) if push else ""
    if push and not (licence or cards.procedural(config)):
        raise UserError(
            "say under which licence this is published, by --licence: the pages are answers of "
            f"{', '.join(makers(config))}, whose terms have a say in it"
        )
    licence = licence or ("apache-2.0" if cards.procedural(config) else "unknown")
    wanted = [name for name in NAMES if name in names or (not names and there(config, name))]
    pushed = {name: f"{to}/{prefix or 'artifactscoder'}-{name}" for name in wanted} if push else {}
    if left := shards.said(shards.left_over(config, results)):
        print(f"publish: {left}", file=sys.stderr)
    folders = [prepare(config, name, licence, base, pushed) for name in wanted]
    if not folders:
        raise UserError(f"{results} holds nothing to publish yet; `snakemake data` makes the sets, `grpo` the models")
    for folder in folders:
        if push:
            url = hub.push(folder, pushed[folder.name], token, public)
            print(f"{folder} -> {url}")
        else:
            print(folder)


def there(config: Config, name: str) -> bool:
    """Whether the run has made it."""
    kind, _, what = name.partition("-")
    return (datasets if kind == "dataset" else models).there(config, what)


def prepare(config: Config, name: str, licence: str, base: str = "", pushed: Mapping[str, str] | None = None) -> Path:
    """The folder of one dataset or model, whole or not at all.

    `base`: the base model's name on the Hub; `pushed`: the names there of what is published with it.
    """
    kind, _, what = name.partition("-")
    if not there(config, name):
        raise UserError(f"{config.results} does not hold what {name} is made of; run the workflow to that point first")
    target = config.results / "publish" / name
    if kind == "dataset":
        datasets.prepare(config, what, licence, target)
    else:
        sets = [(pushed or {}).get(name) for name in LEARNED[what]]
        models.prepare(config, what, licence, target, base, [name for name in sets if name])
    return target


def makers(config: Config) -> list[str]:
    """Who makes and judges pages in this configuration."""
    return sorted({config.endpoints[name].label for name in config.roles.model_dump().values()})
