"""The rollout backend `hfcpu` in verl's two registries; loaded by verl through `VERL_USE_EXTERNAL_MODULES`."""

from __future__ import annotations

from verl.workers.rollout import base as rollout_base
from verl.workers.rollout.replica import RolloutReplicaRegistry

from artifactscoder.train.verl_cpu import ROLLOUT_MODULE, ROLLOUT_NAME


def _replica() -> type:
    from artifactscoder.train.verl_cpu.rollout import Replica

    return Replica


rollout_base._ROLLOUT_REGISTRY[(ROLLOUT_NAME, "async")] = f"{ROLLOUT_MODULE}.Adapter"
RolloutReplicaRegistry.register(ROLLOUT_NAME, _replica)
