"""The memory calculator against sums by hand and against real models; what it refuses, and that its advice fits."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from typing import Any

import pytest

from artifactscoder import cli
from artifactscoder import config as configs
from artifactscoder.config.trainers import GrpoSettings, MegatronSettings, SftSettings, TinyModelSettings
from artifactscoder.errors import UserError
from artifactscoder.train import engines, fit, shapes

DENSE = shapes.of(Path("models/Qwen2.5-Coder-7B-Instruct"))
SPARSE = shapes.of(Path("models/Qwen3-Coder-30B-A3B-Instruct"))
GB = 1e9


@pytest.mark.parametrize("name", json.loads(shapes.KNOWN.read_text()))
def test_parameters_are_those_of_the_model_that_transformers_builds(name: str) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoConfig, AutoModelForCausalLM

    values = json.loads(shapes.KNOWN.read_text())[name]
    config = AutoConfig.for_model(**values)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(p.numel() for p in model.parameters()) == shapes.from_config(name, values).parameters


def test_the_published_counts() -> None:
    assert DENSE.parameters == 7_615_616_512 and SPARSE.parameters == 30_532_122_624
    # 48 layers of attention (18.9 M), router and 8 of 128 experts (4.7 M each), and the head: "3.3 billion active"
    # counts the embedding too, which is looked up and not multiplied with.
    assert SPARSE.multiplied + SPARSE.embedding == pytest.approx(3.35e9, rel=0.01)


def test_a_model_folder_is_read_and_a_tiny_one_is_counted_exactly(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from artifactscoder.train import tiny_model

    tiny_model.make(["<p>page</p>"], tmp_path / "model", TinyModelSettings(vocab=640, layers=2, hidden=32, heads=2))
    counted = json.loads((tmp_path / "model/manifest.json").read_text())["parameters"]
    assert shapes.of(tmp_path / "model").parameters == counted
    (tmp_path / "model/config.json").write_text("{}")
    with pytest.raises(UserError, match="does not say how large"):
        shapes.of(tmp_path / "model")
    (tmp_path / "model/config.json").write_text('{"model_type": "mamba"}')
    with pytest.raises(shapes.UnknownError, match="mamba"):
        shapes.of(tmp_path / "model")
    with pytest.raises(UserError, match="give a model's folder"):
        shapes.of(tmp_path / "nothing")


def test_fsdp2_holds_sixteen_bytes_a_parameter() -> None:
    found = fit.fit(SPARSE, SftSettings(offload=False), "sft")
    held = found.weights + found.gradients + found.optimiser
    assert held == 30_532_122_624 * 16 / 8  # 61 GB of each of 8 GPUs
    assert round(held / GB) == 61
    # One layer is 0.623 billion parameters; two in bf16, a gradient in bf16 and fp32; embedding and head in bf16.
    assert found.layer / GB == pytest.approx(0.6231 * (2 + 2 + 2 + 4) + 2 * 2 * 0.3112, rel=1e-3)
    # 16,640 tokens x 151,936 words, in bf16, and the gradient: 10.1 GB
    assert found.logits == 16_640 * 151_936 * 4
    # Inputs of 48 layers of 2,048 in bf16 are 3.27 GB.
    stored, _ = fit._activations(SPARSE, SftSettings())
    assert stored == 48 * 16_640 * 2048 * 2
    on_host = fit.fit(SPARSE, SftSettings(offload=True), "sft")
    assert on_host.weights == on_host.gradients == on_host.optimiser == 0 and round(on_host.host / GB) == 489


SMALL: dict[str, Any] = {
    "hidden_size": 256, "num_hidden_layers": 1, "num_attention_heads": 8, "num_key_value_heads": 2, "vocab_size": 600,
    "tie_word_embeddings": True,
}  # fmt: skip
SPARSE_SMALL = {"head_dim": 64, "moe_intermediate_size": 96, "intermediate_size": 96, "num_experts": 16}


@pytest.mark.parametrize(
    "values",
    [
        {"model_type": "qwen2", "intermediate_size": 1408},
        {"model_type": "qwen3", "intermediate_size": 768, "head_dim": 32},
        {"model_type": "qwen3_moe", "num_experts_per_tok": 8, **SPARSE_SMALL},
    ],
)
def test_a_layer_keeps_about_what_the_formula_says_and_no_more(values: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.for_model(**SMALL, **values, attn_implementation="sdpa")
    inner = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16).model
    weights = {p.untyped_storage().data_ptr() for p in inner.parameters()}
    tokens, kept = 64, {}

    def keep(tensor: Any) -> Any:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    x, positions = torch.randn(1, tokens, 256, dtype=torch.bfloat16, requires_grad=True), torch.arange(tokens)[None]
    rope = inner.rotary_emb(x, positions)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        inner.layers[0](x, position_embeddings=rope, position_ids=positions, attention_mask=None)
    measured = sum(size for size, _ in kept.values())
    shape = shapes.from_config("small", SMALL | values)
    _, working = fit._activations(shape, SftSettings().model_copy(update={"tokens_per_gpu": tokens}))
    assert 1 <= working / 2 / measured < 1.1  # the other half is for gradients


def test_megatron_holds_what_a_gpu_computes_and_its_part_of_the_optimiser() -> None:
    split = MegatronSettings(tensor=2, expert=8)
    two = fit.fit(SPARSE, SftSettings(engine="megatron", megatron=split, nodes=2, offload=False), "sft")
    # Experts: 28.99 billion over 8 GPUs; the rest, 1.54 billion, over 2. bf16 and fp32 of both.
    experts, dense = 28_991_029_248 / 8, (SPARSE.parameters - 28_991_029_248) / 2
    assert two.weights == pytest.approx(2 * (experts + dense), rel=1e-5)
    assert two.gradients == pytest.approx(4 * (experts + dense), rel=1e-5)
    # Of 16 GPUs 2 hold the same experts and 8 the same of the rest.
    assert two.optimiser == pytest.approx(12 * (experts / 2 + dense / 8), rel=1e-5)
    assert two.logits == 16_640 * 151_936 * 8 / 2
    one = fit.fit(SPARSE, SftSettings(engine="megatron", megatron=split), "sft")
    assert one.optimiser == 0 and round(one.host / GB) == 489


def test_the_rollout_has_what_its_share_leaves_over_for_the_cache() -> None:
    found = fit.fit(SPARSE, GrpoSettings(engine="megatron", megatron=MegatronSettings(expert=8)), "grpo")
    # 0.6 of 80 GB, less a quarter of 61 GB of weights and 4 GB; a token is 48 layers x 2 x 1 head x 128 x 2 bytes.
    assert found.cached == int((48e9 - 2 * SPARSE.parameters / 4 - 4e9) / (48 * 2 * 128 * 2))
    starved = fit.fit(SPARSE, GrpoSettings(gpu_memory=0.24), "grpo")
    assert "room for" in starved.trouble and "one answer may need 18432" in starved.trouble


def test_a_day_is_what_its_operations_take() -> None:
    # 6 x 3.04 billion and 6 x 48 x 4,096 x 16,384 of attention: 37.6 GFLOP a token; 75 billion on 8 x 200 TFLOP/s.
    assert SPARSE.operations(16_384) == 6 * SPARSE.multiplied + 6 * 48 * 32 * 128 * 16_384
    assert fit._days(SPARSE, SftSettings(), 75e9, 0, 200) == pytest.approx(
        75e9 * 37.58e9 / (8 * 200e12) / 86_400, rel=1e-3
    )


@pytest.mark.parametrize(
    ("shape", "settings", "why"),
    [
        (
            SPARSE,
            SftSettings(offload=False),
            "it needs 82 GB and a GPU has 80; train.sft fits with fused_kernels: true",
        ),
        (SPARSE, GrpoSettings(), "it needs 97 GB and a GPU has 80; train.grpo fits with sequence_parallel: 4"),
        (
            DENSE,
            SftSettings(offload=False, gpus_per_node=1),
            "1 node of 1 GPU: it needs 140 GB .* fits with offload: true",
        ),
        (DENSE, SftSettings(offload=False, gradient_checkpointing=False), "fits with gradient_checkpointing: true"),
        (
            DENSE,
            SftSettings(engine="megatron", megatron=MegatronSettings(expert=8)),
            "has no experts; .* engine: fsdp2",
        ),
        (SPARSE, GrpoSettings(gpu_memory=0.9, offload=False), "while it samples"),
        (DENSE, GrpoSettings(max_response_tokens=32_000, tokens_per_gpu=40_000), "takes 32768 tokens"),
    ],
)
def test_what_cannot_fit_is_refused_with_what_would(shape: shapes.Shape, settings: Any, why: str) -> None:
    stage = "grpo" if isinstance(settings, GrpoSettings) else "sft"
    words = fit.refusal(shape, settings, stage)
    assert "\n" not in words
    assert re.search(why, words), words


def test_advice_fits_when_it_is_taken() -> None:
    tried = [
        (SPARSE, SftSettings(offload=False, gpu_gb=size, gpus_per_node=gpus))
        for size in (24, 40, 80)
        for gpus in (2, 8)
    ]
    told = 0
    for shape, settings in tried:
        offers = list(fit.remedies(settings, shape))
        if advice := fit.advice(shape, settings, "sft"):
            told += 1
            singles = [o for o in offers if fit._words(o, settings) == advice]
            pairs = [a | b for a in offers for b in offers if fit._words(a | b, settings) == advice]
            changed = fit._changed(settings, (singles + pairs)[0])
            assert changed is not None and fit.fit(shape, changed, "sft").fits
    assert told >= 3


@pytest.mark.parametrize("size", ["", *map(str, sorted(Path("profiles/sizes").glob("*.yaml")))])
def test_every_size_fits_the_gpus_it_names(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    overlay = ["--config", size] if size else []
    assert cli.main(["train", "fit", "--config", "config.yaml", *overlay, "--json"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert [row["stage"] for row in shown["stages"]] == list(fit.stages(configs.load([Path("config.yaml")])))
    assert all(row["fits"] and row["peak"] < 0.9 * row["room"] for row in shown["stages"])


def test_training_that_cannot_fit_is_refused_before_it_starts_and_by_preflight_in_the_same_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from artifactscoder.cluster import checks
    from artifactscoder.cluster.profile import Profile

    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(json.loads(shapes.KNOWN.read_text())["Qwen3-Coder-30B-A3B"]))
    settings = GrpoSettings()
    with pytest.raises(UserError, match="does not fit 1 node of 8 GPUs") as error:
        fit.must_fit(model, settings, "grpo")
    values = configs.load([Path("config.yaml")]).model_dump(mode="json")
    values["train"] |= {"base": str(model), "grpo": settings.model_dump(mode="json")}
    found = list(checks.memory(configs.from_dict(values), Profile(Path("profiles/slurm"))))
    assert [f.detail for f in found if f.mark == "FAIL"] == [str(error.value)]
    assert any(f.mark == "ok" and "train.sft needs" in f.detail for f in found)

    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(json.dumps({"train": values["train"]}))
    assert cli.main(["train", "fit", "--config", "config.yaml", "--config", str(overlay)]) == 2
    shown = capsys.readouterr()
    assert str(error.value) in shown.err and " NO" in shown.out
    (model / "config.json").write_text('{"model_type": "mamba"}')
    fit.must_fit(model, settings, "grpo")
    assert "memory is not checked" in capsys.readouterr().err


def test_what_is_not_installed_is_one_sentence_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    here: set[str] = set()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in here else None)
    with pytest.raises(UserError, match="train.sft as configured needs megatron and transformer_engine, not installed"):
        engines.must_be_installed(SftSettings(engine="megatron"), "sft")
    with pytest.raises(UserError, match="needs flash_attn and vllm"):
        engines.must_be_installed(GrpoSettings(), "grpo")
    here |= {"flash_attn", "vllm"}
    engines.must_be_installed(GrpoSettings(), "grpo")
    engines.must_be_installed(GrpoSettings(device="cpu", rollout="hfcpu"), "grpo")
