"""What stands in the bodies of requests for renders.

In: bytes of unknown making, up to 64 MB. Out: the page and its options, or a UserError that says what is wrong without
repeating any of it. The bytes of a batch are cut into lines as they come, and none is kept beyond its line.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import StreamReader, web

from artifactscoder.errors import UserError
from artifactscoder.render.page import RenderOptions

MAX_BODY = 64 << 20
"""Bytes of one request, or of one line of a batch."""
BODY_SECONDS = 60.0


async def read(request: web.Request) -> bytes:
    """The whole body. Raises TimeoutError if it does not arrive within 60 s."""
    async with asyncio.timeout(BODY_SECONDS):
        return await request.read()


def parse(body: bytes) -> dict[str, Any]:
    """The object that a body or a line holds."""
    try:
        asked = json.loads(body)
    except ValueError as error:
        raise UserError(f"The request is not JSON: {error}") from error
    if not isinstance(asked, dict):
        raise UserError('The request needs an object with a text under "html"')
    return asked


def page(asked: dict[str, Any], default: RenderOptions) -> tuple[str, RenderOptions]:
    """The page and the options of a request; options that it leaves out are as the service was started."""
    html, options = asked.get("html"), asked.get("options") or {}
    if not isinstance(html, str):
        raise UserError('The request needs a text under "html"')
    if not isinstance(options, dict):
        raise UserError('The request needs an object under "options", or nothing')
    return html, RenderOptions.from_dict(default.to_dict() | options)


async def lines(content: StreamReader) -> AsyncIterator[bytes]:
    """The lines of a body, without empty ones; b"" for one that is longer than a page may be."""
    kept = bytearray()
    too_long = False
    async for piece in content.iter_any():
        *ended, rest = piece.split(b"\n")
        for part in ended:
            line = b"" if too_long or len(kept) + len(part) > MAX_BODY else bytes(kept) + part
            if not line and (too_long or kept or part):
                yield b""
            elif line.strip():
                yield line
            kept.clear()
            too_long = False
        if len(kept) + len(rest) > MAX_BODY:
            kept.clear()
            too_long = True
        elif not too_long:
            kept += rest
    if too_long or kept.strip():
        yield b"" if too_long else bytes(kept)
