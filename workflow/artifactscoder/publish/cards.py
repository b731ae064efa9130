"""Cards of datasets and models in Hugging Face's format, filled from what really ran.

Every number is read from the run: ledgers, tables, manifests, curves, the table of the evaluation. What no model made,
and the demo's random model, say so in the first lines and in the tags.
"""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
from huggingface_hub import DatasetCard, DatasetCardData, EvalResult, ModelCard, ModelCardData

from artifactscoder import recipe, shards, tables
from artifactscoder.audit import record
from artifactscoder.config import Config
from artifactscoder.config.train import EVALUATED
from artifactscoder.ledger import beside
from artifactscoder.llm import prompts
from artifactscoder.records import PROCEDURAL
from artifactscoder.report import lives
from artifactscoder.train import runs

HERE = Path(__file__).parent
STEPS = {
    "sft": (*lives.OF_TASK, *lives.OF_PAGE, lives.SELECT),
    "rl": ("rl/prompts", "rl/reference", "rl/valid", "rl/parquet"),
}
NAMES = {"cpt": "continual pre-training", "sft": "supervised fine-tuning", "grpo": "GRPO"}


def put_licence(folder: Path, licence: str) -> None:
    """This project's licence text, where it is published under the same."""
    if licence == "apache-2.0" and not (folder / "LICENSE").exists():
        shutil.copy(record.ROOT / "LICENSE", folder / "LICENSE")


def dataset(config: Config, name: str, licence: str, rows: dict[str, int]) -> str:
    """The card of a set with so many rows in each split."""
    made = procedural(config)
    data = DatasetCardData(
        license=licence,
        language=["en"],
        pretty_name=f"ArtifactsCoder {name.upper()}{' (procedural demo)' if made else ''}",
        tags=["artifactscoder", "html", "front-end", "code", "synthetic", *(["procedural", "demo"] if made else [])],
        task_categories=["text-generation"],
        size_categories=[_size(sum(rows.values()))],
        configs=[
            {
                "config_name": "default",
                "data_files": [{"split": split, "path": f"data/{split}-*.parquet"} for split in rows],
            }
        ],
    )
    card = DatasetCard.from_template(
        data,
        template_path=str(HERE / "dataset_card.md.j2"),
        name=name,
        procedural=made,
        rows=rows,
        funnel=[_counts(config, step) for step in STEPS[name] if (config.results / step).is_dir()],
        roles=roles(config, STEPS[name]),
        prompts=used_prompts(STEPS[name]),
        chosen=_chosen(config) if name == "sft" else {},
        config=config,
        licence=licence,
        commit=_commit(config),
        example=tables.column(config.results / "sft/select/sft_train.parquet", "id")[0] if name == "sft" else "",
    )
    return str(card)


