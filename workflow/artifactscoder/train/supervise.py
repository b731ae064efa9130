"""Run a trainer so that its log is read line by line and nothing of it outlives the step.

torchrun puts each rank into a session of its own and Ray starts daemons, so a process group does not hold a
trainer together. Between the caller and the trainer therefore stands a guard: this file, run as a script,
without the package. It makes itself the reaper of every orphan below it (PR_SET_CHILD_SUBREAPER), so all
that the trainer ever starts stays its descendant, and it ends in one way only: it asks the descendants to
stop, waits, kills what is left, and returns the trainer's exit code. It does so when the trainer ends, when
the caller asks (closing the guard's standard input), and when the caller is gone, even by SIGKILL, because
the kernel then closes that pipe. Costs one idle process.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class Stopped(SystemExit):
    """The step was told to stop by a signal; the exit code is the shell's for it."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


class Trainer:
    """A command under guard. Use as a context manager; leaving it by any way ends every process of the command.

    `stop_seconds`: time between the request to stop and SIGKILL. In the main thread SIGTERM, SIGINT and
    SIGHUP become `Stopped` inside the block. Standard error is joined to standard output.
    """

    def __init__(self, command: Sequence[str], env: Mapping[str, str], cwd: str, stop_seconds: float) -> None:
        self.command, self.env, self.cwd, self.stop_seconds = list(command), dict(env), cwd, stop_seconds
        self.code: int | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        guard = [sys.executable, "-I", "-S", __file__, str(self.stop_seconds), *self.command]
        self._guard = subprocess.Popen(
            guard,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self.env,
            cwd=self.cwd,
            start_new_session=True,
        )
        if threading.current_thread() is threading.main_thread():
            for number in STOPPING:
                self._handlers[number] = signal.signal(number, self._stop)
        return self

    @staticmethod
    def _stop(number: int, frame: FrameType | None) -> None:
        raise Stopped(number)

    def lines(self, tick_s: float = 1.0) -> Iterator[str]:
        """Lines of the log as they come, an empty one at least every `tick_s`; ends when all processes have ended.

        What a progress bar overwrites (text before a carriage return) is left out.
        """
        assert self._guard.stdout is not None
        pipe, rest = self._guard.stdout.fileno(), b""
        with selectors.DefaultSelector() as waiting:
            waiting.register(pipe, selectors.EVENT_READ)
            while True:
                if not waiting.select(tick_s):
                    yield ""
                    continue
                data = os.read(pipe, 1 << 16)
                *whole, rest = (rest + data).split(b"\n")
                for line in whole if data else [*whole, rest]:
                    yield line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
                if not data:
                    self.code = self._guard.wait()
                    return

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._handlers:
            signal.signal(number, signal.SIG_IGN)  # a second signal must not cut the clearing short
        try:
            assert self._guard.stdin is not None and self._guard.stdout is not None
            self._guard.stdin.close()
            while os.read(self._guard.stdout.fileno(), 1 << 16):
                pass  # a full pipe would keep the trainer from ending by itself
            self._guard.stdout.close()
            self.code = self._guard.wait()
        finally:
            for number, handler in self._handlers.items():
                signal.signal(number, handler)


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


def _reap(child: int) -> int | None:
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


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _clear(child: int, stop_seconds: float, ask: bool) -> int | None:
    """End all descendants; the exit code of `child` if it was still running.

    The trainer itself is asked first: torchrun and Ray's driver end their own workers in order.
    """
    code = None
    deadline = time.monotonic() + stop_seconds
    if ask:
        _signal(child, signal.SIGTERM)
    while True:
        ended = _reap(child)
        code = ended if ended is not None else code
        left = descendants(os.getpid())
        if not left:
            return code
        if time.monotonic() > deadline:
            for pid in left:
                _signal(pid, signal.SIGKILL)
        time.sleep(0.05)


def _guard(stop_seconds: float, command: list[str]) -> int:
    for number in STOPPING:
        signal.signal(number, lambda *_: None)  # ignored here, and back to the default in the trainer
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")
    trainer = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    code = None
    while code is None:
        readable, _, _ = select.select([0], [], [], 0.2)
        if readable and not os.read(0, 1):
            break
        code = _reap(trainer.pid)
    late = _clear(trainer.pid, stop_seconds, ask=code is None)
    code = late if code is None else code
    trainer.returncode = code  # waitpid(-1) took it; Popen must not wait for it again
    return 128 - code if code is not None and code < 0 else (code or 0)


if __name__ == "__main__":
    sys.exit(_guard(float(sys.argv[1]), sys.argv[2:]))
