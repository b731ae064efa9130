"""train/grpo: group-relative policy optimisation with verl's own trainer.

In come the RL tables (train and validation), the SFT model and the reward's settings; out go `manifest.json` and
beside it `curve.parquet` (verl's figures of each step), `rewards.parquet` (a row a scored sample) and `watch.parquet`
(what `watch` saw in each step). The trainer is `python -m verl.trainer.main_ppo`, started as a child under guard
(`supervise`). On one node it starts Ray itself and the guard ends it, daemons and all, on any way out; on several
nodes Ray must run already and `RAY_ADDRESS` name it.
A job that was killed goes on from its last whole checkpoint, one that is asked to stop (`verl_stop`) saves another
first; the step that the last checkpoint names is compared with the step asked for, because an exit code proves nothing.

The reward is `reward_function.compute_score`, called in Ray actors as each answer is complete. An answer that it cannot
score teaches nothing, and what becomes of its group stands in `verl_groups`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from artifactscoder import files, tables
from artifactscoder.config import Config
from artifactscoder.config.trainers import GrpoSettings
from artifactscoder.errors import UserError
from artifactscoder.models import fingerprint
from artifactscoder.recipe import depends
from artifactscoder.train import curves, engines, fit, ray_nodes, reward_function, runs, verl_cpu, verl_stop, watch
from artifactscoder.train.supervise import Trainer

CURVE = {
    "score": "critic/score/mean",
    "score_min": "critic/score/min",
    "score_max": "critic/score/max",
    "val_score": "val-core/*/reward/mean@1",
    "response_tokens": "response_length/mean",
    "clipped": "response_length/clip_ratio",
    "pg_loss": "actor/pg_loss",
    "kl": "actor/kl_loss",
    "clip_fraction": "actor/pg_clipfrac",
    "grad_norm": "actor/grad_norm",
    "lr": "actor/lr",
    "seconds_rollout": "timing_s/gen",
    "seconds_update": "timing_s/update_actor",
}
ALARMS = "alarms.json"  # in the run's folder, for `status`
COLUMNS = ["prompt", "data_source", "reward_model", "extra_info"]
REWARD = "+reward.custom_reward_function.reward_kwargs"
ACTOR = "actor_rollout_ref.actor"
REF = "actor_rollout_ref.ref"
ROLLOUT = "actor_rollout_ref.rollout"
MODEL = "actor_rollout_ref.model"


def plan(rows: int, settings: GrpoSettings) -> int:
    """Steps in all; one sentence if the prompts fill no batch."""
    per_epoch = rows // settings.batch_prompts
    if per_epoch == 0:
        raise UserError(
            f"{rows} prompts are fewer than one batch of {settings.batch_prompts}; "
            "lower train.grpo.batch_prompts or add prompts"
        )
    return settings.steps or per_epoch * settings.epochs


def overrides(
    settings: GrpoSettings,
    train: Path,
    validation: Path,
    model: Path,
    folder: Path,
    steps: int,
    loggers: Sequence[str] = (),
) -> list[str]:
    """The settings in verl's words (verl/trainer/config/ppo_trainer.yaml)."""
    runs.must_have(loggers)
    s = settings
    cpu = s.device == "cpu"
    megatron = s.engine == "megatron"
    actor, ref = (f"{part}.{'megatron' if megatron else 'fsdp_config'}" for part in (ACTOR, REF))
    validates = s.validate_every_steps > 0
    pairs: dict[str, Any] = {
        "model_engine": "megatron" if megatron else "dp",
        "algorithm.adv_estimator": "grpo",
        "algorithm.use_kl_in_reward": False,
        "data.train_files": train,
        "data.val_files": validation,
        "data.val_max_samples": s.validate_prompts,
        "data.train_batch_size": s.batch_prompts,
        "data.max_prompt_length": s.max_prompt_tokens,
        "data.max_response_length": s.max_response_tokens,
        "data.filter_overlong_prompts": True,
        "data.truncation": "error",
        "data.dataloader_num_workers": s.loader_workers,
        "data.seed": s.seed,
        **engines.model(s, MODEL, model),
        f"{ACTOR}.strategy": s.engine,
        f"{ACTOR}.ppo_mini_batch_size": s.mini_batch_prompts or s.batch_prompts,
        f"{ACTOR}.use_dynamic_bsz": True,
        f"{ACTOR}.ppo_max_token_len_per_gpu": s.tokens_per_gpu,
        f"{ACTOR}.entropy_from_logits_with_chunking": True,  # old log probabilities come with their entropy
        f"{ACTOR}.use_kl_loss": s.kl_coefficient > 0,
        f"{ACTOR}.kl_loss_coef": s.kl_coefficient,
        f"{ACTOR}.kl_loss_type": s.kl_type,
        f"{ACTOR}.clip_ratio_low": s.clip_low,
        f"{ACTOR}.clip_ratio_high": s.clip_high,
        f"{ACTOR}.entropy_coeff": s.entropy_coefficient,
        **engines.engine(s, actor, s.seed),
        f"{actor}.param_offload": s.offload,
        f"{actor}.optimizer_offload": s.offload,
        **engines.optimiser(s, f"{ACTOR}.optim", s.learning_rate, "constant", 0),
        **engines.checkpoint(s, f"{ACTOR}.checkpoint"),
        f"{ref}.param_offload": s.offload,
        f"{ROLLOUT}.name": s.rollout,
        f"{ROLLOUT}.n": s.rollouts,
        f"{ROLLOUT}.seed": s.seed,
        f"{ROLLOUT}.temperature": s.temperature,
        f"{ROLLOUT}.top_p": s.top_p,
        f"{ROLLOUT}.tensor_model_parallel_size": s.tensor_parallel,
        f"{ROLLOUT}.max_model_len": s.max_prompt_tokens + s.max_response_tokens,
        f"{ROLLOUT}.gpu_memory_utilization": s.gpu_memory,
        f"{ROLLOUT}.enable_rollout_routing_replay": s.router_replay == "R3",
        f"{ROLLOUT}.agent.num_workers": s.agent_workers,
        f"{ROLLOUT}.val_kwargs.do_sample": s.validate_temperature > 0,
        f"{ROLLOUT}.val_kwargs.temperature": s.validate_temperature,
        f"{ROLLOUT}.val_kwargs.top_p": s.top_p,
        "reward.num_workers": s.reward_workers,
        "reward.reward_manager.source": "importlib",
        "reward.reward_manager.name": "RecordingManager",
        "reward.reward_manager.module.path": "pkg://artifactscoder.train.reward_manager",
        "reward.custom_reward_function.path": f"pkg://{reward_function.__name__}",
        "reward.custom_reward_function.name": "compute_score",
        "trainer.v1.sampler.custom_sampler.path": "pkg://artifactscoder.train.verl_groups",
        "trainer.v1.sampler.custom_sampler.name": "ScoredGroups",
        "+trainer.v1.sampler.sampler_kwargs.rollouts": s.rollouts,
        "+trainer.v1.sampler.sampler_kwargs.least_scored": s.least_scored,
        "+trainer.v1.sampler.sampler_kwargs.rewards": folder / "rewards",
        "+trainer.v1.sampler.sampler_kwargs.poll_seconds": 0.2 if cpu else 2.0,
        "trainer.device": s.device,
        "trainer.logger": ["console", "file", *loggers],
        "trainer.nnodes": s.nodes,
        "trainer.n_gpus_per_node": s.gpus_per_node,
        "trainer.total_epochs": steps,  # verl ends at the earlier of the two; an epoch has a step at least
        "trainer.total_training_steps": steps,
        "trainer.save_freq": s.save_every_steps,
        "trainer.test_freq": s.validate_every_steps or -1,
        "trainer.val_before_train": validates and runs.saved(folder / "checkpoints") == 0,
        "trainer.max_actor_ckpt_to_keep": None,  # `runs.prune` does it, across attempts
        "trainer.resume_mode": "auto",
        "trainer.checkpoint_callback_class": "artifactscoder.train.verl_stop.grpo.StopWhenAsked",
        "trainer.default_local_dir": folder / "checkpoints",
        "trainer.rollout_data_dir": folder / "rollouts",
        "trainer.validation_data_dir": folder / "validation",
        "trainer.project_name": "artifactscoder",
        "trainer.experiment_name": "grpo",
    }
    if megatron:
        pairs[f"{actor}.router_replay.mode"] = "disabled" if s.router_replay == "none" else s.router_replay
    else:
        pairs |= {
            **engines.fsdp2(s, ref, "fp32" if cpu else s.precision),
            f"{ACTOR}.ulysses_sequence_parallel_size": s.sequence_parallel,  # the reference model reads it here
        }
    if s.rollout == verl_cpu.ROLLOUT_NAME:
        pairs |= {
            f"{ROLLOUT}.free_cache_engine": False,
            f"+{ROLLOUT}.engine_kwargs.hfcpu.threads": s.threads,
            f"+{ROLLOUT}.engine_kwargs.hfcpu.device": s.device,
        }
    if cpu:
        pairs |= {
            f"{ROLLOUT}.dtype": "float32",
            "transfer_queue.backend.SimpleStorage.num_data_storage_units": 1,
        }
    return runs.overrides(pairs, s.extra_overrides)


