"""cpt/mixture: what continual pre-training reads, and how much of each source.

In: the packed shards. Out: `mixture.json`: for each source its shards, tokens, documents and weight, the share of the
tokens that training draws from it, beside the tokens that were planned (5B of WebSight, 70B of the tree). By default
a source weighs what it has, so that every token is read once; with weights of your own a source may be read less or
several times. Windows of `length` tokens are slices of a source's tokens, its shards one after another; the last may be
shorter. Reads no token: the indices and ledgers say all of it.
"""

from __future__ import annotations

import json
from math import ceil
from pathlib import Path
from typing import Any, get_args

from artifactscoder import files, indexed, tables
from artifactscoder.config import Config
from artifactscoder.config.data import Source
from artifactscoder.errors import UserError
from artifactscoder.ledger import beside
from artifactscoder.progress import say, short


def run(config: Config, packed: list[Path], output: Path) -> None:
    """Write the mixture of the shards whose indices are `packed`."""
    names = sorted(path.with_suffix("") for path in packed)
    said = {name: _said(name) for name in names}
    first, *others = names
    for name in others:
        if said[name] != said[first]:
            raise UserError(
                f"{name} was packed with another tokenizer than {first}; remove {name}.idx and pack it again"
            )
    shards: dict[Source, list[dict[str, Any]]] = {source: [] for source in get_args(Source)}
    for name in names:
        reader = indexed.Reader(name)
        source: Source = "websight" if name.name.startswith("websight-") else "tree"
        shards[source].append({"path": str(name), "tokens": int(reader.starts[-1]), "documents": len(reader)})
    vocabulary, end, tokenizer = said[first]
    length = config.cpt.pack.length
    sources = _weighed(config, shards)
    mixture = {
        "length": length,
        "vocabulary": int(vocabulary),
        "end_token": int(end),
        "tokenizer": tokenizer,
        "sources": sources,
        "tokens": sum(source["tokens"] for source in sources),
        "windows": sum(ceil(source["tokens"] / length) for source in sources),
    }
    files.write_bytes(output, json.dumps(mixture, indent=1).encode())
    for found in sources:
        of = f" of {short(found['planned'])} planned" if found["planned"] else ""
        say(f"cpt/mixture: {found['name']}: {short(found['tokens'])} tokens{of}, weight {found['weight']:.3f}")


def _said(name: Path) -> tuple[str, str, str]:
    """What the ledger of a shard says of the tokenizer: vocabulary, end token, digest."""
    with tables.open_table(beside(name)) as file:
        found = file.schema_arrow.metadata or {}
    try:
        return tuple(found[key].decode() for key in (b"vocabulary", b"end_token", b"tokenizer"))  # type: ignore[return-value]
    except KeyError:
        raise UserError(f"{beside(name)} does not say by which tokenizer {name} was made; pack it again") from None


def _weighed(config: Config, shards: dict[Source, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The sources that have shards, with sums and weights; weights sum to 1."""
    settings = config.cpt.mixture
    tokens = {name: sum(shard["tokens"] for shard in found) for name, found in shards.items()}
    if not sum(tokens.values()):
        raise UserError("no packed shard holds a token; see the ledgers of cpt/code, cpt/websight and cpt/dedup")
    for name, weight in settings.weights.items():
        if weight and not tokens[name]:
            raise UserError(
                f"cpt.mixture.weights gives '{name}' {weight} but no shard of it holds a token; set it to 0"
            )
    weights = settings.weights or {name: float(n) for name, n in tokens.items()}
    total = sum(weights.values())
    return [
        {
            "name": name,
            "weight": weights.get(name, 0.0) / total,
            "tokens": tokens[name],
            "planned": settings.plan.get(name, 0),
            "documents": sum(shard["documents"] for shard in found),
            "shards": found,
        }
        for name, found in shards.items()
        if found
    ]
