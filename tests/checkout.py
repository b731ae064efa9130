"""A folder that links to the project, in which tests run the workflow as a user does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import yaml

from artifactscoder import tables
from artifactscoder.demo import MARK
from artifactscoder.records import VARIANT

ROOT = Path(__file__).resolve().parents[1]
IN_FLIGHT_S = 1.0  # an answer may be lost on its way so long before a kill
LATE_S = 3.0  # what was asked before a kill may be answered so long after it, where the machine is busy
SMALL = {
    "sft": {
        "categories": ["game-puzzle", "tool-calculator"],
        "subcategories": 1,
        "tasks": {"per_subcategory": 2},
        "variants": {"kinds": ["layout", "minimalist", "real-time", "responsive"]},
    },
    "cpt": {"tree": {"roots": ["games-play"]}, "websight": {"sample": 4}},
    "rl": {"prompts": {"count": 8, "families": ["dashboards", "forms"]}},
}


@contextmanager
def checkout(folder: Path) -> Iterator[Path]:
    """A folder that links to the project, so that a run has results, journal and locks of its own."""
    for name in ("workflow", "rules", "config.yaml", "profiles", "containers", "envs"):
        (folder / name).symlink_to(ROOT / name)
    yield folder
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == str(folder):
                process.kill()
        except psutil.Error:
            continue


@contextmanager
def server(log: Path, delay: float = 0.03, key: str = "") -> Iterator[str]:
    program = [sys.executable, str(ROOT / "tests/openai_server.py"), "--log", str(log), "--delay", str(delay)]
    environment = {**_environment(), "SERVER_KEY": key}
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def overlay(folder: Path, url: str, more: dict, **endpoint_too: object) -> Path:
    """The demo's recipe with every role at the server."""
    endpoint = {"kind": "api", "url": url, "model": "counted", "vision": True, "concurrency": 4, **endpoint_too}
    roles = dict.fromkeys(("teacher", "coder", "reference", "judge", "vision_judge"), "counted")
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump({"endpoints": {"counted": endpoint}, "roles": roles, **more}))
    return path


def start(folder: Path, arguments: list[str]) -> subprocess.Popen:
    """`artifactscoder demo` in a process group of its own; its output goes to output.log."""
    command = [sys.executable, "-m", "artifactscoder.cli", "demo", "--", *arguments]
    with open(folder / "output.log", "ab") as output:
        return subprocess.Popen(
            command, cwd=folder, env=_environment(), stdout=output, stderr=output, start_new_session=True
        )


def snakemake(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess:
    """Run Snakemake to its end; its output is in `stdout`."""
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(
        command, cwd=folder, env={**_environment(), **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True,
    )  # fmt: skip


def answers(log: Path) -> dict[str, list[float]]:
    """Digest of a request -> the moments at which the server answered it."""
    out: dict[str, list[float]] = {}
    for line in log.read_text().splitlines() if log.exists() else ():
        moment, digest = line.split()
        out.setdefault(digest, []).append(float(moment))
    return out


def asked_again(log: Path, faults: list[tuple[float, float]]) -> dict[str, list[float]]:
    """What was answered more than once; fails where the first answer was not on its way during a fault."""
    again = {digest: times for digest, times in answers(log).items() if len(times) > 1}
    for times in again.values():
        for moment in times[:-1]:
            lost = any(first - IN_FLIGHT_S <= moment <= last + LATE_S for first, last in faults)
            assert lost, f"answered at {times}, faults at {faults}"
    return again


def variants(path: Path, count: int) -> Path:
    rows = (
        {"id": f"game-puzzle/a/01/{i:02d}", "category": "game-puzzle", "task": "game-puzzle/a/01", "kind": "layout",
         "prompt": f"A page of number {i}.", "maker": "procedural", "request": "r"}
        for i in range(count)
    )  # fmt: skip
    tables.write(path, VARIANT, rows)
    return path


def _environment() -> dict[str, str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}, "PATH": path}
