"""`train launch` where Slurm is slow, silent or refuses: from recorded behaviour of its commands, one answer a call."""

from __future__ import annotations

import functools
import os
import signal
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artifactscoder.cluster import launch
from artifactscoder.cluster.job_script import job_script
from artifactscoder.errors import UserError

RUNS, GONE = "echo 'RUNNING|None|gn01'", "true"
SILENT = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
SLOW = "sleep 5"
COMMAND = ["train", "sft", "--config", "config.yaml"]
Answers = Callable[..., Callable[[], list[str]]]


@pytest.fixture
def answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    """Puts commands on PATH that answer by a shell line a call, the last one for ever; gives what was called.

    `{work}` in a line is the work folder. Clocks run a hundred times faster.
    """
    folder, calls = tmp_path / "bin", tmp_path / "calls"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    for name, seconds in (("POLL_S", 0.05), ("PART_S", 1.0), ("SETTLE_S", 0.5), ("CANCEL_S", 0.5)):
        monkeypatch.setattr(launch, name, seconds)
    monkeypatch.setattr(launch, "_asked", functools.partial(launch._asked, seconds=0.4))

    def write(**lines: list[str]) -> Callable[[], list[str]]:
        for name in ("squeue", "sbatch", "scancel", "scontrol", "sacct"):
            script = f'#!/bin/bash\necho "{name} $*" >> {calls}\nn=$(grep -c "^{name} " {calls})\ncase $n in\n'
            said = lines.get(name, ["true"])
            for number, line in enumerate(said, 1):
                script += f"{number if number < len(said) else '*'}) {line.format(work=tmp_path / 'work')};;\n"
            (folder / name).write_text(script + "esac\n")
            (folder / name).chmod(stat.S_IRWXU)
        return lambda: [line.split()[0] for line in calls.read_text().splitlines()]

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield write
    for number, handler in handlers.items():
        signal.signal(number, handler)


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def submit(tmp_path: Path, **resources: str) -> int:
    return launch.submit(COMMAND, tmp_path / "work", resources)


