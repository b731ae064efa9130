"""After `make demo`: whether its models learned. `python tests/check_demo.py` exits with 1 where one did not."""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from artifactscoder import tables

TRAIN = Path("results/train")
LOSS = 0.5  # a tenth of the steps at the end against a tenth at the beginning


def main() -> int:
    wrong = []
    for name in ("cpt", "sft"):
        losses = tables.column(TRAIN / name / "curve.parquet", "loss")
        tenth = len(losses) // 10
        first, last = statistics.fmean(losses[:tenth]), statistics.fmean(losses[-tenth:])
        print(f"{name}: loss {first:.3f} -> {last:.3f}")
        if not last < LOSS * first:
            wrong.append(f"the loss of {name} fell by less than a half")
    gain = json.loads((TRAIN / "grpo/manifest.json").read_text())["gain"]
    print(f"grpo: reward {gain['first']:.3f} -> {gain['last']:.3f}, of which chance explains {gain['chance']:.3f}")
    if not gain["last"] - gain["first"] > gain["chance"]:
        wrong.append("the reward of grpo rose by no more than chance explains")
    print(*wrong, sep="\n")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
