"""Settings of the training steps; the defaults are the paper's recipe on one node of eight 80 GB GPUs.

"paper" names a number of the paper's recipe; "verl" the value of verl's own examples for Qwen3-30B-A3B; the others
are this project's. What is not a field can be said in `extra_overrides`, in verl's words (`key=value`).
"""

from __future__ import annotations

from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from artifactscoder.config.base import Section


class MegatronSettings(Section):
    """How Megatron splits a model over GPUs; unused by fsdp2. What these leave over is data parallel."""

    tensor: int = Field(1, ge=1, description="GPUs that share every matrix, of one node; divides the heads.")
    pipeline: int = Field(1, ge=1, description="GPUs in a row that hold different layers; divides the layers.")
    context: int = Field(1, ge=1, description="GPUs that share one sequence.")
    expert: int = Field(1, ge=1, description="GPUs among which the experts of a layer are dealt; divides them.")


class TrainerSettings(Section):
    """What SFT and GRPO share.

    Changing an operational field continues a run instead of starting one. What a checkpoint may not be read under
    (nodes, GPUs, engine, where optimiser states lie) is none, nor is what computes in another precision.
    """

    OPERATIONAL: ClassVar[frozenset[str]] = frozenset(
        {"gpu_gb", "gradient_checkpointing", "save_every_steps", "keep_checkpoints", "checkpoint_hf"}
        | {"loader_workers", "threads", "stop_seconds"}
        | {"tokens_per_gpu"}  # verl divides a loss by the tokens of the whole batch, however it is cut
    )
    device: Literal["cuda", "cpu"] = Field(
        "cuda", description="Where the trainer runs; `cpu` is for tiny models: gloo, and no GPU at all."
    )
    nodes: int = Field(1, ge=1, description="Nodes of the training job.")
    gpus_per_node: int = Field(8, ge=1, description="GPUs (on `cpu`: processes) of each node.")
    gpu_gb: float = Field(
        80,
        gt=0,
        description="Memory of one GPU [GB]; what cannot fit is refused (`artifactscoder train fit`).",
    )
    engine: Literal["fsdp2", "megatron"] = Field(
        "fsdp2",
        description="What trains: fsdp2 shards every layer over all GPUs (dense models); megatron keeps experts apart "
        "(mixtures of experts). profiles/sizes holds the choice for each model and number of nodes.",
    )
    megatron: MegatronSettings = MegatronSettings()
    precision: Literal["bf16", "fp32"] = Field(
        "bf16",
        description="Type of the parameters in forward and backward; masters and reductions stay fp32. "
        "CPUs without bf16 units are five times faster in fp32.",
    )
    attention: Literal["auto", "flash_attention_2", "sdpa"] = Field(
        "auto", description="Attention kernel; `auto`: flash_attention_2 on cuda, sdpa on cpu."
    )
    gradient_checkpointing: bool = Field(True, description="Recompute activations in the backward pass.")
    fused_kernels: bool = Field(
        False, description="verl's fused linear cross entropy: saves the logits of 16K x 152K tokens (10 GB)."
    )
    sequence_parallel: int = Field(1, ge=1, description="GPUs that share one sequence (Ulysses, fsdp2 only).")
    weight_decay: float = Field(0.01, ge=0, description="AdamW's weight decay (verl).")
    beta2: float = Field(0.999, gt=0, lt=1, description="AdamW's decay of squared gradients (verl).")
    clip_grad: float = Field(1.0, gt=0, description="Largest norm of the gradient (verl).")
    tokens_per_gpu: int = Field(
        16_640, gt=0, description="Tokens of a micro batch on one GPU; at least the longest sequence."
    )
    save_every_steps: int = Field(25, ge=1, description="Steps between checkpoints; the last step saves always.")
    keep_checkpoints: int = Field(2, ge=1, description="Latest checkpoints kept in the work folder.")
    checkpoint_hf: bool = Field(
        False,
        description="Also write Hugging Face weights into each checkpoint: export is then a copy, each save slower.",
    )
    loader_workers: int = Field(8, ge=0, description="Processes that read data, per rank; 0 reads in the trainer.")
    threads: int = Field(8, ge=1, description="OMP_NUM_THREADS of each process. Two busy on one core spin.")
    stop_seconds: float = Field(30.0, gt=0, description="Time to end by itself after SIGTERM, then SIGKILL [s].")
    extra_overrides: list[str] = Field(
        default_factory=list,
        description="Further verl overrides, applied last, such as `model.use_liger=true`.",
    )

    @property
    def world_size(self) -> int:
        return self.nodes * self.gpus_per_node

    @property
    def attention_kernel(self) -> str:
        if self.attention != "auto":
            return self.attention
        return "flash_attention_2" if self.device == "cuda" else "sdpa"

    @property
    def on_host(self) -> bool:
        """Whether optimiser states stay in host memory during a step."""
        return False

    @property
    def sequence_gpus(self) -> int:
        """GPUs that share one sequence."""
        return self.megatron.context if self.engine == "megatron" else self.sequence_parallel

    @property
    def data_parallel(self) -> int:
        """Groups of GPUs that see different samples."""
        split = self.megatron
        model = split.tensor * split.pipeline if self.engine == "megatron" else 1
        return self.world_size // (model * self.sequence_gpus)

    @model_validator(mode="after")
    def splits_as_its_engine_can(self) -> Self:
        split, world = self.megatron, self.world_size
        if self.engine == "fsdp2":
            if world % self.sequence_parallel:
                raise ValueError("sequence_parallel does not divide nodes x gpus_per_node")
            return self
        if self.device == "cpu":
            raise ValueError("engine megatron needs GPUs; set engine: fsdp2 where device is cpu")
        if self.precision != "bf16" or self.attention_kernel != "flash_attention_2" or self.sequence_parallel > 1:
            raise ValueError(
                "engine megatron takes precision bf16 and flash attention, and megatron.context for sequence_parallel"
            )
        if world % (split.tensor * split.pipeline * split.context):
            raise ValueError("megatron.tensor x pipeline x context does not divide nodes x gpus_per_node")
        if world % (split.expert * split.pipeline):
            raise ValueError("megatron.expert x pipeline does not divide nodes x gpus_per_node")
        if self.gpus_per_node % split.tensor:
            raise ValueError("megatron.tensor reaches over the end of a node; it must divide gpus_per_node")
        return self


