"""After `make demo`: whether its models learned, and whether the life of ten random records is proven.

`python tests/check_demo.py` exits with 1 where not.
"""

from __future__ import annotations

import asyncio
import json
import random
import statistics
import sys
from pathlib import Path

from artifactscoder import config as configs
from artifactscoder import tables, trace
from artifactscoder.train import watch

TRAIN = Path("results/train")
LOSS = {"cpt": 0.85, "sft": 0.5}  # at most so much is left: the last tenth of the steps against the first


def every_id() -> list[str]:
    """What came to any step of the demo, and the answers that GRPO learned from."""
    found = {id_ for path in Path("results").rglob("*.ledger.parquet") for id_ in tables.column(path, "id")}
    rewards = tables.rows(TRAIN / "grpo/rewards.parquet", ["step", "sample"])
    return sorted(found | {f"train/grpo/{row['step']}/{row['sample']}" for row in rewards})


def main() -> int:
    wrong = []
    for name, most in LOSS.items():
        losses = tables.column(TRAIN / name / "curve.parquet", "loss")
        tenth = len(losses) // 10
        first, last = statistics.fmean(losses[:tenth]), statistics.fmean(losses[-tenth:])
        print(f"{name}: loss {first:.3f} -> {last:.3f}")
        if not last < most * first:
            wrong.append(f"the loss of {name} is still {last / first:.0%} of what it was")
    gain = json.loads((TRAIN / "grpo/manifest.json").read_text())["gain"]
    print(f"grpo: {watch.words(gain)}")
    if not gain["last"] - gain["first"] > gain["chance"]:
        wrong.append("the reward of grpo rose by no more than chance can make it")
    for id_ in random.sample(every_id(), 10):
        found = asyncio.run(trace.trace(configs.of_run(Path("results")), id_))
        print(f"trace {id_} ({found.kind}): {found.checked} checks, {len(found.doubts)} do not hold")
        wrong += found.doubts
    print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
