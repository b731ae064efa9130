"""A guard between this process and a command that starts others: nothing of the command outlives its caller.

torchrun puts each rank into a session of its own, Ray starts daemons, and a model server's workers outlive it, so a
process group does not hold such a command together. Between it and the caller therefore stands this file, run as a
script, without the package. It makes itself the reaper of every orphan below it (PR_SET_CHILD_SUBREAPER), so all that
the command ever starts stays its descendant, and it ends in one way only: it asks the command to stop, waits, kills
what is left, removes the shared memory that they made and left, and returns the command's exit code. It does so when
the command ends, when the caller asks (closing the guard's standard input), and when the caller is gone, even by
SIGKILL, because the kernel then closes that pipe. Costs one idle process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
SHARED = "/dev/shm"
Segment = tuple[str, int]  # a file's path and inode


def guarded(command: Sequence[str], stop_seconds: float, ask: signal.Signals = signal.SIGTERM) -> list[str]:
    """`command` under guard: to be started with a pipe or socket as standard input, which is closed to end it.

    `stop_seconds`: time between `ask`, which tells the command to stop, and SIGKILL. With another `ask` than SIGTERM
    the command does not hear SIGTERM, which Slurm sends to all processes of a job as a warning.
    """
    return [sys.executable, "-I", "-S", __file__, str(stop_seconds), str(int(ask)), *command]


def no_core_dumps() -> None:
    """Let no process from here on write its memory to a file when it crashes: keys are in it, and gigabytes."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))


def descendants(root: int) -> list[int]:
    """Process ids below `root` that are not zombies, from one look at /proc."""
    children: dict[int, list[int]] = {}
    alive = set()
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
        except OSError:
            continue  # it ended while we looked
        children.setdefault(int(parent), []).append(int(name))
        if state != b"Z":
            alive.add(int(name))
    found, todo = [], [root]
    while todo:
        below = children.get(todo.pop(), [])
        found += [pid for pid in below if pid in alive]
        todo += below
    return found


def shared_memory(processes: Iterable[int | str]) -> set[Segment]:
    """The files in /dev/shm, not in folders there, that these processes have mapped."""
    found = set()
    for pid in processes:
        with contextlib.suppress(OSError):
            with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as file:
                for line in file:
                    words = line.split(maxsplit=5)
                    if len(words) == 6 and os.path.dirname(words[5]) == SHARED:
                        found.add((words[5].rstrip(), int(words[4])))
    return found


def _remove(segments: set[Segment], since: float) -> None:
    """Remove what the dead left in /dev/shm: not what was there before them, as a model that somebody put there, nor
    what another process has open."""
    left = {segment for segment in segments if os.path.exists(segment[0])}
    if left:
        left -= shared_memory(name for name in os.listdir("/proc") if name.isdigit())
    for path, inode in left:
        with contextlib.suppress(OSError):
            state = os.stat(path)
            if state.st_ino == inode and state.st_ctime >= since and state.st_uid == os.getuid():
                os.unlink(path)


def reap(child: int) -> int | None:
    """Collect every ended child and adopted orphan; the exit code of `child` if it is among them."""
    code = None
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return code
        if pid == 0:
            return code
        if pid == child:
            code = os.waitstatus_to_exitcode(status)


def prctl(option: int, value: int) -> None:
    """Ask the kernel for a property of this process (linux/prctl.h); OSError where it refuses."""
    if ctypes.CDLL(None, use_errno=True).prctl(option, int(value), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option})")


def send_signal(pid: int, number: int) -> None:
    """Signal a process that may have ended."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _clear(child: int, stop_seconds: float, ask: int, since: float) -> int | None:
    """End all descendants; the exit code of `child` if it was still running. `ask` 0: it has ended already.

    The command itself is asked first: torchrun and Ray's driver end their own workers in order.
    """
    code = None
    deadline = time.monotonic() + stop_seconds
    segments = shared_memory(descendants(os.getpid()))
    if ask:
        send_signal(child, ask)
    while True:
        ended = reap(child)
        code = ended if ended is not None else code
        left = descendants(os.getpid())
        if not left:
            _remove(segments, since)
            return code
        if time.monotonic() > deadline:
            for pid in left:
                send_signal(pid, signal.SIGKILL)
        time.sleep(0.05)


def _guard(stop_seconds: float, ask: int, command: list[str]) -> int:
    for number in STOPPING:
        signal.signal(number, lambda *_: None)  # ignored here, and back to the default in the command
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    since = time.time()
    deaf = {signal.SIGTERM} - {ask}
    signal.pthread_sigmask(signal.SIG_BLOCK, deaf)  # inherited by all that the command starts
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, deaf)
    code = None
    while code is None:
        readable, _, _ = select.select([0], [], [], 0.2)
        if readable and not os.read(0, 1):
            break
        code = reap(process.pid)
    os.close(0)  # where it is a socket, the caller sees by this that the command has ended
    late = _clear(process.pid, stop_seconds, ask if code is None else 0, since)
    code = late if code is None else code
    process.returncode = code  # waitpid(-1) took it; Popen must not wait for it again
    return 128 - code if code is not None and code < 0 else (code or 0)


if __name__ == "__main__":
    sys.exit(_guard(float(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]))
