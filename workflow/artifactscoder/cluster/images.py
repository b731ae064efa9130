"""images: which Apptainer image a role runs in, and how it is built.

In: the definitions under containers/, the locks under envs/, `images` in the configuration. Out: ROLE-DIGEST.sif in
images.folder. The digest is that of the definition and of all files that it copies in, so a changed lock is another
image, an old one is never mistaken for it, and a second build finds nothing to do. An image of the right digest that
stands in images.shared (a lab keeps one), or that another checkout of the same user built (the user's cache has it
under a second name), is taken from there. The code is in no image: the checkout is bound at run time
(rules/common.smk), so that a changed line needs no build.

Roles: data, render, train (GPU, from verl's image), in which the rules run; serve (GPU, a model server beside data and
render), for rules whose jobs start one; and cpu, all four in one file from Debian's packages alone, its server being
llama.cpp's, for machines without GPU or without a registry; take it by naming its file as images.data, images.render,
images.train, images.serve.

Where the host's Python is the image's, the host's pip fetches the wheels first, with its own indexes, mirrors and
folders, and the image installs from those without a network; elsewhere the image's pip asks its index. The mirror of
front-end libraries (render/mirror.py) goes in the same way: the host's is copied, or npm fetches it inside.

The cpu image took 7 minutes on 2 cores that others used too (4 minutes of processor time) and is 1.2 GB; meanwhile
$APPTAINER_TMPDIR (or /tmp) needs 6 GB, and the wheels 0.6 GB in images.folder, where the next build finds them.

To run in images: `snakemake --sdm apptainer`. The checkout is bound by itself, being the working directory; models and
data elsewhere are bound by `--apptainer-args "--bind /path"`, GPUs by `--nv` there. Where root lacks capabilities, as
in many virtual machines, `export APPTAINER_NO_PRIVS=1`; the build finds out by itself.

Apptainer is called through spython's `stream_command`, which merges both outputs into one; its `Client.build` streams
standard output alone, and stops for ever when 64 KB of messages wait in the other.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from artifactscoder import config as configs
from artifactscoder import files
from artifactscoder.config import Config
from artifactscoder.errors import UserError

CHECKOUT = Path(__file__).resolve().parents[3]
ROLES = ("data", "render", "train")
LOGS = Path("logs/images")
# Python of Debian bookworm; wheels are fetched by the host only for the images that are made of it.
BOOKWORM_PYTHON = (3, 11)
# Images are read more often than written: the fast level of zstd, which every mounter of Apptainer 1.x reads.
SQUASHFS = "-comp zstd -Xcompression-level 1"


def path(config: Config, role: str) -> Path:
    """The image of a role: the prebuilt one, else the first that is there of images.shared, images.folder and the
    user's cache, else the one that will be built in images.folder.

    Relative names are relative to the root of the checkout, where everything is started.
    """
    prebuilt = getattr(config.images, role, None)
    if prebuilt:
        return prebuilt
    definition = _definition(role)
    parts = [(CHECKOUT / name).read_text() for name in _copied(definition)]
    name = f"{role}-{configs.digest(definition, parts)}.sif"
    places = [config.images.shared, config.images.folder, cache()]
    there = (place / name for place in places if place and (place / name).exists())
    return next(there, config.images.folder / name)


def cache() -> Path:
    """Where the images that the user's checkouts built stand under a second name, which takes no room of its own."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "artifactscoder/images"


def show(config: Config) -> None:
    """Print role, path, state and size of every image."""
    for role in roles():
        image = path(config, role)
        prebuilt = getattr(config.images, role, None) is not None
        size = f"{image.stat().st_size / 1e6:,.0f} MB" if image.exists() else ""
        state = ("prebuilt" if prebuilt else "there") if image.exists() else "missing"
        print(f"{role:<7} {state:<9} {size:>9}  {image}")


def build(config: Config, wanted: list[str]) -> None:
    """Build the images of these roles (none named: data, render, train) that are missing."""
    for role in wanted:
        if role not in roles():
            raise UserError(f"there is no image '{role}'; containers/ defines {', '.join(roles())}")
    for role in wanted or ROLES:
        image = path(config, role)
        if image.exists():
            print(f"images: {role} is there: {image}", file=sys.stderr)
        elif getattr(config.images, role, None):
            raise UserError(f"images.{role} names {image}, which is not there; correct it, or unset it to build one")
        else:
            _build(config, role, image)


