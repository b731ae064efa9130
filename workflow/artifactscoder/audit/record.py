"""What a run says of itself when it ends, as one file.

What it depends on is told as the recipe tells it (`recipe.py`), so that a parameter's digest can be explained by the
setting, prompt or seed behind it. What was made comes from Snakemake's own records, `.snakemake/metadata`, which hold
the last making of every output. At the paper's scale about 6,000 small files are read, once, at the end of a run.
"""

from __future__ import annotations

import base64
import glob
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifactscoder import files, recipe, shards
from artifactscoder.cluster import images
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.llm import prompts
from artifactscoder.models import fingerprint
from artifactscoder.train import runs

Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[3]
METADATA = Path(".snakemake/metadata")
CODE = ("workflow/**/*.py", "rules/*.smk", "workflow/Snakefile", "workflow/artifactscoder/**/*.j2")


def short(data: bytes) -> str:
    """Twelve hex digits of a SHA-256."""
    return hashlib.sha256(data).hexdigest()[:12]


def folder(config: Config) -> Path:
    """Where records stand."""
    return config.results / "audit"


def write(config: Config, began: float, well: bool, metadata: Path = METADATA) -> Path | None:
    """Write the record of a run that began at `began` [Unix time]; None, and no file, where it made nothing.

    Jobs of shards that the configuration does not run are left out, though what they made lies there still.
    """
    made = jobs(metadata, str(config.results))
    if not any(job["ended"] >= began for job in made.values()):
        return None
    for job in shards.others(config, made):
        del made[job]
    name = _name(began)
    record = {"name": name, "began": began, "ended": time.time(), "well": well, "place": str(Path.cwd())}
    path = folder(config) / f"{name}.json"
    files.write_bytes(path, json.dumps({**record, **depends(config), "jobs": made}, indent=1).encode())
    return path


def before_records(results: Path, metadata: Path = METADATA) -> list[Record]:
    """One run, as Snakemake's own records have it, for results that no run left a record of; none if it has none."""
    made = jobs(metadata, str(results))
    if not made:
        return []
    began, ended = min(job["began"] for job in made.values()), max(job["ended"] for job in made.values())
    return [{"name": _name(began), "began": began, "ended": ended, "well": True, "jobs": made}]


def _name(began: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(began))


def depends(config: Config) -> Record:
    """What the results of a configuration depend on, as it is now."""
    used = {role: str(images.path(config, role)) for role in ("data", "render", "train", "serve")}
    return {
        "commit": runs.commit(),
        "versions": runs.versions(),
        "settings": _flat(config.model_dump(mode="json")),
        "prompts": {path.stem: prompts.load(path.stem).digest for path in sorted(prompts.FOLDER.glob("*.txt"))},
        "seeds": {str(path): _lines(path) for path in _seed_files(config)},
        "inputs": dict(_inputs(config)),
        "code": {str(path.relative_to(ROOT)): short(path.read_bytes()) for path in _code()},
        "images": used,
        "recipe": {step: _flat(recipe.depends(config, step)) for step in recipe.STEPS},
    }


def _flat(values: Any, at: str = "") -> dict[str, Any]:
    """Nested values by dotted names."""
    if isinstance(values, dict) and values:
        return {k: v for name, inner in values.items() for k, v in _flat(inner, f"{at}.{name}" if at else name).items()}
    return {at: values}


def _code() -> Iterator[Path]:
    for pattern in CODE:
        yield from sorted(ROOT.glob(pattern))


def _seed_files(config: Config) -> list[Path]:
    return [path for path in vars(config.seeds).values() if isinstance(path, Path) and path.is_file()]


def _lines(path: Path) -> dict[str, str]:
    """The digest of each line, as it is read, by what it is called."""
    found: dict[str, str] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            row = json.loads(line)
            found[str(row.get("slug") or row.get("id") or number)] = short(json.dumps(row, sort_keys=True).encode())
    return found


def _inputs(config: Config) -> Iterator[tuple[str, str]]:
    """Files from outside: benchmarks by their content, WebSight by size and time, the base model by its fingerprint."""
    for path in dict.fromkeys([*config.decontaminate.benchmarks, *config.eval.files.values()]):
        yield str(path), short(path.read_bytes()) if path.is_file() else "not there"
    if not config.cpt.websight.sample and config.cpt.websight.shards:
        for path in map(Path, sorted(glob.glob(config.cpt.websight.input))):
            yield str(path), f"{path.stat().st_size} bytes, {path.stat().st_mtime_ns}"
    base = Path(str(config.train.base))
    if config.train.tiny_model is None:
        yield str(base), fingerprint(base)[:12] if (base / "config.json").is_file() else "not there"


def jobs(metadata: Path, results: str) -> dict[str, Record]:
    """What was made below `results`, by the job's name: that of its log, or of its rule."""
    made: dict[str, Record] = {}
    for path in metadata.rglob("*"):
        # A long name is cut into folders, each marked by an @.
        if not path.is_file():
            continue
        output = _decoded(path.relative_to(metadata))
        if output is None or not output.startswith(f"{results}/") or not Path(output).exists():
            continue
        try:
            said = json.loads(path.read_bytes())
        except ValueError:
            continue  # being written
        if said.get("incomplete"):
            continue
        logs = said.get("log") or []
        name = str(Path(logs[0]).with_suffix("")).removeprefix("logs/") if logs else said["rule"]
        job = made.setdefault(
            name,
            {
                "rule": said["rule"],
                "outputs": [],
                "inputs": {one: (said.get("input_checksums") or {}).get(one, "") for one in said.get("input") or []},
                "params": said.get("params") or [],
                "code": short((said.get("code") or "").encode()),
                "software": said.get("software_stack_hash") or "",
                "began": said["starttime"],
                "ended": said["endtime"],
            },
        )
        job["outputs"] = sorted([*job["outputs"], output])
    return dict(sorted(made.items()))


def _decoded(name: Path) -> str | None:
    try:
        return base64.b64decode("".join(part.removeprefix("@") for part in name.parts)).decode()
    except ValueError:
        return None


def changed_since(config: Config) -> list[str]:
    """Prompts, seeds and rules that are not what they were at the end of the last run that left a record."""
    records = every(config.results)
    if not records:
        return []
    then, now = load(records[-1]), depends(config)
    rules = {name: digest for name, digest in now["code"].items() if not name.endswith(".py")}
    changed = [f"prompt {name}" for name, digest in now["prompts"].items() if then["prompts"].get(name) != digest]
    for path, lines in now["seeds"].items():
        was = then["seeds"].get(path, {})
        changed += [f"{path}: {line}" for line, digest in lines.items() if was.get(line) != digest]
    return changed + [name for name, digest in rules.items() if then["code"].get(name) != digest]


def load(path: Path) -> Record:
    """A record by its file, or the last one of a results folder."""
    if path.is_dir():
        found = every(path)
        if not found:
            raise UserError(f"there is no record of a run in {path}; a run that makes something leaves one")
        path = found[-1]
    try:
        return dict(json.loads(path.read_bytes()), file=str(path))
    except FileNotFoundError:
        raise UserError(f"there is no file {path}; `ls` RESULTS/audit shows the records of runs") from None
    except ValueError:
        raise UserError(f"{path} is no record of a run; give one of RESULTS/audit/*.json") from None


def every(results: Path) -> list[Path]:
    """The records of a results folder, or of its audit folder, from the first to the last."""
    found = [*results.glob("audit/*.json"), *results.glob("*.json")]
    return sorted(path for path in found if path.stem[:8].isdigit())
