"""What CPT, SFT and GRPO share around verl: the work folder, checkpoints, the manifest.

A run is named by a digest of what decides its result (settings, data, model: its recipe), and everything of it stands
in `work/<digest>/`. A job that was killed finds its own checkpoints there; a changed recipe starts beside
them, never from them, and says so. Step rows are appended as they come, so a curve spans all attempts: a step that was
run twice counts as run last. The declared outputs (manifest, curve) are written at the end, whole or not at
all, the manifest last.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from artifactscoder import files
from artifactscoder.config.base import Section
from artifactscoder.errors import UserError
from artifactscoder.train import verl_stop

PACKAGE_ROOT = Path(__file__).resolve().parents[2]
TRACKER = "latest_checkpointed_iteration.txt"  # verl writes it after a checkpoint is whole
RECIPE = "recipe.json"
MOST_NAMED = 6  # of the keys that make a run another
NODES = "ARTIFACTSCODER_NODES"


def say(step: str, text: str) -> None:
    """One line of progress to standard error."""
    print(f"{step}: {text}", file=sys.stderr, flush=True)


# What a run is


def sha256(path: Path) -> str:
    """SHA-256 of a file, in hex; one sentence if it is not there."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; run the step that makes it, or correct the path") from None


def recipe(step: str, settings: Section, data: Mapping[str, str], model: str, **more: Any) -> dict[str, Any]:
    """What decides the result of a run, by dotted names; operational settings do not enter."""
    own = {k: v for k, v in settings.model_dump(mode="json").items() if k not in settings.OPERATIONAL}
    return _flat({"train": {step: own}, "data": data, "model": model, **more})


def _flat(values: Mapping[str, Any], at: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= _flat(value, f"{at}{name}.") if isinstance(value, Mapping) and value else {f"{at}{name}": value}
    return found


def identity(recipe: Mapping[str, Any]) -> str:
    """Twelve hex digits that name a run."""
    return hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:12]


