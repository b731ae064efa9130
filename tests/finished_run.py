"""The tables of a run that has ended, drawn by chance: as many pages as asked for, whose accounts balance.

For the report, whose size matters and not who wrote the pages. Pages are made of a few thousand phrases, so that they
compress about as real ones do, and pictures are JPEGs of plain shapes. Streaming: a category is in memory at a time.
"""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from PIL import Image, ImageDraw

from artifactscoder import seeds, shards, tables
from artifactscoder.config import Config
from artifactscoder.eval import judge as eval_judge
from artifactscoder.eval import table as eval_table
from artifactscoder.ledger import beside
from artifactscoder.records import INT, LEDGER, PAGE, REAL, TASK, TEXT, VARIANT, columns, scored, slots
from artifactscoder.sft import agreement, select
from artifactscoder.train import watch

EMAIL = "jane.doe@hartmann-und-soehne.de"
HOSTILE = "</script><script>document.title = 'taken'</script><img src=x onerror=\"document.title = 'taken'\">"
ENDLESS = "endless" * 430
PAID = [(100, 20, 0.5, 1.5), (300, 40, 0.25, 2.5)]  # prompt and answer tokens, money, seconds of GRPO's judge
MODELS = {"base": 4.0, "sft": 41.0, "grpo": 52.0}
REWARDS = columns(step=INT, split=TEXT, status=TEXT, reason=TEXT)
PARTS = ("score", "i_rep", "i_render", "s_chk", "s_sim", "s_len")
NOISE = 40  # hexadecimal digits after each phrase: a page then compresses to a quarter, like one that a model wrote
GRAPH = 'digraph { 0 [label = "sft_tasks"]; 1 [label = "sft_code"]; 2 [label = "report"]; 0 -> 1 -> 2; }'