def reward_overrides(reward: Path, log_dir: Path, engine: str) -> dict[str, Any]:
    """What `compute_score` is told besides the sample."""
    return {f"{REWARD}.settings": reward, f"{REWARD}.log_dir": log_dir, f"{REWARD}.engine": engine}


def ray_overrides(settings: GrpoSettings, env: dict[str, str], passed: list[str], temp: Path | None) -> dict[str, Any]:
    """Ray as verl starts it here, or as it joins the cluster that `RAY_ADDRESS` names.

    `temp` is the folder of a Ray that is started here, none on a cluster. Workers on other nodes do not inherit this
    process's environment, so the variables in `passed` go with the job.
    """
    pairs: dict[str, Any] = {f"+ray_kwargs.ray_init.runtime_env.env_vars.{name}": env[name] for name in passed}
    if temp is not None:
        pairs["+ray_kwargs.ray_init.include_dashboard"] = False
        pairs["+ray_kwargs.ray_init._temp_dir"] = str(temp)
        pairs["ray_kwargs.ray_init.num_cpus"] = settings.ray_cpus
        if settings.device == "cpu":
            pairs["+ray_kwargs.ray_init.num_gpus"] = settings.gpus_per_node
    return pairs


def whole(
    config: Config,
    config_files: list[Path],
    train: Path,
    validation: Path,
    model: Path,
    work: Path,
    manifest: Path,
    rendezvous: Path | None,
) -> None:
    """`run` with all around it: the reward's settings, rendering, Ray on several nodes.

    `config_files`: where `config` was read, for the reward workers. `rendezvous`: where replicas of the render service
    that run on other nodes announce themselves; none: a service is started beside the trainer. On a node that is not
    the first this only joins Ray.
    """
    from artifactscoder.render.rendezvous import trainer_heartbeat
    from artifactscoder.train.render_beside import render_beside

    settings = config.train.grpo
    config.judge_of_grpo()
    meeting = rendezvous or work / "rendezvous"
    if not ray_nodes.is_head(settings):
        ray_nodes.join(settings, meeting)
        return
    reward = work / "reward.json"
    values = {
        "config": [str(path.resolve()) for path in config_files],
        "journal": str(config.journal.resolve()),  # the workers stand in the run's folder
        "tokenizer": str(model.resolve()),
        "rendezvous": str(meeting.resolve()),
    }
    files.write_bytes(reward, json.dumps(values).encode())
    recipe = depends(config, "train/grpo")
    recipe |= {name: part for name, part in recipe.pop("settings").items() if name != "train.grpo"}
    with contextlib.ExitStack() as stack:
        stack.enter_context(trainer_heartbeat(meeting))
        if rendezvous is None:
            stack.enter_context(render_beside(config_files, meeting, settings.browsers, work / "render.log"))
        stack.enter_context(ray_nodes.head(settings, meeting))
        run(settings, train, validation, model, reward, work, manifest, recipe=recipe, loggers=config.train.loggers)


