"""The seed files, read and checked: a malformed line is one sentence with its file and number.

Seeds are JSON Lines. Reading them takes milliseconds, so the workflow reads them whenever it is parsed, and a shard's
digest is made of its own lines alone: one changed seed changes one shard.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.records import SLUG

Seed = dict[str, Any]


def _slug(text: str) -> str:
    if not SLUG.match(text):
        raise ValueError("must be lower-case words joined by '-'")
    return text


def _path(text: str) -> str:
    return "/".join(map(_slug, text.split("/")))


def _number(text: str) -> str:
    if not re.fullmatch(r"\d+(\.\d+)?", text):
        raise ValueError("must be a number")
    return text


def _differ(rows: list[Any]) -> list[Any]:
    """Rows whose first columns differ."""
    seen: set[str] = set()
    for row in rows:
        name = getattr(row, _key(type(row)))
        if name in seen:
            raise ValueError(f"{name!r} stands there twice")
        seen.add(name)
    return rows


def _key(form: type[BaseModel]) -> str:
    """The column that names a row: its first."""
    return next(iter(form.model_fields))


Slug = Annotated[str, AfterValidator(_slug)]
Id = Annotated[str, AfterValidator(_path)]
Level = Annotated[str, AfterValidator(_number)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Form(BaseModel):
    """What a row must hold; more columns are welcome, and rows are passed on as they stand in the file."""

    model_config = ConfigDict(strict=True)


class _Topic(_Form):
    slug: Slug
    name: str
    brief: str


class _Subcategory(_Form):
    id: Id
    name: str
    brief: str


class _Wish(_Form):
    slug: Slug
    name: str
    instruction: str


class _Dimension(_Form):
    slug: Slug
    name: str
    question: str
    levels: dict[Level, str]


class _Gold(_Form):
    slug: Slug
    page: str
    prompt: str
    levels: dict[str, Number]


class _Task(_Form):
    slug: Slug
    title: str
    brief: str


class _Item(_Form):
    id: str
    title: str
    description: str = ""
    max: Number = Field(1, gt=0, le=1000)


class _Universal(_Item):
    id: Id
    description: str


class _Family(_Form):
    slug: Slug
    name: str
    weight: Number = Field(ge=0)
    tasks: Annotated[list[_Task], AfterValidator(_differ)]
    checklist: Annotated[list[_Item], AfterValidator(_differ)]


def _mistake(error: ValidationError) -> str:
    """The first mistake of a row in words; places in lists count from 1."""
    errors = error.errors()
    missing = [str(one["loc"][0]) for one in errors if one["type"] == "missing" and len(one["loc"]) == 1]
    if missing:
        return f" lacks {', '.join(missing)}"
    first = errors[0]
    places = [part + 1 if isinstance(part, int) else part for part in first["loc"] if part != "[key]"]
    where, words = ".".join(map(str, places)), first["msg"].removeprefix("Value error, ")
    if not where:
        return " is not a JSON object"
    if first["type"] == "missing":
        return f" lacks {where}"
    return f": '{where}' is {json.dumps(first['input'], ensure_ascii=False)[:100]}: {words}"


@lru_cache(maxsize=32)
def _lines(path: Path, form: type[_Form]) -> tuple[Seed, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot read the seed file {path}: {error.strerror}; correct `seeds:` in the configuration"
            + ("" if path.is_absolute() else f", or stand in the project's folder: here is {Path.cwd()}")
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"the seed file {path} is not text in UTF-8; save it so") from None
    key = _key(form)
    out: list[Seed] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number} is not JSON ({error})") from None
        try:
            form.model_validate(row)
        except ValidationError as error:
            raise UserError(f"{path}, line {number}{_mistake(error)}") from None
        if row[key] in seen:
            raise UserError(f"{path}, line {number}: {key} {row[key]!r} stands already on line {seen[row[key]]}")
        seen[row[key]] = number
        out.append(row)
    if not out:
        raise UserError(f"the seed file {path} is empty")
    return tuple(out)


def _chosen(rows: tuple[Seed, ...], wanted: list[str] | str, what: str) -> list[Seed]:
    if wanted == "all":
        return list(rows)
    known = {row["slug"] for row in rows}
    for name in wanted:
        if name not in known:
            raise UserError(f"{what} names '{name}', which the seed file does not hold")
    return [row for row in rows if row["slug"] in wanted]


def categories(config: Config) -> list[Seed]:
    """The categories that are run, in the file's order."""
    rows = _lines(config.seeds.categories, _Topic)
    return _chosen(rows, config.sft.categories, "sft.categories")


