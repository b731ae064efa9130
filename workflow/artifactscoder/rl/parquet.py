"""rl/parquet: the two files that verl reads, split by task.

In: the RL prompts and their valid reference pages. Out: rl_train.parquet and rl_val.parquet in verl's schema. All
stacks of a task go to the same side, so no task of the validation is trained on; which side is decided by a digest of
seed and task, so that adding a task moves no other. Lists and long texts travel as strings inside `extra_info`
(`checklist` is JSON), because verl collates rows of differing structure badly.
"""

from __future__ import annotations

import hashlib
from math import ceil
from pathlib import Path

import pyarrow as pa

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, beside
from artifactscoder.records import RL_PROMPT
from artifactscoder.tables import Row

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [
        ("data_source", pa.string()),
        ("prompt", MESSAGES),
        ("ability", pa.string()),
        ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
        (
            "extra_info",
            pa.struct(
                [
                    ("index", pa.int64()),
                    ("id", pa.string()),
                    ("task", pa.string()),
                    ("split", pa.string()),
                    ("prompt", pa.string()),
                    ("checklist", pa.string()),
                ]
            ),
        ),
    ]
)


def validation_tasks(tasks: set[str], share: float, seed: int) -> set[str]:
    """The tasks kept for validation: the first ones by a digest of seed and task, at least one, never all."""
    if len(tasks) < 2:
        raise UserError("RL needs at least two tasks with a valid reference page to split; raise rl.prompts.count")
    order = sorted(tasks, key=lambda task: hashlib.sha256(f"{seed}/{task}".encode()).hexdigest())
    return set(order[: min(len(order) - 1, ceil(share * len(order)))])


def run(config: Config, prompts: Path, valid: Path, train: Path, val: Path) -> Ledger:
    """Write both files and one ledger (beside the training file, as `rl.ledger.parquet`)."""
    prompt_of = {row["id"]: row for row in tables.rows(prompts, RL_PROMPT.names)}
    ids = tables.column(valid, "id")
    held_out = validation_tasks({prompt_of[id_]["task"] for id_ in ids}, config.rl.parquet.validation, config.seed)
    ledger = Ledger(beside(train.with_name("rl.parquet")))
    with tables.Writer(train, SCHEMA) as train_rows, tables.Writer(val, SCHEMA) as val_rows:
        for page in tables.rows(valid, ["id", "html"]):
            row = prompt_of[page["id"]]
            split = "val" if row["task"] in held_out else "train"
            writer = val_rows if split == "val" else train_rows
            ledger.enter([row["id"]])
            ledger.leave(row["id"], "ok", detail=split)
            writer.write(set_row(config, row, page["html"], split, writer.rows))
        ledger.close()
    return ledger


def set_row(config: Config, prompt: Row, html: str, split: str, index: int) -> Row:
    """The row of a set, in verl's schema; `index`: its place there."""
    return {
        "data_source": "artifactscoder",
        "prompt": [
            {"role": "system", "content": config.sft.select.system},
            {"role": "user", "content": prompt["prompt"]},
        ],
        "ability": "html",
        "reward_model": {"style": "rule", "ground_truth": html},
        "extra_info": {
            "index": index,
            "id": prompt["id"],
            "task": prompt["task"],
            "split": split,
            "prompt": prompt["prompt"],
            "checklist": prompt["checklist"],
        },
    }
