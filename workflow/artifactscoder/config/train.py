"""Settings of training and evaluation."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from artifactscoder.config.base import Section
from artifactscoder.config.engines import Sampling
from artifactscoder.config.trainers import (
    CptTrainSettings,
    ExportSettings,
    GrpoSettings,
    SftSettings,
    TinyModelSettings,
)

TRAINED = ("cpt", "sft", "grpo")  # the models that a run trains, each from the one before


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


class TaskSet(Section):
    """Tasks that every model answers."""

    path: Path | None = Field(
        None,
        description="Benchmark file in the format of ArtifactsBench (`question`, `checklist`) or WebGen-Bench "
        "(`instruction`, `ui_instruct`), JSON or JSON Lines; none: rl_val.parquet, tasks kept out of RL.",
    )
    count: int | None = Field(
        None, ge=0, description="Tasks drawn from it by the seed; none: all; 0: the set is left out."
    )


EVALUATED = ("base", "sft", "grpo")  # the models of a run that eval compares


class EvalSettings(Section):
    """Models side by side on the same tasks; docs/eval.md."""

    models: list[str] = Field(
        list(EVALUATED),
        description="Models compared, the first one first: `base`, `sft`, `grpo`, or endpoints by name.",
    )
    tasks: dict[str, TaskSet] = Field({"held-out": TaskSet(count=200)}, description="Sets of tasks, by name.")
    engine: Literal["transformers", "vllm"] = Field(
        "transformers",
        description="What answers for base, sft and grpo: transformers in the job, or vLLM, which the job starts "
        "(faster; docs/endpoints.md).",
    )
    gpus: int = Field(1, ge=0, description="GPUs of a job that answers for base, sft or grpo.")
    arguments: dict[str, str | int | float | bool | None] = Field(
        {},
        description="Further flags of `vllm serve` without their dashes; after a change of one that can change an "
        "answer all are asked anew.",
    )
    concurrency: int = Field(64, ge=1, description="Most requests in flight to a vLLM that a job starts.")
    sampling: Sampling = Field(
        Sampling(temperature=0.0, top_p=1.0, max_tokens=16_384),
        description="Decoding of all models; what the generation_config.json of a folder recommends is left out.",
    )
    batch: int = Field(8, ge=1, description="Prompts that transformers decodes at once.")
    screenshots: int = Field(3, ge=1, le=5, description="Pictures of each page over virtual time.")
    interactions: int = Field(
        4,
        ge=0,
        le=12,
        description="Most things done on each page after that (fields filled, buttons clicked, keys struck, things "
        "dragged, as they are found on it), each followed by a picture.",
    )
    judges: list[str] = Field(
        [],
        description="Endpoints that judge by checklist; none: that of roles.vision_judge. The first one's points are "
        "the result, others are shown beside it with how far they agree.",
    )
    dimensions: bool = Field(
        True, description="Whether the judges of sft/score also score each page on the 25 dimensions."
    )

    @model_validator(mode="after")
    def names_are_words(self) -> EvalSettings:
        for name in self.tasks:
            if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", name):
                raise ValueError(f"eval.tasks has a set '{name}'; use small letters, digits and '-'")
        for key, names in (("models", self.models), ("judges", self.judges)):
            if len(set(names)) < len(names):
                raise ValueError(f"eval.{key} names one twice: {', '.join(names)}")
        if not self.models:
            raise ValueError("eval.models is empty; name at least one model")
        if not any(each.count != 0 for each in self.tasks.values()):
            raise ValueError("eval.tasks has no set with tasks; keep held-out, or name a benchmark file")
        return self

    @property
    def files(self) -> dict[str, Path]:
        """The benchmark files in use, by the name of their set."""
        return {name: each.path for name, each in self.tasks.items() if each.path is not None and each.count != 0}

    @property
    def serves(self) -> bool:
        """Whether jobs start a vLLM of their own for a trained model."""
        return self.engine == "vllm" and any(name in EVALUATED for name in self.models)

    @property
    def held_out(self) -> bool:
        """Whether rl_val.parquet is read."""
        return any(each.path is None and each.count != 0 for each in self.tasks.values())