def run(
    settings: GrpoSettings,
    train: Path,
    validation: Path,
    model: Path,
    reward: Path,
    work: Path,
    manifest: Path,
    recipe: Mapping[str, Any] | None = None,
    engine: str = reward_function.ENGINE,
    loggers: Sequence[str] = (),
) -> None:
    """Train `model` to the last step; writes `manifest`, `curve.parquet` and `rewards.parquet` beside each other.

    `reward` is handed to the engine as it is. `recipe` is what else decides the result (the reward's formula and judge,
    not its addresses): a run with another recipe starts anew. `work` outlives a killed job.
    Raises UserError when the input cannot be used or verl ends before the last step.
    """
    start = time.monotonic()
    rows = tables.open_table(train, COLUMNS).metadata.num_rows
    tables.open_table(validation, COLUMNS).close()
    steps = plan(rows, settings)
    if settings.nodes > 1 and not os.environ.get("RAY_ADDRESS"):
        raise UserError(
            f"train.grpo.nodes is {settings.nodes}, but RAY_ADDRESS is not set; start Ray on every node first"
        )
    digests = {"train": runs.sha256(train), "validation": runs.sha256(validation)}
    base = fingerprint(model)
    fit.must_fit(model, settings, "grpo")
    engines.must_be_installed(settings, "grpo")
    whole_recipe = runs.recipe("grpo", settings, digests, base, **(recipe or {}))
    name = runs.identity(whole_recipe)
    folder = (work / name).resolve()
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True, exist_ok=True)
    curve = curves.Curve(folder, CURVE)
    stop = verl_stop.file(work)
    stop.unlink(missing_ok=True)
    runs.mend(checkpoints)
    runs.keep_recipe(folder, whole_recipe)
    if told := runs.beside(folder, whole_recipe):
        runs.say("grpo", told)
    runs.say("grpo", f"{rows} prompts, {steps} steps, from step {runs.saved(checkpoints)}, in {folder}")
    held_out = {row["extra_info"]["id"] for row in tables.rows(validation, ["extra_info"])}
    if runs.saved(checkpoints) < steps:
        words = overrides(settings, train.resolve(), validation.resolve(), model.resolve(), folder, steps, loggers)
        words += runs.overrides(reward_overrides(reward.resolve(), folder / "rewards", engine), [])
        _train(settings, words, folder, steps, curve, stop, watch.Watch(settings.watch, held_out))
    outputs = manifest.parent
    table = outputs / "rewards.parquet"
    scored = reward_function.collect_rewards(folder / "rewards", folder / "rollouts", table, folder / "validation")
    curve.write(outputs / "curve.parquet")
    last = watch.attempts(r for r in tables.rows(table, ["step", "attempt", "id"]) if r["id"] not in held_out)

    def records() -> Iterator[dict[str, Any]]:
        for row in tables.rows(table, batch=2000):
            lost = row["status"] == "failed" and row["id"] not in held_out
            if row["split"] == "train" or (lost and (row["attempt"] or 0) == last[row["step"]]):
                yield row

    seen, gain = watch.rows(records()), watch.gain(records())
    runs.say("grpo", watch.words(gain))
    found = watch.alarms(seen, settings.watch)
    if not found:
        runs.say("grpo", watch.calm(len(seen), settings.watch))
    tables.write(outputs / "watch.parquet", watch.SCHEMA, seen)
    runs.write_manifest(
        manifest,
        {
            "step": "grpo",
            "run": name,
            "final_step": steps,
            "prompts": rows,
            "scored": scored,
            "gain": gain,
            "alarms": [asdict(alarm) for alarm in found],
            "checkpoint": str(runs.checkpoint(checkpoints, steps) / "actor"),
            "data": {
                "train": {"path": str(train), "sha256": digests["train"]},
                "validation": {"path": str(validation), "sha256": digests["validation"]},
            },
            "recipe": recipe or {},
            "model": {"path": str(model), "fingerprint": base},
            "settings": settings.model_dump(mode="json"),
            "seconds": round(time.monotonic() - start, 1),
        },
    )


