"""The settings of every size, in verl's own hands: composed with its configuration, put into its dataclasses, no GPU.

verl refuses an unknown key only where Hydra sees it, passes over keys that its engine does not read, and keeps its own
defaults in silence; so each override must be found again in what verl composes, and each setting in an override.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from artifactscoder import config as configs
from artifactscoder.config.trainers import (
    CptTrainSettings,
    GrpoSettings,
    MegatronSettings,
    SftSettings,
    TrainerSettings,
)
from artifactscoder.train import cpt, grpo, reward_function, runs, sft, torchrun

pytest.importorskip("verl")

SIZES = [None, *sorted(Path("profiles/sizes").glob("*.yaml"))]
NAMES = [path.stem if path else "config" for path in SIZES]
TABLE, MODEL, FOLDER = Path("/a table.parquet"), Path("/a=model, of ours"), Path("/work")
ENTRY = {"cpt": "sft_trainer_engine", "sft": "sft_trainer_engine", "grpo": "ppo_trainer"}


def settings_of(size: Path | None) -> configs.Config:
    return configs.load([Path("config.yaml"), *([size] if size else [])])


def overrides(stage: str, s: Any) -> list[str]:
    """The words that verl is started with."""
    if stage == "cpt":
        return cpt.overrides(s, TABLE, 16_384, MODEL, FOLDER, steps=17_882)
    if stage == "sft":
        return sft.overrides(s, TABLE, MODEL, FOLDER, steps=937, epochs=2)
    told = grpo.reward_overrides(Path("/reward.json"), FOLDER, reward_function.ENGINE)
    told |= grpo.ray_overrides(s, {"PYTHONPATH": "/here:/there"}, ["PYTHONPATH"], FOLDER)
    return [*grpo.overrides(s, TABLE, TABLE, MODEL, FOLDER, steps=70), *runs.overrides(told, [])]


def composed(stage: str, words: list[str]) -> Any:
    """verl's configuration with these overrides, as its trainer would get it; struct mode, so unknown keys raise."""
    from hydra import compose, initialize_config_dir

    found = importlib.util.find_spec("verl")
    assert found and found.origin
    with initialize_config_dir(str(Path(found.origin).parent / "trainer" / "config"), version_base=None):
        return compose(ENTRY[stage], overrides=[word for word in words if not word.startswith("hydra.")])


@functools.cache
def heard_of(stage: str, size: Path | None) -> Any:
    return composed(stage, overrides(stage, getattr(settings_of(size).train, stage)))