def roles() -> list[str]:
    """The roles that have a definition, those of the rules first."""
    defined = [file.stem for file in (CHECKOUT / "containers").glob("*.def")]
    return sorted(defined, key=lambda role: (role not in ROLES, role))


def _build(config: Config, role: str, image: Path) -> None:
    program = shutil.which("apptainer") or shutil.which("singularity")
    if not program:
        raise UserError(
            "apptainer is not installed here: install it (apptainer.org; on many clusters `module load apptainer`), "
            "build the images on another machine and name their folder as images.shared, or run without --sdm"
        )
    LOGS.mkdir(parents=True, exist_ok=True)
    log_path = LOGS / f"{role}.log"
    draft = files.temporary(image.absolute())
    command = [program, "build", "--mksquashfs-args", SQUASHFS]
    print(f"images: building {role} into {image}; log: {log_path}", file=sys.stderr)
    try:
        with open(log_path, "w") as log:
            if wheels := _fetch_wheels(config, role, log):
                command += ["--bind", f"{wheels.absolute()}:/mnt"]
            _run([*lacking_privileges(), *command, str(draft), f"containers/{role}.def"], log)
        os.replace(draft, image)
        _remember(image)
    except subprocess.CalledProcessError as error:
        what = "fetching the wheels" if "wheel" in error.cmd else "apptainer build"
        raise UserError(
            f"the image of {role} was not built: {what} ended with exit code {error.returncode}; "
            f"its last words stand in {log_path.absolute()}"
        ) from None
    finally:
        draft.unlink(missing_ok=True)
    print(f"images: {role} is built: {image} ({image.stat().st_size / 1e6:,.0f} MB)", file=sys.stderr)


def _remember(image: Path) -> None:
    """Leave the image in the user's cache too, as another name of the same file, or a link from another disk."""
    kept = cache() / image.name
    with contextlib.suppress(OSError):  # a home that cannot be written to has none
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.unlink(missing_ok=True)
        try:
            kept.hardlink_to(image)
        except OSError:
            kept.symlink_to(image.absolute())


def _fetch_wheels(config: Config, role: str, log: IO[str]) -> Path | None:
    """All wheels of the image's locks, by the host's pip as it is configured; none where they would not fit."""
    definition = _definition(role)
    if "bookworm" not in definition or sys.version_info[:2] != BOOKWORM_PYTHON:
        return None
    folder = config.images.folder / "wheels"
    locks = [str(CHECKOUT / name) for name in _copied(definition) if name.endswith(".txt")]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--ignore-requires-python",
        "--disable-pip-version-check",
        "--progress-bar=off",
    ]
    # What an earlier build fetched is found in the folder itself.
    folders = ["--find-links", str(folder.absolute()), "--wheel-dir", str(folder.absolute())]
    folder.mkdir(parents=True, exist_ok=True)
    from artifactscoder.render import mirror

    if "envs/mirror.sh" in definition and mirror.FOLDER.exists():
        # A copy, since the folder alone is bound; a stale one is made anew inside the image.
        shutil.rmtree(folder / "mirror", ignore_errors=True)
        shutil.copytree(mirror.FOLDER, folder / "mirror")
    _run([*pip, *folders, *(word for lock in locks for word in ("--requirement", lock))], log)
    return folder


def _run(command: list[str], log: IO[str]) -> None:
    """Run a command in the checkout; each line that it prints goes to standard error and to the log."""
    from spython.utils import stream_command

    print("+", *command, file=log, flush=True)
    lines: Iterator[str] = stream_command(["env", "-C", str(CHECKOUT), *command], output_type="both")
    for line in lines:
        print(line, end="", file=sys.stderr)
        print(line, end="", file=log, flush=True)


def lacking_privileges() -> list[str]:
    """What tells Apptainer not to ask for rights that root lacks, as in many virtual machines and containers."""
    if os.geteuid() != 0:
        return []
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    all_of_them = (1 << int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1) - 1
    return [] if int(status["CapPrm"], 16) == all_of_them else ["APPTAINER_NO_PRIVS=1"]


def _definition(role: str) -> str:
    return (CHECKOUT / f"containers/{role}.def").read_text()


def _copied(definition: str) -> list[str]:
    """The files that a definition's %files section copies into the image."""
    section, names = "", []
    for line in definition.splitlines():
        if line.startswith("%"):
            section = line.split()[0]
        elif section == "%files" and line.strip():
            names.append(line.split()[0])
    return names
