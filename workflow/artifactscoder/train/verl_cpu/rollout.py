"""The rollout backend `hfcpu`: sampled answers from a Hugging Face model on a CPU, or on one GPU without vLLM.

In come prompts as token ids, one request each, from verl's agent loops; out go token ids and their
log-probabilities under the full distribution at the sampling temperature, which is what the trainer's ratio
needs. One Ray actor a replica holds the weights; requests that arrive together are run as one left-padded
batch with a KV cache, and rows that end leave the batch. On one core that is ten times the tokens per
second of one request at a time (32 answers of 190 tokens from a model of 1M parameters: 1.5 s).

The draw depends on the seed, the version of the weights and the batch alone, so a resumed step repeats
itself. Options stand under `actor_rollout_ref.rollout.engine_kwargs.hfcpu`: `max_batch` (64 rows),
`quiet_seconds` (0.05: a batch starts when no request came for so long), `threads` (1), `device` (cpu).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import ray
import torch
from transformers import AutoConfig, AutoModelForCausalLM
from verl.workers.rollout.base import BaseRollout
from verl.workers.rollout.replica import RolloutReplica, TokenOutput

Answer = tuple[list[int], list[float]]


@dataclass
class Request:
    """One prompt that waits for its answer of at most `limit` tokens."""

    prompt: list[int]
    limit: int
    temperature: float
    top_p: float
    answer: asyncio.Future[Answer]


class Server:
    """The Ray actor that samples. Weights come from the trainer before the first request."""

    def __init__(self, path: str, config: Any) -> None:
        options = (config.engine_kwargs or {}).get("hfcpu") or {}
        self.max_batch = int(options.get("max_batch", 64))
        self.quiet = float(options.get("quiet_seconds", 0.05))
        self.threads = int(options.get("threads", 1))
        self.device = torch.device(options.get("device", "cpu"))
        self.seed, self.longest = int(config.seed), int(config.response_length)
        model = AutoConfig.from_pretrained(path)
        stop = model.eos_token_id
        self.stop = set(stop if isinstance(stop, list) else [stop])
        self.pad = model.pad_token_id if model.pad_token_id is not None else min(self.stop)
        dtype = torch.float32 if self.device.type == "cpu" else torch.bfloat16
        empty = AutoModelForCausalLM.from_config(model, attn_implementation="sdpa", dtype=dtype)
        self.model = empty.to(self.device).eval()
        self.version, self.batches = 0, 0
        self.waiting: list[Request] = []
        self.runner: asyncio.Task[None] | None = None
        self.arrived = 0.0

    async def generate(
        self, request_id: str, prompt_ids: list[int], sampling_params: dict[str, Any], **_: Any
    ) -> TokenOutput:
        """Answer one prompt; raises ValueError for sampling that this backend does not have."""
        if sampling_params.get("top_k", -1) not in (-1, 0) or sampling_params.get("repetition_penalty", 1.0) != 1:
            raise ValueError(f"hfcpu samples by temperature and top_p alone, not by {sampling_params}")
        limit = sampling_params.get("max_tokens") or sampling_params.get("max_new_tokens") or self.longest
        request = Request(
            prompt=list(prompt_ids),
            limit=min(int(limit), self.longest),
            temperature=float(sampling_params.get("temperature", 1.0)),
            top_p=float(sampling_params.get("top_p", 1.0)),
            answer=asyncio.get_running_loop().create_future(),
        )
        self.waiting.append(request)
        self.arrived = time.monotonic()
        if self.runner is None or self.runner.done():
            self.runner = asyncio.create_task(self._drain())
        tokens, log_probs = await request.answer
        return TokenOutput(
            token_ids=tokens,
            log_probs=log_probs,
            stop_reason="completed",
            extra_fields={"global_steps": self.version},
        )

    async def _drain(self) -> None:
        while self.waiting:
            while len(self.waiting) < self.max_batch and time.monotonic() - self.arrived < self.quiet:
                await asyncio.sleep(self.quiet / 4)
            batch = self._take()
            try:
                answers = await asyncio.to_thread(self._sample, batch)
            except Exception as error:
                for request in batch:
                    request.answer.set_exception(error)
            else:
                for request, answer in zip(batch, answers, strict=True):
                    request.answer.set_result(answer)

    def _take(self) -> list[Request]:
        """The next batch: one temperature and top_p, in an order that does not depend on who came first."""
        first = self.waiting[0]
        alike = [r for r in self.waiting if (r.temperature, r.top_p) == (first.temperature, first.top_p)]
        batch = alike[: self.max_batch]
        self.waiting = [r for r in self.waiting if all(r is not taken for taken in batch)]
        return sorted(batch, key=lambda request: request.prompt)

    @torch.no_grad()
    def _sample(self, batch: list[Request]) -> list[Answer]:
        torch.set_num_threads(self.threads)
        draw = torch.Generator(self.device).manual_seed(self.seed + 1_000_003 * self.version + self.batches)
        self.batches += 1
        temperature, top_p = batch[0].temperature, batch[0].top_p
        width = max(len(request.prompt) for request in batch)
        padded = [[self.pad] * (width - len(r.prompt)) + r.prompt for r in batch]
        ids = torch.tensor(padded, device=self.device)
        mask = torch.tensor([[0] * (width - len(r.prompt)) + [1] * len(r.prompt) for r in batch], device=self.device)
        position = (mask.cumsum(1) - 1).clamp(min=0)
        answers: list[Answer] = [([], []) for _ in batch]
        rows, cache = list(range(len(batch))), None
        while True:
            out = self.model(
                input_ids=ids,
                attention_mask=mask,
                position_ids=position,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
            cache = out.past_key_values
            token, log_prob = choose(out.logits[:, -1].float(), temperature, top_p, draw)
            going = []
            for row, (index, t, lp) in enumerate(zip(rows, token.tolist(), log_prob.tolist(), strict=True)):
                answers[index][0].append(t)
                answers[index][1].append(lp)
                if t not in self.stop and len(answers[index][0]) < batch[index].limit:
                    going.append(row)
            if not going:
                return answers
            if len(going) < len(rows):
                keep = torch.tensor(going, device=self.device)
                cache.batch_select_indices(keep)
                mask, position, token = mask[keep], position[keep], token[keep]
                rows = [rows[row] for row in going]
            ids = token[:, None]
            position = position[:, -1:] + 1
            mask = torch.cat([mask, mask.new_ones(len(rows), 1)], 1)

    async def load_weights(self, state: dict[str, torch.Tensor], version: int | None) -> None:
        """Take the trainer's weights; `version` is the training step that made them."""
        missing, unexpected = self.model.load_state_dict(state, strict=False)
        if unexpected:
            raise ValueError(f"the trainer sent weights that the model does not have: {sorted(unexpected)[:3]}")
        self.model.tie_weights()
        if version is not None:
            self.version, self.batches = version, 0

    async def wake_up(self, tags: list[str] | None = None) -> None: ...
    async def sleep(self) -> None: ...
    async def clear_kv_cache(self) -> None: ...
    async def release_kv_cache(self) -> None: ...
    async def resume_kv_cache(self) -> None: ...
    async def abort_all_requests(self, reject_request: bool = False) -> None: ...
    async def resume_generation(self) -> None: ...
    async def start_profile(self, **_: Any) -> None: ...
    async def stop_profile(self) -> None: ...


