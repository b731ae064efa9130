"""train/export: a checkpoint of CPT, SFT or GRPO as a model that others can load.

In comes the manifest of a finished run (or a checkpoint folder); out goes a folder in Hugging Face format: weights in
the type asked for, tokenizer with its chat template, generation settings, and `manifest.json` last. Where the run
saved Hugging Face weights they are taken; otherwise verl's merger puts the shards together. The result is
loaded back as a stranger would load it: every weight must be there, and one forward pass must give finite numbers.
Holds the model in memory twice: 120 GB for 30B in bf16, 240 GB in fp32. Needs no GPU.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from artifactscoder.config.trainers import ExportSettings
from artifactscoder.errors import UserError
from artifactscoder.models import fingerprint
from artifactscoder.train import curves, runs
from artifactscoder.train.engines import DTYPES

INNER = (".", "model", "actor", "actor/model")  # where `huggingface` stands: SFT and GRPO, on FSDP2 and on Megatron


def locate(checkpoint: Path) -> tuple[Path, dict[str, Any]]:
    """(folder with verl's shards, manifest of its run if there is one) from a manifest or a checkpoint folder."""
    manifest: dict[str, Any] = {}
    folder = checkpoint
    if checkpoint.is_file():
        try:
            manifest = json.loads(checkpoint.read_text())
            folder = Path(manifest["checkpoint"])
        except (json.JSONDecodeError, KeyError, TypeError):
            raise UserError(
                f"{checkpoint} is not the manifest of train/cpt, train/sft or train/grpo; give one of those"
            ) from None
    if not folder.exists():
        raise UserError(f"there is no checkpoint {folder}; run the training step again, it goes on where it stopped")
    for inner in INNER:
        if (folder / inner / "huggingface" / "config.json").is_file():
            return folder / inner, manifest
    raise UserError(f"{checkpoint} holds no verl checkpoint (no huggingface/config.json); give global_step_N")


def merge(folder: Path, target: Path, dtype: str) -> None:
    """Put verl's shards together in `target`; raises UserError with the merger's last word if it fails."""
    command = [sys.executable, "-m", "verl.model_merger", "merge", "--backend=fsdp"]
    command += [f"--local_dir={folder}", f"--target_dir={target}"]
    if dtype != "bf16":  # which is all that verl's own writes
        command = [sys.executable, "-m", "artifactscoder.train.verl_merge", str(folder), str(target)]
    env = runs.environment("cuda", 8, {})  # nothing in the merger touches a device
    result = subprocess.run(command, env=env, stdout=sys.stderr, stderr=subprocess.PIPE, text=True)
    print(result.stderr, file=sys.stderr, end="", flush=True)
    if result.returncode != 0:
        tail = curves.Tail()
        for line in result.stderr.splitlines():
            tail.add(line)
        raise UserError(f"verl's merger could not merge {folder}: {tail.reason() or 'see its log above'}")


def check(folder: Path) -> int:
    """Load a model folder as a stranger would; returns its parameters. Raises RuntimeError if it is not whole."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    loaded: Any = AutoModelForCausalLM.from_pretrained(folder, dtype="auto", output_loading_info=True)
    model, report = loaded
    wrong = {name: list(keys)[:3] for name, keys in report.items() if keys and name != "error_msgs"}
    if wrong or report.get("error_msgs"):
        raise RuntimeError(f"{folder} does not load whole: {wrong or report['error_msgs']}")
    text = tokenizer.apply_chat_template([{"role": "user", "content": "."}], tokenize=False, add_generation_prompt=True)
    with torch.no_grad():
        logits = model(**tokenizer(text, return_tensors="pt", add_special_tokens=False)).logits
    if not torch.isfinite(logits).all():
        raise RuntimeError(f"{folder} gives numbers that are not finite")
    return sum(p.numel() for p in model.parameters())


def run(settings: ExportSettings, checkpoint: Path, output: Path) -> None:
    """Export `checkpoint` (a run's manifest.json, or a folder global_step_N) into the folder `output`."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

    folder, manifest = locate(checkpoint)
    config = folder / "huggingface"
    saved = any(config.glob("*.safetensors"))
    draft = output.with_name(f".{output.name}.work")
    shutil.rmtree(draft, ignore_errors=True)  # of a job that was killed
    draft.mkdir(parents=True)
    try:
        source = config
        if not saved:
            source = draft / "merged"
            merge(folder, source, settings.dtype)
        whole = draft / "whole"
        dtype = getattr(torch, DTYPES[settings.dtype])
        model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=dtype)
        if (config / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(config)
        model.save_pretrained(whole, max_shard_size=f"{settings.shard_gb}GB")
        del model
        AutoTokenizer.from_pretrained(config).save_pretrained(whole)
        parameters = check(whole)
        shutil.rmtree(output, ignore_errors=True)
        whole.rename(output)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    runs.write_manifest(
        output / "manifest.json",
        {
            "step": "export",
            "checkpoint": str(folder),
            "run": manifest.get("run"),
            "final_step": manifest.get("final_step"),
            "parameters": parameters,
            "fingerprint": fingerprint(output),
            "settings": settings.model_dump(mode="json"),
        },
    )
