"""Fill-in-the-middle: a page cut in three, so that the model learns to write what stands between two parts.

The cuts are two places of the text drawn evenly (so a part may be empty), the order is prefix, suffix, middle (PSM)
or suffix, prefix, middle (SPM), and each part is tokenised by itself, as an editor will hand them over. The marks are
the base model's own; nothing is added to a vocabulary. Source: Bavarian et al. 2022, "Efficient Training of Language
Models to Fill in the Middle" (documents cut before packing, by characters; the SPM that keeps PSM's marks).
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from tokenizers import Tokenizer

from artifactscoder.errors import UserError

# What base models call the three marks: before the prefix, before the suffix, before the middle.
NAMES = (
    ("<|fim_prefix|>", "<|fim_suffix|>", "<|fim_middle|>"),  # Qwen2.5-Coder, Qwen3, CodeGemma
    ("<fim_prefix>", "<fim_suffix>", "<fim_middle>"),  # StarCoder, Granite
    ("<fim-prefix>", "<fim-suffix>", "<fim-middle>"),  # SantaCoder
    ("<[fim-prefix]>", "<[fim-suffix]>", "<[fim-middle]>"),  # Seed-Coder
    ("<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>"),  # DeepSeek-Coder
    ("▁<PRE>", "▁<SUF>", "▁<MID>"),  # Code Llama
)


@dataclass(frozen=True)
class Marks:
    """The ids of the three marks, and how they are written."""

    prefix: int
    suffix: int
    middle: int
    texts: tuple[str, str, str]


def marks(tokenizer: Tokenizer) -> Marks:
    """The marks of a tokenizer; one sentence where it has none."""
    for texts in NAMES:
        ids = [tokenizer.token_to_id(text) for text in texts]
        if None not in ids:
            return Marks(ids[0], ids[1], ids[2], texts)
    raise UserError(
        "the base model's tokenizer has no fill-in-the-middle tokens (such as <|fim_prefix|>); "
        "set cpt.pack.fim_rate to 0 or train.base to a model that knows them"
    )


def order(text: str, marks: Marks, draw: random.Random, spm_rate: float) -> tuple[list[str | int], str]:
    """(parts of the text and marks between them, `psm` or `spm`)."""
    first, second = sorted((draw.randint(0, len(text)), draw.randint(0, len(text))))
    prefix, middle, suffix = text[:first], text[first:second], text[second:]
    if draw.random() < spm_rate:
        return [marks.prefix, marks.suffix, suffix, marks.middle, prefix, middle], "spm"
    return [marks.prefix, prefix, marks.suffix, suffix, marks.middle, middle], "psm"
