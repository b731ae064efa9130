"""A verl platform for CPUs, loaded by verl through `VERL_USE_EXTERNAL_MODULES` in every process of a run.

verl asks its platform for the device module, the collective backend and the Ray resource of a worker. This
one answers with CPU tensors, gloo, and Ray's logical resource "GPU" (the run declares one per node:
`ray_init.num_gpus`). Importing the module also registers the rollout backend `hfcpu` and replaces two
PyTorch names that assume an accelerator; each says why where it stands.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed
import torch.distributed.fsdp
from verl.plugin.platform.platform_base import PlatformBase
from verl.plugin.platform.platform_manager import PlatformRegistry

from artifactscoder.train.verl_cpu import door  # noqa: F401  registers the rollout

REPORTED_MEMORY = 16 << 30  # bytes; verl only prints it


def _device_module() -> types.ModuleType:
    """`torch.cpu` with the names of `torch.cuda` that verl calls: counters are 0, switches do nothing."""
    module = types.ModuleType("artifactscoder_cpu_device")
    module.__dict__.update({name: getattr(torch.cpu, name) for name in dir(torch.cpu) if name[:2] != "__"})

    def nothing(*_: Any, **__: Any) -> None:
        return None

    def zero(*_: Any, **__: Any) -> int:
        return 0

    for name in ("max_memory_allocated", "max_memory_reserved", "memory_allocated", "memory_reserved"):
        setattr(module, name, zero)
    for name in ("empty_cache", "set_device", "synchronize", "reset_peak_memory_stats", "ipc_collect"):
        setattr(module, name, nothing)
    module.__dict__.update(
        current_device=zero,
        manual_seed=nothing,  # torch.manual_seed covers the CPU generator already
        manual_seed_all=nothing,
        mem_get_info=lambda *_: (REPORTED_MEMORY, REPORTED_MEMORY),
        get_device_name=lambda *_: "cpu",
        is_available=lambda: True,
        device_count=lambda: 1,
        get_rng_state=torch.get_rng_state,
        set_rng_state=torch.set_rng_state,
    )
    return module


@PlatformRegistry.register(platform="cpu")
class CpuPlatform(PlatformBase):
    """See `verl.plugin.platform.PlatformBase` for the meaning of each answer."""

    device_name = "cpu"
    vendor_name = "cpu"
    device_module = _device_module()

    def is_available(self) -> bool:
        return True

    def current_device(self) -> torch.device:  # type: ignore[override]
        return torch.device("cpu")

    def device_count(self) -> int:
        return 1

    def set_device(self, device_index: int) -> None:
        return None

    def synchronize(self, device_index: int | None = None) -> None:
        return None

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def manual_seed_all(self, seed: int) -> None:
        torch.manual_seed(seed)

    def set_allocator_settings(self, settings: str) -> None:
        return None

    def empty_cache(self) -> None:
        return None

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def profiler_start(self) -> None:
        return None

    def profiler_stop(self) -> None:
        return None

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_resource_options(self, num_gpus: float) -> dict[str, Any]:
        return {"num_gpus": num_gpus}

    def ray_noset_envvars(self) -> list[str]:
        return []

    def is_ipc_supported(self) -> bool:
        return False

    def cudart(self) -> None:
        return None


_init_process_group = torch.distributed.init_process_group


def _init_gloo_once(backend: str | None = None, *args: Any, **kwargs: Any) -> Any:
    """verl asks for "cpu:gloo,<device>:<backend>"; on a CPU that names the CPU twice, which PyTorch refuses."""
    return _init_process_group("gloo" if backend == "cpu:gloo,cpu:gloo" else backend, *args, **kwargs)


class _UnpinnedOffload(torch.distributed.fsdp.CPUOffloadPolicy):
    """verl keeps the frozen reference model in pinned memory; pinning needs an accelerator."""

    def __init__(self, pin_memory: bool = False) -> None:
        super().__init__(pin_memory=False)


torch.distributed.init_process_group = _init_gloo_once
torch.distributed.fsdp.CPUOffloadPolicy = _UnpinnedOffload  # type: ignore[misc]
