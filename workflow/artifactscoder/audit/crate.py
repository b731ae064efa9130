"""The whole run described as an RO-Crate: RESULTS/ro-crate-metadata.json.

A Workflow Run Crate (https://w3id.org/ro/wfrun/workflow/0.5): the workflow with its rules, seeds and prompts, copied to
RESULTS/audit/workflow so that the folder explains itself; the run's configuration; an action a run, with its times and
how it ended; the folders of all steps, and the sets, models and tables that come out, with size and SHA-256. What no
model made says so. Nothing but the descriptions and that copy is written.
"""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from rocrate.model.contextentity import ContextEntity
from rocrate.model.entity import Entity
from rocrate.rocrate import ROCrate

from artifactscoder import config as configs
from artifactscoder.audit import record
from artifactscoder.config import Config
from artifactscoder.config.train import TRAINED
from artifactscoder.errors import UserError
from artifactscoder.recipe import STEPS
from artifactscoder.records import PROCEDURAL
from artifactscoder.train import runs

PROFILES = {
    "https://w3id.org/ro/wfrun/process/0.5": ("Process Run Crate", "0.5"),
    "https://w3id.org/ro/wfrun/workflow/0.5": ("Workflow Run Crate", "0.5"),
    "https://w3id.org/workflowhub/workflow-ro-crate/1.0": ("Workflow RO-Crate", "1.0"),
}
LICENCE = "https://spdx.org/licenses/Apache-2.0"
COPIED = {
    "workflow/Snakefile": "workflow",
    "rules": "rules",
    "workflow/seeds": "workflow/seeds",
    "workflow/prompts": "workflow/prompts",
}
MADE = (
    "sft/select/sft_train.parquet", "rl/parquet/rl_train.parquet", "rl/parquet/rl_val.parquet", "cpt/pack/mixture.json",
    "train/cpt/manifest.json", "train/sft/manifest.json", "train/grpo/manifest.json", "eval/table.parquet",
    "report/index.html",
)  # fmt: skip
COMPLETED, FAILED = "http://schema.org/CompletedActionStatus", "http://schema.org/FailedActionStatus"


def run(results: Path) -> None:
    """Write the crate of the run in `results`."""
    build(configs.of_run(results), results)
    print(results / "ro-crate-metadata.json")


def build(config: Config, results: Path) -> ROCrate:
    """Make the crate and write its metadata."""
    _copy(results)
    crate = ROCrate(version="1.1")
    crate.name = "A run of ArtifactsCoder"
    makers = sorted({config.endpoints[name].maker for name in config.roles.model_dump().values()})
    demo = ", all of it procedural: composed by a program, no model's work" if makers == [PROCEDURAL] else ""
    crate.description = (
        f"From seed categories to a front-end code model; pages and scores by {', '.join(makers)}{demo}."
    )
    crate.license = LICENCE
    profiles = [
        crate.add(ContextEntity(crate, url, {"@type": "CreativeWork", "name": name, "version": version}))
        for url, (name, version) in PROFILES.items()
    ]
    crate.root_dataset["conformsTo"] = profiles
    workflow = _workflow(crate, config, results)
    given = [_file(crate, results, "config.yaml", "The configuration of this run, all files merged.")]
    given += _folder_files(crate, results, "audit/workflow/workflow/seeds", "seed")
    given += _folder_files(crate, results, "audit/workflow/workflow/prompts", "prompt")
    made = [_file(crate, results, name) for name in MADE if (results / name).exists()]
    made += _models(crate, results)
    _steps(crate, results)
    _actions(crate, results, workflow, given, made)
    crate.metadata.write(results)
    return crate


def _copy(results: Path) -> None:
    """The workflow, beside what it made."""
    target = results / "audit/workflow"
    shutil.rmtree(target, ignore_errors=True)
    for name, into in COPIED.items():
        source, place = record.ROOT / name, target / into
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            place.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, place)


