"""The checks of `artifactscoder preflight` besides those of Slurm and of endpoints (`slurm_checks`, `endpoint_checks`).

Each check is a generator of findings; a finding is a mark, what was looked at, what was found, and a remedy where it
failed. None of them changes anything, but for 50 small files in the results folder, which are removed.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from artifactscoder.cluster import images as containers
from artifactscoder.cluster import plan, slurm
from artifactscoder.cluster.profile import Profile
from artifactscoder.config import Config
from artifactscoder.config.engines import Endpoint
from artifactscoder.errors import UserError

SLOW_MS = 50.0
PROBES = 50
MANY_FILES, TOO_MANY_FILES = 20_000, 1_000_000


@dataclass(frozen=True)
class Finding:
    """`mark` is ok, warn or FAIL; `remedy` stands under a FAIL (and may under a warn)."""

    mark: str
    what: str
    detail: str
    remedy: str = ""

    def __str__(self) -> str:
        detail = " ".join(self.detail.split())
        line = f"{self.mark:<4}  {self.what:<13}  {detail}"
        return line + (f"\n{'':21}-> {self.remedy}" if self.remedy else "")


Check = Callable[[Config, Profile], Iterator[Finding]]


def ok(what: str, detail: str) -> Finding:
    return Finding("ok", what, detail)


def warn(what: str, detail: str, remedy: str = "") -> Finding:
    return Finding("warn", what, detail, remedy)


def fail(what: str, detail: str, remedy: str) -> Finding:
    return Finding("FAIL", what, detail, remedy)


def gb(size: float) -> str:
    return f"{size / 1e12:,.1f} TB" if size >= 1e12 else f"{size / 1e9:,.1f} GB"


# Containers


def images(config: Config, profile: Profile) -> Iterator[Finding]:
    """An image for each role, of the present definition and locks; and Apptainer itself."""
    if not profile.apptainer:
        yield ok("images", "not used: the profile names no software-deployment-method apptainer")
        return
    if shutil.which("apptainer") is None and shutil.which("singularity") is None:
        yield fail("apptainer", "is not on PATH here", "load the site's module, or install Apptainer 1.1 or newer")
    else:
        yield ok("apptainer", shutil.which("apptainer") or shutil.which("singularity") or "")
    started = config.eval.serves or any(endpoint.hosted for endpoint in used(config).values())
    serves = ["serve"] if started else []
    for role in ("data", "render", "train", *serves):
        try:
            path = containers.path(config, role)
        except UserError as error:
            yield fail(f"image {role}", str(error), "correct `images` in the configuration")
            continue
        if path.is_file() and path.stat().st_size:
            yield ok(f"image {role}", str(path))
            continue
        folders = {path.parent, config.images.folder, *filter(None, [config.images.shared])}
        stale = sorted(str(old) for folder in folders for old in folder.glob(f"{role}-*.sif") if old != path)
        if stale:
            detail = f"{stale[0]} is of an older definition or lock; {path} is not there"
        else:
            detail = f"{path} is {'empty' if path.is_file() else 'not there'}"
        remedy = "artifactscoder images build serve" if role == "serve" else "make containers"
        yield fail(f"image {role}", detail, remedy)


def binds(config: Config, profile: Profile) -> Iterator[Finding]:
    """Folders that the profile binds into containers."""
    if not profile.apptainer:
        return
    named = profile.binds()
    for path in named:
        if not path.exists():
            yield fail("bind", f"{path} is not there", f"correct apptainer-args in {profile.path}, or make the folder")
    if named and all(path.exists() for path in named):
        yield ok("binds", ", ".join(map(str, named)))


# Keys


def used(config: Config) -> dict[str, Endpoint]:
    """The endpoints that roles and judges use, by name."""
    return config.in_use


def keys(config: Config, profile: Profile) -> Iterator[Finding]:
    """Whether the variables that hold keys are set; their values are never shown."""
    names = sorted({e.key_env for e in used(config).values() if e.kind == "api" and e.key_env})
    arguments = profile.apptainer_args() if profile.apptainer else []
    cleaned = {"--cleanenv", "-e"} & set(arguments)
    for name in names:
        if not os.environ.get(name):
            yield fail("key", f"{name} is not set in the environment", f"export {name}=... before the workflow starts")
        elif cleaned and not os.environ.get(f"APPTAINERENV_{name}") and not any(name in word for word in arguments):
            yield warn(
                "key",
                f"{name} is set, but --cleanenv in apptainer-args keeps it out of containers",
                f'export APPTAINERENV_{name}="${name}"',
            )
        else:
            yield ok("key", f"{name} is set")
    if not names:
        yield ok("keys", "no endpoint in use needs one")


# The base model


def model(config: Config, profile: Profile) -> Iterator[Finding]:
    """Whether the folder of the base model is complete."""
    base = config.train.base
    if config.train.tiny_model is not None:
        yield ok("model", "made by the workflow (train.tiny_model)")
        return
    remedy = f"download the model whole into {base}, or correct train.base"
    yield folder("model", base, "train.base", remedy)


def folder(what: str, base: Path, key: str, remedy: str) -> Finding:
    """Whether a model's folder in Hugging Face format is complete; `key` names it in the configuration."""
    if not base.is_dir():
        return fail(what, f"the folder {base} ({key}) is not there", remedy)
    missing = [name for name in ("config.json", "tokenizer.json") if not (base / name).is_file()]
    index, total, have = base / "model.safetensors.index.json", 0, 0
    shards = ["model.safetensors"]
    if index.is_file():
        try:
            values = json.loads(index.read_text())
            shards, total = sorted(set(values["weight_map"].values())), values.get("metadata", {}).get("total_size", 0)
        except (ValueError, LookupError, TypeError, AttributeError):
            return fail(what, f"{index} is not an index of weights", remedy)
    present = [base / name for name in shards if (base / name).is_file()]
    missing += [name for name in shards if base / name not in present]
    have = sum(path.stat().st_size for path in present)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        return fail(what, f"{base} lacks {', '.join(missing[:3])}{more}", remedy)
    if have < total:
        return fail(what, f"the weights in {base} are {gb(have)}, their index says {gb(total)}", remedy)
    count = f", {len(shards)} files of weights" if index.is_file() else ""
    return ok(what, f"{base}: {gb(have)}{count}")