def subcategories(config: Config) -> dict[str, list[Seed]]:
    """Subcategories of every category that is run: slug -> rows in the file's order, cut to the number asked for."""
    by_category: dict[str, list[Seed]] = {row["slug"]: [] for row in categories(config)}
    known = {row["slug"] for row in _lines(config.seeds.categories, _Topic)}
    for row in _lines(config.seeds.subcategories, _Subcategory):
        category, _, rest = row["id"].partition("/")
        if category not in known or not rest:
            raise UserError(
                f"{config.seeds.subcategories}: {row['id']!r} must be category/subcategory "
                f"with a category of {config.seeds.categories}"
            )
        if category in by_category and len(by_category[category]) < config.sft.subcategories:
            by_category[category].append(row)
    for category, rows in by_category.items():
        if not rows:
            raise UserError(f"{config.seeds.subcategories} holds no subcategory of '{category}'")
    return by_category


def variants(config: Config) -> list[Seed]:
    """The variant kinds that are run."""
    rows = _lines(config.seeds.variants, _Wish)
    return _chosen(rows, config.sft.variants.kinds, "sft.variants.kinds")


def dimensions(config: Config) -> list[Seed]:
    """The scoring dimensions, each with `weight`."""
    rows = _lines(config.seeds.dimensions, _Dimension)
    weights = config.sft.score.weights
    for name in weights:
        if name not in {row["slug"] for row in rows}:
            raise UserError(f"sft.score.weights names '{name}', which {config.seeds.dimensions} does not hold")
    return [{**row, "weight": weights.get(row["slug"], 1.0)} for row in rows]


def gold(config: Config) -> list[Seed]:
    """Pages of known levels: slug, prompt, `html` (of the file that `page` names), and `levels` by dimension."""
    path = config.seeds.gold
    levels = {row["slug"]: {float(level) for level in row["levels"]} for row in dimensions(config)}
    out = []
    for row in _lines(path, _Gold):
        for name, level in row["levels"].items():
            if name not in levels:
                raise UserError(f"{path}: {row['slug']} gives '{name}', which {config.seeds.dimensions} does not hold")
            if level not in levels[name]:
                raise UserError(f"{path}: {row['slug']} gives {name} the level {level!r}, which does not exist")
        try:
            html = (path.parent / row["page"]).read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot read {path.parent / row['page']} ({error.strerror})") from None
        except UnicodeDecodeError:
            raise UserError(f"{path}: the page {path.parent / row['page']} is not text in UTF-8; save it so") from None
        out.append({**row, "html": html})
    return out


def cpt_roots(config: Config) -> list[Seed]:
    """The roots of the topic tree that are grown."""
    rows = _lines(config.seeds.cpt_roots, _Topic)
    if len({tuple(re.findall(r"\w+", row["name"].casefold())) for row in rows}) < len(rows):
        raise UserError(f"{config.seeds.cpt_roots} gives two roots the same name; prompts could not tell them apart")
    return _chosen(rows, config.cpt.tree.roots, "cpt.tree.roots")


def rl_families(config: Config) -> list[Seed]:
    """The task families that are run, their weights scaled to sum to 1."""
    rows = _lines(config.seeds.rl_families, _Family)
    universal = {item["id"] for item in rl_universal(config)}
    for row in rows:
        if both := [item["id"] for item in row["checklist"] if item["id"] in universal]:
            raise UserError(
                f"{config.seeds.rl_families}: {row['slug']} has the checklist item {both[0]!r}, which "
                f"every task has by {config.seeds.rl_universal}"
            )
    chosen = _chosen(rows, config.rl.prompts.families, "rl.prompts.families")
    total = sum(row["weight"] for row in chosen)
    if not total:
        raise UserError(f"the weights of the chosen families of {config.seeds.rl_families} are all 0; raise one")
    return [{**row, "weight": row["weight"] / total} for row in chosen]


def rl_universal(config: Config) -> list[Seed]:
    """Checklist items of every RL task."""
    return list(_lines(config.seeds.rl_universal, _Universal))


def tech_stacks(config: Config) -> list[Seed]:
    """Tech stacks that an RL task is asked for in."""
    return list(_lines(config.seeds.tech_stacks, _Wish))
