"""The checks of `artifactscoder preflight` of the disk: room for results and journal, file count, file system's pace.

Room is what the file system has left and what quotas leave of it, in bytes and in files, each against what the plan
needs. Quotas are asked of `quota` and `lfs quota`, which answer in the same columns; other file systems' own commands
are not known here. Nothing is changed, but for 50 small files in the results folder, which are removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from artifactscoder.cluster import plan
from artifactscoder.cluster.checks import Finding, fail, gb, ok, warn
from artifactscoder.cluster.profile import Profile
from artifactscoder.config import Config
from artifactscoder.llm import forecast

SLOW_MS = 50.0
PROBES = 50
QUOTA_S = 10.0
MANY_FILES, TOO_MANY_FILES = 20_000, 1_000_000
# File system, KB used, soft and hard limit, grace, files used, soft and hard limit; `*` marks what is exceeded.
QUOTA = re.compile(r"^\s*(\S+)\s+\[?(\d+)\]?\*?\s+(\d+)\s+(\d+)\s+\S+\s+\[?(\d+)\]?\*?\s+(\d+)\s+(\d+)\b", re.MULTILINE)


@dataclass(frozen=True)
class Room:
    """Bytes and files that may still be written; none: without a limit."""

    where: str
    free: float | None
    files: int | None


def disk(config: Config, profile: Profile) -> Iterator[Finding]:
    """Free bytes and files where results and journal stand, against what the plan needs."""
    need, planned = plan.need(config), sum(file_counts(config, profile).values())
    wants = {"results": (need.results, need.more_results + need.train), "journal": (need.journal, need.more_journal)}
    devices: dict[int, list[str]] = {}
    for name in wants:
        devices.setdefault(standing(getattr(config, name)).stat().st_dev, []).append(name)
    train = f", training {gb(need.train)}" if need.train else ", training not known without train.base"
    train = ", training little" if config.train.tiny_model else train
    without = " without WebSight" if forecast.websight_rows(config) is None else ""
    for names in devices.values():
        folder = standing(getattr(config, names[0]))
        what = "disk" if len(names) == 2 else f"disk {names[0]}"
        first, rest = (sum(part) for part in zip(*(wants[name] for name in names), strict=True))
        there, count = map(sum, zip(*(_held(getattr(config, name)) for name in names), strict=True))
        cpt = need.more_results * ("results" in names) + need.more_journal * ("journal" in names)
        words = f"estimate: data {gb(first)}, CPT {gb(cpt)}{without}" + (train if "results" in names else "")
        # What a former run wrote need not be written again.
        left = max(0, first - there), max(0, rest - max(0, there - first)), max(0, planned - count)
        for room in (_whole(folder), *_quotas(folder)):
            yield from _enough(what, room, left, words)


def _enough(what: str, room: Room, need: tuple[int, int, int], words: str) -> Iterator[Finding]:
    """`need`: bytes of the data target, bytes of all besides, files of all."""
    first, rest, files = need
    if room.free is not None:
        words = f"{gb(max(0.0, room.free))} {room.where}; {words}"
        if room.free < first:
            yield fail(what, words, "make room, or set `results` and `journal` to folders on a larger file system")
        elif room.free < first + rest:
            yield warn(what, words + "; enough for the data target, not for all")
        else:
            yield ok(what, words)
    if room.files is not None and room.files < files:
        detail = f"{max(0, room.files):,} inodes {room.where}, {files:,} files planned"
        yield fail(what, detail, "delete files, or ask for more")


def _whole(folder: Path) -> Room:
    state = os.statvfs(folder)
    return Room(f"free in {folder}", state.f_bavail * state.f_frsize, state.f_favail if state.f_files else None)


def _quotas(folder: Path) -> Iterator[Room]:
    """What the quotas of the present user and of the folder's group leave there; a project's are not asked for."""
    lustre = ["lfs", "quota", "-q"]
    for command in (
        ["quota", "--user", "--group", "--no-wrap", "--raw-grace", f"--filesystem={folder}"],
        [*lustre, "-u", str(os.getuid()), str(folder)],
        [*lustre, "-g", str(folder.stat().st_gid), str(folder)],
    ):
        # An exit code other than 0 says that a limit is exceeded, or that there is none.
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            yield from read_quotas(subprocess.run(command, capture_output=True, text=True, timeout=QUOTA_S).stdout)


def read_quotas(text: str) -> list[Room]:
    """What `quota -w -p` or `lfs quota -q` says; a name that fills its line has its numbers in the next."""
    rooms = []
    for name, *numbers in QUOTA.findall(text):
        kilobytes, soft, hard, count, soft_count, hard_count = map(int, numbers)
        most, most_files = soft or hard, soft_count or hard_count
        if most or most_files:
            free = (most - kilobytes) * 1024 if most else None
            rooms.append(Room(f"left of the quota on {name}", free, most_files - count if most_files else None))
    return rooms


def standing(path: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def _held(folder: Path) -> tuple[int, int]:
    """Bytes and number of the files in a folder."""
    size = count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                size += os.lstat(os.path.join(parent, name)).st_size
                count += 1
            except OSError:
                continue
    return size, count


def file_counts(config: Config, profile: Profile) -> dict[str, int]:
    """Files that all targets together leave behind, by kind."""
    kinds = plan.files(config)
    if profile.slurm and profile.values.get("slurm-keep-successful-logs"):
        kinds["Slurm's logs"] = kinds["logs"]
    return kinds


def files(config: Config, profile: Profile) -> Iterator[Finding]:
    """How many files the plan makes, all targets together."""
    kinds = file_counts(config, profile)
    total = sum(kinds.values())
    words = f"{total:,} when all is done: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    remedy = (
        "lower cpt.prompts.shards and cpt.websight.shards before anything is asked: answers are found again by their "
        "shard, so another number pays again for most of them"
    )
    if total > TOO_MANY_FILES:
        yield fail("files", words, remedy)
    elif total > MANY_FILES:
        yield warn("files", words, remedy)
    else:
        yield ok("files", words)


def latency(config: Config, profile: Profile) -> Iterator[Finding]:
    """Mean time of create, fsync, rename, stat and unlink over 50 small files in the results folder."""
    folder = standing(config.results)
    spent = dict.fromkeys(("create", "fsync", "rename", "stat", "unlink"), 0.0)
    one, two = (folder / f".preflight-{os.uname().nodename}-{os.getpid()}-{end}" for end in "ab")

    def timed(name: str, call: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = call()
        spent[name] += 1000 * (time.perf_counter() - start) / PROBES
        return result

    try:
        for _ in range(PROBES):
            descriptor = timed("create", lambda: os.open(one, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            assert isinstance(descriptor, int)
            try:
                os.write(descriptor, b"preflight" * 100)
                timed("fsync", lambda: os.fsync(descriptor))  # noqa: B023
            finally:
                os.close(descriptor)
            timed("rename", lambda: os.rename(one, two))
            timed("stat", lambda: os.stat(two))
            timed("unlink", lambda: os.unlink(two))
    except OSError as error:
        yield fail("file system", f"cannot write in {folder}: {error.strerror}", "make room, or mend its permissions")
        return
    finally:
        for path in (one, two):
            path.unlink(missing_ok=True)
    words = ", ".join(f"{name} {ms:.1f}" for name, ms in spent.items()) + f" ms in {folder}"
    if max(spent.values()) > SLOW_MS:
        yield warn("file system", words + "; slow: put `results` and `journal` on the cluster's scratch")
    else:
        yield ok("file system", words)
