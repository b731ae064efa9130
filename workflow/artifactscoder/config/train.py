"""Settings of training and evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from artifactscoder.config.base import Section
from artifactscoder.config.engines import Sampling
from artifactscoder.config.trainers import (
    CptTrainSettings,
    ExportSettings,
    GrpoSettings,
    SftSettings,
    TinyModelSettings,
)


class TrainSettings(Section):
    """Models and how they are trained."""

    base: Path = Field(
        Path("models/Qwen3-Coder-30B-A3B-Instruct"),
        description="Folder of the base model in HF format; its tokenizer counts all tokens. Not read with tiny_model.",
    )
    tiny_model: TinyModelSettings | None = Field(
        None, description="DEMO ONLY: make a random small model of this shape and take it as the base."
    )
    loggers: list[Literal["tensorboard", "wandb", "mlflow"]] = Field(
        [], description="Trackers that get the metrics of training too, beside the curves of the report."
    )
    cpt: CptTrainSettings = CptTrainSettings()
    sft: SftSettings = SftSettings()
    grpo: GrpoSettings = GrpoSettings()
    export: ExportSettings = ExportSettings()

    @property
    def trainers(self) -> list[CptTrainSettings | SftSettings | GrpoSettings]:
        """Those that the target `all` runs, in their order."""
        return [*([self.cpt] if self.cpt.enabled else []), self.sft, self.grpo]


class EvalSettings(Section):
    """Base, SFT and GRPO side by side on held-out tasks."""

    models: list[Literal["base", "sft", "grpo"]] = Field(["base", "sft", "grpo"], description="Models compared.")
    tasks: int = Field(200, ge=1, description="Validation prompts answered by each model.")
    sampling: Sampling = Field(Sampling(temperature=0.0, top_p=1.0, max_tokens=16_384), description="Decoding.")
    batch: int = Field(8, ge=1, description="Prompts decoded at once.")
    screenshots: int = Field(3, ge=1, le=5, description="Pictures of each page over virtual time.")
