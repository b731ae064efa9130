"""GRPO, killed in the middle of a step and taken up again: the same steps and the same curve (`make test-train`)."""

from __future__ import annotations

import json
import signal
import subprocess
import time
import uuid
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from artifactscoder.train import grpo, runs
from training import furnish, gone, start

pytest.importorskip("verl")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2400)]

ENGINE = """
import asyncio

from artifactscoder.reward.task import Score


class Engine:
    \"\"\"Scores by the letters of an answer, after a while in which a kill comes, however late the log is.\"\"\"

    @classmethod
    def from_settings(cls, path):
        return cls()

    async def score(self, answer, task, sample, tokens=None):
        await asyncio.sleep(4)
        return Score({"score": sum(map(ord, answer)) % 97 / 97, "i_rep": 1.0})
"""
CODE = """
from pathlib import Path
from artifactscoder.train import grpo
from artifactscoder.config.trainers import GrpoSettings

settings = GrpoSettings(
    device="cpu", gpus_per_node=1, precision="fp32", gradient_checkpointing=False, learning_rate=1e-3,
    batch_prompts=2, rollouts=3, steps=4, max_prompt_tokens=64, max_response_tokens=24, tokens_per_gpu=256,
    validate_every_steps=0, kl_coefficient=0.001, offload=False, save_every_steps=1, loader_workers=0, threads=1,
    rollout="hfcpu", tensor_parallel=1, reward_workers=1, agent_workers=1, ray_cpus=16, stop_seconds=10,
)
grpo.run(
    settings, Path("rl_train.parquet"), Path("rl_val.parquet"), Path("model"), Path("reward.json"), Path("{work}"),
    Path("{work}/manifest.json"), engine="lettered:Engine",
)
"""
COMPARED = ("score", "score_min", "score_max", "response_tokens", "pg_loss", "kl", "grad_norm", "lr")


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = furnish(tmp_path_factory.mktemp("kill"))
    (folder / "lettered.py").write_text(ENGINE)
    (folder / "reward.json").write_text("{}")
    return folder


def begin(room: Path, work: str, log: str, mark: str = "") -> subprocess.Popen[bytes]:
    return start(CODE.format(work=work), mark or uuid.uuid4().hex, room, room / log)


@pytest.mark.parametrize("end", ["SIGTERM", "SIGKILL"])
def test_grpo_ended_in_the_middle_of_a_step_has_the_same_curve(room: Path, end: str) -> None:
    if not (room / "whole").exists():
        assert begin(room, "whole", "whole.log").wait(900) == 0, (room / "whole.log").read_text()[-3000:]
    mark = uuid.uuid4().hex
    process = begin(room, end, f"{end}.log", mark)
    log = room / f"{end}.log"
    while "step 2 of" not in log.read_text():
        assert process.poll() is None, log.read_text()[-3000:]
        time.sleep(0.01)
    time.sleep(0.6)  # answers of the third step are being scored
    process.send_signal(getattr(signal, end))
    assert process.wait(60) != 0 and gone(mark, 30)
    (folder,) = (room / end).glob("*/checkpoints")
    assert runs.saved(folder) == 2 and not (room / end / "manifest.json").exists()

    assert begin(room, end, "again.log").wait(900) == 0, (room / "again.log").read_text()[-3000:]
    told, wanted = (json.loads((room / work / "manifest.json").read_text()) for work in (end, "whole"))
    assert [told[k] for k in ("run", "final_step")] == [wanted[k] for k in ("run", "final_step")]
    curves = [pq.read_table(room / work / "curve.parquet").to_pydict() for work in (end, "whole")]
    assert curves[0]["step"] == curves[1]["step"] == [1, 2, 3, 4]
    for name in COMPARED:
        assert name in grpo.CURVE and curves[0][name] == pytest.approx(curves[1][name], rel=1e-4, abs=1e-6), name
