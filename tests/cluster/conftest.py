"""The tests of this folder need a Slurm that answers."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from line import TWO

from artifactscoder.cluster import images
from checkout import checkout, overlay, server, snakemake


@pytest.fixture(autouse=True, scope="session")
def running_cluster(running_slurm: None) -> None:
    os.environ.update(word.split("=") for word in images.lacking_privileges())  # jobs inherit it


@pytest.fixture(scope="session")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which all is made, on this machine, until pages are asked for: what jobs are tested with."""
    parent = tmp_path_factory.mktemp("asked")
    (parent / "run").mkdir()
    with checkout(parent / "run") as folder, server(parent / "answers.log") as url:
        files = ["profiles/demo/recipe.yaml", str(overlay(folder, url, TWO))]
        target = "results/sft/distinct_variants/dropped.parquet"
        done = snakemake(folder, "--profile", "profiles/demo", "--configfile", *files, "--", target)
        assert done.returncode == 0, done.stdout[-3000:]
    return folder
