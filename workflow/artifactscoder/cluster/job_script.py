"""The batch script of a training job: the trainer on its nodes and, in a heterogeneous job, the render replicas.

`save_minutes` before the time limit Slurm sends SIGUSR1; the script then asks the training to stop, by a file that says
`limit`, unless a user asked before. The exit code of the command itself is left in `exit`, behind the job's number.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from artifactscoder.train import runs, verl_stop
from artifactscoder.train.verl_stop import CONTINUED

APPTAINER = "ARTIFACTSCODER_APPTAINER"
LIMIT = "limit"  # stands in the file that asks to stop where the script made it; what a user touched is empty
PACKAGES = str(Path(__file__).resolve().parents[2])  # an image holds everything but this package


def job_script(command: Sequence[str], work: Path, resources: Mapping[str, str]) -> str:
    """The batch script: the trainer's component first, for it decides; the replicas' behind it."""
    given = {key: value for key, value in resources.items() if value and value != "None"}
    replicas = int(given.get("render_nodes", 0))
    nodes = int(given.get("nodes", 1))
    trainer = {
        "partition": given.get("slurm_partition"),
        "account": given.get("slurm_account"),
        "qos": given.get("qos"),
        "constraint": given.get("constraint"),
        "nodes": nodes,
        "ntasks-per-node": 1,
        "cpus-per-task": given.get("cpus_per_task", 1),
        "mem": _mb(given.get("mem_mb")),
        "gpus-per-node": given.get("gpu"),
        "time": given.get("runtime"),
        "signal": f"B:USR1@{60 * int(given['save_minutes'])}" if "save_minutes" in given else None,
    }
    render = {
        "partition": given.get("render_partition"),
        "account": given.get("slurm_account"),
        "qos": given.get("qos"),
        "nodes": replicas,
        "ntasks-per-node": 1,
        "cpus-per-task": given.get("render_cpus", 1),
        "mem": _mb(given.get("render_mem_mb")),
        "time": given.get("runtime"),
    }
    lines = ["#!/bin/bash", *_options(trainer, given.get("slurm_extra", ""))]
    if replicas:
        lines += ["#SBATCH hetjob", *_options(render, "")]
    meeting = shlex.quote(str(work / "rendezvous"))
    group = "--het-group={} " if replicas else ""
    run_trainer = f"srun {group.format(0)}--ntasks={nodes} --ntasks-per-node=1 --kill-on-bad-exit=1 "
    end, ended, stop = (shlex.quote(str(path)) for path in (work / "exit", work / "ended", verl_stop.file(work)))
    report = f'echo "$SLURM_JOB_ID $code" > {end}.new && mv {end}.new {end}'
    lines += [
        "set -u",
        f'if [ -e {stop} ] && [ "$(cat {stop})" != {LIMIT} ]; then code={CONTINUED}; {report}; exit $code; fi',
        f"cd {shlex.quote(str(Path.cwd()))}",
        f"export PYTHONPATH={shlex.quote(PACKAGES)}",
        f"mkdir -p {meeting}",
        f"rm -f {meeting}/end {meeting}/replica-*.json {meeting}/head.json {meeting}/trainer.json",
    ]
    if nodes > 1:
        listed = "${SLURM_JOB_NODELIST_HET_GROUP_0:-$SLURM_JOB_NODELIST}"
        lines.append(f'export {runs.NODES}="$(scontrol show hostnames "{listed}" | tr "\\n" " ")"')
    if replicas:
        serve = ["render", "serve", *_configs(command), "--host", "0.0.0.0", "--rendezvous", str(work / "rendezvous")]
        serve += ["--browsers", given.get("render_cpus", "1")]
        lines += [
            "# A replica that is lost is started again, until the trainer has ended.",
            f"while [ ! -e {meeting}/end ]; do",
            f"  srun {group.format(1)}--ntasks={replicas} --ntasks-per-node=1 --kill-on-bad-exit=0 {program(serve)}",
            "  sleep 2",
            "done &",
        ]
    meets = ["--rendezvous", str(work / "rendezvous")] if command[:2] == ["train", "grpo"] else []
    # The code is that of the command itself: srun's is 0 where a failed node ended the step.
    words = f"trap : TERM; {program([*command, *meets])}; code=$?; "
    words += f'[ "$SLURM_PROCID" != 0 ] || echo $code > {ended}; exit $code'
    lines += [
        "# Slurm's warning before the time limit: save, end, and be sent again.",
        f"trap {shlex.quote(f'[ -e {stop} ] || echo {LIMIT} > {stop}')} USR1",
        f"rm -f {ended}",
        run_trainer + "bash -c " + shlex.quote(words) + " &",
        "srun=$!",
        'while kill -0 "$srun" 2> /dev/null; do wait "$srun"; done  # the signal interrupts a wait',
        f"touch {meeting}/end",
        f"code=$(cat {ended}) || exit 1",
        report,
        "exit $code",
    ]
    return "\n".join(lines) + "\n"


def _options(values: Mapping[str, object], extra: str) -> list[str]:
    return [f"#SBATCH --{key}={value}" for key, value in values.items() if value] + (
        [f"#SBATCH {extra}"] if extra else []
    )


def _mb(value: str | None) -> str:
    return f"{value}M" if value else ""


def program(command: Sequence[str]) -> str:
    """How a subcommand is called on a node: in the image, or by this environment."""
    inside = os.environ.get(APPTAINER, "")
    if inside:
        return f"apptainer exec {inside} artifactscoder {shlex.join(command)}"
    return shlex.join([sys.executable, "-m", "artifactscoder.cli", *command])


def _configs(command: Sequence[str]) -> list[str]:
    """The --config arguments of a command."""
    found: list[str] = []
    for flag, value in zip(command, command[1:], strict=False):
        if flag == "--config":
            found += [flag, value]
    return found
