"""Asking for a page: what sft/code, cpt/code, cpt/websight and rl/reference share."""

from __future__ import annotations

from artifactscoder.config.engines import Sampling
from artifactscoder.html.extract import extract
from artifactscoder.ledger import Usage
from artifactscoder.llm.client import Client, Unusable
from artifactscoder.llm.generate import Outcome, unusable
from artifactscoder.llm.prompts import Message
from artifactscoder.tables import Row


async def page(client: Client, messages: list[Message], sampling: Sampling, row: Row) -> Outcome:
    """The outcome of one request for a page; `row` holds the id, group, kind and prompt of the PAGE row.

    An answer without a page, or with one that was cut off, is rejected; what was taken is in `extracted`.
    """
    try:
        answer, usage, key = await client.ask(messages, sampling)
    except Unusable as trouble:
        return unusable([row["id"]], trouble)[0]
    return _outcome(row, answer.text, usage, key, client.maker)


def _outcome(row: Row, answer: str, usage: Usage, key: str, maker: str) -> Outcome:
    taken = extract(answer)
    if taken.kind == "none":
        return Outcome(row["id"], "rejected", "no_page", answer.strip()[:200], usage)
    if taken.kind == "truncated":
        return Outcome(row["id"], "rejected", "truncated", "the page has no closing </html>", usage)
    full = {
        **row,
        "html": taken.html,
        "answer": answer,
        "extracted": taken.kind,
        "maker": maker,
        "request": key,
    }
    return Outcome(row["id"], usage=usage, row=full)
