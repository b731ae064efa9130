"""verl on CPUs: what lets verl's own trainers run where there is no GPU.

In comes nothing; out come two things that verl loads by itself through its public doors: a platform (`platform`) and
a rollout backend named `hfcpu` (`rollout`). verl's code is neither copied nor changed on disk. Meant for tiny models
in demos and tests: a rollout is a plain PyTorch loop, and FSDP runs over gloo. On one GPU without vLLM the rollout
(`door`) serves alone, for measuring (bench/gpu.sh); the platform is then verl's own.
"""

from __future__ import annotations

PLATFORM_MODULE = f"{__name__}.platform"
ROLLOUT_MODULE = f"{__name__}.rollout"
DOOR_MODULE = f"{__name__}.door"
ROLLOUT_NAME = "hfcpu"


def environment_on_gpu() -> dict[str, str]:
    """Variables for the rollout `hfcpu` on a GPU, which its actor sees without asking Ray for one."""
    return {"VERL_USE_EXTERNAL_MODULES": DOOR_MODULE, "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}


def environment() -> dict[str, str]:
    """Variables that make every process of a verl run (torchrun's ranks, Ray's workers) use the CPU platform."""
    return {
        "VERL_USE_EXTERNAL_MODULES": PLATFORM_MODULE,
        "VERL_PLATFORM": "cpu",
        # verl's FSDP engine is registered for "cuda" and "npu" alone; its code asks the platform for devices.
        "VERL_ENGINE_DEVICE": "cuda",
        # The one logical "GPU" of a node is a Ray resource without hardware: no variable may be emptied for
        # it.
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        # Spare workers, started ahead of need, take the few cores from those that are needed.
        "RAY_prestart_worker_first_driver": "0",
        # Ray nices its workers by 15 to keep a node responsive; here they are what the machine is for.
        "RAY_worker_niceness": "0",
    }
