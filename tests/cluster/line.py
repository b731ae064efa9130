"""What the tests of `snakemake --profile slurm` share: the product's own profile for small nodes, and Slurm's word."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import yaml

from artifactscoder.cluster import images
from artifactscoder.config import load
from checkout import ROOT, checkout

# Two categories of 24 pages each.
TWO = {"sft": {"categories": ["game-puzzle", "tool-calculator"], "subcategories": 1, "tasks": {"per_subcategory": 2}}}


@contextmanager
def place(folder: Path, copied: Path | None = None) -> Iterator[Path]:
    """A checkout in which a test runs the workflow, new or a copy of another, and which it leaves cleared."""
    with ExitStack() as stack:
        if copied:
            shutil.copytree(copied, folder, symlinks=True)
        else:
            folder.mkdir()
            stack.enter_context(checkout(folder))
        stack.enter_context(cleared(folder))
        yield folder


@contextmanager
def cleared(folder: Path) -> Iterator[None]:
    """At its end no job and no process of the folder may be left; after a failure they are ended, for the next test."""
    try:
        yield
    except BaseException:
        end(folder)
        raise
    assert live(folder) == {}
    until(lambda: not processes(folder), 60, lambda: str(processes(folder)))


def end(folder: Path) -> None:
    """End every process and job of a folder, the controller first."""
    for process in processes(folder):
        with suppress(psutil.Error):
            process.kill()
    for job in live(folder):
        slurm("scancel", job)


def profile(folder: Path, image: bool = False, retries: int = 0, account: str = "lab", **resources: Any) -> str:
    """The product's profile with numbers for these nodes, in `folder`; `resources` are overlays by rule."""
    values = yaml.safe_load((ROOT / "profiles/slurm/config.yaml").read_text())
    if image:
        values["apptainer-args"] = f"--bind {ROOT}"  # the checkout of a test links to the project
    else:
        del values["apptainer-args"], values["software-deployment-method"]
    values |= {"latency-wait": 20, "slurm-init-seconds-before-status-checks": 14, "jobs": 4, "retries": retries}
    values["default-resources"] |= {"slurm_account": account, "mem_mb": "1000 * attempt"}
    for rule in values["set-resources"].values():
        rule |= {"mem_mb": "1000 * attempt", "cpus_per_task": 1}
        rule.pop("slurm_extra", None)  # its minutes are longer than a test's job
    for rule in ("train_cpt", "train_sft", "train_grpo"):
        values["set-resources"][rule] |= {"mem_mb": 8000, "cpus_per_task": 2}
    values["set-resources"]["train_grpo"] |= {"render_cpus": 1, "render_mem_mb": 2000}
    for rule in ("train_export", "eval_generate", "sft_score", "rl_valid", "eval_render"):
        values["set-resources"].setdefault(rule, {})["mem_mb"] = 4000
    for rule, more in resources.items():
        values["set-resources"].setdefault(rule, {}).update(more)
    values["set-threads"] = dict.fromkeys(("sft_score", "rl_valid", "eval_generate", "eval_render"), 1)
    (folder / "slurm-test").mkdir()
    (folder / "slurm-test/config.yaml").write_text(yaml.safe_dump(values))
    return "slurm-test"


def image() -> dict[str, Any]:
    """The configuration that puts every role into the image without GPU; it must be built already."""
    path = ROOT / images.path(load([ROOT / "config.yaml"]), "cpu")
    assert path.exists(), f"{path} is not built; make containers-cpu builds it"
    return {"images": dict.fromkeys(("data", "render", "train"), str(path))}


def command(folder: Path, name: str, files: list[Path], *targets: str) -> list[str]:
    words = [sys.executable, "-m", "snakemake", f"--profile={name}", "--configfile", *map(str, files)]
    return [*words, "--", *targets] if targets else words


def slurm(*words: str) -> str:
    """What one of Slurm's commands says."""
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout


def resume() -> None:
    """Bring nodes back that a test took down; some come back by themselves."""
    for line in slurm("sinfo", "-h", "-N", "-o", "%N %T").splitlines():
        if "down" in line:
            subprocess.run(["scontrol", "update", f"nodename={line.split()[0]}", "state=resume"], capture_output=True)


def live(folder: Path) -> dict[str, str]:
    """The jobs of this folder that wait or run: id -> comment, which names the rule or the script."""
    rows = [line.split("|") for line in slurm("squeue", "-h", "-o", "%i|%k|%Z").splitlines()]
    return {row[0]: row[1] for row in rows if row[2] == str(folder)}


def accounted(folder: Path) -> list[dict[str, str]]:
    """All jobs of this folder that the accounting knows of the last two hours, components of a job one by one."""
    names = ["JobID", "JobName", "State", "Partition", "NodeList", "AllocTRES", "Comment", "WorkDir"]
    text = slurm("sacct", "-X", "-n", "-P", "-S", "now-2hours", "-o", ",".join(names))
    rows = [dict(zip(names, line.split("|"), strict=True)) for line in text.splitlines()]
    return [row for row in rows if row["WorkDir"] == str(folder)]


def processes(folder: Path) -> dict[psutil.Process, str]:
    """What runs in a folder, with its words."""
    found = {}
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.cwd().startswith(str(folder)):
                found[process] = " ".join(process.cmdline())
    return found


def until(true: Callable[[], object], seconds: float = 300, told: Callable[[], str] = lambda: "") -> None:
    """Wait for something that will be true; the time is for machines on which much else runs."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"it did not happen in time\n{told()}"
        time.sleep(0.3)
