"""Slurm's own commands, run with a time-out and read as plain rows.

Formats are fixed and asked for explicitly (`sinfo -o`, `squeue -o`, `sacct -P`, `scontrol show --oneliner`), so that a
site's own columns do not matter. Every failure is one UserError.
"""

from __future__ import annotations

import getpass
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from artifactscoder.errors import UserError

SECONDS = 20.0
LEFTOVER_S = 300.0  # for cancelled jobs to end; one with a node that does not answer may be COMPLETING for hours
UNUSABLE = ("down", "drain", "fail", "error", "unknown", "inval", "future")  # beginnings of a node's state


@dataclass(frozen=True)
class Node:
    """A node in a partition: its state in Slurm's lower-case word, CPUs, memory [MB], GPUs."""

    name: str
    partition: str
    state: str
    cpus: int
    memory_mb: int
    gpus: int

    @property
    def usable(self) -> bool:
        return not self.state.startswith(UNUSABLE)


@dataclass(frozen=True)
class Partition:
    """`minutes` is MaxTime, none where it has no end; `accounts` and `groups` who may use it, `denied` who may not."""

    name: str
    state: str
    minutes: float | None
    accounts: frozenset[str] | None
    denied: frozenset[str]
    groups: frozenset[str] | None


@dataclass(frozen=True)
class Job:
    """A job in the queue, or one that has ended; `reason` is why it waits, `comment` names the rule."""

    id: str
    state: str
    reason: str
    partition: str
    elapsed: str
    name: str
    folder: str
    comment: str

    @property
    def rule(self) -> str:
        """The rule of a job that Snakemake's plugin submitted, else nothing."""
        found = re.match(r"(?:rule|group)_(.+?)(?:_wildcards_.*)?$", self.comment)
        return found[1] if found else ""


def ask(*command: str, seconds: float = SECONDS) -> subprocess.CompletedProcess[str]:
    """What a command says, and its exit code. Raises UserError when it is not there or does not answer in time."""
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=seconds, stdin=subprocess.DEVNULL)
    except OSError:
        raise UserError(
            f"{command[0]} is not on PATH; log in to the cluster, or load the site's Slurm module"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]} has not answered in {seconds:.0f} s; ask again, or ask the site") from None


def run(*command: str, seconds: float = SECONDS) -> str:
    """Standard output of a command. Raises UserError when it is not there, does not answer in time, or fails."""
    done = ask(*command, seconds=seconds)
    if done.returncode:
        words = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError(f"`{' '.join(command[:3])}` failed ({words[-1][:200]}); try the command by hand")
    return done.stdout


def end_leftovers(folder: Path) -> int:
    """Cancel the plugin's jobs that a killed controller left in this folder, wait for them; how many there were.

    Called before a controller submits anything, in a folder that it holds the lock of. What they were answered is in
    the journal. Training jobs of their own stay: `train launch` attaches to them. Raises UserError where Slurm does not
    answer, and where they have not ended in LEFTOVER_S.
    """
    found: set[str] = set()
    cancelled: set[str] = set()
    began = time.monotonic()
    while True:
        left = {job.id: job.state for job in queue() if job.rule and Path(job.folder) == folder}
        if not left:
            return len(found)
        if left.keys() - found:
            found |= left.keys()
            print(f"a killed controller has left {_listed(left)} in Slurm; waiting for their end", file=sys.stderr)
        if (new := sorted(left.keys() - cancelled)) and ask("scancel", *new).returncode == 0:
            cancelled |= set(new)
        if time.monotonic() - began > LEFTOVER_S:
            raise UserError(
                f"{_listed(left)}, which a killed controller has left in Slurm, have not ended in {LEFTOVER_S:.0f} s; "
                f"see `squeue -j {','.join(left)}` and start again when they are gone, or ask the site"
            )
        time.sleep(1)


def _listed(jobs: dict[str, str]) -> str:
    """Ids and states of jobs, the first five of them."""
    words = [f"{job} {state}" for job, state in sorted(jobs.items())]
    more = f" and {len(words) - 5} more" if len(words) > 5 else ""
    return f"the job{'s' if len(words) > 1 else ''} {', '.join(words[:5])}{more}"


