"""A whole run at its smallest, step after step as the rules call them, without Snakemake; verl's part is a manifest."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from artifactscoder import config as configs
from artifactscoder import trace
from artifactscoder.config import Config
from artifactscoder.cpt import code as cpt_code
from artifactscoder.cpt import mixture, pack, templates, tree, websight
from artifactscoder.cpt import prompts as cpt_prompts
from artifactscoder.dedup import phases
from artifactscoder.eval import generate, judge, render, score, table, tasks
from artifactscoder.indexed import idx_path
from artifactscoder.models import edges, fingerprint
from artifactscoder.rl import parquet, reference, valid
from artifactscoder.rl import prompts as rl_prompts
from artifactscoder.sft import select
from artifactscoder.train import runs, tiny_model, windows
from test_steps import sft_line

CATEGORIES = ["game-puzzle", "tool-calculator"]


# All roles answered without a model.
PROCEDURAL: dict[str, Any] = {
    "endpoints": {"it": {"kind": "procedural", "vision": True}},
    "roles": dict.fromkeys(("teacher", "coder", "reference", "judge", "vision_judge"), "it"),
}


def configured(folder: Path, **more: Any) -> Config:
    """The configuration of the run below `folder`."""
    values: dict[str, Any] = {
        "results": str(folder / "results"),
        "journal": str(folder / "journal"),
        **PROCEDURAL,
        "sft": {
            "categories": CATEGORIES,
            "subcategories": 2,
            "tasks": {"per_subcategory": 2},
            "variants": {"kinds": ["layout", "real-time"]},
            "select": {"min_percent": 50, "keep": 10},
        },
        "cpt": {
            "websight": {"shards": 1, "sample": 3},
            "tree": {"roots": ["games-play"], "children": [2, 2]},
            "templates": {"count": 4, "per_request": 4},
            "prompts": {"per_leaf": 2, "shards": 2},
            "pack": {"length": 256},
        },
        "rl": {"prompts": {"count": 8, "families": ["dashboards", "forms"]}, "parquet": {"validation": 0.25}},
        "eval": {"models": ["base"], "sampling": {"temperature": 0.0, "max_tokens": 24}, "interactions": 1},
        "train": {"tiny_model": {"vocab": 640, "layers": 1, "hidden": 32, "heads": 2, "kv_heads": 1}},
        "render": {"width": 480, "height": 320, "first_ms": 1000},
    }
    return configs.from_dict({**values, **more}, "the test's configuration")


async def run(folder: Path) -> Config:
    """Make the run; its configuration stands in `results/config.yaml`, as a run leaves it."""
    config = configured(folder)
    results = config.results
    configs.write(config, results / "config.yaml")
    await sft_line(config, results)
    texts = [f"<!DOCTYPE html>\n<html>\n<p>page {number}</p>\n</html>" for number in range(50)]
    base = results / "train/tiny_model"
    assert config.train.tiny_model is not None
    tiny_model.make([config.sft.select.system, *texts], base, config.train.tiny_model)
    scored = [results / f"sft/score/{name}.parquet" for name in CATEGORIES]
    select.run(config, scored, base, results / "sft/select/sft_train.parquet")
    await _cpt(config, results, base)
    await _rl_and_eval(config, results, base)
    _trained(config, results, base)
    return config


async def _cpt(config: Config, results: Path, base: Path) -> None:
    folder = results / "cpt"
    websight.sample(config, 3, folder / "websight/procedural_sample.parquet")
    websight.source([folder / "websight/procedural_sample.parquet"], folder / "websight/source.json")
    await websight.run(config, folder / "websight/source.json", 0, folder / "websight/websight-0000.parquet")
    await tree.run(config, "games-play", folder / "tree/games-play.parquet")
    await templates.run(config, folder / "templates/templates.parquet")
    made = [folder / "websight/websight-0000.parquet"]
    for number in (0, 1):
        shard = f"games-play-{number:02d}.parquet"
        of = (folder / "tree/games-play.parquet", folder / "templates/templates.parquet")
        cpt_prompts.run(config, *of, number, folder / "prompts" / shard)
        await cpt_code.run(config, folder / "prompts" / shard, Path(shard).stem, folder / "code" / shard)
        made.append(folder / "code" / shard)
    signed = [folder / "dedup/signature" / page.name for page in made]
    for page, signature in zip(made, signed, strict=True):
        phases.signature(config.cpt.dedup, page, signature)
    dropped = folder / "dedup/pairs/dropped.parquet"
    phases.pairs(config.cpt.dedup, signed, made, dropped)
    for page in made:
        phases.filter(config.cpt.dedup, page, dropped, folder / "dedup" / page.name)
        pack.run(config, folder / "dedup" / page.name, base, idx_path(folder / "pack" / page.stem))
    mixture.run(config, [idx_path(folder / "pack" / page.stem) for page in made], folder / "pack/mixture.json")


async def _rl_and_eval(config: Config, results: Path, base: Path) -> None:
    rl = results / "rl"
    rl_prompts.run(config, rl / "prompts/prompts.parquet")
    await reference.run(config, rl / "prompts/prompts.parquet", rl / "reference/pages.parquet")
    await valid.run(config, rl / "reference/pages.parquet", rl / "valid/pages.parquet", 2)
    sets = (rl / "parquet/rl_train.parquet", rl / "parquet/rl_val.parquet")
    parquet.run(config, rl / "prompts/prompts.parquet", rl / "valid/pages.parquet", *sets)
    folder = results / "eval"
    tasks.run(config, sets[1], folder / "tasks/tasks.parquet")
    steps = [folder / step / "base.parquet" for step in ("generate", "render", "judge", "score")]
    await generate.run(config, folder / "tasks/tasks.parquet", base, "base", steps[0])
    await render.run(config, steps[0], "base", steps[1], 2)
    await judge.run(config, steps[1], "base", steps[2])
    await score.run(config, steps[1], "base", steps[3])
    table.run(config, folder / "tasks/tasks.parquet", [steps[2]], [steps[3]], folder / "table.parquet")


def _trained(config: Config, results: Path, base: Path) -> None:
    """The manifests that train/cpt, train/sft and train/export leave; their model is the base model itself."""
    mixed, chosen = results / "cpt/pack/mixture.json", results / "sft/select/sft_train.parquet"
    tokens = edges(windows.read(mixed).files)
    model = {"path": str(base), "fingerprint": fingerprint(base)}
    data = {
        "cpt": {"path": str(mixed), "sha256": runs.sha256(mixed), "tokens": tokens},
        "sft": {"path": str(chosen), "sha256": runs.sha256(chosen)},
    }
    for name, of in data.items():
        settings = getattr(config.train, name)
        told = {"step": name, "run": f"run-{name}", "final_step": 2, "model": model, "data": of}
        facts = {"windows": 8, "length": 256} if name == "cpt" else {"samples": 10, "epochs": 1.0}
        told |= {"settings": settings.model_dump(mode="json") | {"batch_size": 4}, "seconds": 1.0, **facts}
        runs.write_manifest(results / "train" / name / "manifest.json", told)
        export = results / "train" / name / "export"
        export.mkdir()
        for file in base.iterdir():
            (export / file.name).write_bytes(file.read_bytes())
        kept = {"run": f"run-{name}", "final_step": 2, "parameters": json.loads((base / "manifest.json").read_text())}
        kept |= {"parameters": kept["parameters"]["parameters"], "fingerprint": fingerprint(export)}
        runs.write_manifest(export / "manifest.json", {"step": "export", **kept})


def traced(config: Config, id_: str) -> trace.Trace:
    return asyncio.run(trace.trace(config, id_))
