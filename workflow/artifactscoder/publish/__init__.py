"""artifactscoder publish: folders that others can load, made of what a run has made; pushed only where that is asked.

What there is of dataset-sft, dataset-rl, model-cpt, model-sft and model-grpo (or what is named) is put into
RESULTS/publish/NAME: datasets as Parquet shards, models as they were exported; each with a card in Hugging Face's
format that says what really ran, and its licence. Every text is searched for secrets and personal data (the rules of
html/mask.py, and the values of this environment's keys): where one is found, nothing of that folder is left, and the
exit code is 2. Where no model made the data or the model is the demo's, the card says so on top.

`--push --to USER_OR_ORGANISATION` uploads the folders to the Hugging Face Hub as USER_OR_ORGANISATION/PREFIX-NAME,
private unless `--public`. The token comes from the environment variable HF_TOKEN, never from an argument.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder import config as configs
from artifactscoder.config import Config
from artifactscoder.config.train import TRAINED
from artifactscoder.errors import UserError
from artifactscoder.publish import cards, datasets, hub, models

NAMES = (*(f"dataset-{name}" for name in datasets.MADE), *(f"model-{name}" for name in TRAINED))


def run(
    results: Path,
    names: list[str],
    licence: str,
    push: bool = False,
    to: str = "",
    prefix: str = "",
    public: bool = False,
) -> None:
    """Prepare the folders of `names`, or of all there is, and push them where that is asked."""
    config = configs.of_run(results)
    for name in names:
        if name not in NAMES:
            raise UserError(f"there is nothing called '{name}' to publish; there are {', '.join(NAMES)}")
    token = hub.must_be_able(to) if push else ""
    if push and not (licence or cards.procedural(config)):
        raise UserError(
            "say under which licence this is published, by --licence: the pages are answers of "
            f"{', '.join(makers(config))}, whose terms have a say in it"
        )
    licence = licence or ("apache-2.0" if cards.procedural(config) else "unknown")
    folders = [prepare(config, name, licence) for name in names or NAMES if names or there(config, name)]
    if not folders:
        raise UserError(f"{results} holds nothing to publish yet; `snakemake data` makes the sets, `grpo` the models")
    for folder in folders:
        if push:
            url = hub.push(folder, f"{to}/{prefix or 'artifactscoder'}-{folder.name}", token, public)
            print(f"{folder} -> {url}")
        else:
            print(folder)


def there(config: Config, name: str) -> bool:
    """Whether the run has made it."""
    kind, _, what = name.partition("-")
    return (datasets if kind == "dataset" else models).there(config, what)


def prepare(config: Config, name: str, licence: str) -> Path:
    """The folder of one dataset or model, whole or not at all."""
    kind, _, what = name.partition("-")
    if not there(config, name):
        raise UserError(f"{config.results} does not hold what {name} is made of; run the workflow to that point first")
    target = config.results / "publish" / name
    (datasets if kind == "dataset" else models).prepare(config, what, licence, target)
    return target


def makers(config: Config) -> list[str]:
    """Who makes and judges pages in this configuration."""
    return sorted({config.endpoints[name].label for name in config.roles.model_dump().values()})
