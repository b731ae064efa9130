"""The tests of this folder need a Slurm that answers."""

from __future__ import annotations

import os
import subprocess

import pytest

from artifactscoder.cluster import images


@pytest.fixture(autouse=True, scope="session")
def running_cluster() -> None:
    try:
        up = subprocess.run(["scontrol", "ping"], capture_output=True, text=True, timeout=20)
    except FileNotFoundError:
        pytest.skip("no Slurm on this machine: make cluster-up brings one")
    if "is UP" not in up.stdout:
        pytest.skip("no Slurm runs here: make cluster-up starts one")
    os.environ.update(word.split("=") for word in images.lacking_privileges())  # jobs inherit it
