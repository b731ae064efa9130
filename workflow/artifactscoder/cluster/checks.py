"""The checks of `artifactscoder preflight` of images, binds, keys and the base model, and what all checks share.

Each check is a generator of findings; a finding is a mark, what was looked at, what was found, and a remedy where it
failed. The others stand in `slurm_checks`, `endpoint_checks` and `disk_checks`.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from artifactscoder.cluster import images as containers
from artifactscoder.cluster.profile import TRAINERS, Profile
from artifactscoder.config import Config
from artifactscoder.config.engines import Endpoint
from artifactscoder.errors import UserError
from artifactscoder.train import engines, fit, shapes

INSIDE_S = 60.0  # an image that is opened for the first time


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
    """An image for each role, of the present definition and locks; and Apptainer itself. Without: what trains then."""
    if not profile.apptainer:
        words = "not used: the profile names no software-deployment-method apptainer"
        rules = [rule for rule, name in TRAINERS.items() if getattr(config.train, name) in config.train.trainers]
        if cannot := next(unable(config, rules), ""):
            yield warn("images", f"{words}; data can be made so, but {cannot}")
        else:
            yield ok("images", words)
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


def unable(config: Config, rules: Collection[str]) -> Iterator[str]:
    """What this environment lacks to train, a sentence for each of the rules that could not."""
    for rule in (rule for rule in TRAINERS if rule in rules):
        try:
            engines.must_be_installed(getattr(config.train, TRAINERS[rule]), TRAINERS[rule])
        except UserError as error:
            yield str(error)


def binds(config: Config, profile: Profile) -> Iterator[Finding]:
    """Folders that the profile binds into containers, and whether what the jobs read is seen in one."""
    if not profile.apptainer:
        return
    named = profile.binds()
    for path in named:
        if not path.exists():
            yield fail("bind", f"{path} is not there", f"correct apptainer-args in {profile.path}, or make the folder")
    if named and all(path.exists() for path in named):
        yield ok("binds", ", ".join(map(str, named)))
    image = next(
        (path for path in (containers.path(config, role) for role in containers.ROLES) if path.is_file()), None
    )
    program = shutil.which("apptainer") or shutil.which("singularity")
    if image is not None and program is not None:
        yield _inside(program, image.absolute(), read(config), profile)


def read(config: Config) -> list[Path]:
    """The files and folders of this machine that jobs read or write besides the checkout, as far as they are there."""
    named = [config.results, config.journal, *config.decontaminate.benchmarks, *vars(config.seeds).values()]
    if config.train.tiny_model is None:
        named.append(config.train.base)
    if not config.cpt.websight.sample:
        named.append(Path(config.cpt.websight.input).parent)
    named += [Path(endpoint.path) for endpoint in used(config).values() if endpoint.hosted]
    return sorted({path.absolute() for path in named if path.exists()})


def _inside(program: str, image: Path, paths: list[Path], profile: Profile) -> Finding:
    """Whether a container sees the paths, started as Snakemake starts it."""
    look = 'for path; do [ -e "$path" ] || echo "$path"; done'
    words = [program, "exec", "--home", os.getcwd(), *profile.apptainer_args(), str(image), "sh", "-c", look, "-"]
    try:
        done = subprocess.run([*words, *map(str, paths)], capture_output=True, text=True, timeout=INSIDE_S)
    except (OSError, subprocess.TimeoutExpired):
        return warn("binds", f"{image.name} was not opened in {INSIDE_S:.0f} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        return warn("binds", f"{image.name} cannot be opened here ({last[:200]}); --from-compute asks a compute node")
    if unseen := done.stdout.splitlines():
        folder = unseen[0] if Path(unseen[0]).is_dir() else str(Path(unseen[0]).parent)
        more = f" and {len(unseen) - 1} more" if len(unseen) > 1 else ""
        remedy = f'write apptainer-args: "{" ".join([*profile.apptainer_args(), "--bind", folder])}" in {profile.path}'
        return fail("bind", f"containers do not see {unseen[0]}{more}", remedy)
    return ok("binds", f"{image.name} sees the {len(paths)} files and folders that the configuration names")


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


def memory(config: Config, profile: Profile) -> Iterator[Finding]:
    """Whether the GPUs can hold what each stage of training keeps on them."""
    try:
        shape = shapes.of(config.train.base)
    except UserError as error:
        yield warn("memory", f"not checked: {error}")
        return
    for stage, settings in fit.stages(config).items():
        if not profile.needs(f"train_{stage}"):
            continue
        if words := fit.refusal(shape, settings, stage):
            yield fail("memory", words, "artifactscoder train fit; profiles/sizes holds settings that fit")
        else:
            peak = fit.fit(shape, settings, stage).peak
            yield ok("memory", f"train.{stage} needs {gb(peak)} of each GPU's {settings.gpu_gb:g} GB")


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