class Run:
    """Writes everything that the report reads below `results`: pages of so many `kilobytes`, so many `pictures`."""

    def __init__(self, config: Config, kilobytes: float = 3, pictures: int = 6) -> None:
        self.config, self.results = config, config.results
        self.draw = random.Random(7)
        self.slugs = [dimension["slug"] for dimension in seeds.dimensions(config)]
        words = [f"{a}-{b}" for a in "card list grid chart form menu table panel".split() for b in range(40)]
        self.phrases = [
            f'<div class="{self.draw.choice(words)}"><p>{" ".join(self.draw.choices(words, k=9))}</p></div>\n'
            for _ in range(3000)
        ]
        self.size = max(1, int(kilobytes * 1024 / (len(self.phrases[0]) + NOISE)))
        self.pictures = [self._picture(n) for n in range(pictures)]
        self.selected: list[dict[str, Any]] = []

    def make(self) -> int:
        """Write all tables; returns how many pages have scores."""
        kinds = [kind["slug"] for kind in seeds.variants(self.config)]
        count = 0
        train = self.results / "sft/select/sft_train.parquet"
        with tables.Writer(train, select.SCHEMA) as chosen, tables.Writer(beside(train), LEDGER) as ledger:
            for category, subcategories in seeds.subcategories(self.config).items():
                count += self._category(category, subcategories, kinds, chosen, ledger)
        self._rest()
        return count

    def _category(
        self,
        category: str,
        subcategories: list[dict[str, Any]],
        kinds: list[str],
        chosen: tables.Writer,
        ledger: tables.Writer,
    ) -> int:
        each = self.config.sft.tasks.per_subcategory
        tasks = [
            {
                "id": id_,
                "category": category,
                "subcategory": row["id"],
                "title": f"{row['name']} {id_[-2:]}",
                "description": row["brief"],
                "maker": "a-model",
                "request": self._digest(),
            }
            for row in subcategories
            for id_ in slots(row["id"], each)
        ]
        self._table("sft/tasks", category, TASK, tasks)
        tasks = self._table("sft/distinct_tasks", category, TASK, tasks, 0.02, "near_duplicate")
        rows = [
            {
                "id": f"{task['id']}/{kind}",
                "category": category,
                "task": task["id"],
                "kind": kind,
                "prompt": f"{task['title']}: {task['description']} As {kind}, number {self.draw.randrange(10**6)}.",
                "maker": "a-model",
                "request": self._digest(),
            }
            for task in tasks
            for kind in kinds
        ]
        rows[0]["prompt"] += f" {HOSTILE} {ENDLESS}"
        self._table("sft/variants", category, VARIANT, rows)
        self._table("sft/decontaminate", category, VARIANT, rows)
        rows = self._table("sft/distinct_variants", category, VARIANT, rows, 0.01, "near_duplicate")
        pages = [self._page(row) for row in rows]
        pages = self._table("sft/code", category, PAGE, pages, 0.03, "truncated")
        pages = self._table("sft/dedup", category, columns(id=TEXT), pages, 0.05, "near_duplicate")
        pages = self._table("sft/rules", category, columns(id=TEXT), pages, 0.03, "placeholder")
        pages = self._table("sft/score", category, scored(self.slugs), pages, 0.03, "not_rendered_blank", self._scored)
        for page in pages:
            if page["percent"] < self.config.sft.select.min_percent:
                ledger.write(_line(page["id"], "rejected", "below_min_percent", f"{page['percent']:.1f} %"))
                continue
            ledger.write(_line(page["id"], tokens_out=900))
            keep = {name: page[name] for name in ("id", "kind", "percent", "maker")}
            chosen.write({**keep, "messages": [], "category": category, "tokens": 900})
        return len(pages)

    def _table(
        self,
        step: str,
        shard: str,
        schema: pa.Schema,
        rows: list[dict[str, Any]],
        lost: float = 0.0,
        reason: str = "",
        finish: Any = None,
    ) -> list[dict[str, Any]]:
        """Write rows and ledger of a step, of which a share is lost; returns those that are left."""
        kept, lines = [], []
        for row in rows:
            if lost and kept and self.draw.random() < lost:
                near = reason == "near_duplicate"
                detail = f"{self.draw.uniform(0.8, 1):.4f} like {self.draw.choice(kept[-9:])['id']}" if near else ""
                lines.append(_line(row["id"], "rejected", reason, detail))
            else:
                kept.append(finish(row) if finish else row)
                lines.append(_line(row["id"], tokens_in=300, tokens_out=900, attempts=1))
        path = self.results / step / f"{shard}.parquet"
        tables.write(path, schema, ({name: row[name] for name in schema.names} for row in kept))
        tables.write(beside(path), LEDGER, lines)
        return kept

    def _page(self, row: dict[str, Any]) -> dict[str, Any]:
        noise = f"{self.draw.getrandbits(4 * NOISE * self.size):x}"
        phrases = self.draw.choices(self.phrases, k=self.size)
        body = "".join(phrase + noise[NOISE * n : NOISE * (n + 1)] for n, phrase in enumerate(phrases))
        html = f"<!DOCTYPE html><html><head><title>{row['id']}</title></head><body>{HOSTILE}{EMAIL}{body}</body></html>"
        keep = {name: row[name] for name in ("id", "kind", "prompt", "maker")}
        more = {"answer": "", "extracted": "document", "request": self._digest()}
        return {**keep, "group": row["category"], "html": html, **more}

    def _scored(self, page: dict[str, Any]) -> dict[str, Any]:
        middle = self.draw.gauss(7.8, 1.1)
        scores = {s: 2.5 * round(min(10, max(0, self.draw.gauss(middle, 1.5))) / 2.5) for s in self.slugs}
        percent = 100 * sum(scores.values()) / (10 * len(scores))
        reasons = {slug: f"It does {slug} as well as {score} says." for slug, score in scores.items()}
        vote = {"judge": "a-judge", "time": 0, "scores": scores, "reasons": reasons}
        seen = {"visible_elements": 40, "text_chars": 900, "script_errors": [], "console_errors": []}
        return {
            **page,
            "percent": percent,
            "spread": None,
            **{f"score:{slug}": score for slug, score in scores.items()},
            "reasons": json.dumps(reasons),
            "votes": json.dumps([vote]),
            "evidence": json.dumps(seen),
            "judge": "a-judge",
            "screenshot": self.draw.choice(self.pictures),
        }

    def _picture(self, number: int) -> bytes:
        draw = random.Random(number)
        image = Image.new("RGB", (800, 600), tuple(draw.randrange(256) for _ in range(3)))
        pen = ImageDraw.Draw(image)
        for _ in range(260):
            x, y = draw.randrange(800), draw.randrange(600)
            pen.rectangle([x, y, x + draw.randrange(80), y + 14], fill=tuple(draw.randrange(256) for _ in range(3)))
        file = io.BytesIO()
        image.save(file, "JPEG", quality=55)
        return file.getvalue()

    def _digest(self) -> str:
        return f"{self.draw.getrandbits(128):032x}"

    def _rest(self) -> None:
        """What is small at any size: agreement of judges, CPT's statistics, curves, and the evaluation."""
        results, write = self.results, tables.write
        none = {name: None for name in agreement.TABLE.names}
        whole = {**none, "dimension": "percent", "judge": "", "pages": 1, "votes": 1, "mean": 75.0}
        write(results / "sft/agreement/agreement.parquet", agreement.TABLE, [whole])
        _json(
            results / f"cpt/stats/{shards.names(self.config)['cpt/pack'][0]}.json",
            {"groups": {"tree": {"tokens": 9}}, "languages": {"en": 1}, "libraries": {}},
        )
        _json(results / "cpt/pack/mixture.json", {"sources": []})
        gain = {"first": 0.3, "last": 0.4, "steps": 5, "chance": 0.02}
        _json(results / "train/grpo/manifest.json", {"alarms": [], "gain": gain, "run": "a-run", "commit": "c" * 40})
        journal = self.config.journal / "train/grpo/one.jsonl"
        journal.parent.mkdir(parents=True, exist_ok=True)
        journal.write_text(
            "".join(
                f'{{"key":"{n}","paid":{json.dumps(paid, separators=(",", ":"))},"answer":""}}\n'
                for n, paid in enumerate(PAID)
            )
        )
        steps = range(1, 31)
        for name in ("cpt", "sft"):
            curve = ({"step": step, "loss": 3 / step} for step in steps)
            write(results / f"train/{name}/curve.parquet", columns(step=INT, loss=REAL), curve)
        kl = ({"step": step, "kl": step / 1000} for step in steps)
        write(results / "train/grpo/curve.parquet", columns(step=INT, kl=REAL), kl)
        write(results / "train/grpo/watch.parquet", watch.SCHEMA, ({"step": step, "blank": 1 / step} for step in steps))
        schema = pa.schema([*REWARDS, *((name, REAL) for name in PARTS)])
        write(results / "train/grpo/rewards.parquet", schema, self._rewards())
        self._evaluation()

    def _rewards(self) -> Iterator[dict[str, Any]]:
        for step in range(1, 31):
            for _ in range(64):
                rendered = self.draw.random() < 0.9
                parts = {name: self.draw.random() for name in PARTS} | {"i_render": float(rendered)}
                reason = "ok" if rendered else self.draw.choice(["blank", "no_content"])
                yield {"step": step, "split": "train", "status": "ok", "reason": reason, **parts}

    def _evaluation(self) -> None:
        folder = self.results / "eval"
        same = {"set": "held-out", "judge": "a-judge", "main": True, "tasks": 20, "judged": 20, "failed": 0}
        rows = []
        for name, points in MODELS.items():
            span = {"checklist": points, "low": points - 3, "high": points + 4, "checklist_failed_as_0": points}
            rows.append({**same, **span, "model": name, "decontaminated": True})
        tables.write(folder / "table.parquet", eval_table.TABLE, rows)
        made = {
            "groups": eval_table.GROUPS,
            "pairs": eval_table.PAIRS,
            "dimensions": eval_table.DIMENSIONS,
            "agreement": eval_table.AGREEMENT,
        }
        for name, schema in made.items():
            tables.write(folder / f"{name}.parquet", schema, [])
        shown = columns(id=TEXT, prompt=TEXT, rendered=pa.bool_(), reason=TEXT, screenshots=pa.list_(pa.binary()))
        for name in MODELS:
            ids = [f"{name}/held-out/{n}" for n in range(20)]
            points = ({"id": id_, "s_chk": 0.5} for id_ in ids)
            tables.write(folder / f"judge/{name}.parquet", eval_judge.JUDGED, points)
            pages = (
                {"id": id_, "prompt": "A page.", "rendered": True, "reason": "ok", "screenshots": self.pictures[:1]}
                for id_ in ids
            )
            tables.write(folder / f"render/{name}.parquet", shown, pages)


def _line(id_: str, status: str = "ok", reason: str = "", detail: str = "", **usage: int) -> dict[str, Any]:
    used = {"attempts": 0, "tokens_in": 0, "tokens_out": 0, "cost": 0.0, "seconds": 0.0}
    return {"id": id_, "status": status, "reason": reason, "detail": detail, **used, **usage}


def _json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
