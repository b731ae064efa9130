"""verl's model merger without its cast: FSDP2's shards put together in the type that they have.

`verl.model_merger` writes bf16 whatever the shards hold, and they hold fp32 masters. All but the joining is verl's own:
`python -m artifactscoder.train.verl_merge SHARDS TARGET`, a folder of shards and one to be made.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.distributed.tensor import DTensor
from verl.model_merger.base_model_merger import ModelMergerConfig
from verl.model_merger.fsdp_model_merger import FSDPModelMerger, merge_non_dtensor_shards


class Merger(FSDPModelMerger):  # type: ignore[misc]
    """`FSDPModelMerger` that keeps the type of the weights."""

    def _load_and_merge_state_dicts(
        self, world_size: int, total_shards: int, mesh_shape: tuple[int, ...], mesh_dim_names: tuple[str, ...]
    ) -> dict[str, torch.Tensor]:
        folder = Path(str(self.config.local_dir))
        names = [folder / f"model_world_size_{world_size}_rank_{rank}.pt" for rank in range(total_shards)]
        shards = [torch.load(name, map_location="cpu", weights_only=False) for name in names]
        merged = {}
        for key in sorted(shards[0]):
            parts = [shard.pop(key) for shard in shards]
            if isinstance(parts[0], DTensor):
                whole = self._merge_by_placement([part._local_tensor for part in parts], parts[0].placements[-1])
            else:
                whole = merge_non_dtensor_shards(key, parts)
            merged[key] = whole
        return merged


if __name__ == "__main__":
    given = ModelMergerConfig(
        operation="merge",
        backend="fsdp",
        local_dir=sys.argv[1],
        target_dir=sys.argv[2],
        hf_model_config_path=str(Path(sys.argv[1], "huggingface")),
    )
    Merger(given).merge_and_save()
