"""cpt/pack: pages as token windows ready for training.

In: the pages that dedup kept. Out: one row a window of `length` tokens: `tokens`, the offsets at which documents
begin (`starts`; a window that begins inside a document has no 0), and the ids of the documents in it. A document is
its prompt, the introduction that came with it, and the page, ended by the tokenizer's end token; documents follow
each other without padding, the last window may be shorter. So attention can be kept inside documents, and every token
of every document stands in exactly one window.

Secrets and personal data are masked here (html/mask.py; `mask: false` leaves them), where the training text is put
together; the ledger says how many.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from tokenizers import Tokenizer

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.html import mask, tokens
from artifactscoder.html.extract import introduction
from artifactscoder.ledger import Ledger, Usage, beside
from artifactscoder.progress import Progress
from artifactscoder.tables import Row

WINDOW = pa.schema(
    [("tokens", pa.list_(pa.int32())), ("starts", pa.list_(pa.int32())), ("documents", pa.list_(pa.string()))]
)
COLUMNS = ["id", "prompt", "html", "answer"]


def run(config: Config, input: Path, model: Path, output: Path) -> Ledger:
    """Tokenise and pack the pages of `input` with the tokenizer of `model`."""
    settings = config.cpt.pack
    tokenizer = tokens.load(model)
    end = end_token(tokenizer)
    ledger = Ledger(beside(output))
    progress = Progress(f"cpt/pack {output.stem}", tables.count(input))

    def documents() -> Iterator[tuple[str, list[int]]]:
        for rows in tables.batches(input, COLUMNS, 64):
            masks = [mask.Mask() for _ in rows]
            texts = [document(row, settings.include_prompt) for row in rows]
            if config.mask:
                texts = [one.text(text) for one, text in zip(masks, texts, strict=True)]
            encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
            for row, encoding, one in zip(rows, encoded, masks, strict=True):
                ids = [*encoding.ids, end]
                ledger.enter([row["id"]])
                ledger.leave(row["id"], "ok", detail=mask.detail(one.counts), usage=Usage(tokens_out=len(ids)))
                progress.step()
                yield row["id"], ids

    with tables.Writer(output, WINDOW) as writer:
        for window in windows(documents(), settings.length):
            writer.write(window)
        ledger.close()
    progress.end(f"{ledger.summary()}, {writer.rows} windows")
    return ledger


def document(row: Row, include_prompt: bool) -> str:
    """The training text of a page."""
    parts = [row["prompt"]] if include_prompt else []
    parts.append(introduction(row["answer"]))
    parts.append(row["html"])
    return "\n\n".join(part for part in parts if part)


def windows(documents: Iterator[tuple[str, list[int]]], length: int) -> Iterator[Row]:
    """Windows of `length` tokens over the documents in their order."""
    buffer: list[int] = []
    starts: list[int] = []
    inside: list[str] = []
    for id_, ids in documents:
        starts.append(len(buffer))
        inside.append(id_)
        buffer += ids
        while len(buffer) >= length:
            yield {
                "tokens": buffer[:length],
                "starts": [start for start in starts if start < length],
                "documents": inside,
            }
            buffer = buffer[length:]
            starts = [start - length for start in starts if start >= length]
            inside = [id_] if buffer else []
    if buffer:
        yield {"tokens": buffer, "starts": starts, "documents": inside}


def end_token(tokenizer: Tokenizer) -> int:
    """The token that ends a document."""
    for text in ("<|endoftext|>", "<|im_end|>", "</s>", "<eos>"):
        if (token := tokenizer.token_to_id(text)) is not None:
            return token
    raise UserError("the tokenizer has none of the end tokens <|endoftext|>, <|im_end|>, </s>, <eos>")
