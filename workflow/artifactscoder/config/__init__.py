"""The typed configuration: the one source of every key, its unit, its bounds and its meaning.

`config.yaml` holds the recipe at the paper's scale; a profile overlays a few numbers. Both are merged by
Snakemake and validated here, so that an unknown key or a wrong value is one sentence before anything runs.
`workflow/schemas/config.schema.json` is generated from these models (`artifactscoder config schema`).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from artifactscoder import files
from artifactscoder.config.base import Section
from artifactscoder.config.data import CptSettings, DecontaminateSettings, RlSettings, SeedSettings, SftDataSettings
from artifactscoder.config.engines import (
    BudgetSettings,
    Endpoint,
    ImageSettings,
    RenderSettings,
    ReportSettings,
    RewardSettings,
    Roles,
)
from artifactscoder.config.train import EVALUATED, EvalSettings, TrainSettings
from artifactscoder.errors import UserError

__all__ = ["Config", "digest", "from_dict", "load", "select", "write"]


class Config(Section):
    """Everything that decides what is made; where and how much at once is the profile's affair."""

    results: Path = Field(Path("results"), description="Folder of every declared output.")
    journal: Path = Field(
        Path("journal"),
        description="Folder of the answers already paid for. Survives `rm -r results`; delete it to ask again.",
    )
    seed: int = Field(0, ge=0, description="Seed of every draw that is made here (not of the models).")
    endpoints: dict[str, Endpoint] = Field(description="Where answers come from, by name.")
    roles: Roles = Field(description="Which endpoint plays which role.")
    budget: BudgetSettings = BudgetSettings()
    seeds: SeedSettings = SeedSettings()
    decontaminate: DecontaminateSettings = DecontaminateSettings()
    mask: bool = Field(
        True,
        description="Whether secrets and personal data in prompts and pages are replaced by placeholders before they "
        "are trained on (sft/rules, rl/prompts, rl/valid, cpt/pack).",
    )
    sft: SftDataSettings = SftDataSettings()
    cpt: CptSettings = CptSettings()
    rl: RlSettings = RlSettings()
    render: RenderSettings = RenderSettings()
    reward: RewardSettings = RewardSettings()
    train: TrainSettings = TrainSettings()
    eval: EvalSettings = EvalSettings()
    report: ReportSettings = ReportSettings()
    launcher: Literal["here", "slurm"] = Field(
        "here",
        description="Who starts training that needs several nodes or partitions: `here` this machine (or the one job "
        "that Snakemake submits), `slurm` a Slurm job of its own; profiles/slurm sets it.",
    )
    images: ImageSettings = ImageSettings()

    @model_validator(mode="after")
    def roles_name_endpoints(self) -> Config:
        for role, name in self.roles.model_dump().items():
            if name not in self.endpoints:
                known = ", ".join(self.endpoints)
                raise ValueError(f"roles.{role} names the endpoint '{name}', which endpoints does not define ({known})")
        return self

    @model_validator(mode="after")
    def judges_are_endpoints_that_differ(self) -> Config:
        of_score, of_eval = self.sft.score.judges, self.eval.judges
        for key, names, more in (
            ("sft.score.judges", of_score, " and set sft.score.times"),
            ("eval.judges", of_eval, ", or tell them apart by `revision`"),
        ):
            labels: dict[str, str] = {}
            for name in names:
                if name not in self.endpoints:
                    known = ", ".join(self.endpoints)
                    raise ValueError(f"{key} names the endpoint '{name}', which endpoints does not define ({known})")
                label = self.endpoints[name].label
                if (
                    label in labels
                ):  # the journal gives the second one the first one's answers, tables take one for both
                    raise ValueError(
                        f"{key} names '{labels[label]}' and '{name}', which are the same judge ({label}); "
                        f"name it once{more}"
                    )
                labels[label] = name
        return self

    @model_validator(mode="after")
    def a_judge_asked_again_can_differ(self) -> Config:
        settings = self.sft.score
        if settings.times > 1 and settings.sampling.temperature == 0:
            raise ValueError(
                f"sft.score.times is {settings.times}, but at sft.score.sampling.temperature 0 a judge repeats itself; "
                "ask once, or set a temperature above 0"
            )
        return self

    @model_validator(mode="after")
    def selected_pages_can_be_trained_on(self) -> Config:
        if self.sft.select.max_tokens > self.train.sft.max_tokens:
            raise ValueError(
                f"sft.select.max_tokens is {self.sft.select.max_tokens}, which is longer than train.sft.max_tokens "
                f"({self.train.sft.max_tokens}); training would stop at the first such page"
            )
        return self

    @model_validator(mode="after")
    def evaluation_names_endpoints(self) -> Config:
        known = ", ".join(self.endpoints)
        for name in self.eval.models:
            if name not in EVALUATED and name not in self.endpoints:
                raise ValueError(
                    f"eval.models names '{name}'; there are {', '.join(EVALUATED)} and endpoints ({known})"
                )
            if name in EVALUATED and name in self.endpoints:
                raise ValueError(f"eval.models names '{name}', which is also an endpoint; call that something else")
        return self

    @model_validator(mode="after")
    def windows_can_be_trained_on(self) -> Config:
        trainer = self.train.cpt
        if trainer.enabled and self.cpt.pack.length > trainer.tokens_per_gpu * trainer.sequence_gpus:
            raise ValueError(
                f"cpt.pack.length is {self.cpt.pack.length}, which is longer than train.cpt.tokens_per_gpu "
                f"({trainer.tokens_per_gpu}) x sequence_parallel; no GPU could take such a window"
            )
        return self

    def endpoint(self, role: str) -> tuple[str, Endpoint]:
        """Name and settings of the endpoint that plays `role`."""
        name = getattr(self.roles, role)
        return name, self.endpoints[name]

    @property
    def judges(self) -> list[str]:
        """Names of the endpoints that score pages."""
        return self.sft.score.judges or [self.roles.judge]

    @property
    def checklist_judges(self) -> list[str]:
        """Names of the endpoints that judge the evaluation; the first one's points are the result."""
        return self.eval.judges or [self.roles.vision_judge]

    def decontaminated(self, name: str) -> bool:
        """Whether the requests of SFT and RL are compared with the file of a set of the evaluation's tasks."""
        path = self.eval.tasks[name].path if name in self.eval.tasks else None
        return path is not None and path.resolve() in [one.resolve() for one in self.decontaminate.benchmarks]

    @property
    def blind_judges(self) -> list[str]:
        """Names of the endpoints that judge rendered pages by checklist, but are sent no picture of them."""
        names = dict.fromkeys([self.roles.vision_judge, *self.checklist_judges])
        found = {name: self.endpoints[name] for name in names}
        return [name for name, judge in found.items() if not judge.vision and judge.kind != "procedural"]

    @property
    def asked_models(self) -> list[str]:
        """The models of the evaluation that are endpoints."""
        return [name for name in self.eval.models if name not in EVALUATED]

    def players(self, role: str) -> list[str]:
        """Names of the endpoints that play a role: one, the judges, or for `model` those that are evaluated."""
        several = {"judge": self.judges, "checklist_judge": self.checklist_judges, "model": self.asked_models}
        return several[role] if role in several else [self.endpoint(role)[0]]

    @property
    def in_use(self) -> dict[str, Endpoint]:
        """The endpoints that roles and judges use, by name."""
        played = {**self.roles.model_dump(), "judge": self.judges[0]}
        evaluation = [*self.asked_models, *self.checklist_judges]
        return {name: self.endpoints[name] for name in dict.fromkeys([*played.values(), *self.judges, *evaluation])}

    def judge_of_grpo(self) -> Endpoint:
        """The judge that the reward workers of train/grpo ask. Raises UserError where each would start a server."""
        name, settings = self.endpoint("vision_judge")
        if settings.hosted:
            raise UserError(
                f"roles.vision_judge is '{name}', of kind {settings.kind}: each reward worker of train/grpo would "
                "start a server of its own; start one yourself and name it by an endpoint of kind api"
            )
        return settings


