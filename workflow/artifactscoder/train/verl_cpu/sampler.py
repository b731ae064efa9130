"""verl's replay buffer, asked more often whether the answers are in.

verl looks every 2 s, which is nothing beside a GPU step of minutes and most of a CPU step of seconds. Set by
`trainer.v1.sampler.custom_sampler` and `trainer.v1.sampler.sampler_kwargs.poll_seconds`.
"""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer

POLL_SECONDS = 0.2


class FastReplayBuffer(ReplayBuffer):
    """`ReplayBuffer` with `poll_interval` taken from `sampler_kwargs.poll_seconds` (default 0.2 s)."""

    def __init__(self, **kwargs: Any) -> None:
        poll = (kwargs.get("sampler_kwargs") or {}).get("poll_seconds", POLL_SECONDS)
        super().__init__(**{**kwargs, "poll_interval": float(poll)})
