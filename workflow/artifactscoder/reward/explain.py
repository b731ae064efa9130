"""`artifactscoder reward explain`: the reward of one page, part by part, to understand a training run.

In: a file that holds a page or a model's whole answer, and a task: an id of the RL tables, or a request in words with
`--checklist` and `--reference` files. Out: every gate and component with its weight and what it came to, why a page
counts as not rendered, the points of each item with the judge's reason, what speaks to the judge, and the pictures, in
a folder. It is the engine of training, with browsers of its own in place of the service; answers of the judge go to a
journal of their own, so a second call asks nothing. Costs a second, and what the judge takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.progress import table
from artifactscoder.render import RenderOptions, RenderPool
from artifactscoder.reward import checklist as checklists
from artifactscoder.reward import components
from artifactscoder.reward.engine import RewardEngine, RewardUnavailable
from artifactscoder.reward.task import Task

MEANING = {
    "i_rep": "the answer is no loop",
    "i_render": "a browser shows the page",
    "s_chk": "checklist, by the judge",
    "s_sim": "similarity to the reference",
    "s_len": "length",
}


async def run(
    config: Config,
    page: Path,
    task: str,
    data: list[Path],
    checklist: Path | None,
    reference: Path | None,
    model: Path | None,
    folder: Path | None,
    as_json: bool,
) -> int:
    """Print the reward; returns 0. Raises UserError for what cannot be read and where no verdict can be had."""
    answer = _text(page)
    wanted = find(config, task, data, checklist, reference)
    most = checklists.maxima(wanted.checklist, config.reward.max_item) if wanted.checklist else {}
    settings = config.reward if wanted.checklist else config.reward.model_copy(update={"checklist": 0.0})
    if not wanted.checklist and not any((settings.similarity, settings.length, *settings.extra.values())):
        raise UserError("without a checklist nothing is left to score: give --checklist")
    config = config.model_copy(update={"reward": settings})
    options = RenderOptions(**config.render.model_dump(), screenshots=settings.screenshots)
    async with RenderPool(options, browsers=1) as pool:
        engine = RewardEngine(config, _tokenizer(config, model), pool, journal="reward/explain")
        try:
            score = await engine.score(answer, wanted, page.name)
        except RewardUnavailable as trouble:
            raise UserError(str(trouble)) from None
        finally:
            await engine.close()
    folder = folder or config.results / "reward" / page.stem
    folder.mkdir(parents=True, exist_ok=True)
    pictures = []
    for number, shot in enumerate(score.render.screenshots if score.render else [], 1):
        path = folder / f"{page.stem}-{number}.{config.render.image}"
        path.write_bytes(shot)
        pictures.append(str(path))
    told = {name: json.loads(str(score.parts[name])) for name in ("points", "reasons", "directed", "verdict")}
    whole = {**score.parts, **told, "task": wanted.id, "screenshots": pictures}
    if as_json:
        print(json.dumps(whole, indent=1, ensure_ascii=False))
    else:
        print("\n".join(lines(config, wanted, whole, most)))
    return 0


def find(config: Config, task: str, data: list[Path], checklist: Path | None, reference: Path | None) -> Task:
    """The task of this id in the RL tables, or a task of this text. Raises UserError where that is not clear."""
    found = Task("", task, [], "")
    folder = config.results / "rl/parquet"
    paths = data or [path for path in (folder / "rl_train.parquet", folder / "rl_val.parquet") if path.is_file()]
    for path in paths:
        if not path.is_file():
            raise UserError(f"there is no {path}")
        for row in tables.rows(path, ["extra_info", "reward_model"]):
            info = row["extra_info"]
            if info["id"] == task:
                found = Task(task, info["prompt"], json.loads(info["checklist"]), row["reward_model"]["ground_truth"])
    if not found.id and " " not in task.strip():
        where = ", ".join(map(str, paths)) or f"{folder}, which the step rl/parquet writes"
        raise UserError(f"no task '{task}' in {where}; give an id of those tables (--data names others), or a request")
    items = found.checklist
    if checklist is not None:
        try:
            items = json.loads(_text(checklist))
        except ValueError as error:
            raise UserError(f"{checklist} is no JSON: {error}") from None
        checklists.maxima(items, config.reward.max_item)
    html = _text(reference) if reference is not None else found.reference
    return Task(found.id, found.prompt, items, html)


def lines(config: Config, task: Task, result: dict[str, Any], most: dict[str, float]) -> Iterator[str]:
    """The explanation, to be read from top to bottom."""
    settings, verdict = config.reward, result["verdict"]
    yield f"reward {result['score']:.3f}"
    yield f"task   {task.id or 'given in words'}: {' '.join(task.prompt.split())[:100]}"
    taken = f"{result['extracted']}, {result['tokens']:.0f} tokens"
    if result["pages"] > 1:
        taken += f", the last of {result['pages']:.0f} pages"
    yield f"page   {taken}; rendered: {result['reason']}"
    yield ""
    rows = [["part", "value", "weight", "gives", "meaning"]]
    for name in components.gates(settings):
        rows.append([name, f"{result[name]:.3f}", "gate", f"x {result[name]:.3f}", MEANING.get(name, name[2:])])
    for name, weight in components.weights(settings).items():
        value = result[name]
        rows.append([name, f"{value:.3f}", f"{weight:.2f}", f"{weight * value:.3f}", MEANING.get(name, name[2:])])
        if name == "s_sim":
            share = settings.structure
            for part, of in (("s_struct", share), ("s_sem", 1 - share)):
                what = "order of elements" if part == "s_struct" else "roles and words"
                rows.append([f"  {part}", f"{result[part]:.3f}", f"{of:.2f} of it", "", what])
    yield from table(rows, {0, 4})
    if result["directed"]:
        loses = {"reward": "all", "checklist": "its checklist score", "record": "nothing"}[settings.judge_directed]
        yield ""
        yield f"speaks to its judge and loses {loses} (reward.judge_directed):"
        yield from (f"  {quote}" for quote in result["directed"])
    if verdict:
        yield ""
        seen = ("visible_elements", "text_chars", "colours", "buttons", "inputs", "requests_refused_count")
        yield "seen   " + ", ".join(f"{name} {verdict[name]}" for name in seen)
        for name in ("script_errors", "console_errors"):
            yield from (f"{name[:-1]}: {text}" for text in verdict[name])
    if result["points"]:
        yield ""
        titles = {item["id"]: item["title"] for item in task.checklist}
        rows = [["item", "points", "of", "title", "reason"]]
        for id_, points in result["points"].items():
            rows.append([id_, f"{points:g}", f"{most[id_]:g}", titles[id_][:40], result["reasons"].get(id_, "")[:80]])
        yield from table(rows, {0, 3, 4})
    elif task.checklist:
        yield ""
        yield "the judge was not asked: a gate is shut, or the page speaks to it"
    else:
        yield ""
        yield "no checklist was given (--checklist), so the judge was not asked and its weight is left out"
    yield ""
    yield from (f"picture {path}" for path in result["screenshots"])


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def _tokenizer(config: Config, model: Path | None) -> Path:
    """The model whose tokenizer counts: the given one, the base, or in the demo the one that it made."""
    made = config.results / "train/tiny_model"
    model = model or (made if config.train.tiny_model is not None else config.train.base)
    if not (model / "tokenizer.json").is_file() and model.suffix != ".json":
        raise UserError(f"there is no tokenizer in {model}, by which length is counted; give a model folder: --model")
    return model
