"""Run a trainer so that its log is read line by line and nothing of it outlives the step (`guard`)."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Any, Self

from artifactscoder.guard import STOPPING, guarded


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
        self._guard = subprocess.Popen(
            guarded(self.command, self.stop_seconds),
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
