"""The accounts of a whole run: for every step, entered = ok + rejected + failed, by id.

A ledger alone could agree with itself and still have lost records, so what should have entered a step is worked out
again from the tables of the step before (or from seeds and settings), shard by shard, and compared by id with what
its ledger says; and the ids that left as ok are compared with the step's own table. Memory: the ids of one shard.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from artifactscoder import indexed, ledger, seeds, shards, tables
from artifactscoder.config import Config
from artifactscoder.eval import tasks as eval_tasks
from artifactscoder.records import part, slots, slug

Expect = Callable[[Path], Iterable[str]]


@dataclass
class Account:
    """Sums of one step over all its shards, and what does not agree (`problems`, empty in a sound run)."""

    step: str
    shards: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[tuple[str, str]] = field(default_factory=Counter)
    attempts: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    cost: float = 0.0
    seconds: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def entered(self) -> int:
        return sum(self.counts.values())

    def take(self, table: Path, expected: Iterable[str] | None) -> None:
        """Add the ledger beside `table`; compare it with `expected` (ids) and with the table's own ids."""
        self.shards += 1
        ids: list[str] = []
        left_ok: list[str] = []
        for row in tables.rows(ledger.beside(table), batch=5000):
            ids.append(row["id"])
            self.counts[row["status"]] += 1
            if row["status"] == "ok":
                left_ok.append(row["id"])
            else:
                self.reasons[(row["status"], row["reason"])] += 1
            self.attempts += row["attempts"]
            self.tokens_in += row["tokens_in"]
            self.tokens_out += row["tokens_out"]
            self.cost += row["cost"]
            self.seconds += row["seconds"]
        self._compare(table, "are twice in the ledger", [id_ for id_, n in Counter(ids).items() if n > 1])
        if expected is not None:
            wanted = set(expected)
            self._compare(table, "entered and are not in the ledger", wanted - set(ids))
            self._compare(table, "are in the ledger and never entered", set(ids) - wanted)
        if indexed.idx_path(table.with_suffix("")).exists():
            self._packed(table, left_ok)
        found = self._own(table)
        if found is not None:
            self._compare(table, "are ok in the ledger and not in the table", set(left_ok) - found)
            self._compare(table, "are in the table and not ok in the ledger", found - set(left_ok))

    def _packed(self, table: Path, left_ok: list[str]) -> None:
        """Token files: as many documents and tokens as the ledger says."""
        lengths = indexed.Reader(table.with_suffix("")).lengths
        said = sum(row["tokens_out"] for row in tables.rows(ledger.beside(table), ["tokens_out"], batch=5000))
        if (len(lengths), int(lengths.sum())) != (len(left_ok), said):
            self.problems.append(
                f"{table.with_suffix('.idx')}: {len(lengths)} documents of {lengths.sum()} tokens, and the ledger says "
                f"{len(left_ok)} of {said}"
            )

    def _own(self, table: Path) -> set[str] | None:
        """The ids in the table; None where there is none (token files), or a row is no record (verl's)."""
        if not table.exists():
            return None
        with tables.open_table(table) as file:
            has_id = "id" in file.schema_arrow.names
        return set(tables.column(table, "id")) if has_id else None

    def _compare(self, table: Path, what: str, ids: Iterable[str]) -> None:
        some = sorted(ids)
        if some:
            self.problems.append(f"{table}: {len(some)} ids {what}, {some[0]} among them")


def collect(config: Config, results: Path) -> list[Account]:
    """The accounts of every step that has run, in the recipe's order, over the configuration's shards."""
    expects = _expectations(config, results)
    accounts = []
    for step, expect in expects.items():
        account = Account(step)
        for table in shards.done(config, results, step):
            account.take(table, expect(table))
        if account.shards:
            accounts.append(account)
    return accounts


