"""train/tiny_model: a random model of about a million parameters with a vocabulary of its own.

In come texts (pages of a few KB and their requests); out goes a Hugging Face folder: a Qwen3 with random
weights, a byte-level BPE learned from the texts, a chat template, and `manifest.json`. It lets the demo and
the tests run the real trainers on a CPU in a minute; it is no model to use.

Pages that were composed from parts consist of a few hundred lines that recur. Each line that is frequent in the
texts is therefore one token; what is left between them (titles, texts, values, requests) goes through a small
byte-level BPE, so any text passes. A page of 80 lines is then about 110 tokens instead of 1,500, and what the model
must learn is which line follows which: it writes complete pages after a minute of training.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from artifactscoder.config.trainers import TinyModelSettings
from artifactscoder.errors import UserError
from artifactscoder.train import runs

PAD, START, END = "<|endoftext|>", "<|im_start|>", "<|im_end|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    f"{START}{{{{ message['role'] }}}}\n{{{{ message['content'] }}}}{END}\n"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{START}assistant\n{{% endif %}}"
)


def frequent_lines(texts: list[str], count: int, limit: int) -> list[str]:
    """Lines (with their line end) that occur at least `count` times, the most frequent first, at most `limit`."""
    counts = Counter(line for text in texts for line in text.splitlines(True))
    common = [(-n, line) for line, n in counts.items() if n >= count and len(line) > 1]
    return [line for _, line in sorted(common)[:limit]]


def make(texts: Iterable[str], output: Path, settings: TinyModelSettings) -> None:
    """Write the model folder `output`; raises UserError if there is no text to learn a vocabulary from."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

    kept = list(texts)
    if not any(kept):
        raise UserError("the tiny model has no texts to learn a vocabulary from; give it the pages of the SFT table")
    lines = frequent_lines(kept, settings.line_count, settings.vocab // 2)
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.vocab - len(lines),
        min_frequency=2,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    known = set(lines)
    rest = ("".join(line for line in text.splitlines(True) if line not in known) for text in kept)
    bpe.train_from_iterator(rest, trainer)
    bpe.add_tokens([AddedToken(line, normalized=False) for line in lines])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=[START],
        clean_up_tokenization_spaces=False,
        model_max_length=settings.max_positions,
    )
    tokenizer.chat_template = CHAT_TEMPLATE

    torch.manual_seed(settings.seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=settings.hidden,
        intermediate_size=settings.hidden * 3,
        num_hidden_layers=settings.layers,
        num_attention_heads=settings.heads,
        num_key_value_heads=settings.kv_heads,
        head_dim=settings.hidden // settings.heads,
        max_position_embeddings=settings.max_positions,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = Qwen3ForCausalLM(config).float()
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id

    output.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output)
    tokenizer.save_pretrained(output)
    runs.write_manifest(
        output / "manifest.json",
        {
            "step": "tiny_model",
            "texts": len(kept),
            "texts_sha256": hashlib.sha256("\0".join(kept).encode()).hexdigest(),
            "vocab": len(tokenizer),
            "lines": len(lines),
            "parameters": sum(p.numel() for p in model.parameters()),
            "settings": settings.model_dump(mode="json"),
            "versions": runs.versions(),
        },
    )
