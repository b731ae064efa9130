"""A control group for each browser, where the kernel lets us make one.

In: the limits of one browser. Out: a folder under /sys/fs/cgroup whose members together hold no more memory (that in
shared memory included) and no more processes and threads than that. Only groups of version 2 are used, and only below
our own, so that whoever limits us limits our browsers too. Ours can be divided if its controllers are handed to its
children already (systemd: `Delegate=yes`), or if we are alone in it and may hand them on (a service in a container of
its own, `systemd-run --scope -p Delegate=yes`). Anywhere else there is none.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
NEEDED = ("memory", "pids")


@dataclass(frozen=True)
class Parent:
    """The group below which browsers get theirs."""

    folder: Path

    @classmethod
    def find(cls, mount: Path = MOUNT, own: Path = Path("/proc/self/cgroup")) -> Parent | None:
        """Our own group made ready, or None if it cannot be divided."""
        try:
            line = next(line for line in own.read_text().splitlines() if line.startswith("0::"))
            folder = mount / line[3:].strip("/")
            if folder.name == "owner" and _hands_on(folder.parent):
                return cls(folder.parent)
            if not set(NEEDED) <= set((folder / "cgroup.controllers").read_text().split()):
                return None
            if not _hands_on(folder):
                if (folder / "cgroup.procs").read_text().split() != [str(os.getpid())]:
                    return None
                # A group with members of its own hands nothing on: we move one down.
                (folder / "owner").mkdir(exist_ok=True)
                (folder / "owner/cgroup.procs").write_text(str(os.getpid()))
                (folder / "cgroup.subtree_control").write_text(" ".join(f"+{name}" for name in NEEDED))
            return cls(folder) if os.access(folder, os.W_OK) else None
        except (OSError, StopIteration):
            return None

    def make(self, name: str, memory_mb: int, tasks: int) -> Path:
        """A group of this name with these limits; OSError if the kernel refuses."""
        folder = self.folder / name
        folder.mkdir()
        (folder / "memory.max").write_text(str(memory_mb << 20))
        (folder / "pids.max").write_text(str(tasks))
        with contextlib.suppress(OSError):  # not every kernel has swap, and one cgroup of one browser dies whole
            (folder / "memory.swap.max").write_text("0")
        return folder


def _hands_on(folder: Path) -> bool:
    return set(NEEDED) <= set((folder / "cgroup.subtree_control").read_text().split())


def overflowed(folder: Path) -> bool:
    """Whether the kernel ended a member of this group for its memory."""
    with contextlib.suppress(OSError, ValueError):
        events = dict(line.split() for line in (folder / "memory.events").read_text().splitlines())
        return int(events.get("oom_kill", 0)) > 0
    return False


def end(folder: Path) -> None:
    """Kill the members and remove the group; what the kernel still holds of it goes with its parent."""
    with contextlib.suppress(OSError):
        (folder / "cgroup.kill").write_text("1")
    with contextlib.suppress(OSError):
        folder.rmdir()
