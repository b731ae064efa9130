"""train/cpt: continual pre-training with verl's SFT trainer, on the token files of cpt/pack.

In come `mixture.json`, which names token files and weights, and a model folder; out go `manifest.json` and, beside it,
`curve.parquet`. Which windows are read in which order stands in `windows`, how verl gets them and how the documents in
them are kept apart in `verl_cpt`. Every token is learned but the first of a document.

Checkpoints, killed jobs and requests to stop are as in train/sft. A run is one pass over an order of windows that is
drawn up for it, so there is no end of an epoch to resume at, and what a step reads follows from its number alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from artifactscoder.config.trainers import CptTrainSettings
from artifactscoder.errors import UserError
from artifactscoder.html import tokens
from artifactscoder.models import edges
from artifactscoder.train import runs, torchrun, windows
from artifactscoder.train.windows import Mixture


def plan(mixture: Mixture, settings: CptTrainSettings) -> int:
    """Steps in all; the last step is filled up from a further pass."""
    return settings.steps or math.ceil(mixture.windows * settings.epochs / settings.batch_size)


def overrides(
    settings: CptTrainSettings,
    mixture: Path,
    length: int,
    model: Path,
    checkpoints: Path,
    steps: int,
    loggers: Sequence[str] = (),
) -> list[str]:
    """The settings in verl's words. `length`: tokens of a window, the longest document that can come."""
    own = {
        "data.train_files": mixture,
        "data.max_length": length,
        "data.custom_cls.path": "pkg://artifactscoder.train.verl_cpt",
        "data.custom_cls.name": "PackedWindows",
        "+data.windows.draws": steps * settings.batch_size,
        "+data.windows.seed": settings.seed,
    }
    return torchrun.overrides("cpt", settings, own, model, checkpoints, steps, 1, loggers)


def run(
    settings: CptTrainSettings, data: Path, model: Path, work: Path, manifest: Path, loggers: Sequence[str] = ()
) -> None:
    """Train `model` on the mixture `data` to the last step; writes `manifest` and `curve.parquet` beside it.

    `work` is a folder of the run's own that outlives a killed job. Raises UserError when the input cannot be used or
    verl ends before the last step.
    """
    mixture = windows.read(data)
    if mixture.length > settings.tokens_per_gpu * settings.sequence_gpus:
        raise UserError(
            f"{data} has windows of {mixture.length} tokens, above train.cpt.tokens_per_gpu x sequence_parallel; "
            "raise tokens_per_gpu, or pack again with a smaller cpt.pack.length"
        )
    steps = plan(mixture, settings)
    draws = steps * settings.batch_size
    if mixture.tokenizer and mixture.tokenizer != tokens.digest(model):
        raise UserError(f"{data} was packed with another tokenizer than that of {model}; run cpt/pack again with it")
    missing = [path for path in mixture.files if not path.exists()]
    if missing:
        raise UserError(f"there is no file {missing[0]}, which {data} names; run cpt/pack again")
    digests = {"mixture": runs.sha256(data), "tokens": edges(mixture.files)}
    job = torchrun.Job(
        step="cpt",
        settings=settings,
        model=model,
        digests=digests,
        steps=steps,
        words=lambda folder: overrides(
            settings, data.resolve(), mixture.length, model.resolve(), folder, steps, loggers
        ),
        module="artifactscoder.train.verl_cpt",
        facts={
            "windows": draws,
            "length": mixture.length,
            "drawn": windows.drawn(mixture, draws),
            "data": {"path": str(data), "sha256": digests["mixture"], "tokens": digests["tokens"]},
        },
    )
    torchrun.run(job, work, manifest)
