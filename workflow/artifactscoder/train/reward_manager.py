"""The class through which verl asks for a reward: its own `naive` manager, which also says which sample it is.

verl hands a reward function the answer and the row's `extra_info`, but neither the group nor the step. The manager
has them, so it puts them under `extra_info["sample"]`: `uid` (the prompt of this step, new each time it is drawn),
`session` (which answer of the group), `step` (of training, also during a validation), `tokens` (generated, thoughts
and the end mark included). verl's dumps of rollouts name samples by the same `uid_session`, so a reward record and a
dumped answer meet by key and not by text.
Set by `reward.reward_manager.{source=importlib,name,module.path}`.
"""

from __future__ import annotations

from typing import Any

from verl import DataProto
from verl.experimental.reward_loop.reward_manager.naive import NaiveRewardManager


class RecordingManager(NaiveRewardManager):
    """`NaiveRewardManager` with the sample's name in `extra_info`. An exception of the reward is passed on."""

    async def run_single(self, data: DataProto) -> dict[str, Any]:
        row = data[-1]
        fields = row.non_tensor_batch
        length = row.batch["responses"].shape[-1]
        fields["extra_info"]["sample"] = {
            "uid": str(fields["uid"]),
            "session": int(fields["session_id"]),
            "step": int(fields["global_steps"]),
            "tokens": int(row.batch["attention_mask"][-length:].sum()),
        }
        return await super().run_single(data)