def _expectations(config: Config, results: Path) -> dict[str, Expect]:
    """For each step: the ids that should have entered the shard whose table is given."""

    def ids(step: str) -> Expect:
        return lambda table: tables.column(results / step / table.name, "id")

    def one(path: str) -> Expect:
        return lambda table: tables.column(results / path, "id")

    by_category = seeds.subcategories(config)
    kinds = [kind["slug"] for kind in seeds.variants(config)]

    def tasks(table: Path) -> Iterable[str]:
        for row in by_category[table.stem]:
            yield from slots(row["id"], config.sft.tasks.per_subcategory)

    def variants(table: Path) -> Iterable[str]:
        for id_ in tables.column(results / "sft/distinct_tasks" / table.name, "id"):
            yield from (f"{id_}/{kind}" for kind in kinds)

    def select(table: Path) -> Iterable[str]:
        for path in shards.done(config, results, "sft/score"):
            yield from tables.column(path, "id")

    def tree(table: Path) -> Iterable[str]:
        parents = [table.stem]
        made = {row["id"] for row in tables.rows(table, ["id"])}
        for count in config.cpt.tree.children:
            places = [id_ for parent in parents for id_ in slots(parent, count)]
            yield from places
            parents = [id_ for id_ in places if id_ in made]

    def websight(table: Path) -> Iterable[str]:
        files = json.loads((results / "cpt/websight/source.json").read_text())["files"]
        number, count = int(table.stem.rsplit("-", 1)[1]), config.cpt.websight.shards
        rows, first = part(sum(file["rows"] for file in files), number, count), 0
        for file in files:
            head = f"websight/{slug(Path(file['path']).stem)}"
            for row in range(max(0, rows.start - first), min(rows.stop - first, file["rows"])):
                yield f"{head}/{row:07d}"
            first += file["rows"]

    def templates(table: Path) -> Iterable[str]:
        asked = tables.count(ledger.beside(table))
        for batch in range(asked // config.cpt.templates.per_request):
            yield from slots(f"templates/{batch:04d}", config.cpt.templates.per_request)

    def cpt_prompts(table: Path) -> Iterable[str]:
        root, _, number = table.stem.rpartition("-")
        leaves = [r["id"] for r in tables.rows(results / f"cpt/tree/{root}.parquet", ["id", "leaf"]) if r["leaf"]]
        for leaf in leaves[int(number) :: config.cpt.prompts.shards]:
            yield from (f"{leaf}/{n:03d}" for n in range(1, config.cpt.prompts.per_leaf + 1))

    def cpt_pages(table: Path) -> Iterable[str]:
        step = "cpt/websight" if table.stem.startswith("websight-") else "cpt/code"
        return tables.column(results / step / table.name, "id")

    def rl_prompts(table: Path) -> Iterable[str]:
        yield from tables.column(table, "id")
        stacks = [stack["slug"] for stack in seeds.tech_stacks(config)]
        places = {
            f"{f['slug']}/{t['slug']}/{stack}"
            for f in seeds.rl_families(config)
            for t in f["tasks"]
            for stack in stacks
        }
        for row in tables.rows(ledger.beside(table), ["id", "reason"]):
            if row["reason"] == "contaminated" and row["id"] in places:
                yield row["id"]

    def evaluated(table: Path) -> Iterable[str]:
        for name, one in config.eval.tasks.items():
            if one.count != 0:
                yield from (
                    row["id"] for row in eval_tasks.rows(config, name, one, results / "rl/parquet/rl_val.parquet")
                )

    def answers(table: Path) -> Iterable[str]:
        return (f"{table.stem}/{id_}" for id_ in tables.column(results / "eval/tasks/tasks.parquet", "id"))

    return {
        "cpt/websight": websight,
        "cpt/tree": tree,
        "cpt/templates": templates,
        "cpt/prompts": cpt_prompts,
        "cpt/code": ids("cpt/prompts"),
        "cpt/dedup": cpt_pages,
        "cpt/pack": ids("cpt/dedup"),
        "sft/tasks": tasks,
        "sft/distinct_tasks": ids("sft/tasks"),
        "sft/variants": variants,
        "sft/decontaminate": ids("sft/variants"),
        "sft/distinct_variants": ids("sft/decontaminate"),
        "sft/code": ids("sft/distinct_variants"),
        "sft/dedup": ids("sft/code"),
        "sft/rules": ids("sft/dedup"),
        "sft/score": ids("sft/rules"),
        "sft/select": select,
        "rl/prompts": rl_prompts,
        "rl/reference": one("rl/prompts/prompts.parquet"),
        "rl/valid": one("rl/reference/pages.parquet"),
        "rl/parquet": one("rl/valid/pages.parquet"),
        "eval/tasks": evaluated,
        "eval/generate": answers,
        "eval/render": ids("eval/generate"),
        "eval/judge": ids("eval/render"),
        "eval/score": ids("eval/render"),
    }
