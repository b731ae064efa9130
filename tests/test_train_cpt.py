"""CPT on the real trainer: what a step costs, what it may look at, and that no kill shows in its curve.

About 40 s on two cores, most of it processes that import PyTorch; more with `make test-train`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import uuid
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from artifactscoder.config.trainers import CptTrainSettings
from artifactscoder.errors import UserError
from artifactscoder.indexed import Writer
from artifactscoder.train import cpt, runs, windows
from training import furnish, gone, page, start

pytest.importorskip("verl")

LENGTH, BATCH, STEPS = 64, 4, 6
CPT = CptTrainSettings(
    device="cpu",
    gpus_per_node=1,
    precision="fp32",
    gradient_checkpointing=False,
    learning_rate=3e-3,
    warmup_ratio=0,
    batch_size=BATCH,
    steps=STEPS,
    tokens_per_gpu=LENGTH,
    offload=False,
    save_every_steps=2,
    keep_checkpoints=1,
    loader_workers=0,
    threads=1,
    stop_seconds=5,
)
CODE = """
from pathlib import Path
from artifactscoder.train import cpt
from artifactscoder.config.trainers import CptTrainSettings
settings = CptTrainSettings.model_validate_json({settings!r})
cpt.run(settings, Path("mixture.json"), Path("model"), Path("{work}"), Path("{work}/manifest.json"),
        loggers=["tensorboard"])
"""


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model, and 60 pages as tokens of two sources."""
    from transformers import AutoTokenizer

    folder = furnish(tmp_path_factory.mktemp("cpt"))
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    told = []
    for source, weight, numbers in (("tree", 0.8, range(50)), ("websight", 0.2, range(50, 60))):
        with Writer(folder / f"{source}-0000", len(tokenizer)) as writer:
            for i in numbers:
                writer.add([*tokenizer(page(i)).input_ids, tokenizer.eos_token_id])
        shard = {"path": f"{source}-0000", "tokens": writer.tokens, "documents": writer.documents}
        told.append({"name": source, "weight": weight, "tokens": writer.tokens, "shards": [shard]})
    (folder / "mixture.json").write_text(json.dumps({"length": LENGTH, "sources": told}))
    return folder


def begin(room: Path, work: str, settings: CptTrainSettings = CPT, mark: str = "") -> subprocess.Popen[bytes]:
    code = CODE.format(settings=settings.model_dump_json(), work=work)
    return start(code, mark or uuid.uuid4().hex, room, room / f"{work}.log")


def curve(room: Path, work: str) -> dict[str, list[Any]]:
    return pq.read_table(room / work / "curve.parquet").to_pydict()


@pytest.fixture(scope="module")
def whole(room: Path) -> dict[str, Any]:
    """CPT without interruption: its manifest."""
    process = begin(room, "whole")
    assert process.wait(400) == 0, (room / "whole.log").read_text()[-3000:]
    return json.loads((room / "whole" / "manifest.json").read_text())


def test_the_first_step_costs_what_each_document_costs_alone(room: Path, whole: dict[str, Any]) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(room / "model", dtype=torch.float32)
    read = windows.Windows(room / "mixture.json", STEPS * BATCH, CPT.seed)

    def cost(parts: list[torch.Tensor]) -> float:
        total, count = 0.0, 0
        for part in parts:
            with torch.no_grad():
                log_probs = torch.log_softmax(model(part[None, :-1]).logits[0], -1)
            total -= float(log_probs.gather(1, part[1:, None]).sum())
            count += len(part) - 1
        return total / count

    batch = [(torch.from_numpy(ids), lengths) for ids, lengths in (read[k] for k in range(BATCH))]
    alone = cost([part for ids, lengths in batch for part in ids.split(lengths) if len(part) > 1])
    together = cost([ids for ids, _ in batch])
    assert sum(len(lengths) for _, lengths in batch) > BATCH
    told = curve(room, "whole")
    assert told["loss"][0] == pytest.approx(alone, rel=1e-5) and abs(told["loss"][0] - together) > 1e-3
    lengths = [len(read[k][0]) for k in range(STEPS * BATCH)]
    assert told["tokens"] == [sum(lengths[i : i + BATCH]) for i in range(0, len(lengths), BATCH)]
    assert told["loss"][-1] < told["loss"][0] - 0.1
    assert whole["final_step"] == STEPS and whole["windows"] == STEPS * BATCH
    assert [part["windows"] for part in whole["drawn"]] == [19, 5]
    assert list((room / "whole").glob("*/tensorboard/events.*"))


@pytest.mark.timeout(900)
@pytest.mark.parametrize("end", [pytest.param("SIGTERM", marks=pytest.mark.slow), "SIGKILL"])
def test_a_run_ended_in_the_middle_of_a_step_has_the_same_curve(room: Path, whole: dict[str, Any], end: str) -> None:
    mark = uuid.uuid4().hex
    process = begin(room, end, mark=mark)
    log = room / f"{end}.log"
    while "step 3 of" not in log.read_text():
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.01)
    process.send_signal(getattr(signal, end))
    assert process.wait(60) != 0 and gone(mark)
    assert not (room / end / "manifest.json").exists()
    again = begin(room, end)
    assert again.wait(400) == 0, log.read_text()[-3000:]
    assert "from step 2" in log.read_text() or "from step 4" in log.read_text()
    manifest = json.loads((room / end / "manifest.json").read_text())
    assert {k: manifest[k] for k in ("run", "final_step")} == {k: whole[k] for k in ("run", "final_step")}
    told, wanted = curve(room, end), curve(room, "whole")
    assert told["step"] == wanted["step"] == list(range(1, STEPS + 1))
    for name in ("loss", "grad_norm", "lr"):
        assert told[name] == pytest.approx(wanted[name], rel=1e-6)
    kept = sorted(path.name for path in Path(manifest["checkpoint"]).parent.glob("global_step_*"))
    assert kept == [f"global_step_{STEPS}"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_share_a_batch_and_learn_the_same(room: Path, whole: dict[str, Any]) -> None:
    process = begin(room, "two", CPT.model_copy(update={"gpus_per_node": 2}))
    assert process.wait(400) == 0, (room / "two.log").read_text()[-3000:]
    told, wanted = curve(room, "two"), curve(room, "whole")
    assert told["loss"] == pytest.approx(wanted["loss"], rel=1e-4) and told["tokens"] == wanted["tokens"]


def test_windows_longer_than_a_gpu_takes_and_missing_files_are_one_sentence(room: Path) -> None:
    def run(settings: CptTrainSettings, data: Path) -> None:
        cpt.run(settings, data, room / "model", room / "none", room / "none/manifest.json")

    with pytest.raises(UserError, match="windows of 64 tokens, above train.cpt.tokens_per_gpu"):
        run(CPT.model_copy(update={"tokens_per_gpu": 63}), room / "mixture.json")
    told = json.loads((room / "mixture.json").read_text())
    told["sources"][0]["shards"][0]["path"] = "tree-0001"
    (room / "other.json").write_text(json.dumps(told))
    with pytest.raises(UserError, match="there is no file .*tree-0001.bin, which .*other.json names"):
        run(CPT, room / "other.json")
    with pytest.raises(UserError, match="train.loggers names no_such_tracker, which is not installed"):
        runs.must_have(["no_such_tracker"])
    assert runs.saved(room / "none") == 0 and not os.path.exists(room / "none/manifest.json")
