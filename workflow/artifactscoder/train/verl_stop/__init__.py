"""A checkpoint when it is asked for, and then the end: what a job does shortly before its time limit.

The request is a file, for every process on every node sees it: ARTIFACTSCODER_STOP_FILE names it. The batch script
makes it when Slurm's warning signal comes (`train launch`), or a user does by `touch results/train/sft/work/stop`.
verl's trainers save every so many steps only; `sft` and `grpo` here end the step that runs, save, and end the training
in order. The step then exits with `CONTINUED`, and the next start goes on from there; `train launch` starts nothing
while a user's request stands.
"""

from __future__ import annotations

import os
from pathlib import Path

VARIABLE = "ARTIFACTSCODER_STOP_FILE"
CONTINUED = 75  # exit code of a step that saved and is to be started again (EX_TEMPFAIL)


def file(work: Path) -> Path:
    """Where the request to a training step with this work folder stands."""
    return work.resolve() / "stop"


def asked() -> bool:
    """Whether the end is asked for."""
    return os.path.exists(os.environ.get(VARIABLE, ""))