def from_dict(values: dict[str, Any], where: str = "config.yaml") -> Config:
    """Validate a merged configuration; every mistake in it becomes one sentence."""
    try:
        return Config.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {_sentence(error)}") from None


def load(paths: list[Path]) -> Config:
    """Read and merge YAML (or JSON) files; later ones overlay earlier ones key by key."""
    merged: dict[str, Any] = {}
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            values = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
        except OSError as error:
            raise UserError(f"cannot read the configuration {path}: {error.strerror}") from None
        except UnicodeDecodeError:
            raise UserError(f"the configuration {path} is not text in UTF-8; save it so") from None
        except yaml.YAMLError as error:
            raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(values, dict):
            raise UserError(f"{path} must hold a mapping of keys to values")
        _overlay(merged, values)
    return from_dict(merged, where=" + ".join(str(path) for path in paths))


def of_run(results: Path) -> Config:
    """The configuration that a run kept in its folder of results, wherever that stands now."""
    path = results / "config.yaml"
    if not path.exists():
        raise UserError(f"there is no file {path}, which a run writes; give its folder by --results")
    return load([path]).model_copy(update={"results": results})


def write(config: Config, path: Path) -> None:
    """Write the whole configuration, defaults included, as YAML that `load` reads back to the same."""
    files.write_bytes(path, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False).encode())


def select(config: BaseModel, dotted: str) -> Any:
    """The value at a dotted path, as plain JSON data: `select(config, "sft.code")`."""
    value: Any = config.model_dump(mode="json")
    for part in dotted.split("."):
        value = value[part]
    return value


def digest(*parts: Any) -> str:
    """Twelve hex digits of the canonical JSON of `parts`; equal data, equal digest."""
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _overlay(base: dict[str, Any], top: dict[str, Any]) -> None:
    for key, value in top.items():
        if isinstance(value, dict) and isinstance(base.get(key), dict):
            _overlay(base[key], value)
        else:
            base[key] = value


def _sentence(error: ValidationError) -> str:
    """The first mistake in words, and how many more there are."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        text = f"'{where}' is not a key that is known here; `artifactscoder config keys` lists them all"
    elif first["type"] == "missing":
        text = f"'{where}' is missing"
    elif isinstance(first["input"], dict):  # keys of a section that do not go together: the message names them
        text = f"{where}: ".lstrip(": ") + first["msg"].removeprefix("Value error, ")
    elif where:
        text = f"'{where}' is {first['input']!r}: {first['msg'].removeprefix('Value error, ')}"
    else:
        text = first["msg"].removeprefix("Value error, ")
    more = error.error_count() - 1
    return text + (f" (and {more} more mistake{'s' if more > 1 else ''})" if more else "")