def unheard(words: list[str], config: Any) -> list[str]:
    """Overrides whose value is not what stands in the composed configuration."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from omegaconf import OmegaConf

    wrong = []
    for override in OverridesParser.create().parse_overrides(words):
        key = override.key_or_group
        if key in ("engine", "optim", "model_engine") or key.startswith("hydra."):
            continue
        value, wanted = OmegaConf.select(config, key), override.value()
        if OmegaConf.is_config(value):
            value = OmegaConf.to_container(value)
        if value != wanted:
            wrong.append(f"{key} is {value!r}, not {wanted!r}")
    return wrong


@pytest.mark.parametrize("stage", ["cpt", "sft", "grpo"])
@pytest.mark.parametrize("size", SIZES, ids=NAMES)
def test_verl_knows_every_key_of_every_size_and_takes_its_value(size: Path | None, stage: str) -> None:
    assert unheard(overrides(stage, getattr(settings_of(size).train, stage)), heard_of(stage, size)) == []


@pytest.mark.parametrize(
    ("stage", "wrong"),
    [
        ("sft", "optim.learning_rate=1"),
        ("sft", "engine.offload_policy=true"),  # FSDP2's word, said to Megatron
        ("sft", "model.enable_thinking_default=null"),
        ("grpo", "actor_rollout_ref.actor.megatron.grad_offload=true"),  # in verl's own examples
    ],
)
def test_a_wrong_key_does_not_pass(stage: str, wrong: str) -> None:
    from hydra.errors import ConfigCompositionException

    words = overrides(stage, getattr(settings_of(None).train, stage))
    with pytest.raises(ConfigCompositionException, match="Could not override"):
        composed(stage, [*words, wrong])


def test_a_value_that_does_not_arrive_is_found() -> None:
    words = overrides("sft", settings_of(None).train.sft)
    config = composed("sft", [*words, "data.truncation=left"])
    assert unheard(words, config) == ["data.truncation is 'left', not 'error'"]


def test_what_verl_would_do_otherwise_is_said() -> None:
    heard = heard_of("sft", None)
    assert heard.optim.lr == 5e-5 and heard.optim.lr_decay_style == "cosine" and heard.optim.lr_warmup_steps == 29
    assert heard.optim.use_checkpoint_opt_param_scheduler  # else the learning rate begins anew after a resume
    assert heard.optim.override_optimizer_config.adam_beta2 == 0.999  # Megatron does not read optim.betas
    assert heard.data.max_length == 16_640 == heard.data.max_token_len_per_gpu
    assert heard.data.enable_thinking_default is None and heard.data.pad_mode == "no_padding"
    assert heard.engine.override_transformer_config.recompute_granularity == "full"
    assert heard.engine._target_.endswith("McoreEngineConfig")

    heard = heard_of("cpt", None)
    assert heard.optim.lr == 2e-5 and heard.optim.min_lr == pytest.approx(2e-6)
    assert heard.data.windows.draws == 17_882 * 256 and heard.data.custom_cls.name == "PackedWindows"

    heard = heard_of("grpo", None)
    part = heard.actor_rollout_ref
    assert heard.data.train_batch_size == part.actor.ppo_mini_batch_size == 256 and part.rollout.n == 4
    assert part.actor.optim.lr == 4e-6 and part.actor.kl_loss_coef == 0.001 and part.actor.use_kl_loss
    assert part.rollout.max_model_len == 2048 + 16_384  # else the cache is laid out for the model's 262,144
    assert part.actor.megatron.router_replay.mode == "R3" and part.rollout.enable_rollout_routing_replay
    for key in ("tensor_model_parallel_size", "expert_model_parallel_size", "param_offload"):
        assert part.ref.megatron[key] == part.actor.megatron[key]
    assert part.ref.log_prob_max_token_len_per_gpu == part.actor.ppo_max_token_len_per_gpu == 18_432


def test_megatron_knows_what_verl_hands_on_unread() -> None:
    """In the image train: Hydra sees two open dictionaries only, whose keys are fields of Megatron's own classes."""
    from omegaconf import OmegaConf

    optimizer = pytest.importorskip("megatron.core.optimizer.optimizer_config").OptimizerConfig
    transformer = pytest.importorskip("megatron.core.transformer.transformer_config").TransformerConfig
    for stage, engine, optim in (
        ("cpt", "engine", "optim"),
        ("grpo", "actor_rollout_ref.actor.megatron", "actor_rollout_ref.actor.optim"),
    ):
        heard = heard_of(stage, None)
        handed = OmegaConf.select(heard, f"{engine}.override_transformer_config").keys()
        assert handed - {field.name for field in dataclasses.fields(transformer)} == set()
        handed = OmegaConf.select(heard, f"{optim}.override_optimizer_config").keys()
        assert handed and handed - {field.name for field in dataclasses.fields(optimizer)} == set()


def sizes_as_folders(root: Path) -> Callable[[Path], Path]:
    """A maker of model folders that hold what verl reads of a model before its weights."""
    from artifactscoder.config.trainers import TinyModelSettings
    from artifactscoder.train import shapes, tiny_model

    tiny_model.make(["<p>a page</p>\n" * 9], root / "tiny", TinyModelSettings(vocab=640, layers=1, hidden=32, heads=2))

    def make(base: Path) -> Path:
        folder = root / base.name
        folder.mkdir(exist_ok=True)
        for path in (root / "tiny").glob("*token*"):
            (folder / path.name).write_bytes(path.read_bytes())
        known = json.loads(shapes.KNOWN.read_text())
        values = next(v for name, v in known.items() if base.name.startswith(name))
        kind = {"qwen2": "Qwen2ForCausalLM", "qwen3_moe": "Qwen3MoeForCausalLM"}[values["model_type"]]
        (folder / "config.json").write_text(json.dumps(values | {"architectures": [kind]}))
        return folder

    return make