class NextTokenSettings(TrainerSettings):
    """What CPT and SFT share: verl.trainer.sft_trainer."""

    OPERATIONAL = TrainerSettings.OPERATIONAL | {"master_port"}
    learning_rate: float = Field(5e-5, gt=0, description="Peak learning rate (paper: 5e-5).")
    schedule: Literal["cosine", "constant"] = Field("cosine", description="Learning rate after the warm-up.")
    final_rate: float = Field(0.0, ge=0, le=1, description="Share of the peak at which the cosine ends.")
    warmup_ratio: float = Field(0.03, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    batch_size: int = Field(128, ge=1, description="Samples of a step over all GPUs (paper: 128).")
    epochs: int = Field(2, ge=1, description="Passes over the data (paper: 2); unused where `steps` is set.")
    steps: int | None = Field(None, ge=1, description="Steps in all, instead of `epochs`.")
    offload: bool = Field(
        True,
        description="Keep optimiser states (fsdp2: parameters and gradients too) in host memory and update them "
        "there: 12 (fsdp2: 16) bytes a parameter that no GPU holds, slower steps.",
    )
    seed: int = Field(42, ge=0, description="Seed of the engine. The data order is verl's own, from epoch alone.")
    master_port: int = Field(29_500, gt=0, lt=65_536, description="Port of rank 0 for torchrun on several nodes.")

    @property
    def on_host(self) -> bool:
        return self.offload

    @model_validator(mode="after")
    def batch_is_shared_evenly(self) -> Self:
        if self.batch_size % self.data_parallel:
            groups = f"the {self.data_parallel} groups of GPUs that share it"
            raise ValueError(f"batch_size ({self.batch_size}) is not a multiple of {groups}")
        if self.engine == "megatron" and self.nodes > 1 and self.megatron.pipeline > 1:
            raise ValueError("megatron.pipeline above 1 is for one node: verl logs on the last stage's node")
        return self


class CptTrainSettings(NextTokenSettings):
    """Continual pre-training with verl.trainer.sft_trainer on packed windows."""

    OPERATIONAL = NextTokenSettings.OPERATIONAL | {"enabled"}
    enabled: bool = Field(
        True,
        description="Whether SFT starts from the CPT model; off, it starts from `base` and no CPT page is made for it. "
        "The target `cpt` trains in any case.",
    )
    learning_rate: float = Field(2e-5, gt=0, description="Peak learning rate.")
    final_rate: float = Field(0.1, ge=0, le=1, description="Share of the peak at which the cosine ends.")
    warmup_ratio: float = Field(0.01, ge=0, lt=1, description="Share of the steps in which the rate rises.")
    batch_size: int = Field(256, ge=1, description="Windows of a step over all GPUs: 4.2M tokens of 16,384 each.")
    epochs: int = Field(1, ge=1, description="Passes over the mixture; unused where `steps` is set.")
    tokens_per_gpu: int = Field(
        16_384, gt=0, description="Tokens of a micro batch on one GPU; at least `cpt.pack.length`."
    )
    save_every_steps: int = Field(100, ge=1, description="Steps between checkpoints; the last step saves always.")
    seed: int = Field(42, ge=0, description="Seed of the engine and of the order of windows.")


class SftSettings(NextTokenSettings):
    """Supervised fine-tuning with verl.trainer.sft_trainer."""

    OPERATIONAL = NextTokenSettings.OPERATIONAL | {"max_tokens", "frame_tokens"}  # a longer page stops it, uncut
    max_tokens: int = Field(16_384, gt=0, description="Longest request plus page [tokens] (paper: 16,384).")
    frame_tokens: int = Field(
        256, ge=0, description="Room above `max_tokens` for the chat frame and the system message [tokens]."
    )

    @model_validator(mode="after")
    def fits(self) -> SftSettings:
        if self.tokens_per_gpu * self.sequence_gpus < self.max_tokens + self.frame_tokens:
            raise ValueError(
                f"tokens_per_gpu x sequence_parallel ({self.tokens_per_gpu} x {self.sequence_gpus}) is below "
                f"max_tokens + frame_tokens ({self.max_tokens} + {self.frame_tokens})"
            )
        return self


class WatchSettings(Section):
    """Alarms of GRPO: how far the last steps may drift from the first ones (train/watch.py). They stop nothing."""

    first: int = Field(10, ge=2, description="First steps, with which others are compared.")
    last: int = Field(5, ge=2, description="Last steps that are compared, as a mean.")
    length_ratio: float = Field(1.5, gt=1, description="Length of the answers, in either direction.")
    blank: float = Field(0.2, gt=0, description="Rise of the share of answers that show next to nothing.")
    repetition: float = Field(0.1, gt=0, description="Rise of the share of answers in loops.")
    template: float = Field(
        0.3, gt=0, description="Rise of the share of answers with the skeleton of an answer to another prompt."
    )
    directed: float = Field(0.02, gt=0, description="Rise of the share of pages with text that speaks to the judge.")
    gap: float = Field(0.15, gt=0, description="Rise of the checklist score over what rules say of the same pages.")
    failed: float = Field(0.1, gt=0, description="Share of the answers that could not be scored.")


class GrpoSettings(TrainerSettings):
    """Group-relative policy optimisation with verl.trainer.main_ppo."""

    OPERATIONAL = (
        TrainerSettings.OPERATIONAL
        | {"validate_every_steps", "validate_temperature", "validate_prompts", "watch"}
        | {"tensor_parallel", "gpu_memory", "offload", "agent_workers", "ray_cpus"}
        | {"least_scored", "browsers", "reward_workers"}
    )
    learning_rate: float = Field(4e-6, gt=0, description="Learning rate, constant (paper: 4e-6).")
    batch_prompts: int = Field(256, ge=1, description="Prompts of a step (paper: 256).")
    mini_batch_prompts: int | None = Field(
        None, ge=1, description="Prompts of one optimiser update; none: all of the step, which is on-policy."
    )
    rollouts: int = Field(4, ge=2, description="Answers of each prompt, the group (paper: 4).")
    kl_coefficient: float = Field(0.001, ge=0, description="Weight of the KL loss to the SFT model (paper: 0.001).")
    kl_type: Literal["low_var_kl", "kl", "abs", "mse"] = Field("low_var_kl", description="KL estimate (verl).")
    clip_low: float = Field(0.2, gt=0, lt=1, description="Lower clip of the ratio (verl).")
    clip_high: float = Field(0.2, gt=0, lt=1, description="Upper clip of the ratio (verl).")
    entropy_coefficient: float = Field(0.0, ge=0, description="Weight of the entropy bonus (verl).")
    max_prompt_tokens: int = Field(2048, gt=0, description="Longest prompt [tokens]; longer ones are left out.")
    max_response_tokens: int = Field(16_384, gt=0, description="Longest answer [tokens] (paper: 16,384).")
    temperature: float = Field(1.0, gt=0, description="Sampling temperature of the rollouts.")
    top_p: float = Field(1.0, gt=0, le=1, description="Nucleus mass of the rollouts.")
    epochs: int = Field(10, ge=1, description="Passes over the prompts; unused where `steps` is set.")
    steps: int | None = Field(None, ge=1, description="Steps in all, instead of `epochs`.")
    validate_every_steps: int = Field(10, ge=0, description="Steps between validations; 0: none.")
    validate_temperature: float = Field(
        1.0, ge=0, description="Sampling temperature of validations; 0 takes the likeliest token, as eval does."
    )
    validate_prompts: int = Field(-1, ge=-1, description="Prompts of a validation, from 1; -1: all of the file.")
    rollout: Literal["vllm", "sglang", "hfcpu"] = Field(
        "vllm", description="Engine that samples; hfcpu on CPUs, or slowly on one GPU."
    )
    tensor_parallel: int = Field(4, ge=1, description="GPUs of one rollout replica (verl: 4).")
    gpu_memory: float = Field(0.6, gt=0, lt=1, description="Share of GPU memory that the rollout may hold (verl).")
    offload: bool = Field(True, description="Move training states to the host while answers are sampled (verl).")
    offload_optimizer: bool = Field(
        False, description="Keep optimiser states in host memory during updates too, as train.sft.offload does."
    )
    router_replay: Literal["none", "R2", "R3"] = Field(
        "none",
        description="Mixtures of experts on megatron: updates take each token's experts from the log probabilities "
        "before (R2) or from the sampling itself (R3), instead of choosing anew.",
    )
    tokens_per_gpu: int = Field(
        32_768,
        gt=0,
        description="Tokens of a micro batch on one GPU; at least prompt plus answer (verl: 32,768).",
    )
    least_scored: float = Field(
        0.5,
        ge=0,
        le=1,
        description="Share of a step's answers that must have been scored; where outages left less, training halts.",
    )
    watch: WatchSettings = WatchSettings()
    browsers: int = Field(8, ge=1, description="Browsers of the render service beside the trainer, one a core.")
    reward_workers: int = Field(8, ge=1, description="Ray actors that call the reward.")
    agent_workers: int = Field(8, ge=1, description="Ray actors that send prompts to the rollout.")
    ray_cpus: int | None = Field(
        None,
        ge=1,
        description="CPUs that a Ray started here counts with; none: all of the node, also where Slurm gave fewer.",
    )
    seed: int = Field(42, ge=0, description="Seed of the order of prompts and of the rollout.")

    @property
    def on_host(self) -> bool:
        return self.offload_optimizer

    @model_validator(mode="after")
    def fits(self) -> GrpoSettings:
        if self.tokens_per_gpu * self.sequence_gpus < self.max_prompt_tokens + self.max_response_tokens:
            raise ValueError(
                f"tokens_per_gpu x sequence_parallel ({self.tokens_per_gpu} x {self.sequence_gpus}) is below "
                f"max_prompt_tokens + max_response_tokens ({self.max_prompt_tokens} + {self.max_response_tokens})"
            )
        if self.validate_prompts == 0:
            raise ValueError(
                "validate_prompts is 0, which would be all of them; say -1 for all, or validate_every_steps: 0 for none"
            )
        if self.device == "cpu" and self.rollout != "hfcpu":
            raise ValueError("device `cpu` goes with rollout `hfcpu` only")
        if self.device == "cuda" and self.rollout == "hfcpu" and self.world_size > 1:
            raise ValueError("rollout `hfcpu` is for CPUs, or for one GPU without vLLM")
        if self.world_size % self.tensor_parallel:
            raise ValueError("tensor_parallel does not divide nodes x gpus_per_node")
        if self.batch_prompts % (self.mini_batch_prompts or self.batch_prompts):
            raise ValueError(
                f"mini_batch_prompts ({self.mini_batch_prompts}) does not divide batch_prompts ({self.batch_prompts})"
            )
        if self.batch_prompts * self.rollouts % self.world_size:
            raise ValueError(
                f"batch_prompts x rollouts ({self.batch_prompts} x {self.rollouts}) is not a multiple of "
                f"nodes x gpus_per_node ({self.world_size})"
            )
        if (self.mini_batch_prompts or self.batch_prompts) * self.rollouts % self.data_parallel:
            groups = f"the {self.data_parallel} groups of GPUs that share it"
            raise ValueError(f"mini_batch_prompts x rollouts is not a multiple of {groups}")
        if self.router_replay != "none" and self.engine != "megatron":
            raise ValueError("router_replay needs engine: megatron")
        return self


class TinyModelSettings(Section):
    """A model small enough to be trained from nothing on a CPU in a minute: for the demo and the tests."""

    vocab: int = Field(2048, ge=600, description="Tokens of the vocabulary: 3 marks, 256 bytes, pieces, lines.")
    line_count: int = Field(
        3,
        ge=2,
        description="A line that occurs so often in the texts is one token; at most half of the vocabulary.",
    )
    layers: int = Field(2, ge=1, description="Decoder layers.")
    hidden: int = Field(128, ge=8, description="Width of the residual stream.")
    heads: int = Field(4, ge=1, description="Attention heads.")
    kv_heads: int = Field(2, ge=1, description="Key-value heads; divides `heads`.")
    max_positions: int = Field(4096, ge=64, description="Longest sequence [tokens].")
    seed: int = Field(0, ge=0, description="Seed of the weights.")

    @model_validator(mode="after")
    def fits(self) -> TinyModelSettings:
        if self.hidden % self.heads or (self.hidden // self.heads) % 2:
            raise ValueError("hidden / heads must be an even whole number")
        if self.heads % self.kv_heads:
            raise ValueError("kv_heads does not divide heads")
        return self


class ExportSettings(Section):
    """How a checkpoint becomes a model that others can load."""

    dtype: Literal["bf16", "fp32"] = Field("bf16", description="Type of the exported weights.")
    shard_gb: int = Field(5, ge=1, description="Largest weight file [GB].")
