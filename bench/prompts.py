"""What the comparisons of prompts cost at paper scale: `python bench/prompts.py [prompts] [items]`.

Prompts are those that the procedural endpoint writes for the project's own seeds (12 kinds a task; made anew under
other numbers until there are enough), benchmark items are synthetic: a shared preamble and 60 to 400 words. Each line
is one step as the workflow runs it, in a process of its own: seconds of CPU, peak memory, what it dropped.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from artifactscoder import config as configs
from artifactscoder import ledger, seeds, tables
from artifactscoder.config import Config
from artifactscoder.llm.procedural import ideas
from artifactscoder.records import TASK, VARIANT
from artifactscoder.sft import decontaminate, distinct_tasks, distinct_variants

PREAMBLE = "You are an expert of front-end code. Write one complete page that works at once in a browser.\n"


def tasks(config: Config) -> Iterator[dict]:
    """Ten tasks of every subcategory, without end."""
    number = 0
    while True:
        for category in seeds.categories(config):
            for row in seeds.subcategories(config)[category["slug"]]:
                made = ideas.tasks(category["name"], row["name"], row["brief"], 10, number)
                for i, task in enumerate(made):
                    id_ = f"{row['id']}/{number:02d}{i:02d}"
                    yield {"id": id_, "category": category["slug"], "subcategory": row["id"], **task}
        number += 1


def write(folder: Path, config: Config, prompts: int, items: int) -> None:
    kinds = seeds.variants(config)
    made = tasks(config)
    fixed = {"maker": "procedural", "request": "r"}
    draw = random.Random(0)
    words: list[str] = []
    with (
        tables.Writer(folder / "tasks.parquet", TASK) as first,
        tables.Writer(folder / "variants.parquet", VARIANT) as second,
    ):
        while second.rows < prompts:
            task = next(made)
            words += task["description"].split() if len(words) < 50_000 else []
            first.write({**task, **fixed})
            for kind, text in ideas.variants(task["title"], task["description"], kinds, second.rows).items():
                own = {"id": f"{task['id']}/{kind}", "category": task["category"], "task": task["id"]}
                second.write({**own, "kind": kind, "prompt": text, **fixed})
    with open(folder / "bench.jsonl", "w") as file:
        for i in range(items):
            text = PREAMBLE + " ".join(draw.choices(words, k=draw.randint(60, 400)))
            file.write(json.dumps({"index": i, "question": text, "checklist": []}) + "\n")


def step(name: str, folder: Path) -> None:
    config = configs.load([Path("config.yaml")])
    start = time.process_time()
    if name == "distinct_tasks":
        distinct_tasks.run(config, [folder / "tasks.parquet"], folder / name / "dropped.parquet")
        output = folder / name / "tasks.parquet"
    elif name == "distinct_variants":
        distinct_variants.run(config, [folder / "variants.parquet"], folder / name / "dropped.parquet")
        output = folder / name / "variants.parquet"
    else:
        named = config.decontaminate.model_copy(update={"benchmarks": [folder / "bench.jsonl"]})
        config = config.model_copy(update={"decontaminate": named})
        output = folder / name / "variants.parquet"
        decontaminate.run(config, folder / "variants.parquet", output)
    seconds = time.process_time() - start
    entered, kept = tables.count(ledger.beside(output)), tables.count(output)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"sft/{name}: {entered:,} rows, {seconds:.0f} s of CPU ({1000 * seconds / entered:.2f} ms a row), "
        f"{peak:.0f} MB at most, {entered - kept:,} dropped ({100 * (entered - kept) / entered:.1f} %)"
    )


def main() -> None:
    if len(sys.argv) == 4 and sys.argv[1] == "step":
        step(sys.argv[2], Path(sys.argv[3]))
        return
    prompts, items = (int(word) for word in (sys.argv[1:] + ["240000", "2000"][len(sys.argv) - 1 :]))
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), configs.load([Path("config.yaml")]), prompts, items)
        for name in ("distinct_tasks", "decontaminate", "distinct_variants"):
            done = subprocess.run([sys.executable, __file__, "step", name, folder], stdout=subprocess.PIPE, text=True)
            print(done.stdout.strip() or f"sft/{name} ended with {done.returncode}", flush=True)


if __name__ == "__main__":
    main()
