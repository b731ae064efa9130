"""Training by `snakemake --profile slurm`: on several nodes, cut by limits, and with faults really made."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from line import accounted, cleared, command, processes, profile, resume, slurm, until

from checkout import checkout, snakemake

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]
FEW: dict[str, Any] = {
    "sft": {
        "categories": ["tool-calculator"],
        "subcategories": 2,
        "tasks": {"per_subcategory": 2},
        "select": {"keep": 40, "min_percent": 60, "max_tokens": 1024},
    },
    "rl": {"prompts": {"count": 16, "families": ["quick-tools"]}},
}
OFF = {"enabled": False}  # its trainer is started as SFT's is, and runs in test_whole_line
SFT = {"steps": 20, "save_every_steps": 1000}
SECRET = "sk-this-must-stay-secret"
GRPO = {
    "steps": 2,
    "batch_prompts": 2,
    "mini_batch_prompts": 2,
    "rollouts": 2,
    "max_response_tokens": 64,
    "save_every_steps": 1000,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables that training reads, a tiny model, and SFT's export, made on this machine."""
    parent = tmp_path_factory.mktemp("data")
    with checkout(parent) as folder:
        few = folder / "few.yaml"
        few.write_text(yaml.safe_dump({**FEW, "train": {"cpt": OFF, "sft": SFT, "grpo": GRPO}}))
        files = ["--configfile", "profiles/demo/recipe.yaml", "few.yaml"]
        done = snakemake(folder, "--profile", "profiles/demo", *files, "--", "data", "sft")
        assert done.returncode == 0, done.stdout[-3000:]
    return folder


