"""Endpoints of kind vllm with the real vLLM, built for CPUs, and a random small model: `make test-vllm`.

Answers are noise; what counts is that they come, and that nothing of vLLM's processes and shared memory is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from artifactscoder import config as configs
from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.config.engines import Sampling
from artifactscoder.config.trainers import TinyModelSettings
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.llm import generate
from artifactscoder.llm.client import Unusable
from artifactscoder.sft import code
from checkout import variants

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(600)]
MARK = "VLLM_TEST"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from artifactscoder.train import tiny_model

    folder = tmp_path_factory.mktemp("model")
    texts = [f"<!DOCTYPE html>\n<html>\n<p>page {i}</p>\n</html>" for i in range(50)]
    # Heads of 32: vLLM's attention on CPUs has no smaller ones, and dies of the first request.
    settings = TinyModelSettings(vocab=640, layers=1, hidden=64, heads=2, kv_heads=1, max_positions=4096)
    tiny_model.make(texts, folder, settings)
    return folder


@pytest.fixture
def config(configure, model: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    base = configure().model_dump(mode="json")
    base["endpoints"]["own"] = {
        "kind": "vllm", "model": "tiny", "path": str(model), "gpus": 0, "start_s": 400, "concurrency": 4,
        "arguments": {"max-model-len": 4096, "dtype": "float32", "enforce-eager": True},
    }  # fmt: skip
    base["roles"]["coder"] = "own"
    base["sft"]["code"] = {"sampling": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 200}}
    return configs.from_dict(base)


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[psutil.Process]]:
    """The processes that this test began and that are still there: by a mark in their environment, or, where a title
    of their own is written over it, by that title."""
    mark, began = uuid.uuid4().hex, time.time() - 1
    monkeypatch.setenv(MARK, mark)

    def ours(process: psutil.Process) -> bool:
        titled = "VLLM::" in " ".join(process.cmdline()) and process.cwd() == os.getcwd()
        return process.environ().get(MARK) == mark or (titled and process.create_time() >= began)

    def processes() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if process.status() != psutil.STATUS_ZOMBIE and ours(process):
                    found.append(process)
        return found

    return processes


@pytest.fixture(autouse=True)
def no_shared_memory_is_left():
    before = set(os.listdir("/dev/shm"))
    yield
    assert set(os.listdir("/dev/shm")) - before == set()


async def test_a_shard_is_answered(config: Config, tmp_path: Path, alive) -> None:
    output = tmp_path / "pages.parquet"
    ledger = await code.run(config, variants(tmp_path / "v.parquet", 12), "a", output)
    assert not alive()
    lines = list(tables.rows(beside(output)))
    assert len(lines) == 12 == sum(ledger.counts.values()) and ledger.counts["failed"] == 0
    assert all(line["tokens_out"] > 0 and line["attempts"] == 1 for line in lines)


async def test_a_step_that_fails_takes_it_along(config: Config, tmp_path: Path, alive) -> None:
    with pytest.raises(RuntimeError, match="full"):
        async with generate.roles(config, "sft/code", "a", "coder") as [coder]:
            with contextlib.suppress(Unusable):
                await coder.ask([{"role": "user", "content": "Hello"}], Sampling(max_tokens=20))
            assert len(alive()) >= 4  # guard, API server, engine, worker
            raise RuntimeError("the disk is full")
    assert not alive()


async def test_an_engine_that_dies_stops_the_job(config: Config, tmp_path: Path, alive) -> None:
    endless = Sampling(max_tokens=3500)
    with pytest.raises(UserError, match="the vllm server of endpoint 'own' ended while it was asked"):
        async with generate.roles(config, "sft/code", "a", "coder") as [coder]:
            with contextlib.suppress(Unusable):
                await coder.ask([{"role": "user", "content": "Hello"}], Sampling(max_tokens=20))
            for process in alive():
                if "EngineCore" in " ".join(process.cmdline()):
                    process.kill()
            await coder.ask([{"role": "user", "content": "Go on"}], endless)
    assert not alive()


def test_kill_9_of_the_step_ends_it_and_the_next_start_completes(config: Config, tmp_path: Path, alive) -> None:
    configs.write(config, tmp_path / "config.yaml")
    output = tmp_path / "pages.parquet"
    words = ["sft", "code", "--input", str(variants(tmp_path / "v.parquet", 80)), "--output", str(output)]
    command = [sys.executable, "-m", "artifactscoder.cli", *words, "--config", str(tmp_path / "config.yaml")]
    log, journal = tmp_path / "step.log", tmp_path / "journal/sft/code/pages"

    def answers() -> int:
        return sum(path.read_bytes().count(b"\n") for path in journal.glob("*.jsonl"))

    with open(log, "ab") as said:
        process = subprocess.Popen(command, stderr=said, start_new_session=True)
        while answers() < 10:
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kept, last = answers(), time.monotonic() + 30
        while alive():
            assert time.monotonic() < last, alive()
            time.sleep(0.1)
        assert 10 <= kept < 80, "it was killed amid its work"
        assert subprocess.run(command, stderr=said).returncode == 0, log.read_text()
    assert answers() == 80 == tables.count(beside(output)) and not alive()
