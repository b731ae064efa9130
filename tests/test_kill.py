"""kill -9 at random moments: the next start completes the run and asks no answered request again.

The server runs beside, answers as the procedural endpoint does, and writes down when it answered what. A request may
come twice only if its first answer was on its way at the moment of a kill.
"""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.demo import MARK
from artifactscoder.report import accounts
from checkout import SMALL, answers, asked_again, checkout, overlay, server, snakemake, start


def kill(process: subprocess.Popen, everything: bool) -> None:
    """kill -9 of the whole process group, or of the controller alone, whose jobs then live on."""
    if everything:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        for child in [*psutil.Process(process.pid).children(), psutil.Process(process.pid)]:
            child.kill()
    process.wait()


def killed(folder: Path, arguments: list[str], times: int, span: float, seed: int) -> list[tuple[float, float]]:
    """Start and kill so many times; returns the moments at which answers may have been lost on their way.

    A kill comes up to `span` seconds after Snakemake took its lock, however long a busy machine needs to get there.
    After a kill of the controller alone, which has a job then, its jobs work on, until the next start ends them.
    """
    rng = random.Random(seed)
    kills: list[tuple[float, float]] = []
    for number in range(times):
        alone = number % 2 == 1
        process = start(folder, arguments)
        if number and not alone:
            kills.append(_leftovers_ended(folder, process))
        _wait(process, lambda run: any((folder / ".snakemake/locks").glob("*")) and _controllers(run), folder)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=rng.uniform(0.1, 1.0) * span)
        if alone:
            _wait(process, lambda run: any(child.children() for child in _controllers(run)), folder)
        assert process.poll() is None, f"ended before kill {number + 1}:\n{(folder / 'output.log').read_text()[-3000:]}"
        before = time.time()
        kill(process, everything=not alone)
        kills.append((before, time.time()))
    return kills


def _controllers(demo: subprocess.Popen) -> list[psutil.Process]:
    """Snakemake under `artifactscoder demo`, which first runs another to remove the lock of a killed one."""
    found = []
    for child in psutil.Process(demo.pid).children():
        words = child.cmdline()
        if "--profile" in words and "--unlock" not in words:
            found.append(child)
    return found


def _wait(process: subprocess.Popen, ready: Callable[[subprocess.Popen], object], folder: Path) -> None:
    last = time.time() + 120
    while process.poll() is None and time.time() < last:
        with contextlib.suppress(psutil.Error):
            if ready(process):
                return
        time.sleep(0.02)
    pytest.fail(f"the run never came so far:\n{(folder / 'output.log').read_text()[-3000:]}")


def _leftovers_ended(folder: Path, demo: subprocess.Popen) -> tuple[float, float]:
    """Wait until nothing lives on that an earlier run began; returns from when until when."""
    before = time.time()

    def gone(_: subprocess.Popen) -> bool:
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if process.environ().get(MARK) == str(folder) and os.getsid(process.pid) != demo.pid:
                    return False
        return True

    _wait(demo, gone, folder)
    return before, time.time()


def check(log: Path, kills: list[tuple[float, float]]) -> None:
    asked = answers(log)
    again = asked_again(log, kills)
    assert len(asked) > 40 and len(again) <= len(kills) * 2 * 4, f"{len(again)} of {len(asked)} asked again"


@contextlib.contextmanager
def no_command_line_with(secret: str) -> Iterator[list[int]]:
    """Looks at every process of the machine again and again; fails where one was called with it. Yields how often."""
    looks, found, stop = [0], [], threading.Event()

    def look() -> None:
        while not stop.wait(0.2):
            looks[0] += 1
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if secret in " ".join(process.cmdline()):
                        found.append(process.cmdline())

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield looks
    finally:
        stop.set()
        thread.join()
    assert not found, found[0]


@pytest.mark.timeout(900)
def test_kills_lose_nothing_ask_nothing_twice_and_show_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    secret = "sk-" + os.urandom(12).hex()
    monkeypatch.setenv("SOME_KEY", secret)
    with checkout(tmp_path / "run") as folder, server(log) as url, no_command_line_with(secret) as looks:
        files = [folder / "profiles/demo/recipe.yaml", overlay(folder, url, SMALL, key_env="SOME_KEY")]
        arguments = ["--configfile", *map(str, files), "--until", "sft_score", "cpt_dedup", "rl_valid"]
        kills = killed(folder, arguments, times=3, span=8.0, seed=1)
        last = start(folder, arguments)
        assert last.wait(timeout=600) == 0, (folder / "output.log").read_text()[-3000:]
        said = (folder / "output.log").read_text()
        assert "a killed run had left its lock" in said and "ended" in said
        check(log, kills)
        os.chdir(folder)
        config = configs.load([folder / "config.yaml", *files])
        books = accounts.collect(config, folder / "results")
        assert [problem for account in books for problem in account.problems] == []
        assert {account.step for account in books} >= {"sft/score", "cpt/dedup", "rl/valid"}
        before = len(answers(log))
        again = start(folder, arguments)
        assert again.wait(timeout=200) == 0 and len(answers(log)) == before
        written = [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert {path.relative_to(folder).parts[0] for path in written} >= {".snakemake", "journal", "logs", "results"}
        assert [path for path in written if secret.encode() in path.read_bytes()] == []
    assert looks[0] > 50


def test_a_step_that_is_told_to_end_waits_for_what_is_under_way_and_sends_nothing_more(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    with checkout(tmp_path / "run") as folder, server(log, delay=1) as url:
        one = {"categories": ["game-puzzle"], "subcategories": 1, "tasks": {"per_subcategory": 2}}  # 24 pages
        files = ["--configfile", "profiles/demo/recipe.yaml", str(overlay(folder, url, {"sft": one}))]
        code = "results/sft/code/game-puzzle.parquet"
        variants = snakemake(folder, "--profile", "profiles/demo", *files, "--", code.replace("code", "variants"))
        assert variants.returncode == 0, variants.stdout[-3000:]
        before = len(answers(log))
        words = [sys.executable, "-m", "snakemake", "--profile", "profiles/demo", *files, "--", code]
        run = subprocess.Popen(words, cwd=folder)
        while len(answers(log)) < before + 3:
            assert run.poll() is None
            time.sleep(0.05)
        # As Slurm does it: to every process of the job, the shell among them, and more than once.
        for process in [*psutil.process_iter()] * 2:
            with contextlib.suppress(psutil.Error):
                if process.cwd() == str(folder) and "sft code" in " ".join(process.cmdline()):
                    process.terminate()
        assert run.wait(30) != 0
        step = (folder / "logs/sft/code/game-puzzle.log").read_text()
        assert re.search(r"[4-8] requests under way are waited for, no new one is sent", step), step
        answered = len(answers(log))
        assert before + 7 <= answered <= before + 12, "those under way were answered, and no more"
        assert subprocess.run(words, cwd=folder).returncode == 0
        assert asked_again(log, []) == {} and len(answers(log)) > answered


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_the_whole_demo_survives_five_kills(tmp_path: Path) -> None:
    log = tmp_path / "answers.log"
    (tmp_path / "run").mkdir()
    with checkout(tmp_path / "run") as folder, server(log) as url:
        arguments = ["--configfile", str(folder / "profiles/demo/recipe.yaml"), str(overlay(folder, url, {}))]
        kills = killed(folder, arguments, times=5, span=150.0, seed=2)
        assert start(folder, arguments).wait(timeout=1500) == 0, (folder / "output.log").read_text()[-3000:]
        check(log, kills)
        assert tables.count(folder / "results/eval/table.parquet") == 3
