"""The shape of a model: what its config.json says of sizes, and how many parameters and operations follow from it.

Read from a model's folder; where the folder is not here yet, from `shapes.json`, which holds the public shapes of a few
models by name. Only architectures whose parameters are counted to the last one are taken; another is one sentence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from artifactscoder.errors import UserError

KNOWN = Path(__file__).with_name("shapes.json")
QKV_BIAS, QK_NORM, EXPERTS = {"qwen2"}, {"qwen3", "qwen3_moe"}, {"qwen3_moe"}
TYPES = {"llama", "qwen2", "qwen3", "qwen3_moe"}


class UnknownError(UserError):
    """An architecture whose parameters are not counted here."""


@dataclass(frozen=True)
class Shape:
    """Sizes of a decoder; `experts` is 0 for a dense one, `width` the inner width of an MLP or of one expert."""

    name: str
    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    width: int
    vocab: int
    tied: bool
    experts: int = 0
    experts_used: int = 0
    qkv_bias: bool = False
    qk_norm: bool = False
    positions: int = 0

    @property
    def attention(self) -> int:
        """Parameters of a layer besides its MLP: q, k, v, o, their biases and norms, and the layer's two norms."""
        q, kv = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return (
            2 * self.hidden * (q + kv)
            + (q + 2 * kv) * self.qkv_bias
            + 2 * self.head_dim * self.qk_norm
            + 2 * self.hidden
        )

    @property
    def expert(self) -> int:
        """Parameters of one gated MLP: gate, up and down."""
        return 3 * self.hidden * self.width

    @property
    def experts_all(self) -> int:
        """Parameters of all experts of all layers."""
        return self.layers * self.experts * self.expert

    @property
    def layer(self) -> int:
        router = self.experts * self.hidden
        return self.attention + (self.experts or 1) * self.expert + router

    @property
    def embedding(self) -> int:
        return self.vocab * self.hidden

    @property
    def parameters(self) -> int:
        return self.layers * self.layer + (1 if self.tied else 2) * self.embedding + self.hidden

    @property
    def multiplied(self) -> int:
        """Parameters that one token is multiplied with: a lookup in the embedding is none, an idle expert neither."""
        inner = (self.experts_used or 1) * self.expert + self.experts * self.hidden
        return self.layers * (self.attention + inner) + self.embedding

    def operations(self, length: float) -> float:
        """FLOPs of forward and backward for one token of a sequence of `length` tokens, nothing computed twice.

        6 for each parameter multiplied with (Kaplan et al. 2020, section 2.1), and attention's two products over half
        of the sequence on average, 12 * layers * heads * head_dim * length / 2 (Chowdhery et al. 2022, appendix B,
        whose 12 has no causal half).
        """
        return 6 * self.multiplied + 6 * self.layers * self.heads * self.head_dim * length

    @property
    def kv_bytes(self) -> int:
        """Bytes of one token in a KV cache of bf16."""
        return 2 * 2 * self.layers * self.kv_heads * self.head_dim


def of(model: Path) -> Shape:
    """The shape of a model folder, or of the known model that the folder is named after. Raises UserError."""
    file = model / "config.json"
    if file.is_file():
        try:
            return from_config(model.name, json.loads(file.read_text()))
        except (ValueError, LookupError, TypeError, AttributeError):
            raise UserError(f"{file} does not say how large the model is; download it again") from None
    known = json.loads(KNOWN.read_text())
    for name, values in known.items():
        if model.name.lower().startswith(name.lower()):
            return from_config(name, values)
    raise UserError(f"there is no {file}, and of {', '.join(known)} none is named {model.name}; give a model's folder")


def from_config(name: str, values: dict[str, Any]) -> Shape:
    """A shape from the content of config.json. Raises LookupError and the like where it lacks something."""
    kind = values["model_type"]
    sparse = kind in EXPERTS
    mixed = sparse and (values.get("decoder_sparse_step", 1) != 1 or values.get("mlp_only_layers"))
    if kind not in TYPES or mixed or values.get("attention_bias") or values.get("mlp_bias"):
        raise UnknownError(
            f"{name} is of the type {kind}, not one whose parameters are counted here: {', '.join(sorted(TYPES))}"
        )
    hidden, heads = int(values["hidden_size"]), int(values["num_attention_heads"])
    return Shape(
        name=name,
        layers=int(values["num_hidden_layers"]),
        hidden=hidden,
        heads=heads,
        kv_heads=int(values.get("num_key_value_heads") or heads),
        head_dim=int(values.get("head_dim") or hidden // heads),
        width=int(values["moe_intermediate_size"] if sparse else values["intermediate_size"]),
        vocab=int(values["vocab_size"]),
        tied=bool(values.get("tie_word_embeddings", False)),
        experts=int(values["num_experts"]) if sparse else 0,
        experts_used=int(values["num_experts_per_tok"]) if sparse else 0,
        qkv_bias=kind in QKV_BIAS,
        qk_norm=kind in QK_NORM,
        positions=int(values.get("max_position_embeddings") or 0),
    )