def here() -> bool:
    """Whether Slurm's commands are on this machine."""
    return shutil.which("sinfo") is not None


def nodes() -> list[Node]:
    """Every node, once a partition that it is in."""
    return read_nodes(run("sinfo", "-a", "-h", "-N", "-o", "%N|%R|%T|%c|%m|%G"))


def read_nodes(text: str) -> list[Node]:
    rows = [line.split("|") for line in text.splitlines() if line.count("|") == 5]
    return [Node(r[0], r[1], r[2], int(r[3].rstrip("+")), int(r[4].rstrip("+")), gpus(r[5])) for r in rows]


def gpus(gres: str) -> int:
    """GPUs in a gres text: `gpu:h100:8(S:0-1)` is 8, `gpu:a100:2,gpu:h100:2` 4, `(null)` none."""
    found = re.findall(r"\bgpu(?::[^,:()]+)??(?::(\d+))?(?=[,(]|$)", gres)
    return sum(int(count or 1) for count in found)


def partitions() -> dict[str, Partition]:
    """The partitions by name, hidden ones too."""
    return read_partitions(run("scontrol", "-a", "show", "partition", "--oneliner"))


def read_partitions(text: str) -> dict[str, Partition]:
    out = {}
    for line in text.splitlines():
        v = {"AllowAccounts": "ALL", "DenyAccounts": "", "AllowGroups": "ALL", "MaxTime": "UNLIMITED", "State": "UP"}
        v.update(word.partition("=")[::2] for word in line.split())
        accounts, denied, groups = _names(v["AllowAccounts"]), _names(v["DenyAccounts"]), _names(v["AllowGroups"])
        name = v.get("PartitionName", "")
        out[name] = Partition(name, v["State"].lower(), minutes(v["MaxTime"]), accounts, denied or frozenset(), groups)
    return out


def _names(text: str) -> frozenset[str] | None:
    return None if text == "ALL" else frozenset(filter(None, text.lower().split(",")))


def minutes(text: str) -> float | None:
    """Slurm's times in minutes: `1-00:00:00` is 1440, `30` is 30, `UNLIMITED` none."""
    days, _, rest = text.rpartition("-")
    parts = rest.split(":")
    if not all(part.isdigit() for part in (*parts, *filter(None, [days]))):
        return None
    numbers = [int(part) for part in parts]
    if not days and len(numbers) < 3:
        numbers.insert(0, 0)  # without days and hours, a time begins with minutes
    hours, mins, secs = (*numbers, 0, 0)[:3]
    return int(days or 0) * 1440 + hours * 60 + mins + secs / 60


def associations() -> list[tuple[str, str]]:
    """(account, partition or nothing) of the present user, lower case; empty where accounting knows none."""
    which = ("show", "assoc", f"user={getpass.getuser()}", "format=account,partition")
    rows = [line.split("|") for line in run("sacctmgr", "-n", "-P", *which, seconds=10).lower().splitlines()]
    return [(row[0], row[1]) for row in rows if len(row) > 1]


def queue() -> list[Job]:
    """The present user's jobs that wait or run; arrays as one row a task."""
    return read_jobs(run("squeue", "-h", "-r", "-u", getpass.getuser(), "-o", "%i|%T|%r|%P|%M|%j|%Z|%k"))


def ended(since: str = "now-1day") -> list[Job]:
    """The present user's jobs that ended since then, oldest first, from the accounting."""
    form = "JobID,State,ExitCode,Partition,Elapsed,JobName,WorkDir,Comment"
    text = run("sacct", "-n", "-P", "-X", "-u", getpass.getuser(), "-S", since, "-o", form)
    over = {"CANCELLED", "COMPLETED", "FAILED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL"}
    return [job for job in read_jobs(text) if job.state in over]


def read_jobs(text: str) -> list[Job]:
    rows = [line.split("|", 7) for line in text.splitlines() if line.count("|") >= 7]
    return [Job(row[0], row[1].split(" ")[0], *row[2:]) for row in rows]
