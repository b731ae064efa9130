"""The look ahead on a real cluster: a sound run is green, and each mistake is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from artifactscoder.cluster import slurm
from slurm_answers import LITTLE, SMALL


@pytest.fixture
def real(running_slurm, profile, tmp_path: Path, server: str):
    """Runs the command against the Slurm that is up; keywords change the profile's defaults or the configuration."""
    base = tmp_path / "base"
    base.mkdir()
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        (base / name).write_text("{}")
    partition = next(node.partition for node in slurm.nodes() if node.usable and not node.gpus)
    account = next(iter(slurm.associations()), ("",))[0]
    small = {rule: {**LITTLE, "slurm_partition": partition, "slurm_account": account} for rule in SMALL}
    threads = {rule: 1 for rule in (*small, "sft_score", "rl_valid", "eval_render")}

    def ask(
        results: Path | None = None, url: str = server, compute: bool = False, images: str = "", **changes: object
    ) -> tuple[int, str]:
        resources = {"slurm_partition": partition, "slurm_account": account, **changes}
        made = profile(
            executor="slurm",
            default_resources=resources,
            set_resources=small,
            set_threads=threads,
            software_deployment_method="apptainer" if images else "none",
        )
        values = yaml.safe_load(Path("config.yaml").read_text())
        values["endpoints"] = {"it": {"kind": "api", "url": url, "model": "test", "key_env": "TEST_KEY"}}
        values["roles"] = dict.fromkeys(values["roles"], "it")
        values["train"]["base"] = str(base)
        for trainer in ("cpt", "sft", "grpo"):
            values["train"][trainer].update(device="cpu", engine="fsdp2")
        values["train"]["grpo"].update(rollout="hfcpu", router_replay="none")
        values["sft"]["categories"], values["cpt"]["tree"]["children"] = ["game-puzzle"], [2, 2]
        values["images"]["folder"] = images
        values["results"] = str(results or tmp_path / "results")
        values["journal"] = str(results or tmp_path / "journal")
        (tmp_path / "config.yaml").write_text(yaml.safe_dump(values))
        done = subprocess.run(
            [sys.executable, "-m", "artifactscoder.cli", "preflight", "--profile", str(made.path.parent),
             "--config", str(tmp_path / "config.yaml"), *(["--from-compute"] if compute else [])],
            capture_output=True, text=True, env={"TEST_KEY": "good", **os.environ}, timeout=200,
        )  # fmt: skip
        assert not done.stderr, done.stderr
        return done.returncode, done.stdout

    return ask


@pytest.mark.cluster
def test_on_a_real_cluster_a_sound_run_is_green_also_from_a_compute_node(real) -> None:
    code, text = real(compute=True)
    assert code == 0 and "agrees with this machine" in text and "from " in text and "FAIL" not in text, text


@pytest.mark.cluster
@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"slurm_account": "nobody"}, "'nobody' is no account of"),
        ({"slurm_partition": "nowhere"}, "there is no partition 'nowhere'"),
        ({"slurm_partition": "small", "gpu": 8}, "small has 1 of 4 GPUs, 64 CPUs, 512000 MB"),
        ({"url": "http://127.0.0.1:9/v1"}, "nothing listens there"),
    ],
)
def test_on_a_real_cluster_a_mistake_is_named(real, changes: dict[str, object], sentence: str) -> None:
    code, text = real(**changes)
    assert code == 1 and sentence in text and "-> " in text, text


@pytest.mark.cluster
def test_on_a_real_cluster_key_and_shard_are_named(real, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("TEST_KEY", "")
    (tmp_path / "base/model.safetensors").unlink()
    code, text = real()
    assert code == 1 and "TEST_KEY is not set" in text and "lacks model.safetensors" in text, text


@pytest.mark.cluster
def test_on_a_real_cluster_missing_and_stale_images_are_named(real, tmp_path: Path) -> None:
    (tmp_path / "render-111111111111.sif").write_bytes(b"x")
    code, text = real(images=str(tmp_path))
    assert code == 1 and text.count(".sif is not there\n") == 3, text
    assert "render-111111111111.sif is of an older definition or lock" in text and "-> make containers" in text, text


@pytest.mark.cluster
def test_a_full_disk_is_named(real, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    folder.mkdir()
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,nr_inodes=40", "none", str(folder)]).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    try:
        (folder / "full").write_bytes(b"x" * (1 << 20))
        code, text = real(results=folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert code == 1 and "0.0 GB free in" in text and "inodes free in" in text and "make room" in text, text
