"""eval/generate: a model's answers to the tasks.

In: tasks.parquet and a model folder in HF format, answered by transformers or by a vLLM in the job (`eval.engine`), or
the name of an endpoint. Out: one row a task with the raw answer, its tokens, and how it ended. An answer that is cut
off, empty or a loop is an answer: it gets the points that its page deserves, as a user would see it. Only where nobody
answered is a task `failed`. Every answer is in the journal before it counts. transformers decodes the same batches
whenever it is started, for padding moves the last digits; a kill loses the batch under way.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from artifactscoder import tables
from artifactscoder.config import Config
from artifactscoder.errors import UserError
from artifactscoder.eval.tasks import TASKS
from artifactscoder.journal import Journal
from artifactscoder.ledger import Ledger, Usage, beside
from artifactscoder.llm import folder, generate
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.llm.prompts import Message
from artifactscoder.models import fingerprint
from artifactscoder.progress import Progress
from artifactscoder.records import INT, TEXT, columns
from artifactscoder.tables import Row

KEPT = [name for name in TASKS.names if name not in ("id", "system")]
ANSWER = columns(id=TEXT, model=TEXT, **dict.fromkeys(KEPT, TEXT), answer=TEXT, finish=TEXT, tokens=INT)


def conversation(system: str, prompt: str) -> list[Message]:
    """What every model is asked, as trained ones were in training."""
    return [{"role": "system", "content": system}, {"role": "user", "content": prompt}]


async def run(config: Config, input: Path, model: Path | None, name: str, output: Path) -> Ledger:
    """Answer every task of `input` with the model `name`: the one in the folder `model`, or the endpoint."""
    if model is None:
        if name not in config.endpoints:
            raise UserError(
                f"there is no endpoint '{name}'; name one of the configuration, or give a folder by --model"
            )
        return await _asked(config, input, name, output)
    if config.eval.engine == "vllm":
        return await _asked(folder.served(config, name, model), input, name, output)
    return await _decoded(config, input, model, name, output)


async def _asked(config: Config, input: Path, name: str, output: Path) -> Ledger:
    """By an endpoint."""
    async with generate.roles(config, "eval/generate", name, endpoints=[name]) as [client]:
        return await generate.in_order(
            tables.rows(input, TASKS.names),
            lambda row: [f"{name}/{row['id']}"],
            lambda row: answered(config, client, name, row),
            output,
            ANSWER,
            [client],
            Progress(f"eval/generate {name}", tables.count(input)),
        )


async def answered(config: Config, client: Client, name: str, row: Row) -> list[Outcome]:
    """The answer of the endpoint to one task."""
    messages = conversation(row["system"], row["prompt"])
    try:
        answer, usage, _ = await client.ask(messages, config.eval.sampling)
    except Unusable as trouble:
        if trouble.status == "failed":
            return unusable([f"{name}/{row['id']}"], trouble)
        finish = "length" if trouble.reason == "truncated" else trouble.reason
        full = with_answer(row, name, trouble.text, finish, trouble.usage.tokens_out)
        return [Outcome(full["id"], usage=trouble.usage, row=full)]
    full = with_answer(row, name, answer.text, answer.finish, answer.tokens_out)
    return [Outcome(full["id"], usage=usage, row=full)]


def decoded_usage(tokens: int) -> Usage:
    """What an answer that transformers decoded is in the accounts."""
    return Usage(attempts=1, tokens_out=tokens)


def batch_key(config: Config, model: str, asked: list[list[Message]]) -> str:
    """The journal's key of a batch that transformers decodes; `model`: the folder's fingerprint.

    The others of a batch belong to what names an answer: their lengths decide the padding.
    """
    identity = [f"transformers {folder.DECODING}", model, config.eval.sampling.model_dump(), config.seed]
    batch = hashlib.sha256(orjson.dumps([identity, asked], option=orjson.OPT_SORT_KEYS)).hexdigest()[:32]
    return f"decoded/{batch}"


async def _decoded(config: Config, input: Path, path: Path, name: str, output: Path) -> Ledger:
    """By transformers."""
    settings, ledger, weights = config.eval, Ledger(beside(output)), fingerprint(path)
    progress = Progress(f"eval/generate {name}", tables.count(input))
    model: folder.Folder | None = None
    async with Journal(config.journal / "eval/generate" / name) as journal:
        with tables.Writer(output, ANSWER) as writer:
            for part in tables.batches(input, TASKS.names, settings.batch):
                asked = [conversation(row["system"], row["prompt"]) for row in part]
                key = batch_key(config, weights, asked)
                entry = journal.get(key)
                if entry is None:
                    model = model or folder.Folder(path)
                    entry = {
                        "answers": model.answers(asked, settings.sampling, int(key.removeprefix("decoded/")[:8], 16))
                    }
                    await journal.put(key, entry)
                for row, (text, count, finish) in zip(part, entry["answers"], strict=True):
                    full = with_answer(row, name, text, finish, count)
                    ledger.enter([full["id"]])
                    ledger.leave(full["id"], "ok", usage=decoded_usage(count))
                    writer.write(full)
                    progress.step()
            ledger.close()
    progress.end(ledger.summary())
    return ledger


def with_answer(task: Row, name: str, text: str, finish: str, count: int) -> Row:
    """The row of a task as the model `name` answered it."""
    kept = {key: value for key, value in task.items() if key != "system"}
    return {**kept, "id": f"{name}/{task['id']}", "model": name, "answer": text, "finish": finish, "tokens": count}
