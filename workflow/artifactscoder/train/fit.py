"""train/fit: does it fit? Memory of one GPU for each stage of training, and how long the tokens take.

In come the configuration and the shape of a model (its config.json, or a built-in one by its name); out go a table, and
for what does not fit one sentence that says what would, found by trying. Nothing is run. The same check stands before
training on GPUs and in `artifactscoder preflight`.

What is exact: parameters, and the bytes that the engine holds for each. What is estimated, from above: activations,
logits, the layer that is whole for a moment. What is assumed stands in the constants below. GB are 1e9 bytes; a card
sold as 80 GB holds 85, and the difference is for CUDA, NCCL and what the allocator cannot use.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from artifactscoder.config import Config
from artifactscoder.config.trainers import GrpoSettings, TrainerSettings
from artifactscoder.errors import UserError
from artifactscoder.progress import table
from artifactscoder.train import shapes
from artifactscoder.train.shapes import Shape

IMBALANCE = 2.0  # tokens of the busiest GPU over the mean, where experts are dealt
CHUNK = 512  # tokens whose logits verl's fused cross entropy holds at once (FusedLinearForPPO)
SERVER_GB = 4.0  # of vLLM besides weights and cache: 8,192 batched tokens, CUDA graphs
HF_ROWS = 64  # answers that the rollout hfcpu writes at once
ASLEEP_GB = 2.0  # of vLLM while the trainer works: context, graphs, NCCL
DAY = 86_400.0
GB = 1e9


@dataclass(frozen=True)
class Fit:
    """Bytes on the fullest GPU, and on the host of a node; `server` and `cache` are the rollout's (GRPO)."""

    stage: str
    nodes: int
    gpus: int
    engine: str
    weights: float
    gradients: float
    optimiser: float
    layer: float  # parameters and gradients that are whole for a moment
    activations: float
    logits: float
    peak: float  # of the fuller phase
    room: float
    host: float
    cache: float = 0.0
    cached: int = 0  # tokens that the cache holds
    trouble: str = ""

    @property
    def fits(self) -> bool:
        return not self.trouble


def fit(shape: Shape, s: TrainerSettings, stage: str) -> Fit:
    """What one GPU must hold, as `s` says."""
    states = _megatron(shape, s) if s.engine == "megatron" else _fsdp2(shape, s)
    weights, gradients, optimiser, layer = states
    activations, logits = _activations(shape, s), _logits(shape, s)
    held = weights + gradients + optimiser
    # At the last layer all activations are there, and either its logits or what a layer recomputes.
    stored, working = activations
    peak = held + layer + stored + max(logits, working)
    found = Fit(
        stage=stage,
        nodes=s.nodes,
        gpus=s.world_size,
        engine=s.engine + (", host" if s.on_host else ""),
        weights=weights,
        gradients=gradients,
        optimiser=optimiser,
        layer=layer,
        activations=stored + working,
        logits=logits,
        peak=peak,
        room=s.gpu_gb * GB,
        host=_host(shape, s),
    )
    if isinstance(s, GrpoSettings):
        return _with_rollout(shape, s, found, held)
    return replace(found, trouble=_shape_trouble(shape, s) or _over(found, ""))


def _fsdp2(shape: Shape, s: TrainerSettings) -> tuple[float, float, float, float]:
    """Masters, gradients and Adam's moments in fp32, each GPU a part: 16 bytes a parameter (Rajbhandari et al. 2020,
    ZeRO, section 3.1, here with fp32 gradients and bf16 copies that live for one layer).

    Whole for a moment, as they are used: two layers (one is fetched ahead), embedding and head, and one layer's
    gradient, which is reduced in fp32.
    """
    part = 0.0 if s.on_host else shape.parameters / s.world_size
    used, ends = _bytes(s), (1 if shape.tied else 2) * shape.embedding
    return 4 * part, 4 * part, 8 * part, used * (3 * shape.layer + ends) + 4 * shape.layer


def _megatron(shape: Shape, s: TrainerSettings) -> tuple[float, float, float, float]:
    """bf16 parameters and fp32 gradients of what this GPU computes, and its part of masters and moments: 6 + 12 / d
    bytes a parameter (Megatron Core, distributed optimizer), where d counts the GPUs that hold the same parameters.
    """
    split, world = s.megatron, s.world_size
    experts = shape.experts_all / (split.expert * split.pipeline)
    ends = shape.embedding if split.pipeline > 1 or shape.tied else 2 * shape.embedding
    between = shape.layers * shape.layer - shape.experts_all
    dense = (between / split.pipeline + ends) / split.tensor
    copies_dense = world / (split.tensor * split.pipeline)
    copies_experts = world / (split.expert * split.pipeline)
    optimiser = 0.0 if s.on_host else 12 * (dense / copies_dense + experts / copies_experts)
    return 2 * (dense + experts), 4 * (dense + experts), optimiser, 0.0


