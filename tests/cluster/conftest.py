"""The tests of this folder need a Slurm that answers."""

from __future__ import annotations

import os

import pytest

from artifactscoder.cluster import images


@pytest.fixture(autouse=True, scope="session")
def running_cluster(running_slurm: None) -> None:
    os.environ.update(word.split("=") for word in images.lacking_privileges())  # jobs inherit it
