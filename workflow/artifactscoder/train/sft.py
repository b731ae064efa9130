"""train/sft: supervised fine-tuning with verl's own trainer.

In come a Parquet file with a column `messages` (list of {role, content}; loss on the assistant's turns
alone) and a model folder; out go `manifest.json` and, beside it, `curve.parquet`. The trainer is verl's
(verl.trainer.sft_trainer, by `torchrun`). Checkpoints stand in the work folder, and a job that was killed goes on from
the last whole one; one that is asked to stop (`verl_stop`) saves another first.

verl's exit code is no proof (a resume at an epoch boundary runs no step and exits with 0, verl issue 7401),
so the step that the last checkpoint names is compared with the step asked for; the trap itself is taken
away before a resume.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from artifactscoder import tables
from artifactscoder.config.trainers import SftSettings
from artifactscoder.errors import UserError
from artifactscoder.train import runs, torchrun


def steps_per_epoch(rows: int, settings: SftSettings) -> int:
    """Steps of one pass, as verl's sampler and loader cut it: both drop what does not fill them."""
    ranks = settings.data_parallel
    return rows // ranks // (settings.batch_size // ranks)


def plan(rows: int, settings: SftSettings) -> tuple[int, int]:
    """(steps in all, epochs that verl must be told to reach them); one sentence if the data fill no batch."""
    per_epoch = steps_per_epoch(rows, settings)
    if per_epoch == 0:
        raise UserError(
            f"{rows} rows are fewer than one batch of {settings.batch_size}; lower train.sft.batch_size or add data"
        )
    steps = settings.steps or per_epoch * settings.epochs
    return steps, math.ceil(steps / per_epoch)


def free_epoch_boundary(folder: Path, per_epoch: int) -> None:
    """Take away the loader's state of a checkpoint that ends an epoch: verl would resume at its end and stop.

    Without it the loader starts the next epoch from its beginning, which is where the run stands (verl
    issue 7401).
    """
    step = runs.saved(folder)
    if step and step % per_epoch == 0:
        for state in runs.checkpoint(folder, step).glob("data_*.pt"):
            state.unlink()


def overrides(
    settings: SftSettings,
    data: Path,
    model: Path,
    checkpoints: Path,
    steps: int,
    epochs: int,
    loggers: Sequence[str] = (),
) -> list[str]:
    """The settings in verl's words."""
    own = {
        "data.train_files": data,
        "data.max_length": settings.max_tokens + settings.frame_tokens,
        "data.truncation": "error",  # a page cut short would teach to stop in the middle
        "data.enable_thinking_default": None,  # verl's own default, the text "none", switches thinking on
    }
    return torchrun.overrides("sft", settings, own, model, checkpoints, steps, epochs, loggers)


def run(
    settings: SftSettings, data: Path, model: Path, work: Path, manifest: Path, loggers: Sequence[str] = ()
) -> None:
    """Train `model` on `data` to the last step; writes `manifest` and `curve.parquet` beside it.

    `work` is a folder of the run's own that outlives a killed job. Raises UserError when the input cannot
    be used or verl ends before the last step.
    """
    rows = tables.open_table(data, ["messages"]).metadata.num_rows
    steps, epochs = plan(rows, settings)
    per_epoch, digest = steps_per_epoch(rows, settings), runs.sha256(data)
    job = torchrun.Job(
        step="sft",
        settings=settings,
        model=model,
        digests={"rows": digest},
        steps=steps,
        words=lambda folder: overrides(settings, data.resolve(), model.resolve(), folder, steps, epochs, loggers),
        module="artifactscoder.train.verl_stop.sft",
        facts={"samples": rows, "epochs": steps / per_epoch, "data": {"path": str(data), "sha256": digest}},
    )
    torchrun.run(job, work, manifest, lambda checkpoints: free_epoch_boundary(checkpoints, per_epoch))
