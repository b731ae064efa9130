"""Near-duplicate removal at the recipe's sizes: wall time, CPU and peak memory of every job, disk.

`python bench/dedup_scale.py` makes 240,000 pages of 16 KB in 16 shards (bench/dedup.py says how) and runs each stage
as its rules do, CORES jobs at once, threshold 0.7 as in CPT; 5 GB of disk, given back at the end.
`--signatures` makes as many signature tables without texts (pages of 16 bytes), 18 million by default: unrelated ones
agree in 8 % of their values, as unrelated pages do; a tenth have a near-duplicate, a tenth of these four. Bands,
components, route and keep run for real, verify has nothing to compare and is left out: every candidate of 0.7 and more
by its sketch is taken for verified. 15 GB of disk. `--groups N` runs the first N of the 16 groups of bands.
`--pages N` takes other numbers, `--quick` 2,000. Each line is a stage; the last is JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from dedup import pages as made_pages
from dedup import write

from artifactscoder import config as configs
from artifactscoder import records, tables
from artifactscoder.progress import duration
from artifactscoder.records import ALIKE, PAGE

PERMUTATIONS = 128
SHARDS = 16
JOBS = 16  # cpt.dedup.jobs of the recipe
CORES = 2
COMMON = np.random.default_rng(7).integers(0, 1 << 32, (PERMUTATIONS, 8), dtype=np.uint32)  # values that many share


def run(name: str, commands: list[list[str]], cores: int = CORES) -> dict[str, Any]:
    """Run jobs, `cores` at once: wall time of all, CPU of all, and the largest peak of one."""
    start, cpu, peak = time.monotonic(), 0.0, 0
    waiting, running = list(commands), set()
    while waiting or running:
        while waiting and len(running) < cores:
            command = waiting.pop(0)
            log = os.open(os.devnull if not os.environ.get("VERBOSE") else "/dev/stderr", os.O_WRONLY)
            actions = [(os.POSIX_SPAWN_DUP2, log, 2)]
            running.add(os.posix_spawn(command[0], command, os.environ, file_actions=actions))
            os.close(log)
        pid, status, used = os.wait4(-1, 0)
        running.discard(pid)
        if status:
            raise SystemExit(f"{name}: a job ended with {os.waitstatus_to_exitcode(status)} (VERBOSE=1 shows why)")
        cpu, peak = cpu + used.ru_utime + used.ru_stime, max(peak, used.ru_maxrss)
    wall = time.monotonic() - start
    made = {
        "stage": name,
        "jobs": len(commands),
        "wall_s": round(wall, 1),
        "cpu_s": round(cpu, 1),
        "peak_mb": peak >> 10,
    }
    print(
        f"{name:<12} {len(commands):>4} jobs  {duration(wall):>10}  {cpu:8.0f} s of CPU  {peak >> 10:>6} MB", flush=True
    )
    return made


class Folder:
    """Where the stages' tables stand, and their commands."""

    def __init__(self, folder: Path, shards: list[str]) -> None:
        self.folder, self.shards = folder, shards
        config = configs.load([Path("config.yaml")])
        configs.write(config, folder / "config.yaml")

    def all(self, kind: str, names: Iterable[object] | None = None) -> list[str]:
        return [f"{self.folder}/{kind}/{name}.parquet" for name in (self.shards if names is None else names)]

    def command(self, step: str, **arguments: Any) -> list[str]:
        words = [sys.executable, "-m", "artifactscoder.cli", "cpt", step, "--config", f"{self.folder}/config.yaml"]
        for name, value in arguments.items():
            words += [f"--{name}", *(map(str, value) if isinstance(value, list) else [str(value)])]
        return words

    def signature(self) -> list[list[str]]:
        pairs = zip(self.all("code"), self.all("signature"), strict=True)
        return [self.command("dedup-signature", input=page, output=table) for page, table in pairs]

    def bands(self, groups: range) -> list[list[str]]:
        fixed = {"signatures": self.all("signature"), "parts": JOBS}
        return [self.command("dedup-bands", **fixed, part=n, output=f"{self.folder}/bands/{n}.parquet") for n in groups]

    def components(self, groups: range) -> list[list[str]]:
        fixed = {"signatures": self.all("signature"), "bands": self.all("bands", groups)}
        ends = {"visits": f"{self.folder}/visits.parquet", "output": f"{self.folder}/pairs.parquet"}
        return [self.command("dedup-components", **fixed, **ends)]

    def route(self) -> list[list[str]]:
        pairs = zip(self.all("code"), self.all("route"), strict=True)
        visits = f"{self.folder}/visits.parquet"
        return [self.command("dedup-route", input=page, visits=visits, output=table) for page, table in pairs]

    def verify(self) -> list[list[str]]:
        fixed = {"candidates": f"{self.folder}/pairs.parquet", "routes": self.all("route"), "parts": JOBS}
        parts = zip(range(JOBS), self.all("verify", range(JOBS)), strict=True)
        return [self.command("dedup-verify", **fixed, part=n, output=table) for n, table in parts]

    def keep(self, verified: list[str]) -> list[list[str]]:
        fixed = {"signatures": self.all("signature"), "verified": verified}
        return [self.command("dedup-keep", **fixed, output=f"{self.folder}/dropped.parquet")]

    def filter(self) -> list[list[str]]:
        pairs = zip(self.all("code"), self.all("kept"), strict=True)
        dropped = f"{self.folder}/dropped.parquet"
        return [self.command("dedup", input=page, dropped=dropped, output=table) for page, table in pairs]

    def size(self) -> float:
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file()) / 1e9


