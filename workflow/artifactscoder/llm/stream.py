"""A streamed answer, put together from its server-sent events as they come.

Streaming shows that a server is still at work, so that a dead connection is noticed after seconds of silence and not
at the end of a long time-out. And it lets an answer be ended that runs in circles, long before max_tokens: that saves
its tokens, and its place. Nothing but the text is kept in memory; an event costs some microseconds.
"""

from __future__ import annotations

from typing import Any

import aiohttp
import orjson

from artifactscoder.html import repetition

CHECK_EVERY = 4_096  # characters between two looks for repetition
LOOP = 12_000  # characters that must be one passage repeated, before an answer is ended


class Broken(Exception):
    """What came is no chat completion."""


async def completion(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The events of a response as one chat completion, as an answer in one piece would have it.

    `finish_reason` is `repeated` where the answer was ended here; its `usage` is then counted from the events.
    """
    texts: list[str] = []
    thoughts: list[str] = []
    usage: dict[str, Any] | None = None
    finish = ""
    rest = b""
    events = length = looked = 0
    async for data in response.content.iter_any():
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            line = line[5:].strip()
            if line == b"[DONE]":
                if not finish:
                    raise Broken("the stream ended without a finish_reason")
                return _whole("".join(texts), "".join(thoughts), finish, usage)
            try:
                event = orjson.loads(line)
                if event.get("error"):
                    raise Broken(f"the server broke off: {str(event['error'])[:160]}")
                usage = event.get("usage") or usage
                for choice in event.get("choices") or ():
                    finish = choice.get("finish_reason") or finish
                    delta = choice["delta"]
                    if text := delta.get("content"):
                        texts.append(text)
                        length += len(text)
                        events += 1
                    if text := delta.get("reasoning_content") or delta.get("reasoning"):
                        thoughts.append(text)
                        events += 1
            except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
                raise Broken(f"an event is no part of a chat completion: {line[:120]!r}") from None
        if length - looked >= CHECK_EVERY:
            looked = length
            texts = ["".join(texts)]
            if repetition.loops(texts[0], LOOP):
                response.close()
                return _whole(texts[0], "".join(thoughts), "repeated", {"completion_tokens": events})
    if finish and usage:  # some servers end without [DONE]
        return _whole("".join(texts), "".join(thoughts), finish, usage)
    raise Broken("the stream broke off")


def _whole(text: str, thoughts: str, finish: str, usage: dict[str, Any] | None) -> dict[str, Any]:
    message = {"content": text, "reasoning_content": thoughts}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}
