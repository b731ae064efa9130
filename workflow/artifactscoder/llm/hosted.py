"""Endpoints of kind `vllm`, `sglang` and `llamacpp`: the job starts the server itself and asks it on loopback.

In: a model folder or a GGUF file, and how to start its server. Out: answers, through the same client as those of any
other server (`api`). A shard is then a job that needs nobody's service; its price is the start, a minute or more of a
large model's loading, which a job whose answers are all in the journal does not pay. Ready is a server that has
answered a small real request: one that says it is healthy may still die of the first. Roles that name the same
endpoint share one server. It stands under a guard (`guard`), so none of its processes outlives this one, also when a
SIGKILL ends it. A server that ends by itself stops the job at once, with the end of its log, for no request could
succeed any more.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import aiohttp

from artifactscoder.config import Endpoint
from artifactscoder.errors import UserError
from artifactscoder.guard import guarded
from artifactscoder.llm.api import ApiEndpoint
from artifactscoder.llm.request import Answer, Refused, Request
from artifactscoder.progress import say

STARTERS = {
    "vllm": ["vllm", "serve"],
    "sglang": [sys.executable, "-m", "sglang.launch_server"],
    "llamacpp": [sys.executable, "-m", "artifactscoder.llm.llamacpp"],
}
STOP_S = 10.0  # from the request to stop until SIGKILL, below Slurm's KillWait of 30 s
LOOK_S = 0.25
DYING_S = 2.0  # a server that dies refuses first, and is gone a moment later
TAIL_LINES, TAIL_BYTES, LINE = 4, 1 << 16, 240
_running: dict[str, _Server] = {}  # servers of this process, by the endpoint's name


class HostedEndpoint:
    """One role's way to a server of this job; its first question starts it, the last role out ends it."""

    def __init__(self, name: str, settings: Endpoint, folder: Path) -> None:
        """`folder`: where the server's log goes."""
        self.name, self.settings, self.folder = name, settings, folder
        self._server: _Server | None = None

    async def __aenter__(self) -> HostedEndpoint:
        if self.name not in _running:
            _running[self.name] = _Server(self.name, self.settings, self.folder)
        self._server = _running[self.name]
        self._server.users += 1
        return self

    async def ask(self, request: Request) -> Answer:
        assert self._server is not None
        return await self._server.ask(request)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.users -= 1
        if not self._server.users:
            del _running[self.name]
            await self._server.stop()


