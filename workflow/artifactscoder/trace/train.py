"""What was trained: the data and the models of each training, by the digests in its manifest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from artifactscoder import indexed, recipe, tables
from artifactscoder.config import Config
from artifactscoder.config.train import TRAINED
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.models import edges, fingerprint
from artifactscoder.trace import curves
from artifactscoder.trace.book import Book, Stop
from artifactscoder.train import runs, windows


def base(config: Config) -> Path:
    """The folder of the base model."""
    return config.results / "train/tiny_model" if config.train.tiny_model is not None else Path(str(config.train.base))


def manifest(path: Path) -> dict[str, Any] | None:
    """What a manifest says; None where there is none."""
    if not path.exists():
        return None
    try:
        return dict(json.loads(path.read_text()))
    except ValueError:
        raise UserError(f"{path} is no manifest; run the step that writes it again") from None


def stop(book: Book, name: str) -> Stop:
    """The training `name`: what it read, what it started from."""
    path = book.results / "train" / name / "manifest.json"
    out = Stop(f"train/{name}", name, str(path))
    told = manifest(path)
    if told is None:
        out.status = "none"
        return out
    kept = ("run", "final_step", "samples", "epochs", "windows", "prompts", "scored", "commit", "versions", "seconds")
    out.facts |= {key: told[key] for key in kept if key in told}
    out.facts |= {"started_from": told["model"]["path"], "settings": told["settings"]}
    data = told["data"] if name == "grpo" else {"": told["data"]}
    for part, one in data.items():
        file, what = here(book, one["path"]), f"{part} data".strip()
        out.facts |= {what: str(file), f"sha256 of {what}": one["sha256"]}
        _file(out, f"the {what} is what was trained on", file, one["sha256"])
        if "tokens" in one and file.exists():
            files = windows.read(file).files
            there = [path for path in files if not path.exists()]
            same = not there and edges(files) == one["tokens"]
            out.check("the token files are what was trained on", same, f"{(there or files)[0]} and others are not")
    _model(out, "it started from the model that stands there", here(book, told["model"]["path"]), told["model"])
    return out


def here(book: Book, path: str) -> Path:
    """A file or folder that a manifest names, in the results that are traced: they may have been moved since."""
    parts = Path(path).parts
    places = (book.results.joinpath(*parts[-n:]) for n in (3, 2))
    return next((place for place in places if place.exists()), Path(path))


def _file(out: Stop, claim: str, file: Path, digest: str) -> None:
    if not file.exists():
        out.check(claim, False, f"{file} is not there")
    else:
        found = runs.sha256(file)
        out.check(claim, found == digest, f"{file} has sha256 {found[:12]}, the manifest says {digest[:12]}")


def _model(out: Stop, claim: str, folder: Path, said: dict[str, Any]) -> None:
    if not (folder / "config.json").exists():
        out.check(claim, False, f"{folder} is not there")
    else:
        out.check(claim, fingerprint(folder) == said["fingerprint"], f"{folder} is another model now")


def export(book: Book, name: str) -> Stop:
    """The model that came out."""
    folder = book.results / "train" / name / "export"
    out = Stop("train/export", name, str(folder / "manifest.json"))
    told = manifest(folder / "manifest.json")
    if told is None:
        out.status = "none"
        return out
    out.facts |= {key: told[key] for key in ("run", "final_step", "parameters", "fingerprint")}
    _model(out, "the weights are those that were exported", folder, told)
    of = manifest(book.results / "train" / name / "manifest.json") or {}
    out.check("it is the model of that training", told["run"] == of.get("run"), f"{told['run']}, not {of.get('run')}")
    return out


def of_data(book: Book, name: str) -> list[Stop]:
    """The training that read a set, and the model of it."""
    return [stop(book, name), export(book, name)]


def line(book: Book, name: str) -> list[Stop]:
    """A model's descent, from the base to the model `name`: each training and what it gave."""
    path = base(book.config)
    first = Stop("base", path.name, str(path))
    if (path / "config.json").exists():
        first.facts["fingerprint"] = fingerprint(path)
    return [first, *(stop for one in recipe.descent(book.config, name) for stop in of_data(book, one))]


def takes(id_: str) -> bool:
    """Whether an id names a checkpoint: train/NAME, or train/NAME/STEP."""
    return re.fullmatch(f"train/({'|'.join(TRAINED)})(/[0-9]+)?", id_) is not None


