"""What a rule asks of a node when its step starts a model server itself, and which image it runs in.

In: the configuration, and what the profile gives a GPU node (`set-resources: train_sft`). Out: the rule's resources:
for a server on GPUs the partition of `train_sft` and its CPUs and memory in proportion to the GPUs; for llama.cpp the
threads that it computes with and room for its file. The profile's own `set-resources` of a rule stand above all this.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from artifactscoder.config import Config
from artifactscoder.config.engines import Endpoint
from artifactscoder.recipe import STEPS

# Where the profile says nothing of train_sft; as rules/train.smk has it.
NODE: dict[str, Any] = {"gpu": 8, "cpus_per_task": 64, "mem_mb": 900_000, "runtime": 1440, "slurm_partition": "gpu"}


def servers(config: Config, step: str) -> list[Endpoint]:
    """The endpoints whose servers a job of the step starts."""
    names = dict.fromkeys(name for role in STEPS[step].roles for name in config.players(role))
    return [config.endpoints[name] for name in names if config.endpoints[name].hosted]


def image_role(config: Config, step: str, role: str) -> str:
    """The role whose image the step runs in: `serve`, which has what data and render have, where it starts a server."""
    return "serve" if servers(config, step) else role


def share(node: Mapping[str, Any], gpus: int, threads: int, mem_mb: int) -> dict[str, Any]:
    """So many GPUs of a node, with its CPUs and memory in proportion; without any, `mem_mb` alone."""
    if not gpus:
        return {"mem_mb": mem_mb}
    whole: dict[str, Any] = {**NODE, **{key: value for key, value in node.items() if value not in (None, "")}}
    part = min(1.0, gpus / max(1, whole["gpu"]))
    out: dict[str, Any] = {key: whole[key] for key in ("slurm_partition", "slurm_account", "runtime") if key in whole}
    out |= {"gpu": gpus, "nodes": 1, "mem_mb": int(whole["mem_mb"] * part)}
    return out | {"cpus_per_task": max(threads, int(whole["cpus_per_task"] * part))}


def resources(config: Config, step: str, mem_mb: int, threads: int, node: Mapping[str, Any]) -> dict[str, Any]:
    """What a job of the step asks, `mem_mb` and `threads` being what it needs without a server.

    `node` is what the profile says of `train_sft`, in plain values. `servers=1` is a resource that a machine can limit:
    `snakemake --resources servers=1` runs one such job at once.
    """
    hosted = servers(config, step)
    out: dict[str, Any] = {"servers": 1} if hosted else {}
    gpus = sum(server.job_gpus for server in hosted)
    if gpus:
        return out | share(node, gpus, threads, mem_mb)
    for server in hosted:
        given = server.arguments.get("threads") if isinstance(server.arguments, dict) else None
        threads += int(given or 0)
        path = Path(server.path)
        mem_mb += 2000 + (round(1.5 * path.stat().st_size / 1e6) if path.is_file() else 0)
    if hosted:
        out["cpus_per_task"] = threads
    return out | {"mem_mb": mem_mb}