def _bytes(s: TrainerSettings) -> int:
    """Of a number in the forward pass."""
    return 2 if s.precision == "bf16" else 4


def _activations(shape: Shape, s: TrainerSettings) -> tuple[float, float]:
    """(what the forward pass keeps, what one layer needs when it is computed again, with its gradients).

    Kept with recomputation: the input of each layer, 2 bytes x tokens x hidden x layers, over the GPUs that share a
    sequence (Korthikanti et al. 2022, section 5, "full activation recomputation"). In a pipeline the first stage keeps
    those of as many micro batches as there are stages, which is the same. Of one layer: the norms' inputs in fp32 and
    outputs twice (of q and k too where they have norms), q, k, v, attention's output twice, gate, up, their product and
    its activation; gradients as much again. Experts see each token several times; the busiest GPU sees IMBALANCE times
    the mean.
    """
    tokens = s.tokens_per_gpu / (s.megatron.tensor if s.engine == "megatron" else 1)
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    used = shape.experts_used or 1
    busy = IMBALANCE if s.engine == "megatron" and s.megatron.expert > 1 else 1.0
    inner = used * busy * (4 * shape.width + (2 * shape.hidden if shape.experts else 0))
    layer = _bytes(s) * tokens * (8 * shape.hidden + 3 * q + 2 * kv + 3 * (q + kv) * shape.qk_norm + inner)
    kept = _bytes(s) * tokens * shape.hidden if s.gradient_checkpointing else layer
    return shape.layers * kept, 2 * layer


def _logits(shape: Shape, s: TrainerSettings) -> float:
    """Logits and their gradients: twice on FSDP2 (flash-attn's cross entropy works in place); on Megatron bf16, fp32
    and bf16 again, over the GPUs that share the vocabulary. Fused kernels hold CHUNK tokens, three times in fp32."""
    if s.fused_kernels:
        return CHUNK * shape.vocab * 12.0
    if s.engine == "megatron":
        return s.tokens_per_gpu * shape.vocab * 8.0 / s.megatron.tensor
    return s.tokens_per_gpu * shape.vocab * 2.0 * _bytes(s)


def _host(shape: Shape, s: TrainerSettings) -> float:
    """Host memory of a node [bytes], from what is kept there: masters and moments (12 bytes a parameter), gradients too
    where the optimiser works there (16), in GRPO the reference model and, on Megatron, copies in bf16.

    FSDP2 loads the whole model in fp32 in one process; in each where embeddings are tied (verl makes no empty model).
    """
    part = shape.parameters / s.nodes
    away, reference = (s.offload, s.kl_coefficient > 0) if isinstance(s, GrpoSettings) else (False, False)
    kept = 16 * part if s.on_host else 12 * part if away else 0.0
    if s.engine == "megatron":
        return kept + _megatron(shape, s)[0] * s.gpus_per_node * away * (1 + reference)
    loading = 4 * shape.parameters * (s.gpus_per_node if shape.tied else 1)
    return max(loading, kept + 2 * part * reference)


def _with_rollout(shape: Shape, s: GrpoSettings, found: Fit, held: float) -> Fit:
    """GRPO's phases: sampling beside what the trainer leaves on the GPU, then the update beside a server asleep."""
    longest = s.max_prompt_tokens + s.max_response_tokens
    if s.rollout == "hfcpu":  # never asleep, and a cache as long as its answers
        kept = HF_ROWS * longest * shape.kv_bytes
        beside = replace(found, peak=found.peak + 2 * shape.parameters + kept, cache=kept, cached=HF_ROWS * longest)
        return replace(beside, trouble=_shape_trouble(shape, s) or _over(beside, ""))
    share = s.gpu_memory * s.gpu_gb * GB
    cache = share - 2 * shape.parameters / s.tensor_parallel - SERVER_GB * GB
    each = shape.kv_bytes / min(s.tensor_parallel, shape.kv_heads)
    cached = max(0, int(cache / each))
    sampling = share + (0.0 if s.offload else held)
    asleep = found.peak + ASLEEP_GB * GB
    found = replace(found, peak=max(sampling, asleep), cache=max(cache, 0.0), cached=cached)
    trouble = _shape_trouble(shape, s)
    if not trouble and shape.heads % s.tensor_parallel:
        trouble = f"tensor_parallel {s.tensor_parallel} does not divide the {shape.heads} heads of {shape.name}"
    if not trouble and shape.positions and longest > shape.positions:
        trouble = f"{shape.name} takes {shape.positions} tokens, and a prompt and its answer may have {longest}"
    if not trouble and cached < longest:
        trouble = (
            f"the rollout's {share / GB:.0f} GB of each GPU leave room for {cached} tokens of cache, "
            f"and one answer may need {longest}"
        )
    return replace(found, trouble=trouble or _over(found, " while it samples" if sampling > asleep else ""))


