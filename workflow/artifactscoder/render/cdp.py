"""One Chromium process, led over two pipes in the DevTools protocol.

In: commands (`post`). Out: a future for each answer, and events to the listener of their session. The protocol
is spoken directly because every part of a page's life that matters here (virtual time, interception, ending a
page that hangs) is protocol anyway, and a library between would only queue: under a storm of dialogs its queue
outlives every limit. A start costs 0.3 s, a running browser about 130 MB.

No way out leaves a process or a profile behind: the browser is the child of a small shell that waits for it and
deletes the profile; it ends by itself when its pipe closes, thus also when the owner is killed; `kill` ends the
whole process group.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from artifactscoder.errors import UserError
from artifactscoder.render import cgroup, chromium, profiles
from artifactscoder.render.containment import OFF, THREADS, Containment, choose
from artifactscoder.render.page import RenderUnavailable

START_SECONDS = 30.0
CLOSE_SECONDS = 3.0
PIPE_BYTES = 1 << 20
"""Room for a page or a picture, which would else go through in pieces of 64 KB."""
PAGE_KILOBYTES = os.sysconf("SC_PAGE_SIZE") // 1024
REMOVALS = 50
REMOVAL_PAUSE = 0.01
# Not exec: the shell stays to delete the profile and the control group when the owner no longer can. A file, also one
# in shared memory, may be as large as a process (in blocks of 512 bytes); to write more is an error, not the end.
LAUNCHER = (
    'ulimit -c 0; ulimit -d "$1"; trap "" XFSZ; ulimit -f $(($1 * 2)); '
    "profile=$2; group=$3; commands=$4; answers=$5; shift 5; "
    '(if [ -n "$group" ]; then read -r number rest </proc/self/stat; echo "$number" >"$group/cgroup.procs"; fi; '
    'exec "$@" 3<"/dev/fd/$commands" 4>"/dev/fd/$answers" </dev/null >/dev/null 2>"$profile/stderr"); '
    'rm -rf "$profile"; [ -z "$group" ] || rmdir "$group"'
)

# Workers that outlive a page and belong to none stand still from their first moment on: their requests would pass by
# the page's session.
HELD = {
    "autoAttach": True,
    "waitForDebuggerOnStart": True,
    "flatten": True,
    "filter": [{"type": "shared_worker"}, {"type": "service_worker"}, {"exclude": True}],
}

Listener = Callable[[str, dict[str, Any]], None]


class ProtocolError(Exception):
    """The browser answered a command with an error."""


class BrowserLost(Exception):
    """The browser ended or was ended before it answered."""


class _Answers(asyncio.Protocol):
    """Cuts the stream of answers at its zero bytes."""

    def __init__(self, deliver: Callable[[bytes], None], lost: Callable[[], None]) -> None:
        self._deliver = deliver
        self._lost = lost
        self._parts: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        *ended, rest = data.split(b"\0")
        for piece in ended:
            self._deliver(b"".join([*self._parts, piece]))
            self._parts.clear()
        if rest:
            self._parts.append(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost()


class Browser:
    """A running Chromium; made by `start`, ended by `close` or `kill`, both of which may come more than once."""

    def __init__(self, process: subprocess.Popen[bytes], profile: Path, marker: str, group: Path | None = None) -> None:
        self.process = process
        self.profile = profile
        self.marker = marker
        self._group = group
        self.pages = 0
        """Pages rendered so far, counted by the owner."""
        self.overweight = False
        """Set by the owner who ended it for its memory."""
        self._last = 0
        self._waiting: dict[int, tuple[asyncio.Future[dict[str, Any]], str | None]] = {}
        self._listeners: dict[str | None, Listener] = {}
        self._unsent: list[bytes] = []
        self._commands: asyncio.WriteTransport | None = None
        self._answers: asyncio.ReadTransport | None = None
        self._gone = asyncio.Event()
        self._killed = False

    @classmethod
    async def start(cls, executable: Path, memory_mb: int, containment: Containment | None = None) -> Browser:
        """Start one, in the strongest containment by default; RenderUnavailable if it does not answer within 30 s."""
        containment = containment or choose(executable)
        marker = uuid.uuid4().hex
        ours: list[int] = []
        theirs: list[int] = []
        profile: Path | None = None
        group: Path | None = None
        try:
            command_read, command_write = os.pipe()
            theirs, ours = [command_read], [command_write]
            answer_read, answer_write = os.pipe()
            theirs, ours = [command_read, answer_write], [command_write, answer_read]
            for pipe in ours:
                with contextlib.suppress(OSError):  # more than the user's share of pipe memory
                    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
            profile = profiles.make()
            user = containment.user()
            if user is not None:
                os.chown(profile, user, user)
            if containment.groups is not None:
                group = containment.groups.make(f"browser-{marker}", 2 * memory_mb, THREADS)
            limits = [str(memory_mb * 1024), str(profile), str(group or ""), str(command_read), str(answer_write)]
            browser_line = [str(executable), *chromium.flags(profile, containment.sandbox)]
            process = subprocess.Popen(
                ["/bin/sh", "-c", LAUNCHER, "sh", *limits, *containment.commands(user), *browser_line],
                env=chromium.environment(profile, marker),
                pass_fds=theirs,
                start_new_session=True,
                stdin=subprocess.DEVNULL,
            )
        except OSError as error:
            for descriptor in ours:
                os.close(descriptor)
            if profile is not None:
                shutil.rmtree(profile, ignore_errors=True)
            if group is not None:
                cgroup.end(group)
            raise RenderUnavailable(f"Cannot start a browser: {error}") from error
        finally:
            for descriptor in theirs:
                os.close(descriptor)
        browser = cls(process, profile, marker, group)
        try:
            await browser._connect(command_write, answer_read)
            await asyncio.wait_for(browser.post("Browser.getVersion"), START_SECONDS)
            await asyncio.wait_for(browser._require_frames(executable), START_SECONDS)
            await asyncio.wait_for(browser.post("Target.setAutoAttach", HELD), START_SECONDS)
        except (BrowserLost, ProtocolError, TimeoutError, OSError) as error:
            said = browser._stderr()
            browser.kill()
            raise RenderUnavailable(f"{executable} does not start: {said or repr(error)}") from error
        except BaseException:
            browser.kill()
            raise
        return browser

    async def _connect(self, command_write: int, answer_read: int) -> None:
        loop = asyncio.get_running_loop()
        self._answers, _ = await loop.connect_read_pipe(
            lambda: _Answers(self._deliver, self._end_of_answers), os.fdopen(answer_read, "rb", 0)
        )
        self._commands, _ = await loop.connect_write_pipe(asyncio.Protocol, os.fdopen(command_write, "wb", 0))

    async def _require_frames(self, executable: Path) -> None:
        """UserError if this is a full browser: only a headless shell draws frames on command."""
        blank = {"url": "about:blank", "enableBeginFrameControl": True}
        try:
            target = {"targetId": (await self.post("Target.createTarget", blank))["targetId"]}
            session = (await self.post("Target.attachToTarget", {**target, "flatten": True}))["sessionId"]
            await self.post("HeadlessExperimental.beginFrame", session=session)
        except ProtocolError as error:
            raise UserError(
                f"{executable} is no headless shell of Chromium ({error}): install chromium-headless-shell, or "
                "run playwright install --only-shell chromium, and let CHROMIUM name it"
            ) from error
        await self.post("Target.closeTarget", target)

    def _stderr(self) -> str:
        """The last line that tells why the browser ended."""
        try:
            lines = (self.profile / "stderr").read_text(errors="replace").splitlines()
        except OSError:
            return ""
        telling = [line for line in lines if "FATAL" in line or "error" in line.lower()] or lines
        said = telling[-1] if telling else ""
        hint = f"; set {OFF}=off where Chromium's sandbox does not start"
        return said + hint if "sandbox" in said.lower() else said

    def listen(self, session: str | None, listener: Listener) -> None:
        """Send the events of a session (None: of the browser itself) to this function."""
        self._listeners[session] = listener

    def forget(self, session: str | None, error: Exception) -> None:
        """Stop listening to a session and fail what it has not answered."""
        self._listeners.pop(session, None)
        for number, (future, owner) in list(self._waiting.items()):
            if owner == session:
                del self._waiting[number]
                if not future.done():
                    future.set_exception(error)

    def post(
        self, method: str, params: dict[str, Any] | None = None, session: str | None = None
    ) -> asyncio.Future[dict[str, Any]]:
        """Send a command now; the future holds its result, a ProtocolError or a BrowserLost."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        # An answer that nobody waits for must not be reported as an exception never retrieved.
        future.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self.lost or self._commands is None:
            future.set_exception(BrowserLost(method))
            return future
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params or {}}
        if session is not None:
            message["sessionId"] = session
        self._waiting[self._last] = (future, session)
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._send)
        self._unsent.append(json.dumps(message).encode())
        return future

    def _send(self) -> None:
        """Write what was posted in this turn of the loop at once: every write wakes the browser."""
        unsent, self._unsent = self._unsent, []
        if self._commands is not None and not self._commands.is_closing():
            self._commands.write(b"\0".join([*unsent, b""]))

    def _deliver(self, raw: bytes) -> None:
        message = json.loads(raw)
        number = message.get("id")
        if number is None:
            listener = self._listeners.get(message.get("sessionId"))
            if listener is not None:
                listener(message["method"], message.get("params", {}))
            return
        future, _ = self._waiting.pop(number, (None, None))
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(ProtocolError(message["error"].get("message", "unknown error")))
        else:
            future.set_result(message["result"])

    @property
    def lost(self) -> bool:
        """Whether it has ended."""
        return self._gone.is_set()

    def _end_of_answers(self) -> None:
        if self.lost:
            return
        self._gone.set()
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(BrowserLost("the browser ended"))
        for listener in list(self._listeners.values()):
            listener("Browser.lost", {})

    def shell_ended(self) -> bool:
        """Whether the launching shell is gone: then nobody would delete the profile, were the owner killed too."""
        try:
            return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        except ChildProcessError:
            return True

    def processes(self) -> list[int]:
        """The numbers of all its processes now, the launching shell first."""
        found = [self.process.pid]
        for number in found:
            with contextlib.suppress(OSError):
                for thread in os.listdir(f"/proc/{number}/task"):
                    found.extend(map(int, _read(f"/proc/{number}/task/{thread}/children").split()))
        return found

    def processor_seconds(self) -> float:
        """Processor time that its processes have used so far."""
        ticks = 0
        for number in self.processes():
            with contextlib.suppress(OSError):
                # The name, in brackets, may hold blanks; user and system time are 12 and 13 after it.
                fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        """Memory and disk that it holds, shared pages counted in parts where we may see them; about 3 ms a process."""
        return self._held(_kilobytes) / 1024

    def outgrows(self, limit_mb: int) -> bool:
        """Whether it holds more than that; shared pages are told apart only where it could, which takes 20 times as
        long."""
        return self._held(_resident) > 1024 * limit_mb and self._held(_kilobytes) > 1024 * limit_mb

    def _held(self, kilobytes_of: Callable[[int], int]) -> int:
        kilobytes = sum(kilobytes_of(number) for number in self.processes())
        for folder, _, names in os.walk(self.profile):
            for name in names:
                with contextlib.suppress(OSError):
                    kilobytes += os.lstat(os.path.join(folder, name)).st_blocks // 2
        return kilobytes

    def kill(self) -> None:
        """End every process of it at once and delete its profile."""
        if self._killed:
            return
        self._killed = True
        if self._group is not None and cgroup.overflowed(self._group):
            self.overweight = True
        # The shell is not waited for before: while it is not, no other process can have got its number.
        members = self.processes()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        for number in members[1:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
        self.process.wait()
        if self._commands is not None and not self._commands.is_closing():
            self._commands.abort()
        if self._answers is not None and not self._answers.is_closing():
            self._answers.close()
        self._end_of_answers()
        # A process that was killed may still finish what it is doing in the kernel, such as making a file.
        for _ in range(REMOVALS):
            shutil.rmtree(self.profile, ignore_errors=True)
            if not self.profile.exists():
                break
            time.sleep(REMOVAL_PAUSE)
        if self._group is not None:
            cgroup.end(self._group)

    async def close(self) -> None:
        """Ask it to end, wait up to 3 s, then kill what is left."""
        if not self._killed:
            self.post("Browser.close")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), CLOSE_SECONDS)
            self.kill()


def _read(path: str) -> bytes:
    """A file of the kernel's; empty for a process or thread that has ended."""
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except OSError:
        return b""


def _resident(number: int) -> int:
    """Memory of one process with all that it shares: never less than its part of it."""
    fields = _read(f"/proc/{number}/statm").split()
    return int(fields[1]) * PAGE_KILOBYTES if fields else 0


def _kilobytes(number: int) -> int:
    """Memory of one process. Those in Chromium's sandbox hide their maps from other users than root."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{number}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{number}/status").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon:", "RssShmem:")))
    return 0
