"""`train launch` on a real Slurm: one job, whatever happens to the controller. Needs tests/cluster/up.sh.

The job is a render service, which runs until it finds `end` in its folder: cheap, and as long as the test wants.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from line import slurm, until

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

RESOURCES = ["slurm_partition=gpu", "slurm_account=lab", "nodes=1", "gpu=8", "cpus_per_task=2", "mem_mb=2000"]


class Launch:
    """One start of the launcher in a folder."""

    def __init__(self, work: Path, *more: str, browsers: int = 1, minutes: int = 10) -> None:
        self.work, self.output = work, work.with_suffix(".log")
        work.mkdir(exist_ok=True)
        config = work / "slurm.yaml"
        config.write_text("launcher: slurm\n")
        command = [sys.executable, "-m", "artifactscoder.cli", "train", "launch"]
        command += ["--config", "config.yaml", "--config", str(config), "--work", str(work)]
        command += ["--resources", *RESOURCES, f"runtime={minutes}", *more, "--"]
        command += ["render", "serve", "--config", "config.yaml", "--browsers", str(browsers)]
        command += ["--rendezvous", str(work / "service")]
        with open(self.output, "ab") as log:
            # As where the controller itself is a job: srun refuses two ways of saying how much memory.
            env = {**os.environ, "SLURM_MEM_PER_CPU": "100", "SLURM_JOB_ID": "1"}
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=env)

    def said(self) -> str:
        return self.output.read_text()


def live(work: Path) -> list[str]:
    """Ids of the live jobs of a work folder."""
    return [line.split()[0] for line in slurm("squeue", "-h", "-o", "%i %o").splitlines() if str(work) in line]


def served(work: Path) -> bool:
    return any((work / "service").glob("replica-*.json"))


def test_a_killed_controller_attaches_to_its_job_and_gets_its_exit_code(tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = Launch(work)
    until(lambda: served(work))
    jobs = live(work)
    assert len(jobs) == 1
    first.process.kill()
    first.process.wait()
    second = Launch(work)
    until(lambda: f"attached to job {jobs[0]}" in second.said())
    assert live(work) == jobs
    (work / "service/end").touch()
    assert second.process.wait(90) == 0 and live(work) == []
    gpus = slurm("sacct", "-X", "-n", "-P", "-j", jobs[0], "-o", "NodeList,AllocTRES")
    assert "gn0" in gpus and "gres/gpu=8" in gpus


def test_a_stopped_controller_cancels_its_job(tmp_path: Path) -> None:
    work = tmp_path / "work"
    launch = Launch(work)
    until(lambda: served(work))
    launch.process.send_signal(signal.SIGTERM)
    assert launch.process.wait(60) == 128 + signal.SIGTERM
    until(lambda: live(work) == [])


def test_a_slurm_that_is_silent_for_minutes_costs_no_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    work, silent = tmp_path / "work", tmp_path / "silent"
    real = shutil.which("squeue")
    (tmp_path / "squeue").write_text(
        f"#!/bin/sh\n[ ! -e {silent} ] || {{ echo 'Unable to contact slurm controller' >&2; exit 1; }}\n"
        f'exec {real} "$@"\n'
    )
    (tmp_path / "squeue").chmod(0o755)
    path = os.environ["PATH"]
    monkeypatch.setenv("PATH", f"{tmp_path}:{path}")
    launch = Launch(work)
    monkeypatch.setenv("PATH", path)
    until(lambda: served(work))
    jobs = live(work)
    silent.touch()
    until(lambda: "Slurm does not say how it is" in launch.said())
    time.sleep(80)  # longer than a lost part is waited for
    assert live(work) == jobs and launch.process.poll() is None
    silent.unlink()
    until(lambda: "Slurm answers again" in launch.said())
    (work / "service/end").touch()
    assert launch.process.wait(90) == 0 and live(work) == []


def test_a_job_of_another_script_is_cancelled_and_replaced(tmp_path: Path) -> None:
    work = tmp_path / "work"
    first = Launch(work)
    until(lambda: served(work))
    before = live(work)
    os.kill(first.process.pid, signal.SIGKILL)
    first.process.wait()
    second = Launch(work, browsers=2)
    until(lambda: live(work) and live(work) != before and len(live(work)) == 1)
    assert f"job {before[0]} is of another script" in second.said()
    second.process.terminate()
    second.process.wait(60)


def test_a_cancelled_job_is_an_error_that_names_the_log(tmp_path: Path) -> None:
    work = tmp_path / "work"
    launch = Launch(work)
    until(lambda: served(work))
    job = live(work)[0]
    slurm("scancel", job)
    assert launch.process.wait(120) == 2
    assert f"job {job} ended as CANCELLED" in launch.said() and f"job-{job}.log" in launch.said()


def test_a_job_that_a_user_stops_while_it_waits_starts_no_training_and_is_not_sent_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    launch = Launch(work, "slurm_extra=--begin=now+20")
    until(lambda: live(work))
    (job,) = live(work)
    (work / "stop").touch()
    assert launch.process.wait(120) == 2 and live(work) == [] and not served(work)
    assert f"asks the training to stop: job {job} ended, and no other is sent; remove it" in launch.said()


def test_a_time_limit_without_a_checkpoint_is_said_and_with_one_sends_the_job_again(tmp_path: Path) -> None:
    work = tmp_path / "work"
    launch = Launch(work, minutes=1)
    until(lambda: served(work))
    first = live(work)[0]
    checkpoints = work / "run/checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "latest_checkpointed_iteration.txt").write_text("4")
    until(lambda: live(work) and live(work)[0] != first, seconds=200)
    assert f"job {first} ended as TIMEOUT, with checkpoints up to step 4: sent again" in launch.said()
    assert launch.process.wait(240) == 2 and "reached its time limit without a new checkpoint" in launch.said()


def test_what_sbatch_refuses_is_one_sentence(tmp_path: Path) -> None:
    launch = Launch(tmp_path / "work", "slurm_account=nobody")
    assert launch.process.wait(60) == 2
    assert "sbatch refused" in launch.said() and "Traceback" not in launch.said()
