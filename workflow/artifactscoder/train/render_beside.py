"""The render service beside a trainer on one machine: started before it, ended after it, on every way out.

The service announces itself in a rendezvous folder, where the reward engine finds it. It stands in a session of its
own, so that an interrupt of the trainer does not take it away in the middle of a reward, and under guard, so that it
ends with the trainer even where that is killed: the next one would else find it and render by it.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from artifactscoder.errors import UserError
from artifactscoder.guard import guarded

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
        service = subprocess.Popen(
            guarded(command, STOP_S), stdin=subprocess.PIPE, stdout=output, stderr=output, start_new_session=True
        )
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
        assert service.stdin is not None
        service.stdin.close()
        service.wait()
