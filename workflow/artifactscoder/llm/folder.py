"""A model folder that answers: by transformers in this process, or by a vLLM that the job starts.

transformers takes any folder and any machine and decodes a batch at a time; vLLM is many times faster where it is
installed (docs/endpoints.md). Both are given conversations, and both put the folder's fingerprint into what names an
answer, so that the answers of another state of a model are never taken for this one's. Both decode as `eval.sampling`
says and by nothing else: what the folder's generation_config.json recommends (a penalty on repetition, a top_k) would
make another policy of it than the one that was trained.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifactscoder.config import Config, Endpoint, digest
from artifactscoder.config.engines import PARALLEL, Sampling
from artifactscoder.errors import UserError
from artifactscoder.llm.prompts import Message
from artifactscoder.models import fingerprint

DECODING = 2  # raised when transformers is asked to decode otherwise
# Flags of `vllm serve` that say where and how fast, not what is answered.
SPEED = PARALLEL | {
    "api-server-count", "async-scheduling", "block-size", "cpu-offload-gb", "disable-log-stats",
    "distributed-executor-backend", "download-dir", "enable-chunked-prefill", "enable-expert-parallel",
    "enable-prefix-caching", "enforce-eager", "gpu-memory-utilization", "kv-cache-memory-bytes",
    "max-num-batched-tokens", "max-num-seqs", "stream-interval", "swap-space", "uvicorn-log-level",
}  # fmt: skip


class Folder:
    """The model of a folder, loaded; on GPUs where there are some. Raises UserError for one that cannot be loaded."""

    def __init__(self, path: Path) -> None:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

        place = "auto" if torch.cuda.is_available() else "cpu"
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(path, padding_side="left")
            self.weights: Any = AutoModelForCausalLM.from_pretrained(path, dtype="auto", device_map=place)
        except (OSError, ValueError) as error:
            raise UserError(f"{path} is not a model that transformers can load: {str(error)[:200]}") from None
        self.weights.eval()
        self.ends = {*_list(self.weights.generation_config.eos_token_id), *_list(self.tokenizer.eos_token_id)}
        # Of the folder's own, which stands in for all that a call does not name, only what ends an answer is kept.
        self.weights.generation_config = GenerationConfig(
            eos_token_id=sorted(self.ends) or None, pad_token_id=self.tokenizer.pad_token_id
        )

    def answers(self, conversations: list[list[Message]], sampling: Sampling, seed: int) -> list[tuple[str, int, str]]:
        """(text, tokens, `stop` or `length`) for each, decoded as one batch; the same seed draws the same."""
        import torch

        texts = [
            self.tokenizer.apply_chat_template(each, tokenize=False, add_generation_prompt=True)
            for each in conversations
        ]
        batch = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        batch = batch.to(self.weights.device)
        asked = batch["input_ids"].shape[1]
        room = getattr(self.weights.config, "max_position_embeddings", 1 << 20) - asked
        if room <= 0:
            raise UserError(f"a request of {asked} tokens leaves the model no room to answer; shorten the request")
        drawn: dict[str, Any] = {}
        if sampling.temperature:  # top_k: transformers' own default is 50
            drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p, "top_k": 0}
        torch.manual_seed(seed)
        with torch.inference_mode():
            out = self.weights.generate(
                input_ids=batch["input_ids"],
                attention_mask=batch["attention_mask"],
                max_new_tokens=min(sampling.max_tokens, room),
                do_sample=bool(drawn),
                **drawn,
            )
        results = []
        for new in out[:, asked:].tolist():
            stop = next((i for i, token in enumerate(new) if token in self.ends), None)
            ids = new if stop is None else new[:stop]
            text = self.tokenizer.decode(ids, skip_special_tokens=True)
            results.append((text, len(ids), "length" if stop is None else "stop"))
        return results


def _list(value: Any) -> list[int]:
    return value if isinstance(value, list) else [] if value is None else [value]


def served(config: Config, name: str, path: Path) -> Config:
    """The configuration with an endpoint `name`: a vLLM of the folder, which the job that asks it starts.

    The flags that can change an answer are part of what names it, beside the folder's fingerprint.
    """
    settings = config.eval
    flags: dict[str, Any] = {"generation-config": "vllm"}  # vLLM's own neutral values, and the folder's ends of answers
    if settings.sampling.temperature:
        flags["seed"] = config.seed
    flags |= settings.arguments
    telling = {flag: value for flag, value in flags.items() if flag.lstrip("-").replace("_", "-") not in SPEED}
    endpoint = Endpoint(
        kind="vllm",
        model=name,
        path=str(path),
        revision=f"{fingerprint(path)[:16]}-{digest(telling)}",
        gpus=settings.gpus,
        arguments=flags,
        concurrency=settings.concurrency,
    )
    return config.model_copy(update={"endpoints": {**config.endpoints, name: endpoint}})