def stops(book: Book, id_: str) -> list[Stop]:
    """The way to a checkpoint, and what its step read."""
    _, name, *step = id_.split("/")
    found = line(book, name)
    if found[-2].status == "none":
        raise UserError(f"train/{name} has not run in {book.results}; there is no {found[-2].table}")
    return [*found, *([_step(book, name, int(step[0]))] if step else [])]


def _step(book: Book, name: str, number: int) -> Stop:
    curve = book.results / "train" / name / "curve.parquet"
    out = Stop("step", f"{name}/{number}", str(curve))
    last = tables.column(curve, "step")[-1]
    found = tables.read(curve, columns(curve), [("step", "==", number)]).to_pylist()
    if not found:
        raise UserError(f"train/{name} has the steps 1 to {last}; there is no step {number}")
    out.facts |= {key: value for key, value in found[0].items() if value is not None}
    told = manifest(book.results / "train" / name / "manifest.json") or {}
    curves.check(book, out, name, str(told.get("run")), found[0])
    if name == "grpo":
        _rewarded(book, out, number, found[0]["score"])
    elif name == "cpt":
        out.facts["windows"] = _windows(here(book, told["data"]["path"]), told, number)
    else:
        size = told["settings"]["batch_size"]
        out.facts["samples"] = f"{size} of {told['samples']}, {number * size} with those of the steps before"
    return out


def _rewarded(book: Book, out: Stop, number: int, score: float) -> None:
    """The answers that a step of GRPO learned from, as their rewards were recorded."""
    path = book.results / "train/grpo/rewards.parquet"
    wanted = ["sample", "id", "split", "status", "score", "answer_sha256"]
    rows = tables.read(path, wanted, [("step", "==", number), ("split", "==", "train")]).to_pylist()
    out.facts["prompts"] = sorted({row["id"] for row in rows})
    out.facts["answers"] = [row["sample"] for row in rows]
    scored = [row["score"] for row in rows if row["status"] == "ok"]
    mean = sum(scored) / max(1, len(scored))
    if len(scored) == len(rows):
        same = abs(mean - score) < 1e-4
        out.check("the curve's score is the mean of the recorded rewards", same, f"{score:.4f}, and {mean:.4f}")


def _windows(path: Path, told: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """The windows that a step of CPT read, and the documents in them."""
    settings = told["settings"]
    mixture = windows.read(path)
    sources, places = windows.order(mixture, told["windows"], settings["seed"])
    size = settings["batch_size"]
    step = slice((number - 1) * size, number * size)
    read = list(zip(sources[step].tolist(), places[step].tolist(), strict=True))
    held = {
        at: _documents(mixture.sources[at], {window for one, window in read if one == at}, mixture.length)
        for at in {at for at, _ in read}
    }
    return [
        {"source": mixture.sources[at].name, "window": window, "documents": held[at][window]} for at, window in read
    ]


def _documents(source: windows.Source, wanted: Iterable[int], length: int) -> dict[int, list[str]]:
    """Ids of the documents of which each of these windows holds a part. A file's ids are read where it holds one."""
    out: dict[int, list[str]] = {window: [] for window in wanted}
    first = 0  # token of a file, among those of the source
    for name in source.files:
        starts = indexed.Reader(name).starts
        ids: list[str] | None = None
        for window, found in out.items():
            begin = max(window * length - first, 0)
            end = min((window + 1) * length - first, int(starts[-1]))
            if begin < end:
                ids = tables.column(beside(name), "id") if ids is None else ids
                found += ids[np.searchsorted(starts, begin, "right") - 1 : np.searchsorted(starts, end, "left")]
        first += int(starts[-1])
    return out


def rewards_of(book: Book, id_: str) -> dict[str, Any]:
    """How many answers to an RL prompt GRPO learned from, at which steps, and their mean score.

    `failed`: answers that nothing could score; those that a killed job left behind are not counted.
    """
    path = book.results / "train/grpo/rewards.parquet"
    if not path.exists():
        return {}
    found = tables.read(path, ["step", "split", "status", "score"], [("id", "==", id_)]).to_pylist()
    failed = sum(row["status"] == "failed" for row in found)
    learned = [row for row in found if row["split"] == "train" and row["status"] == "ok"]
    out: dict[str, Any] = {"answers": len(learned)} if found else {}
    if learned:
        mean = sum(row["score"] for row in learned) / len(learned)
        out |= {"steps": sorted({row["step"] for row in learned}), "mean_score": round(mean, 4)}
    return out | ({"failed": failed} if failed else {})


def columns(path: Path) -> list[str]:
    """The columns of a table."""
    with tables.open_table(path) as file:
        return list(file.schema_arrow.names)
