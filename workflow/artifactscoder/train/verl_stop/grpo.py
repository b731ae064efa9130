"""verl's GRPO trainer made to save and end when it is asked to.

verl instantiates `trainer.checkpoint_callback_class` in the trainer's own process; that is the door. At the end of a
step, where verl saves if the step is one to save, the trainer then saves in any case and makes that step the last.
"""

from __future__ import annotations

from typing import Any

from verl.trainer.ppo.checkpoint_callback import CheckpointCallback
from verl.trainer.ppo.v1 import get_trainer_cls

from artifactscoder.train import verl_stop


class StopWhenAsked(CheckpointCallback):  # type: ignore[misc]
    """Puts the question at the end of each step of the trainer that the configuration names."""

    def __init__(self, config: Any = None) -> None:
        super().__init__(config)
        self.saved = 0
        trainer = get_trainer_cls(config.trainer.v1.trainer_mode)
        end_step = trainer.on_step_end

        def on_step_end(this: Any) -> None:
            if verl_stop.asked() and this.global_steps < this.total_training_steps:
                if self.saved != this.global_steps:
                    this._save_checkpoint()
                this.total_training_steps = this.global_steps
            end_step(this)

        trainer.on_step_end = on_step_end  # type: ignore[method-assign]

    def on_save(self, trainer: Any, global_step: int, *_: Any, **__: Any) -> None:
        self.saved = global_step
