"""SFT and GRPO on one GPU, beside what `artifactscoder train fit` says: tokens/s, MFU, memory, time of each phase.

The trainers are the project's own (train/sft, train/grpo) on a model of random weights, the largest of the known dense
shapes that `fit` lets on the GPU, so nothing is downloaded; random weights cost what trained ones do, and end no answer
early, so every answer has its full length. GRPO samples with vLLM, or where that is not installed with the plain loop
`hfcpu`. Rewards are a stand-in that waits (`--reward-seconds`): rendering and judging are measured by bench/render.py
and bench/reward.py. They run while other answers are sampled, so `rollout_s` holds both, and `last_reward_s` is the
slowest of a step. MFU is the operations of the model (`train/shapes.py`, nothing computed twice) over the peak of the
card in bf16. The first two steps are left out of the medians. Printed is a table, and one line of JSON.

`--cpu` (and `--quick` where there is no GPU) runs all of it with a model of half a million parameters on a CPU: its
figures mean nothing, but the script is known to work.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import json
import os
import statistics
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifactscoder.reward.task import Score, Task

# Dense bf16, from the makers' sheets.
PEAK_TFLOPS = {
    "GB200": 2500, "B200": 2250, "H200": 989, "H100": 989, "H800": 989, "A100": 312, "A800": 312, "L40S": 362,
    "L40": 181, "A40": 150, "L20": 120, "H20": 148, "4090": 165,
}  # fmt: skip
LADDER = ["Qwen2.5-Coder-32B", "Qwen2.5-Coder-14B", "Qwen2.5-Coder-7B", "Qwen2.5-Coder-3B", "Qwen2.5-Coder-1.5B",
          "Qwen2.5-Coder-0.5B"]  # fmt: skip
WARM = 2
LINES = [f"<p>Line {i}</p>\n" for i in range(200)]


class Reward:
    """Stands in for rendering and judging: waits, and scores by a checksum, so that a group's scores differ."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    @classmethod
    def from_settings(cls, path: Path) -> Reward:
        return cls(json.loads(path.read_text())["seconds"])

    async def score(self, answer: str, task: Task, sample: str, tokens: int | None = None) -> Score:
        await asyncio.sleep(self.seconds)
        return Score({"score": zlib.crc32(f"{sample}{answer}".encode()) / 2**32})


def machine(cpu: bool) -> tuple[str, float, float]:
    """(name, memory [GB], peak in bf16 [TFLOP/s], 0 where it is not known) of what the bench runs on."""
    import torch

    if cpu:
        return "CPU", 0.0, 0.0
    name = torch.cuda.get_device_name(0)
    peak = next((float(value) for key, value in PEAK_TFLOPS.items() if key in name), 0.0)
    return name, torch.cuda.get_device_properties(0).total_memory / 1e9, peak


def settings_for(args: argparse.Namespace, memory: float) -> tuple[Any, Any]:
    """SFT's and GRPO's settings: one GPU, nothing on the host but what GRPO moves there between phases."""
    from artifactscoder.config.trainers import GrpoSettings, SftSettings

    vllm = importlib.util.find_spec("vllm") is not None
    flash = importlib.util.find_spec("flash_attn") is not None
    shared: dict[str, Any] = {
        "gpus_per_node": 1,
        "fused_kernels": True,
        "attention": "auto" if flash else "sdpa",
        "save_every_steps": args.steps,
        "loader_workers": 0,
        "threads": 1 if args.cpu else 8,
    }
    shared |= {"device": "cpu", "precision": "fp32"} if args.cpu else {"gpu_gb": memory}
    sft = SftSettings(
        **shared,
        batch_size=4 if args.cpu else 8,
        steps=args.steps,
        max_tokens=args.tokens,
        frame_tokens=64,
        tokens_per_gpu=args.tokens + 64,
        offload=False,
        extra_overrides=["checkpoint.save_contents=[extra]"],  # the weights are worth nothing
    )
    grpo = GrpoSettings(
        **shared,
        batch_prompts=args.prompts,
        rollouts=4,
        steps=args.steps,
        max_prompt_tokens=128,
        max_response_tokens=args.answer,
        tokens_per_gpu=max(args.answer + 128, 512 if args.cpu else 8192),
        validate_every_steps=0,
        rollout="vllm" if vllm and not args.cpu else "hfcpu",
        tensor_parallel=1,
        gpu_memory=0.5,
        reward_workers=1,
        agent_workers=1,
        ray_cpus=16,
        extra_overrides=["actor_rollout_ref.actor.checkpoint.save_contents=[extra]"],
    )
    return sft, grpo