# Disk


def _standing(path: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    path = path.absolute()
    while not path.is_dir():
        path = path.parent
    return path


def disk(config: Config, profile: Profile) -> Iterator[Finding]:
    """Free bytes and inodes where results and journal stand, against what the plan needs."""
    need, count = plan.need(config), sum(_files(config, profile).values())
    wants = {"results": (need.results, need.more_results + need.train), "journal": (need.journal, need.more_journal)}
    devices: dict[int, list[str]] = {}
    for name in wants:
        devices.setdefault(_standing(getattr(config, name)).stat().st_dev, []).append(name)
    train = f", training {gb(need.train)}" if need.train else ", training not known without train.base"
    train = ", training little" if config.train.tiny_model else train
    for names in devices.values():
        folder = _standing(getattr(config, names[0]))
        what = "disk" if len(names) == 2 else f"disk {names[0]}"
        state = os.statvfs(folder)
        free, inodes = state.f_bavail * state.f_frsize, state.f_favail
        first, rest = (sum(part) for part in zip(*(wants[name] for name in names), strict=True))
        if free < first + rest:  # what a former run wrote need not be written again
            there = sum(_size(getattr(config, name)) for name in names)
            first, rest = max(0, first - there), max(0, rest - max(0, there - first))
        cpt = need.more_results * ("results" in names) + need.more_journal * ("journal" in names)
        words = f"{gb(free)} free in {folder}; estimate: data {gb(first)}, CPT {gb(cpt)}"
        words += train if "results" in names else ""
        if free < first:
            yield fail(what, words, "make room, or set `results` and `journal` to folders on a larger file system")
        elif free < first + rest:
            yield warn(what, words + "; enough for the data target, not for all")
        else:
            yield ok(what, words)
        if state.f_files and inodes < count:
            yield fail(
                what, f"{inodes:,} inodes free in {folder}, {count:,} files planned", "delete files, or ask for more"
            )
    for command in (["quota", "-s"], ["lfs", "quota", "-h", str(_standing(config.results))]):
        if shutil.which(command[0]):
            yield from _quota(command)


def _size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(parent, name)).st_size
            except OSError:
                continue
    return total


def _quota(command: list[str]) -> Iterator[Finding]:
    try:
        text = slurm.run(*command, seconds=10)
    except UserError as error:
        yield warn("quota", str(error))
        return
    over = [line for line in text.splitlines() if "*" in line]  # both commands mark what is exceeded so
    if over:
        yield fail("quota", f"exceeded: {over[0]}", f"make room; `{' '.join(command)}` says what counts")
    elif lines := [line for line in text.splitlines() if line.strip()]:
        yield ok("quota", lines[-1])


def _files(config: Config, profile: Profile) -> dict[str, int]:
    kinds = plan.files(config)
    if profile.slurm and profile.values.get("slurm-keep-successful-logs"):
        kinds["Slurm's logs"] = kinds["logs"]
    return kinds


def files(config: Config, profile: Profile) -> Iterator[Finding]:
    """How many files the plan makes, all targets together."""
    kinds = _files(config, profile)
    total = sum(kinds.values())
    words = f"{total:,} when all is done: " + ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())
    remedy = "lower cpt.prompts.shards and cpt.websight.shards"
    if total > TOO_MANY_FILES:
        yield fail("files", words, remedy)
    elif total > MANY_FILES:
        yield warn("files", words, remedy)
    else:
        yield ok("files", words)


def latency(config: Config, profile: Profile) -> Iterator[Finding]:
    """Mean time of create, fsync, rename, stat and unlink over 50 small files in the results folder."""
    folder = _standing(config.results)
    spent = dict.fromkeys(("create", "fsync", "rename", "stat", "unlink"), 0.0)
    one, two = (folder / f".preflight-{os.uname().nodename}-{os.getpid()}-{end}" for end in "ab")

    def timed(name: str, call: Callable[[], object]) -> object:
        start = time.perf_counter()
        result = call()
        spent[name] += 1000 * (time.perf_counter() - start) / PROBES
        return result

    try:
        for _ in range(PROBES):
            descriptor = timed("create", lambda: os.open(one, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            assert isinstance(descriptor, int)
            try:
                os.write(descriptor, b"preflight" * 100)
                timed("fsync", lambda: os.fsync(descriptor))  # noqa: B023
            finally:
                os.close(descriptor)
            timed("rename", lambda: os.rename(one, two))
            timed("stat", lambda: os.stat(two))
            timed("unlink", lambda: os.unlink(two))
    except OSError as error:
        yield fail("file system", f"cannot write in {folder}: {error.strerror}", "make room, or mend its permissions")
        return
    finally:
        for path in (one, two):
            path.unlink(missing_ok=True)
    words = ", ".join(f"{name} {ms:.1f}" for name, ms in spent.items()) + f" ms in {folder}"
    if max(spent.values()) > SLOW_MS:
        yield warn("file system", words + "; slow: put `results` and `journal` on the cluster's scratch")
    else:
        yield ok("file system", words)