def _shape_trouble(shape: Shape, s: TrainerSettings) -> str:
    """What the engine cannot split."""
    split = s.megatron
    if s.engine == "fsdp2":
        if shape.heads % s.sequence_parallel:
            return f"sequence_parallel {s.sequence_parallel} does not divide the {shape.heads} heads of {shape.name}"
        return ""
    if shape.heads % split.tensor or shape.layers % split.pipeline:
        return f"megatron.tensor or pipeline does not divide the heads or layers of {shape.name}"
    if split.expert > 1 and (not shape.experts or shape.experts % split.expert):
        return f"megatron.expert is {split.expert}, and {shape.name} has {shape.experts or 'no'} experts"
    return ""


def _over(found: Fit, when: str) -> str:
    if found.peak <= found.room:
        return ""
    return f"it needs {found.peak / GB:.0f} GB{when} and a GPU has {found.room / GB:.0f}"


# What would fit


def remedies(s: TrainerSettings, shape: Shape) -> Iterator[dict[str, Any]]:
    """Changes that save memory, the cheapest first."""
    if not s.fused_kernels:
        yield {"fused_kernels": True}
    if not s.gradient_checkpointing:
        yield {"gradient_checkpointing": True}
    if isinstance(s, GrpoSettings):
        yield from ({"tensor_parallel": n} for n in (2, 4, 8) if n > s.tensor_parallel)
        if not s.offload:
            yield {"offload": True}
    if s.engine == "fsdp2":
        for n in (2, 4, 8):
            if n > s.sequence_parallel:
                tokens = -(-s.tokens_per_gpu * s.sequence_parallel // n)
                yield {"sequence_parallel": n, "tokens_per_gpu": tokens}
    if s.engine == "megatron":
        yield from ({"megatron": s.megatron.model_dump() | {"tensor": n}} for n in (2, 4, 8) if n > s.megatron.tensor)
    if not s.on_host:
        yield {"offload_optimizer" if isinstance(s, GrpoSettings) else "offload": True}
    if s.engine == "megatron" and not shape.experts:
        yield {"engine": "fsdp2"} | ({"router_replay": "none"} if isinstance(s, GrpoSettings) else {})
    if s.engine == "fsdp2" and shape.experts:
        yield {"engine": "megatron", "megatron": s.megatron.model_dump() | {"expert": s.gpus_per_node}}
    yield from ({"nodes": n} for n in (2, 4, 8, 16) if n > s.nodes)


def advice(shape: Shape, s: TrainerSettings, stage: str) -> str:
    """The smallest change that fits, in words; two together where one is not enough."""
    offers = list(remedies(s, shape))
    pairs = (a | b for a, b in itertools.combinations(offers, 2) if not a.keys() & b.keys())
    for change in itertools.chain(offers, pairs):
        if (changed := _changed(s, change)) is not None and fit(shape, changed, stage).fits:
            return _words(change, s)
    return ""


def _changed(s: TrainerSettings, change: dict[str, Any]) -> TrainerSettings | None:
    """The settings with a change, none where they contradict themselves then."""
    try:
        return type(s).model_validate(s.model_dump() | change)
    except ValidationError:
        return None


def _words(change: dict[str, Any], s: TrainerSettings) -> str:
    """A change as it would stand in the configuration."""
    split, said = s.megatron.model_dump(), []
    for key, value in change.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        if key == "megatron":
            text = "{" + ", ".join(f"{k}: {v}" for k, v in value.items() if v != split[k]) + "}"
        said.append(f"{key}: {text}")
    return ", ".join(said)


def refusal(shape: Shape, s: TrainerSettings, stage: str) -> str:
    """One sentence where training cannot fit, nothing where it can."""
    found = fit(shape, s, stage)
    if found.fits:
        return ""
    would = advice(shape, s, stage)
    nodes = f"{s.nodes} node{'s'[: s.nodes > 1]} of {s.gpus_per_node} GPU{'s'[: s.gpus_per_node > 1]}"
    remedy = f"train.{stage} fits with {would}" if would else "no setting tried here makes it fit: take a smaller model"
    return f"train.{stage} of {shape.name} does not fit {nodes}: {found.trouble}; {remedy}"


def must_fit(model: Path, s: TrainerSettings, stage: str) -> None:
    """Before training on GPUs: raise UserError where they cannot hold it; a model of another type is let through."""
    if s.device == "cpu":
        return
    try:
        shape = shapes.of(model)
    except shapes.UnknownError as error:
        print(f"{stage}: memory is not checked: {error}", file=sys.stderr, flush=True)
        return
    if words := refusal(shape, s, stage):
        raise UserError(words)


# The table


def stages(config: Config) -> dict[str, TrainerSettings]:
    """Name and settings of each trainer of the configuration that runs on GPUs."""
    named = ((name, getattr(config.train, name)) for name in type(config.train).model_fields)
    return {name: s for name, s in named if isinstance(s, TrainerSettings) and s.device == "cuda"}


def run(config: Config, model: str, nodes: list[int], tokens: float, length: int, tflops: float, as_json: bool) -> int:
    """Print the table of `model` (default: the base) for `nodes` (default: as configured), with the days that `tokens`
    tokens take in documents of `length` (0: of the longest). Raises UserError after it for what does not fit.
    """
    shape = shapes.of(Path(model) if model else config.train.base)
    cases: list[tuple[str, TrainerSettings]] = []
    for stage, settings in stages(config).items():
        for count in nodes or [settings.nodes]:
            changed = _changed(settings, {"nodes": count})
            if changed is None:
                raise UserError(f"train.{stage} cannot be split over {count} nodes; correct its batch or its engine")
            cases.append((stage, changed))
    if not cases:
        raise UserError("all training of this configuration runs on CPUs (device: cpu); no GPU has to hold it")
    found = [fit(shape, settings, stage) for stage, settings in cases]
    days = [None if isinstance(s, GrpoSettings) else _days(shape, s, tokens, length, tflops) for _, s in cases]
    if as_json:
        rows = [vars(f) | {"fits": f.fits, "days": d} for f, d in zip(found, days, strict=True)]
        print(json.dumps({"model": shape.name, "parameters": shape.parameters, "stages": rows}, indent=1))
    else:
        print("\n".join(_lines(shape, found, days)))
        documents = f"documents of {length} tokens" if length else "the longest documents"
        print(
            f"days: {tokens / 1e9:g} billion tokens in {documents}, at an assumed {tflops:g} TFLOP/s a GPU; what is "
            "computed again does not count."
        )
    if refused := [words for stage, s in cases if (words := refusal(shape, s, stage))]:
        raise UserError("\n".join(refused))
    return 0


def _days(shape: Shape, s: TrainerSettings, tokens: float, length: int, tflops: float) -> float:
    """Days of `tokens` tokens at `tflops` TFLOP/s of each GPU; attention sees the document, of `length` tokens."""
    each = shape.operations(length or getattr(s, "max_tokens", s.tokens_per_gpu))
    return tokens * each / (s.world_size * tflops * 1e12) / DAY


def _lines(shape: Shape, found: list[Fit], days: list[float | None]) -> Iterator[str]:
    active = f", {shape.multiplied / 1e9:.2f} multiplied with a token" if shape.experts else ""
    yield f"{shape.name}: {shape.parameters / 1e9:.2f} billion parameters{active}. GB of the fullest GPU:"
    head = "stage nodes engine weights gradients optimiser layer activations logits peak of cache host/node days fits"
    rows = [head.split()]
    for f, day in zip(found, days, strict=True):
        sizes = (f.weights, f.gradients, f.optimiser, f.layer, f.activations, f.logits, f.peak, f.room)
        cache = f"{f.cache / GB:.0f} ({f.cached // 1000}k)" if f.cache else "-"
        rows.append(
            [f.stage, str(f.nodes), f.engine, *(f"{size / GB:.1f}" for size in sizes), cache]
            + [f"{f.host / GB:.0f}", "-" if day is None else f"{day:.1f}", "yes" if f.fits else "NO"]
        )
    yield from table(rows, left={0, 2})
    yield (
        "peak: states, the whole layer, and what activations and logits need at once; grpo: or the rollout's share, if "
        "that is more.\ncache: of the rollout's keys and values, GB (tokens). host/node: memory of each node."
    )
