"""Which answers of a GRPO step teach: verl's replay buffer, for steps in which some could not be scored.

An answer whose reward raised (an outage of rendering or of the judge outlasted `reward.patience_s`) is missing from its
group; verl calls the group failed and trains on what is left of it. That is right for two answers or more: their mean
is still what each is measured against. One that is left alone is measured against 0 by verl (core_algos,
compute_grpo_outcome_advantage), so any reward would praise it: such a group is left out here. Where less than
`least_scored` of a step's answers is left, the step raises and the run halts at its last checkpoint, for a few answers
would move the model as far as all of them. One answer on which a component of the user's fails halts the run before
its step: what is left would be those pages that the component can look at.

Set by `trainer.v1.sampler`: `custom_sampler` names the class, `sampler_kwargs` hold rollouts, least_scored, rewards
(the folder of the reward's records) and poll_seconds (verl looks every 2 s whether the answers are in; on a CPU that is
most of a step).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

from artifactscoder.train import reward_function


def alone(uids: Iterable[str], keys: Iterable[str]) -> set[str]:
    """Of the prompts `uids` those that have one answer among `keys` (uid_session_index)."""
    left = Counter(dict.fromkeys(uids, 0))
    left.update(uid for uid, _, _ in {key.partition("_") for key in keys} if uid in left)
    return {uid for uid, answers in left.items() if answers == 1}


class ScoredGroups(ReplayBuffer):  # type: ignore[misc]
    """`ReplayBuffer` without answers that are left alone, and without steps of a few answers."""

    def __init__(self, **kwargs: Any) -> None:
        told = kwargs.get("sampler_kwargs") or {}
        self.rollouts, self.least = int(told["rollouts"]), float(told["least_scored"])
        self.records = reward_function.Records(Path(told["rewards"]))
        for _ in self.records.new():
            pass  # those of earlier attempts halted theirs
        super().__init__(**{**kwargs, "poll_interval": float(told["poll_seconds"])})

    def _materialize_batch(self, partition_id: str, selected_prompt_uids: list[str], snapshot: dict[str, Any]) -> Any:
        if faults := reward_function.faults(record["error"] for record in self.records.new()):
            raise RuntimeError(f"{len(faults)} answers could not be scored: {faults[0]}")
        if partition_id == "val":
            return super()._materialize_batch(partition_id, selected_prompt_uids, snapshot)
        lone = alone(selected_prompt_uids, snapshot)
        asked = len(selected_prompt_uids) * self.rollouts
        batch = super()._materialize_batch(
            partition_id, [uid for uid in selected_prompt_uids if uid not in lone], snapshot
        )
        if lone:
            print(f"{len(lone)} groups had one scored answer left and teach nothing", flush=True)
            self._clear_groups(partition_id, lone)
        if len(batch.keys) < self.least * asked:
            raise RuntimeError(
                f"{len(batch.keys)} of {asked} answers of this step could be scored and compared, which is less than "
                f"train.grpo.least_scored ({self.least:g})"
            )
        return batch
