"""Counting tokens with the model's own tokenizer (never by a factor on characters)."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from artifactscoder.errors import UserError


@lru_cache(maxsize=4)
def load(model: Path) -> Tokenizer:
    """The tokenizer of a model folder in HF format (its `tokenizer.json`), one for all that count with it."""
    return read(model)


def file_of(model: Path) -> Path:
    """The `tokenizer.json` of a model folder."""
    path = Path(model)
    file = path / "tokenizer.json" if path.is_dir() else path
    if not file.is_file():
        raise UserError(
            f"there is no tokenizer.json in {path}; set train.base to a model folder in Hugging Face format"
        )
    return file


def read(model: Path) -> Tokenizer:
    """A tokenizer of one's own, whose properties may be set."""
    file = file_of(model)
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception
        raise UserError(f"{file} is not a tokenizer that can be read: {error}") from None


def digest(model: Path) -> str:
    """Twelve hex digits that name a tokenizer."""
    return hashlib.sha256(file_of(model).read_bytes()).hexdigest()[:12]


def count(tokenizer: Tokenizer, texts: list[str]) -> list[int]:
    """Tokens of each text, special tokens of the text itself included, none added."""
    return [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
