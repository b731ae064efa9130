"""Which answers of a GRPO step teach, and what halts a run: verl's replay buffer as it is, beside real records."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import pytest

from artifactscoder.config import RewardSettings
from artifactscoder.errors import UserError
from artifactscoder.reward import components
from artifactscoder.reward.task import Score, Task
from artifactscoder.train import reward_function

pytest.importorskip("verl")


def shy(sample: Any) -> float:
    """A user's component that fails on some pages."""
    return 1.0 / len(sample)


class Engine:
    """Scores an answer by the user's component; finds no render service for one that asks for it."""

    @classmethod
    def from_settings(cls, path: Path) -> Engine:
        return cls()

    async def score(self, answer: str, task: Task, sample: str, tokens: int | None = None) -> Score:
        if answer == "outage":
            raise ConnectionError("no render service")
        mine: Any = components.added(RewardSettings(extra={"user_component:shy": 1.0}))["s_shy"]
        sample_of: Any = answer
        return Score({"score": components.value("shy", mine, sample_of)})


@pytest.fixture
def buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes the replay buffer of a run whose records stand in `tmp_path`; no queue is behind it."""
    from verl.trainer.ppo.v1 import replay_buffer

    from artifactscoder.train.verl_groups import ScoredGroups

    monkeypatch.setattr(replay_buffer.tq, "kv_clear", lambda **_: None)
    monkeypatch.setitem(sys.modules, "user_component", types.SimpleNamespace(shy=shy))  # type: ignore[arg-type]
    told = {"rollouts": 2, "least_scored": 0.5, "poll_seconds": 0.1, "rewards": str(tmp_path)}

    def make() -> ScoredGroups:
        return ScoredGroups(
            trainer_mode="sync", trainer_config={}, max_off_policy_threshold=None, max_off_policy_strategy="drop",
            sampler_kwargs=told,
        )  # fmt: skip

    return make


async def scored(folder: Path, answers: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What verl has of these answers (sample -> text) after each was to be scored."""
    snapshot = {}
    for sample, text in answers.items():
        uid, _, session = sample.partition("_")
        info = {
            "id": uid, "prompt": "A page.", "checklist": "[]",
            "sample": {"uid": uid, "session": session, "step": 1},
        }  # fmt: skip
        try:
            kwargs: Any = {"settings": "s", "log_dir": str(folder), "engine": f"{__name__}:Engine"}
            await reward_function.compute_score("", text, "", info, **kwargs)
            snapshot[f"{sample}_0"] = {"status": "success"}
        except (UserError, ConnectionError):
            continue
    return snapshot


async def test_a_component_that_fails_on_one_answer_halts_the_run_before_the_step(buffer: Any, tmp_path: Path) -> None:
    first = buffer()
    snapshot = await scored(tmp_path, {"a_0": "x", "a_1": "xx", "b_0": "x", "b_1": ""})
    assert len(snapshot) == 3
    with pytest.raises(RuntimeError, match="1 answers could not be scored: UserError: reward: shy fails with Zero"):
        first._materialize_batch("train", ["a", "b"], snapshot)
    again = buffer()  # after the mend: what stands on record halts nothing
    snapshot = await scored(tmp_path, {"c_0": "x", "c_1": "xx", "d_0": "x", "d_1": "outage"})
    assert set(again._materialize_batch("train", ["c", "d"], snapshot).keys) == {"c_0_0", "c_1_0"}
    assert reward_function.faults(reward_function.failures(tmp_path).values()) == [
        "UserError: reward: shy fails with ZeroDivisionError: float division by zero"
    ]
