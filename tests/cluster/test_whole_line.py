"""The demo's whole line by `snakemake --profile slurm` in Apptainer images, compared with a local run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import yaml
from line import accounted, command, image, place, profile

from artifactscoder.cluster import disk_checks
from artifactscoder.cluster.profile import Profile
from artifactscoder.config import load
from checkout import ROOT, checkout

pytestmark = [pytest.mark.cluster, pytest.mark.smoke, pytest.mark.timeout(3600)]

# The demo with fewer shards and steps: a job costs seconds of processor time before it does anything.
FEW = {
    "sft": {
        "categories": ["tool-calculator"],
        "subcategories": 2,
        "tasks": {"per_subcategory": 2},
        "select": {"keep": 40, "min_percent": 60, "max_tokens": 1024},
    },
    "cpt": {"tree": {"roots": ["games-play"]}, "templates": {"count": 4, "per_request": 4}, "websight": {"sample": 4}},
    "rl": {"prompts": {"count": 16, "families": ["quick-tools"]}},
    "eval": {"tasks": {"held-out": {"count": 2}}},
    "train": {
        "cpt": {"steps": 10, "save_every_steps": 10},
        "sft": {"steps": 30, "save_every_steps": 15},
        "grpo": {"steps": 2, "batch_prompts": 2, "mini_batch_prompts": 2, "rollouts": 2, "max_response_tokens": 64},
    },
}
CERTAIN = [
    "sft/select/sft_train.parquet",
    "rl/parquet/rl_train.parquet",
    "rl/parquet/rl_val.parquet",
]


def test_the_whole_line_runs_on_slurm_in_images_and_makes_what_one_machine_makes(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    with place(tmp_path / "slurm") as folder:
        few = folder / "few.yaml"
        few.write_text(yaml.safe_dump({**FEW, **image()}))
        files = [folder / "profiles/demo/recipe.yaml", few]
        words = command(folder, profile(folder, image=True), files, "demo")
        with open(folder / "output.log", "w") as output:
            run = subprocess.Popen(words, cwd=folder, stdout=output, stderr=output)
        with checkout(tmp_path / "here") as beside:
            local = ["--profile", "profiles/demo", "--cores", "1", "--configfile", *map(str, files)]
            made = subprocess.run(
                [sys.executable, "-m", "snakemake", *local, "--", "data", "tokens"],
                cwd=beside,
                capture_output=True,
                text=True,
            )
            assert made.returncode == 0, made.stderr[-3000:]
        code = run.wait()
        said = (folder / "output.log").read_text()
        assert code == 0, said[-5000:]

        jobs = accounted(folder)
        assert {job["State"] for job in jobs} == {"COMPLETED"}
        rules = {job["Comment"].removeprefix("rule_").partition("_wildcards_")[0]: job for job in jobs}
        for name in ("sft_code", "sft_score", "cpt_pack", "rl_parquet", "eval_render"):
            assert rules[name]["Partition"] == "cpu" and rules[name]["NodeList"].startswith("cn")
        for name in ("train_export", "eval_generate"):
            assert rules[name]["Partition"] == "gpu" and "gres/gpu=1" in rules[name]["AllocTRES"]
        for name in ("cpt", "sft"):
            (trained,) = [job for job in jobs if job["JobName"].startswith(f"artifactscoder-train-{name}")]
            assert trained["NodeList"].startswith("gn") and "gres/gpu=8" in trained["AllocTRES"]
        trainer, render = [job for job in jobs if job["JobName"].startswith("artifactscoder-train-grpo")]
        assert trainer["NodeList"].startswith("gn") and "gres/gpu=8" in trainer["AllocTRES"]
        assert render["JobID"] == trainer["JobID"].replace("+0", "+1")
        assert render["Partition"] == "cpu" and "node=2" in render["AllocTRES"]

        for name in CERTAIN:
            there, here = (pq.read_table(tmp_path / run / "results" / name) for run in ("slurm", "here"))
            if "percent" in there.column_names:  # judged by pixels, which the image's Chromium may draw otherwise
                assert there["id"].equals(here["id"])
                there, here = there.drop_columns(["percent"]), here.drop_columns(["percent"])
            assert there.num_rows > 0 and there.equals(here), name
        packed = [path for path in (tmp_path / "here/results/cpt/pack").iterdir() if path.suffix in (".bin", ".json")]
        assert len(packed) == 3, "tokens of a root and of WebSight, and how training mixes them"
        for path in packed:
            assert path.read_bytes() == (folder / "results/cpt/pack" / path.name).read_bytes(), path.name
        manifest = json.loads((folder / "results/train/grpo/manifest.json").read_text())
        assert manifest["final_step"] == 2 and manifest["scored"]
        assert (folder / "results/report/index.html").stat().st_size > 10_000
        again = subprocess.run(
            [*words[: words.index("--")], "-n", "--", "demo"], cwd=folder, capture_output=True, text=True
        )
        assert "Nothing to be done" in again.stdout + again.stderr
        counted = disk_checks.file_counts(load([ROOT / "config.yaml", *files]), Profile(folder / "slurm-test"))
        made = Counter(path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file())
        assert sum(made.values()) <= sum(counted.values()), f"{made} are more than preflight's {counted}"