class _Server:
    """A server under guard, started by the first question: a job whose answers are all recorded starts none."""

    def __init__(self, name: str, settings: Endpoint, folder: Path) -> None:
        self.name, self.settings = name, settings
        self.log = folder / f"{name}.server.log"
        self.users = 0
        self.devices: list[str] = []
        self._api: ApiEndpoint | None = None
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()  # done when it ended by itself
        self._asking: set[asyncio.Task[Any]] = set()
        self._start: asyncio.Task[None] | None = None
        self._guard: subprocess.Popen[bytes] | None = None
        self._line: socket.socket | None = None  # to the guard: closed on either side, it says that this side ended
        self._port: socket.socket | None = None

    async def ask(self, request: Request) -> Answer:
        if self._start is None:
            self._start = asyncio.create_task(self._started())
        await asyncio.shield(self._start)
        assert self._api is not None
        task = asyncio.current_task()
        assert task is not None
        if self._ended.done():
            raise self._dead("ended while it was asked")
        # In the caller's own task: in another one, an answer would be on its way for a moment in which nobody counts it
        # as under way, and an orderly end (drain) would lose it.
        self._asking.add(task)
        try:
            return await self._api.ask(request)
        except asyncio.CancelledError:
            if not self._ended.done() or task.uncancel():
                raise
            raise self._dead("ended while it was asked") from None
        except Refused as refusal:
            self._asking.discard(task)
            if not refusal.reason.startswith("http_4"):
                await asyncio.wait({self._ended}, timeout=DYING_S)
            if self._ended.done():
                raise self._dead("ended while it was asked") from None
            raise
        finally:
            self._asking.discard(task)

    async def _started(self) -> None:
        """Start it and wait for its first answer; raises UserError when it does not come up."""
        command = command_of(self.name, self.settings)
        self.devices = _devices(self.name, self.settings.job_gpus)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "VLLM_NO_USAGE_STATS": "1"}
        if self.devices:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(self.devices)
        self._port, port = _reserve()
        command += ["--host", "127.0.0.1", "--port", str(port)]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self._line, far = socket.socketpair()
        with far, open(self.log, "wb") as log:
            log.write(f"+ {shlex.join(command)}\n".encode())
            log.flush()
            self._guard = subprocess.Popen(
                guarded(command, STOP_S, signal.SIGINT),
                stdin=far.fileno(),
                stdout=log,
                stderr=log,
                env=environment,
                start_new_session=True,
            )
        asyncio.get_running_loop().add_reader(self._line, self._on_end)
        say(f"endpoint '{self.name}': {self.settings.kind} starts, its log is {self.log}")
        start, url = time.monotonic(), f"http://127.0.0.1:{port}/v1"
        await self._until_ready(url)
        say(f"endpoint '{self.name}': ready after {time.monotonic() - start:.0f} s")
        self._api = ApiEndpoint(self.name, self.settings.model_copy(update={"kind": "api", "url": url, "key_env": ""}))
        await self._api.__aenter__()

    def _on_end(self) -> None:
        assert self._line is not None
        asyncio.get_running_loop().remove_reader(self._line)
        self._ended.set_result(None)
        for task in self._asking:
            task.cancel()

    async def _until_ready(self, url: str) -> None:
        asking = asyncio.ensure_future(_refusal(url, self.settings.model))
        try:
            limit = self.settings.start_s
            both: set[asyncio.Future[Any]] = {asking, self._ended}
            await asyncio.wait(both, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                raise self._dead("ended before it answered")
            if not asking.done():
                raise self._dead(f"has not answered a first request within start_s = {limit:g} s")
            if refusal := asking.result():
                raise self._dead(f"refuses a first small request ({refusal})")
        finally:
            await _cancelled(asking)

    async def stop(self) -> None:
        """Close the line to the guard, which then ends all; returns when nothing of the server lives."""
        if self._start is not None:
            await _cancelled(self._start)
            if not self._start.cancelled():
                self._start.exception()  # it was raised where somebody asked
        if self._api is not None:
            await self._api.__aexit__(None, None, None)
        if self._line is not None:
            asyncio.get_running_loop().remove_reader(self._line)
            self._line.close()
        while self._guard is not None and self._guard.poll() is None:
            await asyncio.sleep(0.05)
        if self._port is not None:
            self._port.close()

    def _dead(self, what: str) -> UserError:
        """The sentence for a server that cannot be used, with the end of its log."""
        return UserError(
            f"the {self.settings.kind} server of endpoint '{self.name}' {what}; the end of its log {self.log}: "
            f"{_tail(self.log)}"
        )


async def _cancelled(task: asyncio.Future[Any]) -> None:
    """Cancel a task, if it is not done, and wait until it is."""
    if not task.done():
        task.cancel()
        await asyncio.wait({task})


def command_of(name: str, settings: Endpoint) -> list[str]:
    """The server's command line, but for its address. Raises UserError where the command or the model is not there."""
    words = shlex.split(settings.command) or STARTERS[settings.kind]
    own = Path(sys.executable).parent  # a step may run in an environment that was not activated
    program = shutil.which(words[0]) or shutil.which(words[0], path=str(own))
    if program is None:
        raise UserError(
            f"endpoint '{name}' starts `{words[0]}`, which is not on PATH here; install it, name it by `command`, or "
            "run in the image of the role serve"
        )
    path = Path(settings.path)
    if not path.exists() and (settings.kind == "llamacpp" or settings.path[:1] in "/.~"):
        raise UserError(
            f"endpoint '{name}' loads {path}, which is not there; correct `path`, and in an image bind its folder "
            "(--bind in apptainer-args)"
        )
    model = {
        "vllm": [settings.path, "--served-model-name", settings.model],
        "sglang": ["--model-path", settings.path, "--served-model-name", settings.model],
        "llamacpp": ["--model", settings.path, "--alias", settings.model],
    }
    return [program, *words[1:], *model[settings.kind], *settings.words()]


def _devices(name: str, count: int) -> list[str]:
    """The next `count` GPUs of this job that no other server of it has."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    taken = {device for server in _running.values() for device in server.devices}
    every = map(str, itertools.count()) if visible is None else iter(filter(None, visible.split(",")))
    free = list(itertools.islice((device for device in every if device not in taken), count))
    if len(free) < count:
        raise UserError(
            f"endpoint '{name}' needs {count} GPUs, and {len(free)} are left to this job (CUDA_VISIBLE_DEVICES is "
            f"'{visible}'); lower `gpus` of the endpoint, or ask for more"
        )
    return free


def _reserve() -> tuple[socket.socket, int]:
    """A free port, and a socket that keeps others from being given it; the server itself may bind it all the same."""
    held = socket.socket()
    held.bind(("127.0.0.1", 0))
    for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
        held.setsockopt(socket.SOL_SOCKET, option, 1)
    return held, held.getsockname()[1]


async def _refusal(url: str, model: str) -> str:
    """Ask until a small chat is answered: nothing then, and where the server refuses for good, what it says."""
    message = {"role": "user", "content": "Say hello."}
    body: dict[str, Any] = {"model": model, "messages": [message], "max_tokens": 8, "temperature": 0}
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session:
        while True:
            try:
                async with session.post(url + "/chat/completions", json=body) as response:
                    data = await response.read()
                    if response.status == 200 and b'"choices"' in data:
                        return ""
                    if 400 <= response.status < 500 and response.status not in (408, 425, 429):
                        return f"HTTP {response.status}: {data[:300].decode('utf-8', 'replace')}"
            except aiohttp.ClientError:
                pass  # it does not listen yet
            await asyncio.sleep(LOOK_S)


def _tail(log: Path) -> str:
    """The last lines of a log, after the last ones before them that name an error."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = [line.strip()[:LINE] for line in file.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines[:-TAIL_LINES] if "Error:" in line][-2:]
    return " | ".join([*errors, *lines[-TAIL_LINES:]])