def test_verls_own_dataclasses_and_checks_take_every_size(tmp_path: Path) -> None:
    from omegaconf import OmegaConf, open_dict
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    folder = sizes_as_folders(tmp_path)
    for size in SIZES:
        train = settings_of(size).train
        heard = copy.deepcopy(heard_of("sft", size))
        heard.model.path = str(folder(train.base))
        model, engine, optim, _ = (
            omega_conf_to_dataclass(heard[part]) for part in ("model", "engine", "optim", "checkpoint")
        )
        assert engine.strategy == train.sft.engine and optim.lr == train.sft.learning_rate
        assert model.hf_config.num_hidden_layers == (28 if "7B" in train.base.name else 48)

        heard = copy.deepcopy(heard_of("grpo", size))
        OmegaConf.resolve(heard)
        validate_config(heard, use_reference_policy=True, use_critic=False)
        part = heard.actor_rollout_ref
        assert omega_conf_to_dataclass(part.rollout).tensor_model_parallel_size == train.grpo.tensor_parallel
        with open_dict(part.ref):  # as verl's worker turns it into a trainer's
            for name in ("micro_batch_size", "micro_batch_size_per_gpu", "use_dynamic_bsz", "max_token_len_per_gpu"):
                part.ref[name if name == "use_dynamic_bsz" else f"ppo_{name}"] = part.ref.pop(f"log_prob_{name}")
        reference = omega_conf_to_dataclass(part.ref)
        assert reference.strategy == train.grpo.engine and reference.engine.forward_only


MEGATRON: dict[str, Any] = {"engine": "megatron", "megatron": MegatronSettings(tensor=2, expert=2)}
# Not verl's affair, or told below; and what one engine has no use for.
LOCAL = {"stop_seconds", "threads", "keep_checkpoints", "gpu_gb", "browsers", "steps", "epochs", "device", "megatron"}
LOCAL |= {"enabled", "watch"}
UNUSED = {"fsdp2": {"router_replay"}, "megatron": {"sequence_parallel", "precision", "attention", "checkpoint_hf"}}
WORDS = {
    "engine": {"fsdp2": "megatron", "megatron": "fsdp2"}, "precision": "fp32", "attention": "sdpa",
    "schedule": "constant", "kl_type": "mse", "rollout": "sglang", "router_replay": "R3",
}  # fmt: skip


def another(name: str, value: Any) -> Any:
    """A value that a setting does not have."""
    if name in WORDS:
        word = WORDS[name]
        return word[value] if isinstance(word, dict) else word
    if isinstance(value, list):
        return ["trainer.seed=7"]
    return not value if isinstance(value, bool) else 3 if value is None else value / 2 or 0.5


@pytest.mark.parametrize("engine", ["fsdp2", "megatron"])
@pytest.mark.parametrize(("stage", "kind"), [("cpt", CptTrainSettings), ("sft", SftSettings), ("grpo", GrpoSettings)])
def test_every_setting_reaches_verl(stage: str, kind: type[TrainerSettings], engine: str) -> None:
    def told(change: dict[str, Any]) -> list[str]:
        s: Any = base.model_copy(update=change)
        return overrides(stage, s) + ([] if stage == "grpo" else torchrun.launcher(s, 0, "head", ""))

    base = kind(nodes=2, **(MEGATRON if engine == "megatron" else {}))
    names = [name for name in kind.model_fields if name not in LOCAL | UNUSED[engine]]
    assert [name for name in names if told({name: another(name, getattr(base, name))}) == told({})] == []
    inner = {name: base.megatron.model_copy(update={name: 4}) for name in MegatronSettings.model_fields}
    deaf = [name for name, split in inner.items() if told({"megatron": split}) == told({})]
    assert deaf == ([] if engine == "megatron" else list(inner))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"megatron": {"tensor": 3}}, "does not divide nodes x gpus_per_node"),
        ({"megatron": {"tensor": 16}, "nodes": 2}, "over the end of a node"),
        ({"megatron": {"pipeline": 2}, "nodes": 2}, "verl logs on the last stage"),
        ({"precision": "fp32"}, "takes precision bf16"),
        ({"sequence_parallel": 2}, "megatron.context for sequence_parallel"),
        ({"device": "cpu"}, "needs GPUs; set engine: fsdp2"),
        ({"batch_size": 100, "megatron": {"tensor": 1}}, "not a multiple of the 8 groups"),
    ],
)
def test_what_megatron_cannot_split_is_one_sentence(values: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        SftSettings(engine="megatron", **values)