def test_a_controller_of_slurm_that_is_silent_ends_no_job_and_starts_no_second_one(
    answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    called = answers(
        squeue=[GONE, RUNS, SLOW, RUNS, *[SILENT] * 30, RUNS, "echo '7 0' > {work}/exit"],
        sbatch=["echo 7", "echo 8"],
        scontrol=["echo JobState=COMPLETED"],
    )
    assert submit(tmp_path) == 0
    assert "scancel" not in called() and called().count("sbatch") == 1
    said = capsys.readouterr().err
    assert said.count("Slurm does not say how it is") == 2, "once for each silence"
    assert "has not answered in 0 s" in said and "Unable to contact slurm controller" in said


def test_a_lost_part_is_counted_from_when_slurm_answers_again(answers: Answers, tmp_path: Path) -> None:
    both = RUNS + "; " + RUNS
    called = answers(
        squeue=[GONE, both, RUNS, *[SILENT] * 30, RUNS, both, "echo '7 0' > {work}/exit"],
        sbatch=["echo 7"],
        scontrol=["echo JobState=COMPLETED"],
    )
    assert submit(tmp_path) == 0 and "scancel" not in called()


def test_a_job_is_sent_again_only_when_the_old_one_is_known_to_be_gone(
    answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    both = RUNS + "; " + RUNS
    known = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"
    called = answers(
        squeue=[GONE, both, *[RUNS] * 25, *[SILENT] * 25, RUNS, known, RUNS, "echo '8 0' > {work}/exit"],
        sbatch=["echo 7", "echo 8"],
        scancel=[SILENT, SILENT, "true"],
        scontrol=["echo JobState=COMPLETED"],
    )
    assert submit(tmp_path) == 0
    calls = called()
    second = len(calls) - 1 - calls[::-1].index("sbatch")
    assert calls.count("sbatch") == 2 and calls.count("scancel") > 2
    assert "scancel" not in calls[second:], "the job that was sent again is left alone"
    gone = [i for i, name in enumerate(calls) if name == "squeue"][1 + 1 + 25 + 25 + 1]
    assert not calls[:gone].count("sbatch") > 1, "not before squeue said that the first is gone"
    assert "job 7 is not known to be gone" in capsys.readouterr().err


def test_a_job_of_another_script_is_gone_before_the_new_one_is_sent(answers: Answers, tmp_path: Path) -> None:
    called = answers(
        squeue=["echo '5|script=another'", "echo COMPLETING", SILENT, GONE, RUNS, "echo '7 0' > {work}/exit"],
        sbatch=["echo 7"],
        scontrol=["echo JobState=COMPLETED"],
    )
    assert submit(tmp_path) == 0
    assert called()[: called().index("sbatch")].count("squeue") == 4


def test_a_job_that_slurm_took_without_an_answer_is_found_by_its_name(answers: Answers, tmp_path: Path) -> None:
    work = tmp_path / "work"
    found = "grep -h '^sbatch' {work}/../calls | sed -n 's/.*--comment=\\([^ ]*\\).*/9|\\1/p'"
    called = answers(
        squeue=[GONE, SILENT, GONE, found, RUNS, "echo '9 0' > {work}/exit"],
        sbatch=["echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv' >&2; exit 1"],
        scontrol=["echo JobState=COMPLETED"],
    )
    assert launch.submit(COMMAND, work, {}) == 0
    assert called()[:6] == ["squeue", "sbatch", "squeue", "squeue", "sbatch", "squeue"], (
        "none is sent unless none is there"
    )


def test_what_sbatch_refuses_for_good_is_not_tried_again(answers: Answers, tmp_path: Path) -> None:
    called = answers(sbatch=["echo 'Invalid account or account/partition combination specified' >&2; exit 1"])
    with pytest.raises(UserError, match="sbatch refused .*job.sh: Invalid account"):
        submit(tmp_path)
    assert called() == ["squeue", "sbatch"]


def test_a_stopped_launcher_says_when_it_could_not_cancel_its_job(
    answers: Answers, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    called = answers(squeue=[GONE, RUNS, "kill -TERM $PPID; " + RUNS], sbatch=["echo 7"], scancel=[SILENT])
    with pytest.raises(SystemExit):
        submit(tmp_path)
    assert "scancel" in called()
    assert "scancel did not work (slurm_load_jobs error: Unable" in capsys.readouterr().err


def saves(folder: Path, step: int) -> str:
    """A shell line that leaves a checkpoint."""
    checkpoints = folder / "work/run/checkpoints"
    return f"mkdir -p {checkpoints}; echo {step} > {checkpoints}/latest_checkpointed_iteration.txt"


def test_what_a_user_stopped_is_not_sent_again_until_its_file_is_removed(answers: Answers, tmp_path: Path) -> None:
    stop = tmp_path / "work/stop"
    lines = {
        "squeue": [GONE, RUNS, f"touch {stop}; {saves(tmp_path, 4)}; echo '7 75' > {{work}}/exit"],
        "sbatch": ["echo 7"],
        "scontrol": ["echo JobState=FAILED"],
    }
    called = answers(**lines)
    with pytest.raises(UserError, match=f"{stop} asks the training to stop: job 7 ended, .* remove it and start again"):
        submit(tmp_path)
    for launcher in ("slurm", "here"):  # as Snakemake's `retries` would
        with pytest.raises(UserError, match=f"{stop} asks the training to stop: no"):
            launch.run(launcher, COMMAND, tmp_path / "work", {})
    assert called().count("sbatch") == 1


def test_what_saved_before_its_time_limit_is_sent_again(answers: Answers, tmp_path: Path) -> None:
    limit = f"echo limit > {{work}}/stop; {saves(tmp_path, 4)}; echo '7 75' > {{work}}/exit"
    called = answers(
        squeue=[GONE, RUNS, limit, RUNS, "echo '8 0' > {work}/exit"],
        sbatch=["echo 7", "echo 8"],
        scontrol=["echo JobState=FAILED"],
    )
    assert submit(tmp_path) == 0 and called().count("sbatch") == 2


@pytest.mark.parametrize("when", ["before the job", "before the warning", "without a warning", "never"])
def test_a_jobs_script_tells_a_users_stop_from_slurms_warning(answers: Answers, tmp_path: Path, when: str) -> None:
    answers()
    work = tmp_path / "a work folder"
    work.mkdir()
    trainer = tmp_path / "bin/srun"  # runs until it is asked to stop
    trainer.write_text(
        f'#!/bin/bash\ncd "{work}"; touch runs; until [ -e stop ]; do sleep 0.02; done; sleep 0.1; echo 75 > ended\n'
    )
    trainer.chmod(stat.S_IRWXU)
    (tmp_path / "job.sh").write_text(job_script(COMMAND, work, {"save_minutes": "1"}))
    if when == "before the job":
        (work / "stop").touch()
    job = subprocess.Popen(["bash", str(tmp_path / "job.sh")], env={**os.environ, "SLURM_JOB_ID": "7"})
    if when != "before the job":
        until((work / "runs").exists)
        if when != "never":
            (work / "stop").touch()
        if when != "without a warning":
            job.send_signal(signal.SIGUSR1)
    assert job.wait(10) == 75 and (work / "exit").read_text() == "7 75\n"
    assert (work / "runs").exists() == (when != "before the job")
    assert (work / "stop").read_text() == ("limit\n" if when == "never" else "")


def test_render_replicas_have_the_trainers_qos_and_not_the_features_of_its_nodes(tmp_path: Path) -> None:
    resources = {"qos": "long", "constraint": "h100", "gpu": "8", "render_nodes": "2", "render_partition": "cpu"}
    trainer, _, render = job_script(["train", "grpo"], tmp_path, resources).partition("#SBATCH hetjob\n")
    assert "--qos=long\n" in trainer and "--constraint=h100\n" in trainer
    assert "--qos=long\n" in render and "--constraint" not in render
