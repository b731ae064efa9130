"""What CPT and SFT share: verl's SFT trainer, by torchrun, on one node or several.

The trainer is started as a child under guard (`supervise`): its log goes through to standard error, its steps become
lines of progress and rows of the curve, and nothing of it is left on any way out. On several nodes the step runs once
on each (`srun --ntasks-per-node=1`), and node 0 writes what is declared.
"""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifactscoder.config.trainers import NextTokenSettings
from artifactscoder.errors import UserError
from artifactscoder.models import fingerprint
from artifactscoder.train import curves, engines, fit, runs, verl_stop
from artifactscoder.train.supervise import Trainer

CURVE = {
    "loss": "train/loss",
    "lr": "train/lr",
    "grad_norm": "train/grad_norm",
    "tokens": "train/global_tokens",
}


def node_rank(step: str, settings: NextTokenSettings) -> tuple[int, str]:
    """(this node's number, host name of node 0), from Slurm where there are several nodes."""
    if settings.nodes == 1:
        return 0, "localhost"
    try:
        rank = int(os.environ["SLURM_NODEID"])
    except KeyError:
        raise UserError(
            f"train.{step}.nodes is {settings.nodes}, but SLURM_NODEID is not set; "
            "start this step by `artifactscoder train launch`"
        ) from None
    return rank, runs.nodes()[0]


def launcher(settings: NextTokenSettings, rank: int, head: str, module: str) -> list[str]:
    """torchrun's part of the command; `module` is the trainer."""
    command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={settings.gpus_per_node}"]
    if settings.nodes == 1:
        command += ["--standalone", "--nnodes=1"]
    else:
        command += [f"--nnodes={settings.nodes}", f"--node-rank={rank}"]
        command += [f"--master-addr={head}", f"--master-port={settings.master_port}"]
    return [*command, "-m", module]


def overrides(
    step: str,
    settings: NextTokenSettings,
    data: Mapping[str, Any],
    model: Path,
    checkpoints: Path,
    steps: int,
    epochs: int,
    loggers: Sequence[str],
) -> list[str]:
    """The settings in verl's words (verl/trainer/config/sft_trainer_engine.yaml); `data` are those of one step."""
    runs.must_have(loggers)
    s = settings
    group = "megatron" if s.engine == "megatron" else "fsdp"
    warmup = math.ceil(s.warmup_ratio * steps)
    pairs: dict[str, Any] = {
        "engine": group,
        "optim": group,
        **data,
        "data.val_files": None,
        "data.train_batch_size": s.batch_size,
        "data.pad_mode": "no_padding",
        "data.use_dynamic_bsz": True,
        "data.max_token_len_per_gpu": s.tokens_per_gpu,
        "data.num_workers": s.loader_workers,
        **engines.model(s, "model", model),
        **engines.engine(s, "engine", s.seed),
        **engines.optimiser(s, "optim", s.learning_rate, s.schedule, warmup, s.final_rate),
        **engines.checkpoint(s, "checkpoint"),
        "trainer.device": s.device,
        "trainer.logger": ["console", "file", *loggers],
        "trainer.total_epochs": epochs,
        "trainer.total_training_steps": steps,
        "trainer.save_freq": s.save_every_steps,
        "trainer.test_freq": -1,
        "trainer.max_ckpt_to_keep": None,  # `runs.prune` does it, across attempts
        "trainer.resume_mode": "auto",
        "trainer.default_local_dir": checkpoints,
        "trainer.project_name": "artifactscoder",
        "trainer.experiment_name": step,
    }
    return runs.overrides(pairs, s.extra_overrides)


@dataclass
class Job:
    """One training: what decides it, and what its manifest says of it."""

    step: str
    settings: NextTokenSettings
    model: Path
    digests: Mapping[str, str]  # of the data
    steps: int
    words: Callable[[Path], list[str]]  # in verl's words, for the folder of checkpoints
    module: str  # the trainer
    facts: dict[str, Any]


def run(job: Job, work: Path, manifest: Path, prepare: Callable[[Path], None] = lambda checkpoints: None) -> None:
    """Train to the last step; writes `manifest` and `curve.parquet` beside it.

    `work` is a folder of the run's own that outlives a killed job; `prepare` gets the folder of its checkpoints before
    verl does. Raises UserError when the input cannot be used or verl ends before the last step.
    """
    start = time.monotonic()
    settings, steps = job.settings, job.steps
    rank, head = node_rank(job.step, settings)
    base = fingerprint(job.model)
    fit.must_fit(job.model, settings, job.step)
    engines.must_be_installed(settings, job.step)
    recipe = runs.recipe(job.step, settings, job.digests, base)
    name = runs.identity(recipe)
    folder = (work / name).resolve()
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    curve = curves.Curve(folder, CURVE)
    stop = verl_stop.file(work)
    if rank == 0:
        stop.unlink(missing_ok=True)
        runs.mend(checkpoints)
        prepare(checkpoints)
        runs.keep_recipe(folder, recipe)
        if told := runs.beside(folder, recipe):
            runs.say(job.step, told)
        runs.say(job.step, f"{steps} steps, from step {runs.saved(checkpoints)}, in {folder}")
    if runs.saved(checkpoints) < steps:
        command = launcher(settings, rank, head, job.module)
        _train(job, [*command, *job.words(checkpoints)], folder, curve, rank, stop)
    if rank == 0:
        curve.write(manifest.parent / "curve.parquet")
        runs.write_manifest(
            manifest,
            {
                "step": job.step,
                "run": name,
                "final_step": steps,
                "checkpoint": str(runs.checkpoint(checkpoints, steps)),
                "model": {"path": str(job.model), "fingerprint": base},
                "settings": settings.model_dump(mode="json"),
                "seconds": round(time.monotonic() - start, 1),
                **job.facts,
            },
        )


def _train(job: Job, command: list[str], folder: Path, curve: curves.Curve, rank: int, stop: Path) -> None:
    """Run verl to the last step, or say why it did not get there."""
    settings, who = job.settings, f"verl's trainer of {job.step}"
    checkpoints, metrics = folder / "checkpoints", curves.MetricsFile(runs.attempt(folder / "metrics")[1])
    extra = engines.environment(settings) | {"VERL_FILE_LOGGER_PATH": str(metrics.path), verl_stop.VARIABLE: str(stop)}
    env = runs.environment(settings.device, settings.threads, extra | runs.logging(folder))
    log, tail = curves.Steps(job.step, job.steps, {"loss": ".4f"}, metrics, curve), curves.Tail()
    with Trainer(command, env, str(folder), settings.stop_seconds) as trainer:
        for line in map(curves.plain, trainer.lines()):
            if line and not log.takes(line):
                print(line, file=sys.stderr, flush=True)
                tail.add(line)
            if rank == 0 and (log.report() or not line):
                runs.prune(checkpoints, settings.keep_checkpoints)
    if rank > 0:  # what node 0 wrote may not be visible here yet
        if trainer.code != 0:
            raise UserError(f"{who} ended with code {trainer.code} on node {rank}: {tail.reason()}")
        return
    log.report()
    runs.prune(checkpoints, settings.keep_checkpoints)
    runs.must_have_reached(who, trainer.code, checkpoints, job.steps, tail.reason(), stop)