def _train(
    settings: GrpoSettings,
    words: list[str],
    folder: Path,
    steps: int,
    curve: curves.Curve,
    stop: Path,
    watched: watch.Watch,
) -> None:
    """Run verl to `steps`, or say why it did not get there."""
    attempt, path = runs.attempt(folder / "metrics")
    checkpoints, metrics = folder / "checkpoints", curves.MetricsFile(path)
    own = {
        "VERL_FILE_LOGGER_PATH": str(metrics.path),
        "RAY_ADDRESS": "local" if settings.nodes == 1 else os.environ["RAY_ADDRESS"],
        verl_stop.VARIABLE: str(stop),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_COLOR_PREFIX": "0",
        "TQ_NUM_THREADS": str(settings.threads),  # of verl's TransferQueue
        **runs.logging(folder),
    }
    if (settings.device, settings.rollout) == ("cuda", verl_cpu.ROLLOUT_NAME):
        own |= verl_cpu.environment_on_gpu()
    env = runs.environment(settings.device, settings.threads, own)
    passed = ["PYTHONPATH", "HF_HUB_OFFLINE", "VERL_FILE_LOGGER_PATH", verl_stop.VARIABLE]
    passed += [name for name in runs.logging(folder) if name not in os.environ]  # a user's own may hold a key
    passed += list(verl_cpu.environment()) if settings.device == "cpu" else []
    temp = ray_nodes.temp_folder(folder.name[:6]) if settings.nodes == 1 else None
    pairs = {f"{REWARD}.attempt": attempt, **ray_overrides(settings, env, passed, temp)}
    words = [*words, *runs.overrides(pairs, [])]
    command = [sys.executable, "-m", "verl.trainer.main_ppo", *words]
    log = curves.Steps("grpo", steps, {"score": ".3f", "val_score": ".3f"}, metrics, curve, "timing_s/step")
    tail, before = curves.Tail(), reward_function.failures(folder / "rewards")
    records = reward_function.Records(folder / "rewards")

    def look(step: int) -> None:
        watched.take(records.new())
        for alarm in watched.new(step):
            runs.say("grpo", f"ALARM at step {alarm.step}: {alarm.text}")
        watch.write(folder / ALARMS, step, watched.alarms)

    try:
        with Trainer(command, env, str(folder), settings.stop_seconds) as trainer:
            for line in map(curves.plain, trainer.lines()):
                if line and not log.takes(line):
                    print(line, file=sys.stderr, flush=True)
                    tail.add(line)
                if (step := log.report()) or not line:
                    runs.prune(checkpoints, settings.keep_checkpoints)
                if step:
                    look(step)
    finally:
        if temp is not None:
            shutil.rmtree(temp, ignore_errors=True)
    log.report()
    runs.prune(checkpoints, settings.keep_checkpoints)
    cause = tail.reason()
    unscored = [e for sample, e in reward_function.failures(folder / "rewards").items() if sample not in before]
    if unscored:  # verl's own word would be that a batch is empty
        told = (reward_function.faults(unscored) or unscored)[-1]
        cause = f"{len(unscored)} answers could not be scored, one because of {told}"
    runs.must_have_reached("verl's GRPO trainer", trainer.code, checkpoints, steps, cause, stop)