def choose(
    logits: torch.Tensor, temperature: float, top_p: float, draw: torch.Generator
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sample one token a row from logits [rows, vocabulary]; temperature 0 takes the likeliest.

    Returns tokens and log-probabilities, both [rows]. The latter are of the full distribution at
    `temperature`, before the nucleus is cut, as the trainer computes them.
    """
    log_probs = torch.log_softmax(logits / (temperature if temperature > 0 else 1.0), -1)
    if temperature <= 0:
        token = log_probs.argmax(-1)
    else:
        probs = log_probs.exp()
        if top_p < 1.0:
            ordered, index = probs.sort(-1, descending=True)
            ordered[ordered.cumsum(-1) - ordered >= top_p] = 0
            probs = torch.zeros_like(probs).scatter(1, index, ordered)
        token = torch.multinomial(probs, 1, generator=draw).squeeze(1)
    return token, log_probs.gather(1, token[:, None]).squeeze(1)


def _actor(replica: int) -> str:
    return f"hfcpu_server_{replica}"


class Replica(RolloutReplica):
    """Starts the server of one replica; verl looks the class up under `hfcpu`."""

    async def launch_servers(self) -> None:
        options = {"name": _actor(self.replica_rank), "max_concurrency": self.max_concurrency, "num_cpus": 0}
        server: Any = ray.remote(Server).options(**options).remote(self.model_config.path, self.config)
        await server.wake_up.remote()
        self.servers = [server]
        self._server_handle = server
        self._server_address = _actor(self.replica_rank)


class Adapter(BaseRollout):
    """The trainer's end: hands new weights to the server. Nothing to put to sleep on a CPU."""

    def __init__(self, config: Any, model_config: Any, device_mesh: Any, replica_rank: int = -1) -> None:
        super().__init__(config, model_config, device_mesh)
        self.replica_rank = int(os.environ.get("RANK", 0)) if replica_rank == -1 else replica_rank
        self.is_leader_rank = True

    async def resume(self, tags: list[str]) -> None: ...
    async def release(self) -> None: ...

    async def update_weights(  # type: ignore[override]
        self, weights: Iterator[tuple[str, torch.Tensor]], global_steps: int | None = None, **_: Any
    ) -> None:
        state = {name: value.detach().to("cpu", copy=True) for name, value in weights}
        await ray.get_actor(_actor(self.replica_rank)).load_weights.remote(state, global_steps)
