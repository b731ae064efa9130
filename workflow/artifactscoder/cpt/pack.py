"""cpt/pack: pages as tokens, in the files that training reads (indexed.py).

In: the pages that dedup kept. Out: SHARD.bin, the tokens of all documents one after another without padding, and
SHARD.idx, where each document begins; so a window of any length is a slice, attention can be kept inside documents,
and every token stands in one window. A document is its prompt, the introduction that came with it, and the page,
ended by the tokenizer's end token. With `fim_rate` some pages are written as fill-in-the-middle (fim.py) behind their
prompt and introduction, drawn by the configuration's seed and the page's id.

A page that spells a control token (`<|endoftext|>`) means its letters: it is tokenised as text, and no page can end
its document early. Secrets and personal data are masked here (html/mask.py; `mask: false` leaves them), where the
training text is put together; the ledger says how many, and which tokenizer it was.

Tokenised in several processes, for masking is Python; the tokenizer is the limit (docs/performance.md).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import re
import signal
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from artifactscoder import indexed, tables
from artifactscoder.config import Config
from artifactscoder.cpt import fim
from artifactscoder.errors import UserError
from artifactscoder.guard import PR_SET_PDEATHSIG, prctl
from artifactscoder.html import mask, tokens
from artifactscoder.html.extract import introduction
from artifactscoder.ledger import Ledger, Usage, beside
from artifactscoder.progress import Progress
from artifactscoder.tables import Row

COLUMNS = ["id", "prompt", "html", "answer"]
BATCH = 64
AHEAD = 3  # batches a process that are read while it works

Parts = list[str | int]  # of a document: text, and control tokens by id
Packed = list[tuple[str, NDArray[np.int32], str]]  # id, tokens, detail for the ledger


def run(config: Config, input: Path, model: Path, output: Path, processes: int = 1) -> Ledger:
    """Tokenise the pages of `input` with the tokenizer of `model`; `output` is the index."""
    name = output.with_suffix("")
    encoder = Encoder(config, model)
    vocabulary = max(encoder.tokenizer.get_vocab().values()) + 1
    known = {"vocabulary": str(vocabulary), "end_token": str(encoder.end), "tokenizer": tokens.digest(model)}
    ledger = Ledger(beside(name), known)
    progress = Progress(f"cpt/pack {name.name}", tables.count(input))
    with indexed.Writer(name, vocabulary) as writer:
        for part in _encoded(config, model, encoder, input, processes):
            for id_, ids, detail in part:
                writer.add(ids)
                ledger.enter([id_])
                ledger.leave(id_, "ok", detail=detail, usage=Usage(tokens_out=len(ids)))
                progress.step(f", {writer.tokens:,} tokens")
        ledger.close()  # first: tokens that are there always have their accounts beside them
    progress.end(f"{ledger.summary()}, {writer.tokens:,} tokens")
    return ledger


class Encoder:
    """Rows to tokens; a process makes its own."""

    def __init__(self, config: Config, model: Path) -> None:
        self.settings, self.masked, self.seed = config.cpt.pack, config.mask, config.seed
        self.tokenizer = tokens.read(model)
        self.tokenizer.encode_special_tokens = True  # what a page spells is text
        self.end = end_token(self.tokenizer)
        self.marks = fim.marks(self.tokenizer) if self.settings.fim_rate else None
        # Not every tokenizer calls these special: where a page spells one, it is cut behind the first letter.
        self._control = [self.tokenizer.id_to_token(self.end), *(self.marks.texts if self.marks else ())]
        self._inside = re.compile("|".join(f"(?<={re.escape(t[0])})(?={re.escape(t[1:])})" for t in self._control))

    def __call__(self, rows: list[Row]) -> Packed:
        texts: list[str] = []
        plan: list[tuple[list[int | slice], str]] = []
        for row in rows:
            parts, detail = self.document(row)
            places: list[int | slice] = []
            for part in parts:
                if isinstance(part, str):
                    pieces = self._inside.split(part) if any(text in part for text in self._control) else [part]
                    texts += pieces
                    places.append(slice(len(texts) - len(pieces), len(texts)))
                else:
                    places.append(part)
            plan.append((places, detail))
        encoded = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
        out: Packed = []
        for row, (places, detail) in zip(rows, plan, strict=True):
            ids: list[int] = []
            for place in places:
                if isinstance(place, slice):
                    for found in encoded[place]:
                        ids += found
                else:
                    ids.append(place)
            out.append((row["id"], np.array(ids, np.int32), detail))
        return out

    def document(self, row: Row) -> tuple[Parts, str]:
        """A row as text and control tokens, and what was done to it."""
        lead = [row["prompt"]] if self.settings.include_prompt else []
        lead = [text for text in (*lead, introduction(row["answer"])) if text]
        html, detail = row["html"], []
        if self.masked:
            one = mask.Mask()
            *lead, html = (one.text(text) for text in (*lead, html))
            detail = [mask.detail(one.counts)]
        head = "".join(f"{text}\n\n" for text in lead)
        draw = random.Random(f"{self.seed}/fim/{row['id']}")
        if self.marks is None or draw.random() >= self.settings.fim_rate:
            return [head + html, self.end], "; ".join(filter(None, detail))
        parts, kind = fim.order(html, self.marks, draw, self.settings.fim_spm_rate)
        return [head, *parts, self.end], "; ".join(filter(None, [f"fim: {kind}", *detail]))


def _encoded(config: Config, model: Path, encoder: Encoder, input: Path, processes: int) -> Iterator[Packed]:
    """The rows of a table in its order, tokenised by `processes` processes."""
    batches = tables.batches(input, COLUMNS, BATCH)
    if processes == 1 or tables.count(input) <= BATCH:
        yield from map(encoder, batches)
        return
    fresh = multiprocessing.get_context("spawn")  # a fork would take along locks that a thread of pyarrow holds
    pending: deque[Future[Packed]] = deque()
    try:
        with ProcessPoolExecutor(processes, fresh, _begin, (config, model, os.getpid())) as pool:
            for rows in batches:
                pending.append(pool.submit(_encode, rows))
                if len(pending) > AHEAD * processes:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
    except BrokenProcessPool:
        raise UserError(
            f"a process that tokenises {input} was killed, by lack of memory most likely; "
            "give the job more memory or fewer threads"
        ) from None


_encoder: Encoder | None = None  # of a process of the pool


def _begin(config: Config, model: Path, parent: int) -> None:
    global _encoder
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # a killed step leaves no process behind
    if os.getppid() != parent:
        os._exit(1)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    _encoder = Encoder(config, model)


def _encode(rows: list[Row]) -> Packed:
    assert _encoder is not None
    return _encoder(rows)


def end_token(tokenizer: Tokenizer) -> int:
    """The token that ends a document."""
    for text in ("<|endoftext|>", "<|im_end|>", "</s>", "<eos>"):
        if (token := tokenizer.token_to_id(text)) is not None:
            return token
    raise UserError("the tokenizer has none of the end tokens <|endoftext|>, <|im_end|>, </s>, <eos>")