def _workflow(crate: ROCrate, config: Config, results: Path) -> Entity:
    """The workflow as it stands now; what of it was another at the last run is said."""
    path = "audit/workflow/workflow/Snakefile"
    workflow = crate.add_workflow(results / path, path, main=True, lang="snakemake", gen_cwl=False)
    workflow["name"] = "ArtifactsCoder"
    workflow["license"] = {"@id": LICENCE}
    commit, versions = runs.commit(), runs.versions()
    workflow["version"] = commit or versions.get("artifactscoder", "")
    workflow["softwareRequirements"] = [
        crate.add(ContextEntity(crate, f"#{name}", {"@type": "SoftwareApplication", "name": name, "version": version}))
        for name, version in versions.items()
    ]
    parts = [
        _file(crate, results, str(path.relative_to(results))) for path in sorted(results.glob("audit/workflow/rules/*"))
    ]
    workflow["hasPart"] = parts
    if changed := record.changed_since(config):
        workflow["description"] = f"Changed since the last run: {', '.join(changed)}."
    return workflow


def _file(crate: ROCrate, results: Path, name: str, description: str = "") -> Entity:
    """A file of the results, with its size and digest."""
    path = results / name
    said: dict[str, Any] = {"name": name, "contentSize": str(path.stat().st_size), "sha256": runs.sha256(path)}
    return crate.add_file(path, name, properties=said | ({"description": description} if description else {}))


def _folder_files(crate: ROCrate, results: Path, name: str, what: str) -> list[Entity]:
    paths = sorted(path for path in (results / name).rglob("*") if path.is_file())
    return [_file(crate, results, str(path.relative_to(results)), f"A {what} file of this run.") for path in paths]


def _models(crate: ROCrate, results: Path) -> list[Entity]:
    """The folders of models; their weights are named by the fingerprint in the manifest."""
    out = []
    for name in TRAINED:
        folder = results / "train" / name / "export"
        if (folder / "manifest.json").exists():
            place = f"train/{name}/export/"
            said = {
                "name": f"the model after {name}",
                "description": "A model in Hugging Face format; see manifest.json.",
            }
            out.append(crate.add_dataset(folder, place, properties=said))
            _file(crate, results, f"{place}manifest.json")
    return out


def _steps(crate: ROCrate, results: Path) -> None:
    """A folder a step."""
    for step, of in STEPS.items():
        folder = results / step
        if folder.is_dir() and f"{step}/" not in {entity.id for entity in crate.data_entities}:
            count = sum(1 for path in folder.iterdir() if path.is_file())
            said = {"name": step, "description": f"{of.summary} ({count} files)"}
            crate.add_dataset(folder, f"{step}/", properties=said)


def _actions(crate: ROCrate, results: Path, workflow: Entity, given: list[Entity], made: list[Entity]) -> None:
    """An action a run; the last one stands for what is there now."""
    records = [record.load(path) for path in record.every(results)] or record.before_records(results)
    actions = []
    for one in records:
        began = {path for job in one["jobs"].values() if job["ended"] >= one["began"] for path in job["outputs"]}
        mine = [entity for entity in made if any(_under(results, path, entity.id) for path in began)]
        said = {
            "@type": "CreateAction", "name": f"run {one['name']}", "startTime": _time(one["began"]),
            "endTime": _time(one["ended"]), "actionStatus": {"@id": COMPLETED if one["well"] else FAILED},
        }  # fmt: skip
        action = crate.add(ContextEntity(crate, f"#run-{one['name']}", said))
        action["instrument"], action["object"] = workflow, given
        if mine:
            action["result"] = mine
        actions.append(action)
    if not actions:
        raise UserError(f"there is no record of a run in {results}/audit, and Snakemake knows of none in this folder")
    crate.root_dataset["mentions"] = actions


def _under(results: Path, path: str, entity: str) -> bool:
    name = str(Path(path).relative_to(results)) if Path(path).is_relative_to(results) else path
    return name == entity or (entity.endswith("/") and name.startswith(entity))


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))
