"""The seed files, read and checked: a malformed line is one sentence with its file and number.

Seeds are JSON Lines. Reading them takes milliseconds, so the workflow reads them whenever it is parsed, and a shard's
digest is made of its own lines alone: one changed seed changes one shard.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.records import SLUG

Seed = dict[str, Any]


@lru_cache(maxsize=32)
def _lines(path: Path, fields: tuple[str, ...], key: str) -> tuple[Seed, ...]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot read the seed file {path}: {error.strerror}; correct `seeds:` in the configuration"
            + ("" if path.is_absolute() else f", or stand in the project's folder: here is {Path.cwd()}")
        ) from None
    out: list[Seed] = []
    seen: dict[str, int] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise UserError(f"{path}, line {number} is not JSON ({error})") from None
        missing = [name for name in fields if not isinstance(row, dict) or name not in row]
        if missing:
            raise UserError(f"{path}, line {number} lacks {', '.join(missing)}")
        parts = str(row[key]).split("/")
        if not all(SLUG.match(part) for part in parts):
            raise UserError(f"{path}, line {number}: {key} {row[key]!r} must be lower-case words joined by '-'")
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
    rows = _lines(config.seeds.categories, ("slug", "name", "brief"), "slug")
    return _chosen(rows, config.sft.categories, "sft.categories")


def subcategories(config: Config) -> dict[str, list[Seed]]:
    """Subcategories of every category that is run: slug -> rows in the file's order, cut to the number asked for."""
    by_category: dict[str, list[Seed]] = {row["slug"]: [] for row in categories(config)}
    known = {row["slug"] for row in _lines(config.seeds.categories, ("slug", "name", "brief"), "slug")}
    for row in _lines(config.seeds.subcategories, ("id", "name", "brief"), "id"):
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
    rows = _lines(config.seeds.variants, ("slug", "name", "instruction"), "slug")
    return _chosen(rows, config.sft.variants.kinds, "sft.variants.kinds")


def dimensions(config: Config) -> list[Seed]:
    """The scoring dimensions, each with `weight`."""
    rows = _lines(config.seeds.dimensions, ("slug", "name", "question", "levels"), "slug")
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
    for row in _lines(path, ("slug", "page", "prompt", "levels"), "slug"):
        for name, level in row["levels"].items():
            if name not in levels:
                raise UserError(f"{path}: {row['slug']} gives '{name}', which {config.seeds.dimensions} does not hold")
            if level not in levels[name]:
                raise UserError(f"{path}: {row['slug']} gives {name} the level {level!r}, which does not exist")
        try:
            html = (path.parent / row["page"]).read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: cannot read {path.parent / row['page']} ({error.strerror})") from None
        out.append({**row, "html": html})
    return out


def cpt_roots(config: Config) -> list[Seed]:
    """The roots of the topic tree that are grown."""
    rows = _lines(config.seeds.cpt_roots, ("slug", "name", "brief"), "slug")
    if len({tuple(re.findall(r"\w+", row["name"].casefold())) for row in rows}) < len(rows):
        raise UserError(f"{config.seeds.cpt_roots} gives two roots the same name; prompts could not tell them apart")
    return _chosen(rows, config.cpt.tree.roots, "cpt.tree.roots")


def rl_families(config: Config) -> list[Seed]:
    """The task families that are run, their weights scaled to sum to 1."""
    rows = _lines(config.seeds.rl_families, ("slug", "name", "weight", "tasks", "checklist"), "slug")
    chosen = _chosen(rows, config.rl.prompts.families, "rl.prompts.families")
    total = sum(row["weight"] for row in chosen)
    return [{**row, "weight": row["weight"] / total} for row in chosen]


def rl_universal(config: Config) -> list[Seed]:
    """Checklist items of every RL task."""
    return list(_lines(config.seeds.rl_universal, ("id", "title", "description"), "id"))


def tech_stacks(config: Config) -> list[Seed]:
    """Tech stacks that an RL task is asked for in."""
    return list(_lines(config.seeds.tech_stacks, ("slug", "name", "instruction"), "slug"))
