"""The render service beside a trainer on one machine: started before it, ended after it, on every way out.

The service announces itself in a rendezvous folder, where the reward engine finds it. It is a process group of its
own, so that an interrupt of the trainer does not take it away in the middle of a reward, and it ends by itself when
`end` appears in the folder.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifactscoder.errors import UserError

START_S = 60.0
STOP_S = 10.0


@contextmanager
def render_beside(config: list[Path], rendezvous: Path, browsers: int, log: Path) -> Iterator[None]:
    """Run `artifactscoder render serve` while the block lasts. Raises UserError when it does not come up."""
    rendezvous.mkdir(parents=True, exist_ok=True)
    for stale in (*rendezvous.glob("replica-*.json"), rendezvous / "end"):
        stale.unlink(missing_ok=True)
    command = [sys.executable, "-m", "artifactscoder.cli", "render", "serve"]
    for path in config:
        command += ["--config", str(path)]
    command += ["--rendezvous", str(rendezvous), "--browsers", str(browsers)]
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as output:
        service = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        give_up = time.monotonic() + START_S
        while not any(rendezvous.glob("replica-*.json")):
            if service.poll() is not None or time.monotonic() > give_up:
                said = log.read_text(errors="replace").strip().splitlines()[-1:]
                raise UserError(f"the render service did not start ({' '.join(said)}); see {log}")
            time.sleep(0.1)
        yield
    finally:
        (rendezvous / "end").touch()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(service.pid, signal.SIGTERM)
        try:
            service.wait(STOP_S)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(service.pid, signal.SIGKILL)
            service.wait()
