"""What the tests of training share: a model of 40K parameters, its rows, and trainers in processes of their own."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from artifactscoder.config.trainers import SftSettings, TinyModelSettings
from artifactscoder.train import tiny_model

ROOT = Path(__file__).resolve().parents[1]
MARK = "ARTIFACTSCODER_TEST_RUN"
SYSTEM = "Answer with one complete HTML file."
ROWS, BATCH, STEPS = 12, 4, 5  # three steps an epoch: step 3 is the end of one

SFT = SftSettings(
    device="cpu",
    gpus_per_node=1,
    precision="fp32",
    gradient_checkpointing=False,
    learning_rate=3e-3,
    batch_size=BATCH,
    steps=STEPS,
    max_tokens=256,
    tokens_per_gpu=512,
    offload=False,
    save_every_steps=3,
    keep_checkpoints=1,
    loader_workers=0,
    threads=1,
    stop_seconds=5,
)


def page(i: int) -> str:
    body = "\n".join(f"<p>Item {i * j}</p>" for j in range(i % 3 + 1))
    return f"<!DOCTYPE html>\n<html>\n<body>\n<h1>Page {i}</h1>\n{body}\n</body>\n</html>"


def messages(i: int, answer: bool = True) -> list[dict[str, str]]:
    told = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"Make page {i}."}]
    return [*told, {"role": "assistant", "content": page(i)}] if answer else told


def marked(mark: str) -> list[str]:
    """Command lines of the processes that were started with `mark` in their environment."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            if f"{MARK}={mark}".encode() in Path(f"/proc/{name}/environ").read_bytes():
                found.append(Path(f"/proc/{name}/cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def gone(mark: str, seconds: float = 15) -> bool:
    end = time.monotonic() + seconds
    while marked(mark) and time.monotonic() < end:
        time.sleep(0.1)
    return not marked(mark)


def start(code: str, mark: str, path: Path, log: Path) -> subprocess.Popen[bytes]:
    """Run Python `code` in a process of its own that can import the package and what stands in `path`."""
    paths = os.pathsep.join([str(ROOT / "workflow"), str(path)])
    env = {**os.environ, "PYTHONPATH": paths, MARK: mark}
    with open(log, "wb") as output:
        command = [sys.executable, "-c", textwrap.dedent(code)]
        return subprocess.Popen(command, env=env, stdout=output, stderr=output, cwd=path)


def furnish(folder: Path) -> Path:
    """A tiny model, SFT rows and RL rows in `folder`."""
    texts = [m["content"] for i in range(ROWS) for m in messages(i)]
    shape = TinyModelSettings(vocab=640, layers=1, hidden=32, heads=2, kv_heads=1)
    tiny_model.make(texts, folder / "model", shape)
    pq.write_table(pa.table({"messages": [messages(i) for i in range(ROWS)]}), folder / "sft.parquet")
    rl = [
        {
            "data_source": "artifactscoder",
            "prompt": messages(i, answer=False),
            "reward_model": {"style": "rule", "ground_truth": page(i)},
            "extra_info": {"index": i, "id": f"page/{i}", "prompt": f"Make page {i}.", "checklist": "[]"},
        }
        for i in range(8)
    ]
    pq.write_table(pa.Table.from_pylist(rl[:6]), folder / "rl_train.parquet")
    pq.write_table(pa.Table.from_pylist(rl[6:]), folder / "rl_val.parquet")
    return folder
