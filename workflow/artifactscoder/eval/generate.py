"""eval/generate: a model's answers to held-out tasks, by plain transformers.

In: rl_val.parquet (tasks that no training saw) and a model folder in HF format. Out: one row a task with the raw
answer, its tokens, and how it ended. Batches of left-padded prompts, greedy by default, on a GPU when there is one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.config.engines import Sampling
from artifactscoder.errors import UserError
from artifactscoder.ledger import Ledger, Usage, beside
from artifactscoder.progress import Progress
from artifactscoder.records import INT, TEXT, columns

ANSWER = columns(
    id=TEXT, model=TEXT, task=TEXT, prompt=TEXT, checklist=TEXT, reference=TEXT, answer=TEXT, finish=TEXT, tokens=INT
)


def run(config: Config, input: Path, model: Path, name: str, output: Path) -> Ledger:
    """Answer the first `eval.tasks` rows of `input` with the model `name` in the folder `model`."""
    settings = config.eval
    rows = []
    for row in tables.rows(input, ["prompt", "reward_model", "extra_info"]):
        rows.append(row)
        if len(rows) == settings.tasks:
            break
    if not rows:
        raise UserError(f"{input} holds no validation tasks; raise rl.prompts.count")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(model, padding_side="left")
        weights = AutoModelForCausalLM.from_pretrained(model, dtype="auto", device_map=_place(torch))
    except (OSError, ValueError) as error:
        raise UserError(f"{model} is not a model that transformers can load: {str(error)[:200]}") from None
    weights.eval()
    torch.manual_seed(config.seed)
    ledger = Ledger(beside(output))
    progress = Progress(f"eval/generate {name}", len(rows))
    with tables.Writer(output, ANSWER) as writer:
        for start in range(0, len(rows), settings.batch):
            part = rows[start : start + settings.batch]
            answers = _answers(torch, tokenizer, weights, [row["prompt"] for row in part], settings.sampling)
            for row, (text, count, finish) in zip(part, answers, strict=True):
                info = row["extra_info"]
                id_ = f"{name}/{info['id']}"
                ledger.enter([id_])
                ledger.leave(id_, "ok", usage=Usage(attempts=1, tokens_out=count))
                writer.write(
                    {
                        "id": id_,
                        "model": name,
                        "task": info["task"],
                        "prompt": info["prompt"],
                        "checklist": info["checklist"],
                        "reference": row["reward_model"]["ground_truth"],
                        "answer": text,
                        "finish": finish,
                        "tokens": count,
                    }
                )
                progress.step()
        ledger.close()
    progress.end(ledger.summary())
    return ledger


def _place(torch: Any) -> str:
    return "auto" if torch.cuda.is_available() else "cpu"


def _answers(
    torch: Any, tokenizer: Any, model: Any, prompts: list[list[dict[str, str]]], sampling: Sampling
) -> list[tuple[str, int, str]]:
    """(text, tokens, `stop` or `length`) for each conversation."""
    texts = [tokenizer.apply_chat_template(p, tokenize=False, add_generation_prompt=True) for p in prompts]
    batch = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(model.device)
    room = getattr(model.config, "max_position_embeddings", 1 << 20) - batch["input_ids"].shape[1]
    drawn = {"temperature": sampling.temperature, "top_p": sampling.top_p} if sampling.temperature else {}
    with torch.inference_mode():
        out = model.generate(
            input_ids=batch["input_ids"],
            attention_mask=batch["attention_mask"],
            max_new_tokens=min(sampling.max_tokens, room),
            do_sample=bool(drawn),
            pad_token_id=tokenizer.pad_token_id,
            **drawn,
        )
    ends = set(_list(model.generation_config.eos_token_id)) | set(_list(tokenizer.eos_token_id))
    results = []
    for new in out[:, batch["input_ids"].shape[1] :].tolist():
        stop = next((i for i, token in enumerate(new) if token in ends), None)
        ids = new if stop is None else new[:stop]
        text = tokenizer.decode(ids, skip_special_tokens=True)
        results.append((text, len(ids), "length" if stop is None else "stop"))
    return results


def _list(value: Any) -> list[int]:
    return value if isinstance(value, list) else [value]