@contextmanager
def run(data: Path, folder: Path, sft: dict, grpo: dict, **resources: dict) -> Iterator[tuple[Path, list[str]]]:
    """A copy of the data with its own settings, and the command that trains; at the end nothing may be left."""
    shutil.copytree(data, folder, symlinks=True)
    (folder / "few.yaml").write_text(
        yaml.safe_dump({**FEW, "train": {"cpt": OFF, "sft": SFT | sft, "grpo": GRPO | grpo}})
    )
    files = [folder / "profiles/demo/recipe.yaml", folder / "few.yaml"]
    with cleared(folder):
        yield folder, command(folder, profile(folder, **resources), files, "results/train/grpo/manifest.json")
    written = [path for path in folder.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert not written, "a key from the environment stands in a file"


def start(folder: Path, words: list[str]) -> subprocess.Popen:
    with open(folder / "output.log", "a") as output:
        environment = {**os.environ, "ENDPOINT_KEY": SECRET}
        return subprocess.Popen(words, cwd=folder, stdout=output, stderr=output, env=environment)


def said(folder: Path) -> str:
    """What launcher and trainer said, in the step's log and the job's."""
    logs = [*folder.glob("logs/train/grpo.log"), *folder.glob("results/train/*/work/job-*.log")]
    return "\n".join(path.read_text() for path in logs)


def leaders(folder: Path, step: str = "grpo") -> list[str]:
    """Numbers of the live jobs of a training step."""
    text = slurm("squeue", "-h", "-o", "%i|%j|%Z").splitlines()
    rows = [line.split("|") for line in text]
    ours = {job.split("+")[0] for job, name, where in rows if f"train-{step}" in name and where == str(folder)}
    return sorted(ours)


def another(folder: Path, job: str, told: Callable[[], str]) -> str:
    """The number of the one live GRPO job, once it is not `job`."""
    found: list[str] = []

    def there() -> bool:
        found[:] = leaders(folder)
        return len(found) == 1 and found != [job]

    until(there, 600, told)
    return found[0]


def steps(folder: Path) -> int:
    """GRPO steps that have ended."""
    found = list(folder.glob("results/train/grpo/work/*/steps.jsonl"))
    return max((json.loads(line)["step"] for path in found for line in path.read_text().splitlines()), default=0)


def test_sft_by_torchrun_and_grpo_over_ray_on_two_nodes(data: Path, tmp_path: Path) -> None:
    two = {"nodes": 2}
    with run(data, tmp_path / "two", two, two) as (folder, words):
        assert start(folder, words).wait() == 0, (folder / "output.log").read_text()[-3000:] + said(folder)[-3000:]
        for step in ("sft", "grpo"):
            manifest = json.loads((folder / f"results/train/{step}/manifest.json").read_text())
            shards = {path.name for path in Path(manifest["checkpoint"]).glob("model_world_size_*.pt")}
            assert shards == {f"model_world_size_2_rank_{rank}.pt" for rank in (0, 1)}
            job = next(job for job in accounted(folder) if f"train-{step}" in job["JobName"])
            assert job["NodeList"] == "gn[01-02]" and "gres/gpu=16" in job["AllocTRES"]
        assert "Ray counts 2 nodes" in said(folder)
        assert {job["State"] for job in accounted(folder)} == {"COMPLETED"}


def test_before_its_time_limit_grpo_saves_and_a_second_job_goes_on(data: Path, tmp_path: Path) -> None:
    limit = {"runtime": 4, "save_minutes": 1}  # Slurm may warn a minute early
    with run(data, tmp_path / "cut", {}, {"steps": 40}, train_grpo=limit) as (folder, words):
        assert start(folder, words).wait() == 0, (folder / "output.log").read_text()[-3000:] + said(folder)[-3000:]
        assert "saved and ended before its time limit" in said(folder) and "was asked to stop" in said(folder)
        manifest = json.loads((folder / "results/train/grpo/manifest.json").read_text())
        assert manifest["final_step"] == 40
        trainers = [job for job in accounted(folder) if "train-grpo" in job["JobName"] and job["JobID"].endswith("+0")]
        assert len(trainers) >= 2 and trainers[-1]["State"] == "COMPLETED"
        assert "TIMEOUT" not in {job["State"] for job in trainers}


def test_grpo_survives_every_fault_and_never_runs_twice_at_once(data: Path, tmp_path: Path) -> None:
    grpo = {"steps": 30, "save_every_steps": 2}
    with run(data, tmp_path / "hurt", {}, grpo) as (folder, words):
        most, watching = [0], threading.Event()

        def watch() -> None:
            while not watching.wait(0.5):
                most[0] = max(most[0], len(leaders(folder)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        log = lambda: (folder / "output.log").read_text()[-2000:] + said(folder)[-4000:]  # noqa: E731
        try:
            controller = start(folder, words)
            until(lambda: steps(folder) >= 2, 600, log)
            (first,) = leaders(folder)

            # The controller is killed: the next one attaches.
            controller.kill()
            controller.wait()
            unlock = [*words[: words.index("--")], "--unlock"]
            assert subprocess.run(unlock, cwd=folder, capture_output=True).returncode == 0
            controller = start(folder, words)
            until(lambda: f"attached to job {first}" in said(folder), 600, log)
            assert leaders(folder) == [first]

            # A replica's process dies: the service is started again, in the same job.
            at = steps(folder)
            next(pid for pid, words in processes(folder).items() if "render serve" in words).kill()
            until(lambda: steps(folder) >= at + 2, 600, log)
            assert leaders(folder) == [first]

            # The replicas' part of the job is cancelled: the job is sent again, and goes on from its checkpoint.
            slurm("scancel", f"{first}+1")
            second = another(folder, first, log)
            at = steps(folder)
            until(lambda: steps(folder) >= at + 2, 600, log)

            # The trainer's node is lost.
            lines = slurm("squeue", "-h", "-j", second, "-o", "%i %N %j").splitlines()
            node, name = next(line.split()[1:] for line in lines if line.startswith(f"{second}+0"))
            slurm("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
            at = steps(folder)
            until(lambda: "RUNNING" not in slurm("squeue", "-h", "--me", f"--name={name}", "-o", "%T"), 600, log)
            until(lambda: steps(folder) >= at + 2, 900, log)  # Slurm itself starts it again, after two minutes
            (third,) = leaders(folder)
            resume()

            # The job is cancelled: an error that names it; the next start goes on.
            slurm("scancel", third)
            assert controller.wait(600) != 0 and "ended as CANCELLED" in said(folder)
            controller = start(folder, words)
            assert controller.wait(1200) == 0, log()
        finally:
            watching.set()
            watcher.join()
            resume()
        assert most[0] == 1
        manifest = json.loads((folder / "results/train/grpo/manifest.json").read_text())
        assert manifest["final_step"] == 30
