"""What CPT's steps without a model cost at paper scale: 8M prompts, and packing beside the tokenizer's own speed.

`python bench/cpt.py prompts` makes 25 trees of 3,136 leaves and 2,000 templates, then runs the 100 shards of
cpt/prompts as the workflow would, a process a shard and one a core: wall time, most memory of a shard, and whether
any two prompts are the same. `python bench/cpt.py pack` composes pages and packs them in one process and in one a
core, beside the tokenizer alone in one thread [MB of UTF-8 a second of a core]. Its tokenizer is a byte-level BPE
learned from the pages (30,000 tokens); `--ranks FILE` takes a vocabulary in tiktoken's form instead, such as
`dashscope/resources/qwen.tiktoken` of the PyPI package dashscope: Qwen's own, 151,643 tokens. `--quick`: both, small.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import xxhash
import yaml
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from artifactscoder import config as configs
from artifactscoder import seeds, tables
from artifactscoder.config import Config
from artifactscoder.cpt import pack
from artifactscoder.html import tokens
from artifactscoder.llm.procedural import ideas
from artifactscoder.llm.procedural.compose import compose
from artifactscoder.records import NODE, PAGE, TEMPLATE, slots

CORES = len(os.sched_getaffinity(0))
ALPHABET = pre_tokenizers.ByteLevel.alphabet()
# How Qwen2 and later models cut a text before they merge: Qwen2's published tokenizer.json.
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def tree(root: dict, children: list[int]) -> Iterator[dict]:
    """All topics below a root, with names made up of their places."""
    parents = [{"id": root["slug"], "path": [root["name"]]}]
    for level, count in enumerate(children, 2):
        parents = [
            {"id": id_, "path": [*parent["path"], f"{root['name'].split()[0]} topic {id_.split('/', 1)[1]}"]}
            for parent in parents
            for id_ in slots(parent["id"], count)
        ]
        leaf = level == len(children) + 1
        fixed = {"root": root["slug"], "level": level, "leaf": leaf, "maker": "m", "request": "r"}
        yield from ({**row, **fixed} for row in parents)


def prompts(config: Config, config_file: Path, folder: Path) -> dict[str, float]:
    rows = [{"id": f"t/{n}", "template": text} for n, text in enumerate(ideas.templates(config.cpt.templates.count, 1))]
    tables.write(folder / "templates.parquet", TEMPLATE, rows)
    roots = seeds.cpt_roots(config)
    for root in roots:
        tables.write(folder / f"{root['slug']}.parquet", NODE, tree(root, config.cpt.tree.children))
    jobs = [(root["slug"], shard) for root in roots for shard in range(config.cpt.prompts.shards)]

    def job(root: str, shard: int) -> None:
        words = ["--tree", folder / f"{root}.parquet", "--templates", folder / "templates.parquet", "--shard", shard]
        words += ["--config", config_file, "--output", folder / f"out/{root}-{shard:02d}.parquet"]
        command = [sys.executable, "-m", "artifactscoder.cli", "cpt", "prompts", *map(str, words)]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)

    start = time.perf_counter()
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(lambda one: job(*one), jobs))
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    made = sorted((folder / "out").glob("*[0-9].parquet"))
    found = np.concatenate(
        [
            np.fromiter((xxhash.xxh3_64_intdigest(text.encode()) for text in tables.column(path, "prompt")), np.uint64)
            for path in made
        ]
    )
    size = sum(path.stat().st_size for path in (folder / "out").iterdir())
    return {
        "prompts": len(found),
        "distinct": len(np.unique(found)),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 1),
        "peak_mb": round(used.ru_maxrss / 1024),
        "disk_mb": round(size / 1e6),
    }


def learned(texts: list[str]) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    trainer = trainers.BpeTrainer(vocab_size=30_000, initial_alphabet=ALPHABET, show_progress=False)
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def published(file: Path) -> Tokenizer:
    """The tokenizer of a vocabulary in tiktoken's form: a token in base64 and its rank a line."""
    letters = _letters()
    lines = (line.split() for line in file.read_text().splitlines() if line.strip())
    ranks = {base64.b64decode(token): int(rank) for token, rank in lines}
    merges: list[tuple[int, int, int]] = []
    for token, rank in ranks.items():
        cuts = ((ranks.get(token[:i]), ranks.get(token[i:])) for i in range(1, len(token)))
        merges += sorted((rank, a, b) for a, b in cuts if a is not None and b is not None)
    text = {rank: "".join(letters[byte] for byte in token) for token, rank in ranks.items()}
    vocabulary = {word: rank for rank, word in text.items()}
    model = models.BPE(vocabulary, [(text[a], text[b]) for _, a, b in sorted(merges)], ignore_merges=True)
    tokenizer = Tokenizer(model)
    split = pre_tokenizers.Split(Regex(SPLIT), behavior="isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(False, use_regex=False)])
    return tokenizer


def _letters() -> list[str]:
    """The letter that stands for each byte in a byte-level vocabulary."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in plain else chr(next(others)) for byte in range(256)]


def packing(config: Config, folder: Path, count: int, ranks: Path | None) -> dict[str, float]:
    briefs = [row for rows in seeds.subcategories(config).values() for row in rows]

    def rows() -> Iterator[dict]:
        for n in range(count):
            row = briefs[n % len(briefs)]
            prompt = f"{row['name']}: {row['brief']} ({n})"
            html = compose(prompt, n)
            fixed = {"group": "g", "kind": "tree", "extracted": "document", "maker": "procedural", "request": "r"}
            yield {"id": f"g/{n}", "prompt": prompt, "html": html, "answer": f"A page.\n```html\n{html}\n```", **fixed}

    tables.write(folder / "pages.parquet", PAGE, rows())
    texts = [f"{row['prompt']}\n\nA page.\n\n{row['html']}" for row in tables.rows(folder / "pages.parquet")]
    size = sum(len(text.encode()) for text in texts) / 1e6
    tokenizer = published(ranks) if ranks else learned(texts[:500])
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    assert tokenizer.decode(tokenizer.encode(texts[0]).ids) == texts[0]
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    alone = tokens.read(folder)
    start = time.process_time()
    for at in range(0, count, pack.BATCH):
        alone.encode_batch_fast(texts[at : at + pack.BATCH], add_special_tokens=False)
    limit = size / (time.process_time() - start)
    start = time.process_time()
    ledger = pack.run(config, folder / "pages.parquet", folder, folder / "one.idx")
    one = size / (time.process_time() - start)
    start = time.perf_counter()
    pack.run(config, folder / "pages.parquet", folder, folder / "all.idx", CORES)
    every = size / (time.perf_counter() - start)
    assert (folder / "one.bin").read_bytes() == (folder / "all.bin").read_bytes() and ledger.counts["ok"] == count
    made = (folder / "one.bin").stat().st_size // (2 if tokenizer.get_vocab_size() < 65_500 else 4)
    return {
        "pages": count,
        "mb": round(size, 1),
        "vocabulary": tokenizer.get_vocab_size(),
        "tokens": made,
        "bytes_a_token": round(size * 1e6 / made, 2),
        "tokenizer_mb_s_a_core": round(limit, 2),
        "pack_mb_s_a_core": round(one, 2),
        f"pack_mb_s_on_{CORES}_processes": round(every, 2),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="?", choices=("prompts", "pack"))
    parser.add_argument("--quick", action="store_true", help="125,000 prompts, 300 pages")
    parser.add_argument("--ranks", type=Path, help="vocabulary in tiktoken's form")
    parser.add_argument("--pages", type=int, default=4000, help="pages that are packed (4,000)")
    args = parser.parse_args()
    few = {"tree": {"roots": ["games-play", "retail-commerce"]}, "prompts": {"per_leaf": 20, "shards": 1}}
    overlay = {"cpt": few} if args.quick else {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "overlay.yaml").write_text(yaml.safe_dump(overlay))
        config = configs.load([Path("config.yaml"), folder / "overlay.yaml"])
        configs.write(config, folder / "config.yaml")
        if args.what in ("prompts", None):
            print(json.dumps({"prompts": prompts(config, folder / "config.yaml", folder)}), flush=True)
        if args.what in ("pack", None):
            pages = 300 if args.quick else args.pages
            print(json.dumps({"pack": packing(config, folder, pages, args.ranks)}), flush=True)


if __name__ == "__main__":
    main()
