"""train/sft: supervised fine-tuning with verl's own trainer.

In come a Parquet file with a column `messages` (list of {role, content}; loss on the assistant's turns
alone) and a model folder; out go `manifest.json` and, beside it, `curve.parquet`. The trainer is verl's
(verl.trainer.sft_trainer, by torchrun), started as a child under guard (`supervise`): its log goes through to standard
error, its steps become lines of progress, and nothing of it is left on any way out. Checkpoints stand in
the work folder, and a job that was killed goes on from the last whole one; one that is asked to stop (`verl_stop`)
saves another first.

verl's exit code is no proof (a resume at an epoch boundary runs no step and exits with 0, verl issue 7401),
so the step that the last checkpoint names is compared with the step asked for; the trap itself is taken
away before a resume. On several nodes this runs once on each (`srun --ntasks-per-node=1`); node 0 writes
the outputs.
"""

from __future__ import annotations

import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from artifactscoder import tables
from artifactscoder.config.trainers import SftSettings
from artifactscoder.errors import UserError
from artifactscoder.train import engines, fit, runs, verl_stop
from artifactscoder.train.supervise import Trainer

CURVE = {
    "loss": "train/loss",
    "lr": "train/lr",
    "grad_norm": "train/grad_norm",
    "tokens": "train/global_tokens",
}


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


def node_rank(settings: SftSettings) -> tuple[int, str]:
    """(this node's number, host name of node 0), from Slurm where there are several nodes."""
    if settings.nodes == 1:
        return 0, "localhost"
    try:
        rank = int(os.environ["SLURM_NODEID"])
    except KeyError:
        raise UserError(
            f"train.sft.nodes is {settings.nodes}, but SLURM_NODEID is not set; "
            "start this step by `artifactscoder train launch`"
        ) from None
    return rank, runs.nodes()[0]


def launcher(settings: SftSettings, rank: int, head: str) -> list[str]:
    """torchrun's part of the command."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={settings.gpus_per_node}"]
    if settings.nodes == 1:
        command += ["--standalone", "--nnodes=1"]
    else:
        command += [f"--nnodes={settings.nodes}", f"--node-rank={rank}"]
        command += [f"--master-addr={head}", f"--master-port={settings.master_port}"]
    return [*command, "-m", "artifactscoder.train.verl_stop.sft"]


def overrides(settings: SftSettings, data: Path, model: Path, checkpoints: Path, steps: int, epochs: int) -> list[str]:
    """The settings in verl's words (verl/trainer/config/sft_trainer_engine.yaml)."""
    s = settings
    group = "megatron" if s.engine == "megatron" else "fsdp"
    warmup = math.ceil(s.warmup_ratio * steps)
    pairs: dict[str, Any] = {
        "engine": group,
        "optim": group,
        "data.train_files": data,
        "data.val_files": None,
        "data.train_batch_size": s.batch_size,
        "data.max_length": s.max_tokens + s.frame_tokens,
        "data.truncation": "error",  # a page cut short would teach to stop in the middle
        "data.pad_mode": "no_padding",
        "data.use_dynamic_bsz": True,
        "data.max_token_len_per_gpu": s.tokens_per_gpu,
        "data.num_workers": s.loader_workers,
        "data.enable_thinking_default": None,  # verl's own default, the text "none", switches thinking on
        **engines.model(s, "model", model),
        **engines.engine(s, "engine", s.seed),
        **engines.optimiser(s, "optim", s.learning_rate, s.schedule, warmup),
        **engines.checkpoint(s, "checkpoint"),
        "trainer.device": s.device,
        "trainer.logger": ["console", "file"],
        "trainer.total_epochs": epochs,
        "trainer.total_training_steps": steps,
        "trainer.save_freq": s.save_every_steps,
        "trainer.test_freq": -1,
        "trainer.max_ckpt_to_keep": None,  # `runs.prune` does it, across attempts
        "trainer.resume_mode": "auto",
        "trainer.default_local_dir": checkpoints,
        "trainer.project_name": "artifactscoder",
        "trainer.experiment_name": "sft",
    }
    return runs.overrides(pairs, s.extra_overrides)


def run(settings: SftSettings, data: Path, model: Path, work: Path, manifest: Path) -> None:
    """Train `model` on `data` to the last step; writes `manifest` and `curve.parquet` beside it.

    `work` is a folder of the run's own that outlives a killed job. Raises UserError when the input cannot
    be used or verl ends before the last step.
    """
    start = time.monotonic()
    rank, head = node_rank(settings)
    rows = tables.open_table(data, ["messages"]).metadata.num_rows
    steps, epochs = plan(rows, settings)
    digests = {"data": runs.sha256(data)}
    base = runs.fingerprint(model)
    fit.must_fit(model, settings, "sft")
    name = runs.identity(settings, digests, base)
    folder = (work / name).resolve()
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    curve = runs.Curve(folder, CURVE)
    stop = verl_stop.file(work)
    if rank == 0:
        stop.unlink(missing_ok=True)
        runs.mend(checkpoints)
        free_epoch_boundary(checkpoints, steps_per_epoch(rows, settings))
        runs.say("sft", f"{rows} samples, {steps} steps, from step {runs.saved(checkpoints)}, in {folder}")
    if runs.saved(checkpoints) < steps:
        words = overrides(settings, data.resolve(), model.resolve(), checkpoints, steps, epochs)
        _train(settings, [*launcher(settings, rank, head), *words], folder, steps, curve, rank, stop)
    if rank == 0:
        curve.write(manifest.parent / "curve.parquet")
        runs.write_manifest(
            manifest,
            {
                "step": "sft",
                "run": name,
                "final_step": steps,
                "epochs": steps / steps_per_epoch(rows, settings),
                "samples": rows,
                "checkpoint": str(runs.checkpoint(checkpoints, steps)),
                "data": {"path": str(data), "sha256": digests["data"]},
                "model": {"path": str(model), "fingerprint": base},
                "settings": settings.model_dump(mode="json"),
                "versions": runs.versions(),
                "seconds": round(time.monotonic() - start, 1),
            },
        )


def _train(
    settings: SftSettings, command: list[str], folder: Path, steps: int, curve: runs.Curve, rank: int, stop: Path
) -> None:
    """Run verl to `steps`, or say why it did not get there."""
    checkpoints, metrics = folder / "checkpoints", runs.MetricsFile(runs.attempt(folder / "metrics"))
    extra = {"VERL_FILE_LOGGER_PATH": str(metrics.path), verl_stop.VARIABLE: str(stop)}
    extra |= engines.environment(settings)
    env = runs.environment(settings.device, settings.threads, extra)
    log, tail = runs.Steps("sft", steps, {"loss": ".4f"}, metrics, curve), runs.Tail()
    with Trainer(command, env, str(folder), settings.stop_seconds) as trainer:
        for line in map(runs.plain, trainer.lines()):
            if line and not log.takes(line):
                print(line, file=sys.stderr, flush=True)
                tail.add(line)
            if rank == 0 and (log.report() or not line):
                runs.prune(checkpoints, settings.keep_checkpoints)
    if rank > 0:  # what node 0 wrote may not be visible here yet
        if trainer.code != 0:
            raise UserError(f"verl's SFT trainer ended with code {trainer.code} on node {rank}: {tail.reason()}")
        return
    log.report()
    runs.prune(checkpoints, settings.keep_checkpoints)
    runs.must_have_reached("verl's SFT trainer", trainer.code, checkpoints, steps, tail.reason(), stop)