def whole(folder: Path, count: int) -> dict[str, Any]:
    """All stages on made pages."""
    here = Folder(folder, [f"shard-{n:02d}" for n in range(SHARDS)])
    start = time.monotonic()
    rows = made_pages(count)
    for n, path in enumerate(here.all("code")):
        some = count * (n + 1) // SHARDS - count * n // SHARDS
        write(Path(path), (row for row, _ in zip(rows, range(some), strict=False)))
    bytes_ = here.size()
    print(f"{count} pages in {SHARDS} shards, {bytes_:.1f} GB of Parquet, made in {duration(time.monotonic() - start)}")
    stages = [
        run("signature", here.signature()), run("bands", here.bands(range(JOBS))),
        run("components", here.components(range(JOBS))), run("route", here.route()), run("verify", here.verify()),
        run("keep", here.keep(here.all("verify", range(JOBS)))), run("filter", here.filter()),
    ]  # fmt: skip
    return {
        "pages": count,
        "dropped": tables.count(folder / "dropped.parquet"),
        "disk_gb": here.size(),
        "stages": stages,
    }


def synthetic(path: Path, first: int, count: int, rng: np.random.Generator) -> None:
    """A shard's signature table: values of few kinds, as boilerplate gives them, and near-duplicates of other rows."""
    schema = records.signature(PERMUTATIONS)
    with tables.Writer(path, schema, plain=True) as writer:
        for start in range(0, count, 1 << 16):
            n = min(1 << 16, count - start)
            values = rng.integers(0, 1 << 32, (n, PERMUTATIONS), dtype=np.uint32)
            shared = rng.random((n, PERMUTATIONS), dtype=np.float32) < 0.8  # 0.8 * 0.8 / 8: one pair in 12 agrees
            kinds = COMMON[np.arange(PERMUTATIONS), rng.integers(0, 8, (n, PERMUTATIONS))]
            values[shared] = kinds[shared]
            for copies, share in ((1, 0.1), (4, 0.01)):
                originals = rng.permutation(n)[: int(n * share)]
                for _ in range(copies):
                    targets = rng.permutation(n)[: len(originals)]
                    same = rng.random((len(originals), PERMUTATIONS)) < rng.uniform(0.6, 0.98, (len(originals), 1))
                    values[targets] = np.where(same, values[originals], values[targets])
            columns = [
                pa.array([f"page/{first + start + i:09d}" for i in range(n)]),
                pa.array(rng.integers(5000, 40_000, n)),
                pa.array([key.tobytes() for key in rng.integers(0, 1 << 62, (n, 2))], pa.binary(16)),
                pa.array([bytes(16)] * n, pa.binary(16)),
                pa.array([row.tobytes() for row in values.astype(np.uint8)], pa.binary(PERMUTATIONS)),
                *(pa.array(np.ascontiguousarray(column)) for column in values.T),
            ]
            writer.write_table(pa.table(columns, schema=schema))