def model(
    config: Config, name: str, licence: str, base: str = "", sets: Sequence[str] = (), of_base: Sequence[str] = ()
) -> str:
    """The card of the model after the training `name`.

    `base`, `sets`: the base model and the sets it learned from as the Hub knows them; `of_base`: licence files of the
    base model that lie beside it.
    """
    demo, told = config.train.tiny_model is not None, training(config, name)
    of = f"ArtifactsCoder after {NAMES[name]}"
    table = _evaluation(config)
    learned = "SFT and CPT" if "cpt" in recipe.descent(config, name) else "SFT"
    context, most = _context(config, name), config.eval.sampling.max_tokens
    data = ModelCardData(
        license=licence,
        language=["en"],
        library_name="transformers",
        pipeline_tag="text-generation",
        model_name=f"{of}{' (demo)' if demo else ''}",
        tags=["artifactscoder", "html", "front-end", "code", *(["procedural", "demo"] if demo else [])],
        base_model=None if demo else base or None,
        datasets=list(sets) or None,
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=f"artifactscoder-{row['set']}",
                dataset_name=f"{row['set']} ({row['tasks']} tasks)",
                metric_type="checklist",
                metric_name=f"checklist points [%], judged by {row['judge']}",
                metric_value=row["checklist"],
                verified=False,
            )
            for row in table
            if row["model"] == name and row["main"] and row["checklist"] is not None
        ]
        or None,
    )
    card = ModelCard.from_template(
        data,
        template_path=str(HERE / "model_card.md.j2"),
        name=name,
        of=of,
        demo=demo,
        procedural=procedural(config),
        told=told,
        table=[row for row in table if row["model"] in EVALUATED],
        apart={one: _apart(config, one, learned) for one in dict.fromkeys(row["set"] for row in table)},
        system=config.sft.select.system,
        base="a random small model, made for the demo" if demo else base or Path(str(config.train.base)).name,
        evaluated=any(row["model"] == name for row in table),
        judges=list(dict.fromkeys(row["judge"] for row in table)),
        context=context,
        most=min(most, context // 2 or most),
        of_base=of_base,
        licence=licence,
    )
    return str(card)


def procedural(config: Config) -> bool:
    """Whether no model made or judged a page."""
    return {config.endpoints[name].maker for name in config.roles.model_dump().values()} == {PROCEDURAL}


def training(config: Config, name: str) -> dict[str, Any]:
    """What the manifests of a model's line say, without the paths of this machine."""
    out = []
    for one in recipe.descent(config, name):
        folder = config.results / "train" / one
        told = json.loads((folder / "manifest.json").read_text())
        data = told["data"] if one == "grpo" else {"data": told["data"]}
        kept = (
            "run",
            "final_step",
            "samples",
            "prompts",
            "scored",
            "windows",
            "length",
            "epochs",
            "seconds",
            "settings",
        )
        out.append(
            {
                "step": one,
                "what": NAMES[one],
                **{key: told[key] for key in kept if key in told},
                "data_sha256": {key: value["sha256"] for key, value in data.items()},
                "started_from": told["model"]["fingerprint"],
                "curve": _gain(told) if "gain" in told else _curve(folder / "curve.parquet", "loss"),
                "versions": told["versions"],
                "commit": told["commit"],
            }
        )
    export = json.loads((config.results / "train" / name / "export/manifest.json").read_text())
    return {"parameters": export["parameters"], "fingerprint": export["fingerprint"], "line": out}


def roles(config: Config, steps: tuple[str, ...]) -> dict[str, str]:
    """Who played each role of some steps: the model with its revision."""
    names = {role for step in steps for role in recipe.STEPS[step].roles}
    return {name: ", ".join(config.endpoints[one].label for one in config.players(name)) for name in sorted(names)}


def used_prompts(steps: tuple[str, ...]) -> dict[str, str]:
    """The prompts of some steps and their digests."""
    return {name: prompts.load(name).digest for step in steps for name in recipe.STEPS[step].prompts}


def _counts(config: Config, step: str) -> dict[str, Any]:
    """How many records came to a step, and how they left it."""
    counts: dict[str, int] = {}
    for table in shards.done(config, config.results, step):
        for one in pc.value_counts(tables.read(beside(table), ["status"])["status"]).to_pylist():
            counts[one["values"]] = counts.get(one["values"], 0) + one["counts"]
    return {"step": step, "what": recipe.STEPS[step].summary, "entered": sum(counts.values()), **counts}


def _chosen(config: Config) -> dict[str, Any]:
    """What the selected pages are."""
    path = config.results / "sft/select/sft_train.parquet"
    held = tables.read(path, ["category", "kind", "percent", "tokens", "maker"])
    percent, size = held["percent"].to_pylist(), tables.column(beside(path), "tokens_out")
    return {
        "categories": len(set(held["category"].to_pylist())),
        "kinds": len(set(held["kind"].to_pylist())),
        "makers": sorted(set(held["maker"].to_pylist())),
        "lowest": min(percent),
        "median": statistics.median(percent),
        "highest": max(percent),
        "tokens": sum(size),
        "longest": max(held["tokens"].to_pylist()),
    }


def _context(config: Config, name: str) -> int:
    """Tokens that an exported model takes in all; 0 where its configuration does not say."""
    told = json.loads((config.results / "train" / name / "export/config.json").read_text())
    return int(told.get("max_position_embeddings") or told.get("text_config", {}).get("max_position_embeddings") or 0)


def _commit(config: Config) -> str:
    """The commit by which the last run was made; empty where no record says it."""
    records = record.every(config.results)
    return runs.digits(record.load(records[-1])["commit"]) if records else ""


def _gain(told: dict[str, Any]) -> dict[str, float | str]:
    """Where the reward of GRPO began and ended, as its manifest says."""
    gain = told["gain"]
    return {"of": "reward", "first": gain["first"], "last": gain["last"], "steps": int(gain["steps"])}


def _curve(path: Path, name: str) -> dict[str, float | str]:
    """The first and the last tenth of a curve."""
    if not path.exists():
        return {}
    values = [value for value in tables.column(path, name) if value is not None]
    tenth = max(1, len(values) // 10)
    return {"of": name, "first": statistics.fmean(values[:tenth]), "last": statistics.fmean(values[-tenth:])}


def _evaluation(config: Config) -> list[dict[str, Any]]:
    path = config.results / "eval/table.parquet"
    return list(tables.rows(path)) if path.exists() else []


def _apart(config: Config, name: str, others: str) -> str:
    """How far the tasks of a set of the evaluation were kept out of the training data; `others`: what is not RL's."""
    if name not in config.eval.tasks:
        return "not known: the configuration names no such set."
    rules = config.decontaminate
    if config.eval.tasks[name].path is None:
        return f"tasks kept out of RL, in whatever technology; the requests of {others} were not compared with them."
    if not config.decontaminated(name):
        return "the training data was not compared with them."
    return (
        f"requests of SFT and RL that share {rules.ngram} words in a row with one of them, or are {rules.threshold} "
        "like it (Jaccard of character 5-grams), were left out"
        + ("; those of CPT were not compared with them." if "CPT" in others else ".")
    )


def _size(rows: int) -> str:
    """Hugging Face's word for how many rows there are."""
    names = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))
    return next((name for most, name in names if rows < most), "1M<n<10M")
