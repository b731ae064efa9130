"""cpt/prompts: leaves times templates, no model needed.

In: the leaves of one root's tree, the templates, the fillers. Out: `per_leaf` prompts for each leaf of one shard (leaf
i of a root belongs to shard i mod shards). Drawn by a generator seeded with the configuration's seed and the leaf's
id, so that neither shards nor other leaves change a leaf's prompts. Streaming: 8M prompts need the memory of the
templates and of one shard's ledger.

No two prompts are the same, in whatever shards: a prompt names its topic as “leaf · parent · root”, and these three
signs occur nowhere else, for names, templates and fillers have theirs replaced. So a prompt says which leaf it is of
(a name stands once in a root, roots have different names), and the prompts of a leaf are compared with each other.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside
from artifactscoder.progress import Progress
from artifactscoder.records import NODE, PROMPT, TEMPLATE
from artifactscoder.tables import Row

_HOLE = re.compile(r"\{(\w+)\}")
_SIGNS = str.maketrans({"“": '"', "”": '"', "·": "-"})  # those that mark a topic, and what stands for them elsewhere


def run(config: Config, tree: Path, templates: Path, shard: int, output: Path) -> Ledger:
    """Write the prompts of shard `shard` of one root."""
    settings = config.cpt.prompts
    taken, values = texts(tables.rows(templates, TEMPLATE.names)), fillers(config.seeds.cpt_fillers)
    leaves = [row for row in tables.rows(tree, NODE.names) if row["leaf"]]
    if twice := [name for name, n in Counter(topic(leaf["path"]) for leaf in leaves).items() if n > 1]:
        raise UserError(f"{tree} holds {twice[0]} twice; make it again by cpt/tree, which lets a name stand once")
    leaves = leaves[shard :: settings.shards]
    ledger = Ledger(beside(output))
    progress = Progress(f"cpt/prompts {output.stem}", len(leaves) * settings.per_leaf)
    with tables.Writer(output, PROMPT) as writer:
        for leaf in leaves:
            rng = random.Random(f"{config.seed}/{leaf['id']}")
            drawn = draw(rng, leaf, taken, values, settings.per_leaf)
            for number, (template, prompt) in enumerate(drawn, 1):
                id_ = f"{leaf['id']}/{number:03d}"
                ledger.enter([id_])
                ledger.leave(id_, "ok")
                row = {"id": id_, "root": leaf["root"], "leaf": leaf["id"], "template": template}
                writer.write({**row, "prompt": prompt})
                progress.step()
        ledger.close()
    progress.end(ledger.summary())
    return ledger


def topic(path: list[str]) -> str:
    """How a prompt names a leaf; equal for no two leaves."""
    root, *_, parent, leaf = (name.translate(_SIGNS) for name in (path[0], *path[-2:]))
    return f"“{leaf} · {parent} · {root}”" if len(path) > 2 else f"“{leaf} · {root}”"


def draw(
    rng: random.Random, leaf: Row, templates: list[tuple[str, str]], fillers: dict[str, list[str]], count: int
) -> Iterator[tuple[str, str]]:
    """`count` distinct (template id, prompt) for a leaf; a template comes again when all were used."""
    named = topic(leaf["path"])
    seen: set[str] = set()
    stale = 0

    def fill(match: re.Match[str]) -> str:
        return named if match[1] == "topic" else rng.choice(fillers[match[1]])

    while len(seen) < count:
        for id_, template in rng.sample(templates, min(len(templates), count - len(seen))):
            prompt = _HOLE.sub(fill, template)
            if prompt in seen:
                stale += 1
                if stale > 50 * count:
                    raise UserError(
                        f"{len(templates)} templates do not give {count} distinct prompts for a leaf; "
                        "raise cpt.templates.count or lower cpt.prompts.per_leaf"
                    )
                continue
            seen.add(prompt)
            yield id_, prompt


def texts(rows: Iterable[Row]) -> list[tuple[str, str]]:
    """(id, text) of templates, without the signs that mark a topic."""
    return [(row["id"], row["template"].translate(_SIGNS)) for row in rows]


def fillers(path: Path) -> dict[str, list[str]]:
    """The values of each placeholder."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = {row["slug"]: [str(value).translate(_SIGNS) for value in row["values"]] for row in rows}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{path} must hold one line of slug and values for each placeholder ({error})") from None
    for name in ("audience", "style", "feature"):
        if not found.get(name):
            raise UserError(f"{path} holds no values for '{name}'")
    return found