def without_texts(folder: Path, count: int, groups: int) -> dict[str, Any]:
    """The stages that look at signatures alone."""
    here = Folder(folder, [f"shard-{n:03d}" for n in range(132)])
    start = time.monotonic()
    fixed = {"group": "g", "kind": "k", "prompt": "p", "answer": "", "extracted": "", "maker": "m", "request": "r"}
    for n, (page, table) in enumerate(zip(here.all("code"), here.all("signature"), strict=True)):
        first, end = count * n // len(here.shards), count * (n + 1) // len(here.shards)
        synthetic(Path(table), first, end - first, np.random.default_rng(n))
        ids = pa.array([f"page/{i:09d}" for i in range(first, end)])
        columns = {name: pa.array([value] * (end - first)) for name, value in fixed.items()}
        with tables.Writer(Path(page), PAGE) as writer:
            writer.write_table(pa.table({**columns, "id": ids, "html": ids}).select(PAGE.names).cast(PAGE))
    print(f"{count} signatures in 132 shards, {here.size():.1f} GB, made in {duration(time.monotonic() - start)}")
    some = range(groups)
    stages = [
        run("bands", here.bands(some), 1), run("components", here.components(some)), run("route", here.route()),
    ]  # fmt: skip
    near = alike(here, folder)
    stages.append(run("keep", here.keep([f"{folder}/alike.parquet"])))
    pairs = tables.count(folder / "pairs.parquet")
    return {
        "signatures": count,
        "groups": groups,
        "candidates": pairs,
        "alike": near,
        "disk_gb": here.size(),
        "stages": stages,
    }


def alike(here: Folder, folder: Path) -> int:
    """The candidates of 0.7 and more by their sketches, as if verified."""
    from artifactscoder.dedup.corpus import Corpus

    with tables.open_table(folder / "pairs.parquet") as file, Corpus(list(map(Path, here.all("signature")))) as corpus:
        sketches = corpus.bytes("sketch", PERMUTATIONS)
        with tables.Writer(folder / "alike.parquet", ALIKE) as writer:
            for n in range(file.metadata.num_row_groups):
                found = file.read_row_group(n)
                left, right = found["left"].to_numpy(), found["right"].to_numpy()
                value = (sketches[left] == sketches[right]).mean(axis=1)
                near = value >= 0.7
                part = {"left": left[near], "right": right[near], "jaccard": value[near]}
                writer.write_table(pa.table(part, schema=ALIKE))
    return writer.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--signatures", action="store_true")
    parser.add_argument("--pages", type=int)
    parser.add_argument("--groups", type=int, default=JOBS)
    parser.add_argument("--folder", type=Path, help="where to work (a temporary folder)")
    args = parser.parse_args()
    count = args.pages or (2000 if args.quick else 18_000_000 if args.signatures else 240_000)
    folder = Path(tempfile.mkdtemp(dir=args.folder))
    try:
        made = without_texts(folder, count, args.groups) if args.signatures else whole(folder, count)
    finally:
        shutil.rmtree(folder)
    made["disk_gb"] = round(made["disk_gb"], 2)
    print(json.dumps(made))


if __name__ == "__main__":
    main()
