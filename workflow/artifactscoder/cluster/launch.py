"""train/launch: a training step as a Slurm job of its own, of several nodes or partitions.

Snakemake's Slurm plugin cannot build a job whose parts stand in two partitions, so a local rule calls this instead.
It submits one heterogeneous job: the trainer on GPU nodes, and for GRPO the replicas of the render service on CPU
nodes, started together; they meet in a folder. It waits, tells what the queue tells, and returns the trainer's code.

Slurm itself holds the state: the job carries a name made from the work folder, and a digest of its script as its
comment. A controller that was killed and started again therefore attaches to the job that still waits or runs,
instead of sending a second one; a job of another script is cancelled first. `save_minutes` before its time limit (or
when a site's preemption passes that signal on) the job is told to save a checkpoint and to end. It is then sent again
and goes on from there, as is one that a time limit, a preemption or a failed node ended, as long as each attempt saves
something; so is a job that lost a part, such as a render replica's node. SIGTERM and SIGINT cancel the job; what else
ends the launcher leaves it running for the next start. While Slurm does not answer, nothing is known of the job: it is
neither cancelled nor sent again. Where a user asked the training to stop (`verl_stop`), nothing is started until
that file is removed. Of two launchers of one folder the later one goes on and the other leaves.

The command after -- is an `artifactscoder` subcommand. It runs in the image that ARTIFACTSCODER_APPTAINER names with
its arguments (the rule sets it under `--sdm apptainer`), else in this environment. Keys travel in the environment.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

from artifactscoder import files
from artifactscoder.cluster.job_script import APPTAINER, LIMIT, PACKAGES, job_script, program
from artifactscoder.cluster.slurm import SECONDS, ask
from artifactscoder.errors import UserError
from artifactscoder.train import runs, verl_stop
from artifactscoder.train.verl_stop import CONTINUED

POLL_S = 5.0
SUBMIT_S = 120.0  # for sbatch, which may wait for a busy controller
CANCEL_S = 60.0  # for scancel, when the launcher itself is to end
SETTLE_S = 120.0  # for the exit code's file to be seen here, after Slurm says that the job has ended
LIVE = {
    "PENDING",
    "CONFIGURING",
    "RUNNING",
    "SUSPENDED",
    "COMPLETING",
    "REQUEUED",
    "RESIZING",
    "SIGNALING",
    "STAGE_OUT",
}
AGAIN = {"TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL", "DEADLINE", "INCOMPLETE"}
PART_S = 60.0  # the parts of a job that ends may leave the queue so far apart
MOST_ATTEMPTS = 50
SILENT = -1000  # in place of the exit code of a command that is not there or does not answer in time
UNHEARD = r"(?i)unable to contact|timed out|zero bytes|connection (refused|reset)|communication|temporarily"


def run(launcher: str, command: Sequence[str], work: Path, resources: Mapping[str, str]) -> int:
    """Run an `artifactscoder` subcommand `here` or by `slurm`; the exit code of it."""
    if launcher == "here":
        _must_not_stop(work, "nothing was started")
        if os.environ.get(APPTAINER):
            os.environ["PYTHONPATH"] = PACKAGES
        os.execvp("bash", ["bash", "-c", "exec " + program(command)])
    return submit(command, work, resources)


def submit(command: Sequence[str], work: Path, resources: Mapping[str, str]) -> int:
    """Submit or attach, wait, send again where that helps; the exit code of the command.

    `resources` are those of the rule: slurm_partition, slurm_account, qos, constraint (of the trainer's nodes), nodes,
    gpu, cpus_per_task, mem_mb, runtime and save_minutes [minutes], slurm_extra; for replicas render_partition,
    render_nodes, render_cpus, render_mem_mb.
    """
    for variable in [name for name in os.environ if name.startswith("SLURM_") and name != "SLURM_CONF"]:
        del os.environ[variable]  # of the job that the controller itself may run in: a new job would inherit them
    work.mkdir(parents=True, exist_ok=True)
    script = job_script(command, work.resolve(), resources)
    name = (
        "artifactscoder-" + "-".join(command[:2]) + "-" + hashlib.sha256(str(work.resolve()).encode()).hexdigest()[:8]
    )
    comment = "script=" + hashlib.sha256(script.encode()).hexdigest()[:12]
    files.write_bytes(work / "job.sh", script.encode())
    turn = _Turn(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _stop)
    job = _attached(name, comment, turn)
    for attempt in range(1, MOST_ATTEMPTS + 1):
        before = {} if job else saved(work)  # a job that was attached to may have saved before
        try:
            if not job:
                _must_not_stop(work, "no job was sent")
                (work / "exit").unlink(missing_ok=True)
                job = _submit(work, name, comment, turn)
                say(f"job {job} submitted as {name}; its log: {work}/job-{job}.log")
            state = _wait(job, turn)
        except (SystemExit, KeyboardInterrupt):
            say(f"stopped; cancelling job {job or name}")
            _cancel(*([job] if job else ["--me", f"--name={name}"]))
            raise
        code = _exit_code(work, job, state)
        if code is not None and code != CONTINUED and (code < 128 or state not in AGAIN):
            say(f"job {job} ended with exit code {code}")
            return code
        if code != CONTINUED and state not in AGAIN:
            raise UserError(f"job {job} ended as {state or 'unknown'} before its command did; see {work}/job-{job}.log")
        _must_not_stop(work, f"job {job} ended, and no other is sent")
        new = [step for run, step in saved(work).items() if step > before.get(run, 0)]
        if (code == CONTINUED or state == "TIMEOUT") and not new:
            raise UserError(
                f"job {job} reached its time limit without a new checkpoint; raise its `runtime` or `save_minutes` "
                f"in the profile, or lower save_every_steps; see {work}/job-{job}.log"
            )
        how = "saved and ended before its time limit" if code == CONTINUED else f"ended as {state}"
        got = f"with checkpoints up to step {max(new)}" if new else "without a new checkpoint"
        say(f"job {job} {how}, {got}: sent again (attempt {attempt + 1})")
        job = ""
    raise UserError(f"{name} was sent {MOST_ATTEMPTS} times and has not ended; see {work}")


class TakenOverError(UserError):
    """A later launcher of the same folder waits for the job; this one has nothing left to do."""


class _Turn:
    """Whose turn it is in a work folder: the launcher that wrote its name last."""

    def __init__(self, work: Path) -> None:
        self._file, self._name = work / "launcher", f"{socket.gethostname()} {os.getpid()} {time.time()}".encode()
        files.write_bytes(self._file, self._name)

    def check(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if self._file.read_bytes() != self._name:
                raise TakenOverError(f"a later start waits for this job ({self._file}); this one leaves")


def _must_not_stop(work: Path, so: str) -> None:
    """Raise UserError where a user, and not the script before a job's limit, asked the training to stop."""
    stop = verl_stop.file(work)
    with contextlib.suppress(FileNotFoundError):
        if stop.read_text().strip() != LIMIT:
            raise UserError(f"{stop} asks the training to stop: {so}; remove it and start again to go on from there")


def saved(work: Path) -> dict[str, int]:
    """The last step that each run in the work folder has a checkpoint of; the runs of other recipes stay there."""
    found = {folder.parent.name: runs.saved(folder) for folder in work.glob("*/checkpoints")}
    return {run: step for run, step in found.items() if step}


def _submit(work: Path, name: str, comment: str, turn: _Turn) -> str:
    """The id of the new job, of its first component where there are several.

    A job may have been taken though sbatch had no answer: it is looked for by its name before another is sent.
    """
    log = f"{work}/job-%j.log"
    options = ["--parsable", f"--job-name={name}", f"--comment={comment}", f"--output={log}", f"--error={log}"]
    told = False
    while True:
        turn.check()
        done = _asked("sbatch", *options, "--open-mode=append", str(work / "job.sh"), seconds=SUBMIT_S)
        if not done.returncode:
            return done.stdout.strip().split(";")[0]
        if done.returncode != SILENT and not re.search(UNHEARD, done.stderr):
            raise UserError(f"sbatch refused {work}/job.sh: {_words(done)}")
        if not told:
            say(f"Slurm takes no job just now ({_words(done)}); it is asked again until it does")
            told = True
        if job := _taken(name, comment, turn):
            return job


def _taken(name: str, comment: str, turn: _Turn) -> str:
    """The job that Slurm may have taken though sbatch had no answer: asked until squeue says whether there is one."""
    while True:
        time.sleep(POLL_S)
        turn.check()
        try:
            return _attached(name, comment, turn)
        except TakenOverError:
            raise
        except UserError:
            continue


def _attached(name: str, comment: str, turn: _Turn) -> str:
    """The id of the live job of this name and script, or nothing; live ones of another script are ended."""
    done = ask("squeue", "--noheader", "--me", f"--name={name}", "--format=%i|%k")
    if done.returncode:
        raise UserError(f"squeue does not answer: {_words(done)}")
    kept = ""
    others: list[str] = []
    for line in done.stdout.split():
        job, _, found = line.partition("|")
        leader = job.split("+")[0]
        if found == comment and not kept:
            kept = leader
            say(f"attached to job {leader}, which an earlier run submitted")
        elif leader not in (kept, *others):
            say(f"job {leader} is of another script; it is cancelled")
            others.append(leader)
    for leader in others:
        _end(leader, turn)
    return kept


def _wait(job: str, turn: _Turn) -> str:
    """The state in which the job ended; says what changes meanwhile.

    A heterogeneous job of which a part has ended and another goes on can do nothing more: it is cancelled, and the
    state is INCOMPLETE.
    """
    told, parts, since, heard = "", 0, time.monotonic(), True
    while True:
        turn.check()
        done = _asked("squeue", "--noheader", f"--jobs={job}", "--format=%T|%r|%N")
        if not _known(done):
            if heard:
                say(f"job {job}: Slurm does not say how it is ({_words(done)}); it is left alone, and asked for again")
            heard, since = False, time.monotonic()
            time.sleep(POLL_S)
            continue
        if not heard:
            say(f"job {job}: Slurm answers again")
            heard = True
        rows = [line.split("|") for line in done.stdout.split("\n") if line.strip()]
        live = [row for row in rows if row[0] in LIVE]
        if not live:
            return _final(job, turn)
        if len(live) >= parts:
            parts, since = len(live), time.monotonic()
        elif time.monotonic() - since > PART_S:
            say(f"job {job}: {len(live)} of its {parts} parts go on, the rest has ended; cancelling it")
            _end(job, turn)
            return "INCOMPLETE"
        words = "; ".join(sorted({" ".join(part for part in row if part and part != "None") for row in live}))
        if words and words != told:
            say(f"job {job}: {words}")
            told = words
        time.sleep(POLL_S)


def _final(job: str, turn: _Turn) -> str:
    """The state of a job that is no longer in the queue, as scontrol or sacct still know it."""
    tries, told = 0, False
    while tries < 3:
        turn.check()
        done = _asked("scontrol", "show", "job", "--oneliner", job)
        if _known(done):
            tries += 1
        elif not told:
            say(f"job {job}: Slurm does not say how it ended ({_words(done)}); it is asked again")
            told = True
        found = [word.partition("=")[2] for word in done.stdout.split() if word.startswith("JobState=")]
        if not found:
            found = _asked("sacct", "-X", "-n", "-P", f"--jobs={job}", "--format=State").stdout.split()
        ended = [state for state in found if state not in LIVE]
        worst = [state for state in ended if state not in ("COMPLETED",)]
        if ended:
            return (worst or ended)[0]
        time.sleep(POLL_S)
    return ""


def _end(job: str, turn: _Turn) -> None:
    """Cancel a job and come back when Slurm says that it is gone; until then nothing may be sent in its place."""
    began, told = time.monotonic(), False
    while True:
        turn.check()
        cancelled = _asked("scancel", job)
        done = _asked("squeue", "--noheader", f"--jobs={job}", "--format=%T")
        if _known(done) and not done.stdout.strip():
            return
        if not told and time.monotonic() - began > PART_S:
            why = done.stdout.split() or [_words(done if cancelled.returncode == 0 else cancelled)]
            say(f"job {job} is not known to be gone ({why[0]}); waiting for that before another is sent")
            told = True
        time.sleep(POLL_S)


def _cancel(*which: str) -> None:
    """Cancel when the launcher itself is to end: tried for CANCEL_S, and said where it did not work."""
    until = time.monotonic() + CANCEL_S
    while not _known(done := _asked("scancel", *which)):
        if time.monotonic() > until:
            say(f"scancel did not work ({_words(done)}): the job may go on; try `scancel {' '.join(which)}` by hand")
            return
        time.sleep(1)


def _asked(*command: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """What a command of Slurm says; the code SILENT and the reason where it is not there or not in time."""
    try:
        return ask(*command, seconds=seconds)
    except UserError as error:
        return subprocess.CompletedProcess(command, SILENT, "", str(error))


def _known(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether Slurm answered; that it has no such job, or that the job has ended, is an answer."""
    return done.returncode == 0 or bool(re.search("Invalid job id|already complet", done.stderr))


def _words(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join(done.stderr.split()) or f"exit code {done.returncode}"


def _exit_code(work: Path, job: str, state: str) -> int | None:
    """What the script wrote as its last word, waited for where the job says that it came so far."""
    until = time.monotonic() + (SETTLE_S if state in ("COMPLETED", "FAILED") else POLL_S)
    while True:
        try:
            number, _, code = (work / "exit").read_text().partition(" ")
            if number == job:
                return int(code)
        except (OSError, ValueError):
            pass
        if time.monotonic() > until:
            return None
        os.listdir(work)  # makes a network file system look again
        time.sleep(1)


def _stop(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def say(text: str) -> None:
    print(f"launch: {text}", file=sys.stderr, flush=True)