def keep_recipe(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Leave the recipe of a run in its folder, for `beside`."""
    files.write_bytes(folder / RECIPE, json.dumps(recipe, indent=2, sort_keys=True).encode() + b"\n")


def beside(folder: Path, recipe: Mapping[str, Any]) -> str:
    """Where a run has no checkpoint and another of its work folder has: which, and what is not the same; else empty."""
    latest = [path for path in folder.parent.glob(f"*/checkpoints/{TRACKER}") if saved(path.parent)]
    if saved(folder / "checkpoints") or not latest:
        return ""
    other = max(latest, key=os.path.getmtime).parents[1]
    begun = f"starts anew beside run {other.name} at step {saved(other / 'checkpoints')}, because "
    try:
        before = json.loads((other / RECIPE).read_text())
    except (OSError, ValueError):
        return begun + "settings, data or model changed; which, that run did not keep"
    changed = [name for name in {**before, **recipe} if before.get(name) != recipe.get(name)]
    more = len(changed) - MOST_NAMED
    return begun + ", ".join(changed[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "") + " changed"


def versions() -> dict[str, str]:
    """Versions of what took part; packages that are not installed are left out."""
    found = {"python": sys.version.split()[0]}
    for name in ("artifactscoder", "verl", "torch", "transformers", "ray", "vllm", "sglang", "flash-attn"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def commit() -> str:
    """The commit of the checkout that this code stands in, `+` behind it where files differ; empty outside of git."""

    def git(*words: str) -> str:
        return subprocess.run(
            ["git", "-C", str(PACKAGE_ROOT), *words], capture_output=True, text=True, check=True
        ).stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.CalledProcessError):
        return ""


def digits(commit: str) -> str:
    """A commit as it is shown: twelve digits, and behind them the `+` of a changed tree."""
    return commit[:12] + "+" * commit.endswith("+")


# Checkpoints


def saved(folder: Path) -> int:
    """Step of the latest whole checkpoint in `folder`, 0 if there is none."""
    try:
        return int((folder / TRACKER).read_text() or 0)
    except FileNotFoundError:
        return 0


def checkpoint(folder: Path, step: int) -> Path:
    return folder / f"global_step_{step}"


def prune(folder: Path, keep: int) -> None:
    """Delete all but the latest `keep` whole checkpoints.

    verl's own rotation forgets what earlier attempts saved; this one looks at the folder. The checkpoint
    that the tracker names is never touched.
    """
    last = saved(folder)
    steps = sorted(int(p.name.rpartition("_")[2]) for p in folder.glob("global_step_*"))
    for step in [s for s in steps if s <= last][:-keep]:
        shutil.rmtree(checkpoint(folder, step))


def mend(folder: Path) -> None:
    """Before a run: delete the checkpoint that a killed job was writing when it was killed.

    verl writes the loader's state last and then the tracker. If the kill fell between the opening of the tracker and
    its text, the latest checkpoint with a loader's state is the one it was to name.
    """
    tracker = folder / TRACKER
    if tracker.exists() and not tracker.read_text().strip():
        whole = [int(p.parent.name.rpartition("_")[2]) for p in folder.glob("global_step_*/data*.pt")]
        files.write_bytes(tracker, str(max(whole, default=0)).encode())
    for path in folder.glob("global_step_*"):
        if int(path.name.rpartition("_")[2]) > saved(folder):
            shutil.rmtree(path)


def must_have_reached(who: str, code: int | None, folder: Path, steps: int, cause: str, stop: Path) -> None:
    """Raise UserError unless the trainer ended well and its last checkpoint is that of the last step.

    Where it saved and ended because `stop` asked for that: SystemExit with `verl_stop.CONTINUED`.
    """
    at = f"at step {saved(folder)} of {steps}"
    if code == 0 and 0 < saved(folder) < steps and stop.exists():
        say("train", f"{who} was asked to stop: saved {at}; the next start goes on from there")
        raise SystemExit(verl_stop.CONTINUED)
    if code != 0:
        raise UserError(f"{who} ended with code {code} {at}: {cause or 'see its log above'}")
    if saved(folder) != steps:
        raise UserError(f"{who} ended without an error, but {at}; its log above says more")


# Launching


def environment(device: str, threads: int, extra: dict[str, str]) -> dict[str, str]:
    """The environment of a verl run: ours on the path, no tracker service, the CPU platform where asked for."""
    from artifactscoder.train import verl_cpu

    paths = [str(PACKAGE_ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    # Slurm names the GPUs in every vendor's words at once, which verl refuses.
    inherited = dict(os.environ)
    if "CUDA_VISIBLE_DEVICES" in inherited:
        for name in ("ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"):
            inherited.pop(name, None)
    return {
        **inherited,
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)),
        "PYTHONUNBUFFERED": "1",
        "HYDRA_FULL_ERROR": "1",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": str(threads),
        **(verl_cpu.environment() if device == "cpu" else {}),
        **extra,
    }


def must_have(loggers: Iterable[str]) -> None:
    """One sentence where a tracker that `train.loggers` names is not installed."""
    for name in loggers:
        if importlib.util.find_spec(name) is None:
            raise UserError(f"train.loggers names {name}, which is not installed; pip install {name}, or leave it out")


def logging(folder: Path) -> dict[str, str]:
    """Where the trackers of a run write: into its folder, unless the environment says otherwise."""
    own = {
        "TENSORBOARD_DIR": str(folder / "tensorboard"),
        "WANDB_DIR": str(folder),
        "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
    }
    return {name: os.environ.get(name, value) for name, value in own.items()}


def nodes() -> list[str]:
    """Names of the job's nodes in their order, as `train launch` hands them on: an image holds no scontrol."""
    found = os.environ.get(NODES, "").split()
    if not found:
        raise UserError(f"{NODES} is not set; start training on several nodes by `artifactscoder train launch`")
    return found


def attempt(folder: Path) -> tuple[int, Path]:
    """(number, a new file for verl's metrics): verl opens its file anew, so each attempt gets one of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    number = len(list(folder.glob("attempt-*.jsonl"))) + 1
    return number, folder / f"attempt-{number:03d}.jsonl"


def override(key: str, value: Any) -> str:
    """One Hydra override; text is quoted so that paths with `=`, `,` or blanks pass whole."""
    if isinstance(value, bool):
        return f"{key}={value}"
    if value is None:
        return f"{key}=null"
    if isinstance(value, Path | str):
        quoted = str(value).replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}='{quoted}'"
    if isinstance(value, list | tuple):
        return f"{key}=[{','.join(str(part) for part in value)}]"
    return f"{key}={value}"


def overrides(pairs: dict[str, Any], extra: Iterable[str]) -> list[str]:
    """All overrides of a run, ours first; Hydra's own folders stay out of the work folder."""
    pairs = {**pairs, "hydra.run.dir": ".", "hydra.output_subdir": None}
    return [*(override(key, value) for key, value in pairs.items()), *extra]


def write_manifest(path: Path, content: dict[str, Any]) -> None:
    """Write a manifest, with versions and commit, so that it is there whole or not at all."""
    content = {**content, "versions": versions(), "commit": commit()}
    files.write_bytes(path, json.dumps(content, indent=2, sort_keys=True).encode() + b"\n")
