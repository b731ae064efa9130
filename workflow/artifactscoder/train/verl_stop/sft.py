"""`python -m artifactscoder.train.verl_stop.sft`: verl's SFT trainer, which saves and ends when it is asked to.

The ranks agree on the step: a file may be seen by one of them earlier than by another, and saving is collective.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed
from verl.trainer import sft_trainer

from artifactscoder.train import verl_stop


class StoppableTrainer(sft_trainer.SFTTrainer):  # type: ignore[misc]
    """The step in which the request is seen becomes the last one."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._step = self.resume_global_step

    def _get_batch_seqlens(self, data: Any) -> Any:  # verl calls it once at the start of each step, on every rank
        self.look()
        return super()._get_batch_seqlens(data)

    def look(self) -> None:
        """At the start of a step: is it to be the last one?"""
        self._step += 1
        asked = torch.tensor(int(verl_stop.asked()), device=self.device_name)
        torch.distributed.all_reduce(asked, op=torch.distributed.ReduceOp.MAX)
        if asked.item():
            self.total_training_steps = self._step


if __name__ == "__main__":
    sft_trainer.SFTTrainer = StoppableTrainer  # type: ignore[misc]
    sft_trainer.main()
