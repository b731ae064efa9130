"""kill -9 at random moments: the next start completes the run and asks no answered request again.

The server runs beside, answers as the procedural endpoint does, and writes down when it answered what. A request may
come twice only if its first answer was on its way at the moment of a kill.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
import yaml

from artifactscoder import tables
from artifactscoder.demo import MARK
from artifactscoder.report import accounts

ROOT = Path(__file__).resolve().parents[1]
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
IN_FLIGHT_S = 1.5


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
def server(log: Path) -> Iterator[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "workflow")}
    program = [sys.executable, str(ROOT / "tests/openai_server.py"), "--log", str(log), "--delay", "0.03"]
    process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


def overlay(folder: Path, url: str, more: dict) -> Path:
    """The demo's recipe with every role at the server."""
    endpoint = {"kind": "api", "url": url, "model": "counted", "vision": True, "concurrency": 4}
    roles = dict.fromkeys(("teacher", "coder", "reference", "judge", "vision_judge"), "counted")
    path = folder / "overlay.yaml"
    path.write_text(yaml.safe_dump({"endpoints": {"counted": endpoint}, "roles": roles, **more}))
    return path


def start(folder: Path, arguments: list[str]) -> subprocess.Popen:
    command = [sys.executable, "-m", "artifactscoder.cli", "demo", "--", *arguments]
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT / "workflow"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    with open(folder / "output.log", "ab") as output:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output, start_new_session=True
        )


def kill(process: subprocess.Popen, everything: bool) -> None:
    """kill -9 of the whole process group, or of the controller alone, whose jobs then live on."""
    if everything:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for child in [*psutil.Process(process.pid).children(), psutil.Process(process.pid)]:
            child.kill()
    process.wait()


def killed_five_times(folder: Path, log: Path, arguments: list[str], span: float, seed: int) -> list[float]:
    rng = random.Random(seed)
    kills = []
    for number in range(5):
        process = start(folder, arguments)
        try:
            process.wait(timeout=rng.uniform(0.25, 1.0) * span)
            pytest.fail(f"the run ended before kill {number + 1}:\n{(folder / 'output.log').read_text()[-3000:]}")
        except subprocess.TimeoutExpired:
            kill(process, everything=number % 2 == 0)
            kills.append(time.time())
    return kills


def answers(log: Path) -> dict[str, list[float]]:
    out: dict[str, list[float]] = {}
    for line in log.read_text().splitlines():
        moment, digest = line.split()
        out.setdefault(digest, []).append(float(moment))
    return out


def check(folder: Path, log: Path, kills: list[float]) -> None:
    asked = answers(log)
    again = {digest: times for digest, times in asked.items() if len(times) > 1}
    for times in again.values():
        for moment in times[:-1]:
            assert any(0 <= kill - moment <= IN_FLIGHT_S for kill in kills), (times, kills)
    assert len(asked) > 40 and len(again) <= 5 * 2 * 4, f"{len(again)} of {len(asked)} asked again"


@pytest.mark.timeout(400)
def test_five_kills_lose_nothing_and_ask_nothing_twice(tmp_path: Path) -> None:
    from artifactscoder import config as configs

    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    with checkout(tmp_path / "run") as folder, server(log) as url:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, SMALL)]
        arguments = ["--configfile", *map(str, files), "--until", "sft_score", "cpt_dedup", "rl_valid"]
        kills = killed_five_times(folder, log, arguments, span=14.0, seed=1)
        last = start(folder, arguments)
        assert last.wait(timeout=240) == 0, (folder / "output.log").read_text()[-3000:]
        said = (folder / "output.log").read_text()
        assert "a killed run had left its lock" in said and "ended" in said
        check(folder, log, kills)
        os.chdir(folder)
        config = configs.load([folder / "config.yaml", *files])
        books = accounts.collect(config, folder / "results")
        assert [problem for account in books for problem in account.problems] == []
        assert {account.step for account in books} >= {"sft/score", "cpt/dedup", "rl/valid"}
        before = len(answers(log))
        again = start(folder, arguments)
        assert again.wait(timeout=60) == 0 and len(answers(log)) == before
        assert "Nothing to be done" in (folder / "output.log").read_text()


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_demo_survives_five_kills(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    with checkout(tmp_path / "run") as folder, server(log) as url:
        arguments = ["--configfile", str(folder / "profiles/demo/recipe.yaml"), str(overlay(folder, url, {}))]
        kills = killed_five_times(folder, log, arguments, span=150.0, seed=2)
        assert start(folder, arguments).wait(timeout=1500) == 0, (folder / "output.log").read_text()[-3000:]
        check(folder, log, kills)
        assert tables.count(folder / "results/eval/table.parquet") == 3
