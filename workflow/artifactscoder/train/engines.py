"""What SFT, CPT and GRPO tell verl alike: the engine that trains, its optimiser, the model, the checkpoints.

Two engines, and each hears its own words (verl/trainer/config/engine/{fsdp,megatron}.yaml). A word of the other one is
refused by verl at best and passed over at worst, so what verl 0.9.1 would silently do otherwise stands here:

* Megatron recomputes nothing unless `override_transformer_config` says so; `enable_gradient_checkpointing` is not read.
* Megatron's Adam does not read `optim.betas`, only `override_optimizer_config`.
* Megatron's learning rate begins anew after a resume unless `use_checkpoint_opt_param_scheduler` is on.
* FSDP2's `param_offload` moves states between phases only; `offload_policy` keeps them on the host during a step.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from artifactscoder.config.trainers import GrpoSettings, TrainerSettings
from artifactscoder.errors import UserError

NEEDS = {"megatron": ("megatron", "transformer_engine"), "flash_attention_2": ("flash_attn",)}
DTYPES = {"bf16": "bfloat16", "fp32": "float32"}


def model(s: TrainerSettings, at: str, path: Path) -> dict[str, Any]:
    """The part `at` that names the model: `model` in SFT, `actor_rollout_ref.model` in GRPO."""
    pairs: dict[str, Any] = {
        f"{at}.path": path,
        f"{at}.use_remove_padding": True,
        f"{at}.use_fused_kernels": s.fused_kernels,
    }
    if s.engine == "fsdp2":
        pairs |= {
            f"{at}.enable_gradient_checkpointing": s.gradient_checkpointing,
            f"+{at}.override_config.attn_implementation": s.attention_kernel,
        }
    return pairs


def engine(s: TrainerSettings, at: str, seed: int) -> dict[str, Any]:
    """The engine at `at`: `engine` in SFT, `actor_rollout_ref.actor.fsdp_config` or `.megatron` in GRPO."""
    if s.engine == "fsdp2":
        return {
            **fsdp2(s, at, "fp32"),
            f"{at}.offload_policy": s.on_host,
            f"{at}.ulysses_sequence_parallel_size": s.sequence_parallel,
            f"{at}.seed": seed,
        }
    split, inner = s.megatron, f"{at}.override_transformer_config"
    recomputed = {"granularity": "full", "method": "uniform", "num_layers": 1} if s.gradient_checkpointing else {}
    return {
        f"{at}.dtype": DTYPES[s.precision],
        f"{at}.tensor_model_parallel_size": split.tensor,
        f"{at}.sequence_parallel": split.tensor > 1,
        f"{at}.pipeline_model_parallel_size": split.pipeline,
        f"{at}.context_parallel_size": split.context,
        f"{at}.expert_model_parallel_size": split.expert,
        f"{at}.expert_tensor_parallel_size": 1,
        f"{at}.use_distributed_optimizer": True,
        f"{at}.seed": seed,
        f"{inner}.attention_backend": "flash",
        f"+{inner}.moe_router_dtype": "fp32",
        **{f"{inner}.recompute_{name}": value for name, value in recomputed.items()},
    }


def fsdp2(s: TrainerSettings, at: str, held: str) -> dict[str, Any]:
    """Types of an FSDP2 engine: parameters are held as `held` and used in the precision of the settings."""
    return {
        f"{at}.strategy": "fsdp2",
        f"{at}.model_dtype": held,
        f"+{at}.mixed_precision.param_dtype": s.precision,
        f"+{at}.mixed_precision.reduce_dtype": "fp32",
        f"{at}.use_torch_compile": s.device == "cuda",
    }


def optimiser(
    s: TrainerSettings, at: str, rate: float, schedule: str, warmup: int, final: float = 0.0
) -> dict[str, Any]:
    """AdamW at `at`: the learning rate `rate` after `warmup` steps, then constant or a cosine to its share `final`."""
    pairs: dict[str, Any] = {
        f"{at}.lr": rate,
        f"{at}.lr_warmup_steps": warmup,
        f"{at}.lr_warmup_steps_ratio": 0.0,  # verl takes the ratio where the steps are 0
        f"{at}.weight_decay": s.weight_decay,
        f"{at}.clip_grad": s.clip_grad,
    }
    if s.engine == "fsdp2":
        pairs |= {f"{at}.lr_scheduler_type": schedule, f"{at}.min_lr_ratio": final}
        return pairs | {f"{at}.betas": [0.9, s.beta2]}
    pairs |= {
        f"{at}.lr_decay_style": schedule,
        f"{at}.min_lr": final * rate,
        f"{at}.use_checkpoint_opt_param_scheduler": True,
        f"+{at}.override_optimizer_config.adam_beta2": s.beta2,
    }
    if s.on_host:  # megatron/core/optimizer/optimizer_config.py
        pairs |= {
            f"+{at}.override_optimizer_config.optimizer_cpu_offload": True,
            f"+{at}.override_optimizer_config.optimizer_offload_fraction": 1.0,
            f"+{at}.override_optimizer_config.overlap_cpu_optimizer_d2h_h2d": True,
            f"+{at}.override_optimizer_config.use_precision_aware_optimizer": True,
        }
    return pairs


def checkpoint(s: TrainerSettings, at: str) -> dict[str, Any]:
    """What a checkpoint holds. Megatron's holds the model in Hugging Face format anyway."""
    kept = ["model", "optimizer", "extra"]
    also = ["hf_model"] if s.checkpoint_hf and s.engine == "fsdp2" else []
    return {f"{at}.save_contents": [*kept, *also], f"{at}.load_contents": kept}


def environment(s: TrainerSettings) -> dict[str, str]:
    """Megatron on GPUs before Blackwell overlaps its communication in the right order only with one queue."""
    return {"CUDA_DEVICE_MAX_CONNECTIONS": "1"} if s.engine == "megatron" else {}


def must_be_installed(s: TrainerSettings, stage: str) -> None:
    """Raise UserError where training on GPUs would need a package that is not here; verl would end in a traceback."""
    if s.device == "cpu":
        return
    wanted = list(NEEDS["megatron"]) if s.engine == "megatron" else list(NEEDS.get(s.attention_kernel, ()))
    if isinstance(s, GrpoSettings) and s.rollout in ("vllm", "sglang"):
        wanted.append(s.rollout)
    if missing := [name for name in wanted if importlib.util.find_spec(name) is None]:
        raise UserError(
            f"train.{stage} as configured needs {' and '.join(missing)}, not installed here; train in the image train "
            "(docs/cluster.md), or set engine, attention or rollout to what there is"
        )