def largest(sft: Any, grpo: Any) -> str:
    """The largest known dense model that fits in both stages."""
    from artifactscoder.train import fit, shapes

    for name in LADDER:
        shape = shapes.of(Path(name))
        if fit.fit(shape, sft, "sft").fits and fit.fit(shape, grpo, "grpo").fits:
            return name
    sys.exit(f"bench/gpu.py: not even {LADDER[-1]} fits {sft.gpu_gb:.0f} GB; lower --tokens and --answer")


def make_model(folder: Path, name: str) -> None:
    """Random weights of a known shape in bf16, with a small tokenizer whose ids the model has; `tiny` is tiny."""
    from artifactscoder.config.trainers import TinyModelSettings
    from artifactscoder.train import shapes, tiny_model

    texts = ["".join(LINES)] * 3
    tiny_model.make(texts, folder, TinyModelSettings(vocab=1024, max_positions=32_768))
    if name == "tiny":
        return
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    values = json.loads(shapes.KNOWN.read_text())[name]
    config = AutoConfig.for_model(**values, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    with torch.device("cuda"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    for old in folder.glob("*.safetensors"):
        old.unlink()
    model.cpu().save_pretrained(folder, max_shard_size="5GB")
    del model
    torch.cuda.empty_cache()


def make_tables(folder: Path, model: Path, args: argparse.Namespace, rows: int) -> int:
    """SFT rows and RL rows; returns the tokens of an SFT row."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)

    def messages(number: int, lines: int) -> list[dict[str, str]]:
        page = "".join(LINES[(number + k) % len(LINES)] for k in range(lines))
        return [{"role": "user", "content": f"Make page {number}."}, {"role": "assistant", "content": page}]

    def length(lines: int) -> int:
        return len(tokenizer.apply_chat_template(messages(0, lines), tokenize=True, return_dict=True)["input_ids"])

    lines = int((args.tokens - length(0)) * 100 / (length(100) - length(0)))
    pq.write_table(pa.table({"messages": [messages(i, lines) for i in range(rows)]}), folder / "sft.parquet")
    rl = [
        {
            "data_source": "bench",
            "prompt": messages(i, 0)[:1],
            "reward_model": {"style": "rule", "ground_truth": "<p>page</p>"},
            "extra_info": {"index": i, "id": f"page/{i}", "prompt": f"Make page {i}.", "checklist": "[]"},
        }
        for i in range(args.prompts)
    ]
    pq.write_table(pa.Table.from_pylist(rl), folder / "rl.parquet")
    return length(lines)


def steps(work: Path) -> Iterator[dict[str, float]]:
    """verl's metrics of each training step after the warm ones."""
    from artifactscoder.train.runs import MetricsFile

    rows = [row for path in sorted(work.glob("*/metrics/*.jsonl")) for row in MetricsFile(path).new()]
    yield from (metrics for step, metrics in rows if step > WARM)


def median(rows: list[dict[str, float]], *names: str) -> float:
    """Over the steps, of the first of these metrics that there is; names may be the end of one."""
    for name in names:
        if found := [v for row in rows for k, v in row.items() if k == name or k.endswith("/" + name)]:
            return statistics.median(found)
    return float("nan")


def measure_sft(folder: Path, settings: Any, shape: Any, length: int, peak: float) -> dict[str, Any]:
    import pyarrow.parquet as pq

    from artifactscoder.train import fit, sft

    sft.run(settings, folder / "sft.parquet", folder / "model", folder / "sft", folder / "sft-out/manifest.json")
    curve = [row for row in pq.read_table(folder / "sft-out/curve.parquet").to_pylist() if row["step"] > WARM]
    rate = statistics.median(row["tokens"] / row["seconds"] for row in curve)
    rows = list(steps(folder / "sft"))
    return {
        "seconds": round(statistics.median(row["seconds"] for row in curve), 3),
        "tokens_per_s": round(rate, 1),
        "tflops": float(f"{rate * shape.operations(length) / 1e12:.3g}"),
        "mfu": round(rate * shape.operations(length) / (peak * 1e12), 4) if peak else None,
        "memory_gb": round(median(rows, "max_memory_allocated_gb") * 2**30 / 1e9, 2),
        "fit_gb": round(fit.fit(shape, settings, "sft").peak / 1e9, 2),
    }


def measure_grpo(folder: Path, settings: Any, shape: Any, seconds: float) -> dict[str, Any]:
    import pyarrow.parquet as pq

    from artifactscoder.train import fit, grpo

    reward, rl = folder / "reward.json", folder / "rl.parquet"
    reward.write_text(json.dumps({"seconds": seconds}))
    out = folder / "grpo-out/manifest.json"
    grpo.run(settings, rl, rl, folder / "model", reward, folder / "grpo", out, engine="gpu:Reward")
    rows = list(steps(folder / "grpo"))
    longest: dict[int, float] = {}  # step -> its slowest reward
    for row in pq.read_table(out.parent / "rewards.parquet", columns=["step", "seconds"]).to_pylist():
        longest[row["step"]] = max(longest.get(row["step"], 0.0), row["seconds"])
    answers = settings.batch_prompts * settings.rollouts
    rollout, step = median(rows, "timing_s/gen"), median(rows, "timing_s/step")
    phases = {
        name: median(rows, f"timing_s/{name}") for name in ("old_log_prob", "ref", "update_actor", "update_weights")
    }
    found = fit.fit(shape, settings, "grpo")
    return {
        "seconds": round(step, 3),
        "rollout_s": round(rollout, 3),
        "last_reward_s": round(statistics.median(longest.values()), 3),
        **{f"{name}_s": round(value, 3) for name, value in phases.items()},
        "sampled_tokens_per_s": round(answers * median(rows, "response_length/mean") / rollout, 1),
        "memory_gb": round(median(rows, "max_memory_allocated_gb") * 2**30 / 1e9, 2),
        "fit_gb": round(found.peak / 1e9, 2),
        "rollout": settings.rollout,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cpu", action="store_true", help="a tiny model on a CPU: shows that the script works")
    parser.add_argument("--quick", action="store_true", help="fewer steps; --cpu where there is no GPU")
    parser.add_argument("--model", default="", help=f"one of {', '.join(LADDER)} (default: the largest that fits)")
    parser.add_argument("--steps", type=int, default=8, help="steps of each stage, of which two warm up (8)")
    parser.add_argument("--tokens", type=int, default=8192, help="tokens of an SFT sample (8192)")
    parser.add_argument("--answer", type=int, default=2048, help="tokens of a GRPO answer (2048)")
    parser.add_argument("--prompts", type=int, default=16, help="prompts of a GRPO step, four answers each (16)")
    parser.add_argument("--reward-seconds", type=float, default=2.0, help="what a reward takes (2 s)")
    parser.add_argument("--work", type=Path, help="folder for model and checkpoints (default: a temporary one)")
    args = parser.parse_args()

    import torch

    # Ray's workers import the reward from here.
    os.environ["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    args.cpu |= args.quick and not torch.cuda.is_available()
    if not args.cpu and not torch.cuda.is_available():
        sys.exit("bench/gpu.py: there is no GPU; run it where there is one, or with --cpu to try the script")
    if args.cpu:
        args.steps, args.tokens, args.answer, args.prompts, args.reward_seconds = 3, 256, 32, 2, 0.1
    elif args.quick:
        args.steps = 4
    from artifactscoder.progress import table
    from artifactscoder.train import shapes

    name, memory, peak = machine(args.cpu)
    sft, grpo = settings_for(args, memory)
    model = "tiny" if args.cpu else args.model or largest(sft, grpo)
    with tempfile.TemporaryDirectory(prefix="gpu-bench-") as temporary:
        folder = (args.work or Path(temporary)).resolve()
        folder.mkdir(parents=True, exist_ok=True)
        make_model(folder / "model", model)
        shape = shapes.of(folder / "model")
        length = make_tables(folder, folder / "model", args, sft.batch_size * args.steps)
        found = {
            "machine": name,
            "memory_gb": round(memory, 1),
            "peak_tflops": peak or None,
            "model": model,
            "parameters": shape.parameters,
            "tokens": length,
            "answer": args.answer,
            "sft": measure_sft(folder, sft, shape, length, peak),
            "grpo": measure_grpo(folder, grpo, shape, args.reward_seconds),
        }
    lines = [["", "sft", "grpo"]]
    for key in dict.fromkeys([*found["sft"], *found["grpo"]]):
        shown = (found[stage].get(key) for stage in ("sft", "grpo"))
        lines.append([key, *("-" if value is None else str(value) for value in shown)])
    print(f"{name}: {model}, {shape.parameters / 1e9:.3g} billion parameters, {length} tokens a sample")
    print("\n".join(table(lines, left={0})))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
