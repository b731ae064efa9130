"""The reward's own processor time, and how long it holds up the event loop.

512 answers with pages of 1,500 elements are scored by the engine at once, with a renderer and a judge that answer at
once, so what is left is the processor's part: extraction, the gate against loops, parsing, similarity, what the judge
reads, the search for what speaks to it. Against it stands the longest common subsequence by a plain table in Python
over (name, attributes), as the reference implementation has it, of a few pairs, without anything else. Printed are
`reward_vs_python_lcs` (processor time of the one over that of the other, a sample), the same for the formula alone,
without what is prepared for the judge (`formula_vs_python_lcs`), and `loop_lag_ms`: the most that
this process worked while a task of the loop slept a millisecond, in processor time, which other processes do not touch;
looked for in a second run, for looking takes time as well. `--quick` takes 128 answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from tokenizers import Tokenizer, models
from tokenizers.pre_tokenizers import ByteLevel

from artifactscoder import config as configs
from artifactscoder.html import dom
from artifactscoder.render import Render, RenderOptions
from artifactscoder.render.page import Verdict
from artifactscoder.reward import checklist
from artifactscoder.reward.engine import RewardEngine
from artifactscoder.reward.task import Task

ELEMENTS = 1500
WORDS = "report chart value total filter reset save cancel order item price note label week team goal plan".split()
ITEMS = [{"id": f"item-{i}", "title": "Works", "description": "It works."} for i in range(20)]


def page(seed: int) -> str:
    """A page of 1,500 elements, about 50 KB with its styles and scripts."""
    draw = random.Random(seed)
    parts = []
    for number in range(ELEMENTS // 5):
        name, text = draw.choice(WORDS), " ".join(draw.choices(WORDS, k=draw.randint(2, 6)))
        tag = draw.choice(("section", "article", "li", "div"))
        parts.append(
            f'<{tag} class="card {name}" id="c{number}"><h2>{name.title()}</h2><p>{text}</p>'
            f'<button type="button" data-n="{number}">{draw.choice(WORDS)}</button><span>{number}</span></{tag}>\n'
        )
    script = "".join(f"// {name}\nfunction {name}{i}(x) {{ return x + {i}; }}\n" for i, name in enumerate(WORDS))
    style = "".join(f".{name} {{ color: #123; }} /* {name} */\n" for name in WORDS)
    head = f'<head><meta charset="utf-8"><title>Bench</title><style>\n{style}</style></head>'
    body = f"<main>{''.join(parts)}</main><script>{script}</script>"
    return f'<!DOCTYPE html>\n<html lang="en">{head}<body>{body}</body></html>'


def sequence(html: str) -> list[tuple[str, tuple[str, ...]]]:
    """Elements as the reference implementation compares them: name and attributes."""
    root = dom.LexborHTMLParser(html).root
    assert root is not None
    nodes = [node for node in root.traverse(include_text=False)]
    return [(node.tag or "", tuple(sorted(f"{k}={v}" for k, v in node.attributes.items()))) for node in nodes]


def python_lcs(x: list[tuple[str, tuple[str, ...]]], y: list[tuple[str, tuple[str, ...]]]) -> int:
    """The table of the textbook."""
    table = [[0] * (len(y) + 1) for _ in range(len(x) + 1)]
    for i in range(1, len(x) + 1):
        for j in range(1, len(y) + 1):
            if x[i - 1] == y[j - 1]:
                table[i][j] = table[i - 1][j - 1] + 1
            else:
                table[i][j] = max(table[i - 1][j], table[i][j - 1])
    return table[-1][-1]


class AtOnce:
    """A renderer that answers at once."""

    async def render(self, html: str, options: RenderOptions | None = None) -> Render:
        text = TEXTS[html]
        seen = {"h2": 300, "p": 300, "button": 300, "section": 80, "article": 80, "main": 1}
        return Render(Verdict(True, "ok", visible_text=text[:20_000], text_chars=len(text), seen=seen), [b"x"])


TEXTS: dict[str, str] = {}  # of each page


class Judge:
    """A judge that answers at once: what asking one costs is measured in bench/llm.py."""

    async def __call__(self, *arguments: object) -> checklist.Judged:
        return checklist.Judged(0.5, {item["id"]: 2.5 for item in ITEMS}, {}, checklist.Usage())


async def lag(worst: list[float]) -> None:
    while True:
        before = time.process_time()
        await asyncio.sleep(0.001)
        worst.append(time.process_time() - before)


async def scored(count: int, folder: Path, watched: bool, judged: bool = True) -> tuple[float, float, float, float]:
    """(processor ms a sample, seconds in all, longest lag in ms, the same of an idle loop just before)

    `judged`: whether the checklist has a weight, so that the page is prepared for a judge.
    `watched`: whether the lag is looked for, a thousand times a second, which takes processor time of its own.
    """
    model = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(sorted(ByteLevel.alphabet()))}, merges=[]))
    model.pre_tokenizer = ByteLevel(add_prefix_space=False)
    model.save(str(folder / "tokenizer.json"))
    config = configs.load([Path("config.yaml")])
    if not judged:
        config = config.model_copy(update={"reward": config.reward.model_copy(update={"checklist": 0.0})})
    engine = RewardEngine(config, folder, AtOnce())
    checklist.judge = Judge()  # type: ignore[assignment]

    async def client() -> None:
        return None

    engine._client = client  # type: ignore[assignment, method-assign]
    answers = [f"Here is the page.\n```html\n{page(seed)}\n```" for seed in range(count)]
    for answer in answers:
        html = answer.partition("```html\n")[2].rpartition("\n```")[0]
        TEXTS[html] = dom.parse(html).text
    groups = range(max(1, count // 16))  # 16 answers a task
    tasks = [Task("", "Make a page.", ITEMS, page(10_000 + number)) for number in groups]
    await engine.score(answers[0], tasks[0], "first", tokens=12_000)  # what is made once
    worst: list[float] = []
    watch = asyncio.ensure_future(lag(worst)) if watched else None
    await asyncio.sleep(3 if watched else 0)
    idle = max(worst, default=0.0)
    worst.clear()
    start, clock = time.process_time(), time.perf_counter()
    results = await asyncio.gather(
        *(engine.score(answer, tasks[i // 16 % len(tasks)], str(i), tokens=12_000) for i, answer in enumerate(answers))
    )
    spent, took = time.process_time() - start, time.perf_counter() - clock
    if watch is not None:
        watch.cancel()
    await engine.close()
    assert all(0 < float(result.parts["score"]) <= 1 for result in results)
    return 1000 * spent / count, took, 1000 * max(worst, default=0.0), 1000 * idle


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    quick = parser.parse_args().quick
    count = 128 if quick else 512
    pairs = [(sequence(page(seed)), sequence(page(seed + 500))) for seed in range(2 if quick else 4)]
    start = time.process_time()
    lengths = [python_lcs(x, y) for x, y in pairs]
    plain = 1000 * (time.process_time() - start) / len(pairs)
    print(f"pages of {len(page(0))} bytes, {len(pairs[0][0])} elements; common subsequences {lengths}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        spent, took, *_ = asyncio.run(scored(count, Path(folder), watched=False))
        formula, *_ = asyncio.run(scored(count, Path(folder), watched=False, judged=False))
        _, _, late, idle = asyncio.run(scored(count, Path(folder), watched=True))
    print(f"python_lcs_ms: {plain:.0f}")
    print(f"reward_cpu_ms: {spent:.1f} a sample, {count} samples in {took:.1f} s")
    print(f"reward_vs_python_lcs: {plain / spent:.0f}; the formula alone, {formula:.1f} ms: {plain / formula:.0f}")
    print(f"loop_lag_ms: {late:.1f}; of an idle loop just before {idle:.1f}")
    ratios = {"reward_vs_python_lcs": round(plain / spent, 1), "formula_vs_python_lcs": round(plain / formula, 1)}
    print(json.dumps({**ratios, "loop_lag_ms": round(late, 1)}))


if __name__ == "__main__":
    main()
