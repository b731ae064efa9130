"""Ray over the nodes of a Slurm job, for train/grpo on several nodes.

Every node runs the same command once (`srun --ntasks-per-node=1`). Node 0 starts Ray's head, writes its address into
the rendezvous folder, waits until all nodes have joined, and trains; the others join that address and stay until it
has ended. Everything runs under guard (`supervise`), so that no Ray process outlives the step on any node. On one
node nothing happens here: verl starts Ray itself.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifactscoder import files
from artifactscoder.config.trainers import GrpoSettings
from artifactscoder.errors import UserError
from artifactscoder.train import runs
from artifactscoder.train.supervise import Trainer

JOIN_S = 600.0
LOOK_S = 2.0
HEAD = "head.json"
SOCKET_ROOM = 18  # longest folder that Ray's own may stand in: the paths of its sockets must stay below 108 characters


def _node(settings: GrpoSettings) -> int:
    """The number of this node in the job, 0 on one node. Raises UserError where Slurm gave another count."""
    if settings.nodes == 1:
        return 0
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", os.environ.get("SLURM_NTASKS", "1")))
    if tasks != settings.nodes:
        raise UserError(
            f"train.grpo.nodes is {settings.nodes}, but this step has {tasks} tasks; it takes one task a node, as "
            "`artifactscoder train launch` starts it"
        )
    return int(os.environ.get("SLURM_PROCID", "0"))


def is_head(settings: GrpoSettings) -> bool:
    """Whether this process is the one that trains."""
    return _node(settings) == 0


def _ray(settings: GrpoSettings, words: list[str], folder: Path) -> tuple[list[str], dict[str, str]]:
    """A `ray start` in the foreground, and its environment, which its workers inherit."""
    ray = str(Path(sys.executable).with_name("ray"))
    command = [ray, "start", *words, "--block", f"--temp-dir={folder}", "--disable-usage-stats"]
    if settings.ray_cpus:
        command.append(f"--num-cpus={settings.ray_cpus}")
    if settings.device == "cpu":
        command.append(f"--num-gpus={settings.gpus_per_node}")
    own = {"RAY_AUTH_MODE": "disabled", "RAY_COLOR_PREFIX": "0"}
    env = runs.environment(settings.device, settings.threads, own)
    env.pop("RAY_ADDRESS", None)  # the head is named in the command
    return command, env


def temp_folder(name: str) -> Path:
    """An empty folder on this node for Ray's sockets and logs; what a killed job of this name left there goes."""
    near = tempfile.gettempdir()
    path = Path(near if len(near) <= SOCKET_ROOM else "/tmp") / f"ray-{os.getuid()}-{name}"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    return path


@contextmanager
def head(settings: GrpoSettings, rendezvous: Path) -> Iterator[None]:
    """Ray's head here while the block lasts, with all nodes joined and RAY_ADDRESS set. Nothing on one node.

    Raises UserError when the nodes do not come together within 10 minutes.
    """
    if settings.nodes == 1:
        yield
        return
    rendezvous.mkdir(parents=True, exist_ok=True)
    folder, port = temp_folder(f"{os.getpid()}-0"), _free_port()
    address = f"{_own_address()}:{port}"
    words = ["--head", f"--node-ip-address={_own_address()}", f"--port={port}", "--include-dashboard=false"]
    command, env = _ray(settings, words, folder)
    os.environ["RAY_AUTH_MODE"] = "disabled"
    try:
        with _Background(command, env, folder, settings.stop_seconds) as ray:
            files.write_bytes(rendezvous / HEAD, json.dumps({"address": address, "time": time.time()}).encode())
            _wait_for_nodes(settings, address, ray)
            os.environ["RAY_ADDRESS"] = address
            yield
    finally:
        (rendezvous / HEAD).unlink(missing_ok=True)
        (rendezvous / "end").touch()
        shutil.rmtree(folder, ignore_errors=True)


def join(settings: GrpoSettings, rendezvous: Path) -> None:
    """Serve as one of the other nodes until the head has ended."""
    node, until = _node(settings), time.monotonic() + JOIN_S
    while not (rendezvous / HEAD).exists():
        if time.monotonic() > until or (rendezvous / "end").exists():
            raise UserError(f"node {node}: Ray's head did not appear in {rendezvous} within {JOIN_S:.0f} s")
        time.sleep(LOOK_S)
    address = json.loads((rendezvous / HEAD).read_text())["address"]
    folder = temp_folder(f"{os.getpid()}-{node}")
    command, env = _ray(settings, [f"--address={address}", f"--node-ip-address={_own_address()}"], folder)
    try:
        with _Background(command, env, folder, settings.stop_seconds) as ray:
            runs.say("grpo", f"node {node} serves {address}")
            while (rendezvous / HEAD).exists() and ray.alive():
                time.sleep(LOOK_S)
            if (rendezvous / HEAD).exists():
                raise UserError(f"node {node}: Ray ended before the training did: {ray.said()}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Background(Trainer):
    """A guarded command beside this process; its output goes to a file."""

    def __init__(self, command: list[str], env: dict[str, str], folder: Path, stop_seconds: float) -> None:
        self._log = folder / "start.log"
        line = 'exec "$@" > "$RAY_START_LOG" 2>&1'
        words = ["bash", "-c", line, "ray", *command]
        super().__init__(words, {**env, "RAY_START_LOG": str(self._log)}, str(folder), stop_seconds)

    def alive(self) -> bool:
        return self._guard.poll() is None

    def said(self) -> str:
        text = self._log.read_text(errors="replace") if self._log.exists() else ""
        return " ".join(text.strip().splitlines()[-2:])


def _wait_for_nodes(settings: GrpoSettings, address: str, ray: _Background) -> None:
    """Until Ray counts as many nodes as the job has; asked by Ray's own state query, not by sleeping."""
    code = f"import ray; ray.init({address!r}, log_to_driver=False); print(sum(n['Alive'] for n in ray.nodes()))"
    until, found = time.monotonic() + JOIN_S, "0"
    while time.monotonic() < until:
        if not ray.alive():
            raise UserError(f"Ray's head ended: {ray.said()}")
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=JOIN_S)
        found = done.stdout.strip() or "0"
        if found == str(settings.nodes):
            runs.say("grpo", f"Ray counts {found} nodes at {address}")
            return
        time.sleep(LOOK_S)
    raise UserError(f"only {found} of {settings.nodes} nodes joined Ray at {address} within {JOIN_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("", 0))
        return int(opened.getsockname()[1])


def _own_address() -> str:
    """The address under which the other nodes reach this one: that from which one reaches them.

    A node's own name may stand for its loopback (Debian's 127.0.1.1). Nothing is sent.
    """
    other = next(name for name in runs.nodes() if name != os.environ.get("SLURMD_NODENAME"))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
        way.connect((other, 9))
        return str(way.getsockname()[0])
