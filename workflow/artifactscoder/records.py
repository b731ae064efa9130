"""The tables' columns, and what an id is.

An id is a path that says where a record comes from, and stays the same when other seeds change:
`game-puzzle/number-place/01/layout` is category / subcategory / task / variant.
Every generated record names the endpoint that made it (`maker`: `procedural`, or the model's name) and the request
that it came from (a digest, the key of the journal).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import pyarrow as pa

SLUG = re.compile(r"^[a-z0-9]+(-[a-z0-9]+)*$")
PROCEDURAL = "procedural"


def columns(**types: pa.DataType) -> pa.Schema:
    return pa.schema([pa.field(name, type_) for name, type_ in types.items()])


TEXT, INT, REAL, FLAG, BYTES = pa.string(), pa.int64(), pa.float64(), pa.bool_(), pa.binary()

TASK = columns(id=TEXT, category=TEXT, subcategory=TEXT, title=TEXT, description=TEXT, maker=TEXT, request=TEXT)
VARIANT = columns(id=TEXT, category=TEXT, task=TEXT, kind=TEXT, prompt=TEXT, maker=TEXT, request=TEXT)

# A page and the prompt it answers; `group` is the shard's own key (category, root, family).
PAGE = columns(
    id=TEXT, group=TEXT, kind=TEXT, prompt=TEXT, html=TEXT, answer=TEXT, extracted=TEXT, maker=TEXT, request=TEXT
)
NODE = columns(id=TEXT, root=TEXT, level=INT, path=pa.list_(TEXT), leaf=FLAG, maker=TEXT, request=TEXT)
TEMPLATE = columns(id=TEXT, template=TEXT, maker=TEXT, request=TEXT)
PROMPT = columns(id=TEXT, root=TEXT, leaf=TEXT, template=TEXT, prompt=TEXT)
# Near-duplicate removal (dedup/). A page is a number: its row in all signature tables, in the order of their names.
PAIR = columns(pair=INT)  # left << 32 | right, left < right
CHUNK = columns(chunk=INT, left=INT, right=INT)
VISIT = columns(shard=TEXT, row=INT, page=INT, chunk=INT)  # which chunks need a row of a shard
ROUTE = columns(chunk=INT, page=INT, size=INT, text=BYTES)  # size: of the text; it is compressed
ALIKE = columns(left=INT, right=INT, jaccard=REAL)
DROPPED = columns(id=TEXT, twin=TEXT, jaccard=REAL, reason=TEXT)
RL_PROMPT = columns(
    id=TEXT, family=TEXT, task=TEXT, stack=TEXT, prompt=TEXT, checklist=TEXT
)  # checklist: JSON list of {id, title, description}

LEDGER = columns(
    id=TEXT,
    status=TEXT,
    reason=TEXT,
    detail=TEXT,
    attempts=INT,
    tokens_in=INT,
    tokens_out=INT,
    cost=REAL,
    seconds=REAL,
)


def signature(permutations: int) -> pa.Schema:
    """Columns of a text's signature: `length` and `exact` of the normalised text, `skeleton` of the page (or zeros),
    `sketch`: the low byte of each of the values p000 ... p127.
    """
    fixed = {"exact": pa.binary(16), "skeleton": pa.binary(16), "sketch": pa.binary(permutations)}
    return columns(id=TEXT, length=INT, **fixed, **{f"p{k:03d}": pa.uint32() for k in range(permutations)})


def scored(dimensions: Iterable[str]) -> pa.Schema:
    """Columns of sft/score: the page, one column a dimension, the total, the votes, the evidence and the picture.

    `votes`: JSON list of {judge, time, scores, reasons}, the last two by dimension. Scores are means over the votes,
    `spread` is the mean over the dimensions of the standard deviation between them [points], empty for one vote.
    """
    schema = PAGE
    for name in ("percent", "spread", *(f"score:{slug}" for slug in dimensions)):
        schema = schema.append(pa.field(name, REAL))
    for name, type_ in (("reasons", TEXT), ("votes", TEXT), ("evidence", TEXT), ("judge", TEXT), ("screenshot", BYTES)):
        schema = schema.append(pa.field(name, type_))
    return schema


def part(total: int, number: int, count: int) -> range:
    """The places of shard `number` of `count`, of `total` places in a row."""
    return range(total * number // count, total * (number + 1) // count)


def slots(parent: str, n: int) -> Iterator[str]:
    """The ids of `n` numbered children: parent/01, parent/02 ... as wide as `n` needs, two digits at least."""
    width = max(2, len(str(n)))
    return (f"{parent}/{i:0{width}d}" for i in range(1, n + 1))


def slug(text: str) -> str:
    """ASCII words of a text joined by '-', at most 60 characters; empty when there is none."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))[:60].strip("-")
