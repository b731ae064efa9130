"""A small parent that keeps a worker process running: started again when it dies or hangs, ended with everything.

In: a function to run in a child. Out: an exit code. The child is forked from this process, which holds what must
outlive it (the listening socket), has no threads and no event loop, and can therefore not hang itself. The child
writes a byte down a pipe from its event loop; when none comes for 30 s it is killed. Restarts have pauses that double
and are bounded. Nothing outlives this process: the kernel ends the child with it, also on SIGKILL (PR_SET_PDEATHSIG),
browsers end when the child's pipes close, and what a dead child leaves is adopted here (PR_SET_CHILD_SUBREAPER) and
ended. Costs one idle process, most of whose memory is the child's too.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable
from types import FrameType

from artifactscoder.errors import UserError
from artifactscoder.guard import PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, descendants, prctl, reap, send_signal

BEAT_SECONDS = 1.0
HANG_SECONDS = 30.0
LOOK_SECONDS = 0.2
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
CROWDED_SECONDS = 60.0
"""Deaths so close to one another double the pause."""
MOST_DEATHS, DEATHS_SECONDS = 30, 600.0
LEFTOVER_SECONDS = 5.0
STOPPING = (signal.SIGTERM, signal.SIGINT)
BAD_INPUT = 2
"""Exit code of a worker that cannot be helped by another start."""

Beat = Callable[[], None]
Work = Callable[[Beat, int], int]
"""Gets what it has to call every second and how often it was started before; returns the exit code."""


def supervise(work: Work, stop_seconds: float, hang_seconds: float = HANG_SECONDS) -> int:
    """Keep `work` running in a child until it returns 0 or a signal asks for the end; returns the exit code.

    SIGTERM and SIGINT are passed on, and the child has `stop_seconds` to end. Exit codes: 0 in order; 2 if
    the first start met bad input; 1 if it had to be killed at the end or died more than 30 times in 10 minutes.
    """
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in STOPPING}
    deaths: list[float] = []
    try:
        for starts in range(10**9):
            code = _Child(work, starts).watch(asked, stop_seconds, hang_seconds)
            _clear()
            if code == 0 or (code == BAD_INPUT and not starts):
                return code
            if asked:
                return 1
            now = time.monotonic()
            deaths = [moment for moment in deaths if now - moment < DEATHS_SECONDS] + [now]
            how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
            if len(deaths) > MOST_DEATHS:
                say(f"the worker {how}, {len(deaths)} deaths in {DEATHS_SECONDS:.0f} s: giving up")
                return 1
            crowd = sum(now - moment < CROWDED_SECONDS for moment in deaths)
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (crowd - 1))
            say(f"the worker {how}; another is started in {pause:.1f} s")
            until = now + pause
            while not asked and time.monotonic() < until:
                time.sleep(min(LOOK_SECONDS, pause))
            if asked:
                return 0
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    raise AssertionError


class _Child:
    """One run of the work."""

    def __init__(self, work: Work, starts: int) -> None:
        self._beats, beat = os.pipe()
        parent = os.getpid()
        # A signal between the fork and the child's own handlers would be lost.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._beats)
            _child(work, starts, beat, parent)
        os.close(beat)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)

    def watch(self, asked: list[int], stop_seconds: float, hang_seconds: float) -> int:
        """Wait for its end, pass the end on, kill it where it hangs; its exit code, negative for a signal."""
        heard, told, killed = time.monotonic(), 0, 0
        deadline = float("inf")
        try:
            while True:
                readable, _, _ = select.select([self._beats], [], [], LOOK_SECONDS)
                if readable:
                    if not os.read(self._beats, 4096):
                        time.sleep(0.01)  # the pipe is closed: the child is about to be reaped
                    heard = time.monotonic()
                code = reap(self.pid)
                if code is not None:
                    return code
                while told < len(asked):
                    deadline = min(deadline, time.monotonic() + stop_seconds)
                    os.kill(self.pid, signal.SIGTERM)
                    told += 1
                late = time.monotonic() > deadline
                if not killed and (late or time.monotonic() - heard > hang_seconds):
                    say("the worker does not end: killing it" if late else "the worker hangs: killing it")
                    os.kill(self.pid, signal.SIGKILL)
                    killed = 1
        finally:
            os.close(self._beats)


def _child(work: Work, starts: int, beat: int, parent: int) -> None:
    """Never returns."""
    code = 1
    try:
        prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:  # it ended before the kernel was told
            os._exit(1)
        for number in STOPPING:
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        os.set_blocking(beat, False)
        code = work(lambda: _beat(beat), starts)
    except UserError as error:
        print(f"artifactscoder: {error}", file=sys.stderr)
        code = BAD_INPUT
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _beat(pipe: int) -> None:
    try:
        os.write(pipe, b".")
    except BlockingIOError:  # the supervisor is stopped for a while; enough beats are waiting for it
        return


def _clear() -> None:
    """End what a dead child left. Browsers end by themselves and their shells delete the profiles: time for that."""
    until = time.monotonic() + LEFTOVER_SECONDS
    while left := descendants(os.getpid()):
        reap(0)
        over = time.monotonic() - until
        if over > 0:
            # The shells last: a browser that is ended leaves its shell to delete the profile.
            shells = {int(text) for text in _children(os.getpid())}
            for number in left:
                if number not in shells or over > LEFTOVER_SECONDS:
                    send_signal(number, signal.SIGKILL)
        time.sleep(0.02)
    reap(0)


def _children(number: int) -> list[str]:
    with open(f"/proc/{number}/task/{number}/children") as file:
        return file.read().split()


def say(text: str) -> None:
    """One line for the log."""
    print(f"render: {text}", file=sys.stderr, flush=True)
