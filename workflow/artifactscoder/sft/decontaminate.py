"""sft/decontaminate: requests that stand in a benchmark are left out before their pages are paid for.

In: the variants of a category, and the benchmark files of `decontaminate.benchmarks`. Out: the variants that overlap
no item; the ledger names for each of the others the file, the item and the measured overlap (`dedup/contamination.py`
says how it is measured). With no benchmark named all pass, and the log says so. This goes before sft/distinct_variants,
so that no request is dropped for its likeness to one that then falls out here. About 2 ms a prompt against 2,000 items.
"""

from __future__ import annotations

from pathlib import Path

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.dedup.contamination import Benchmarks
from artifactscoder.ledger import Ledger, beside
from artifactscoder.progress import Progress
from artifactscoder.records import VARIANT


def run(config: Config, input: Path, output: Path) -> Ledger:
    """Compare every prompt of `input` with the benchmarks and write table and ledger."""
    benchmarks = Benchmarks(config.decontaminate)
    ledger = Ledger(beside(output))
    progress = Progress(f"sft/decontaminate {output.stem}", tables.count(input))
    with tables.Writer(output, VARIANT) as writer:
        for row in tables.rows(input, VARIANT.names):
            ledger.enter([row["id"]])
            if overlap := benchmarks.overlap(row["prompt"]):
                ledger.leave(row["id"], "rejected", "contaminated", overlap)
            else:
                ledger.leave(row["id"], "ok")
                writer.write(row)
            progress.step()
        ledger.close()
    against = (
        f"{len(benchmarks.items)} items" if benchmarks.items else "decontaminate.benchmarks names no file: all pass"
    )
    progress.end(f"{ledger.summary()}; {against}")
    return ledger
