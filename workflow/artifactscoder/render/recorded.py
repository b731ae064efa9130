"""Renderings on record: a page that was rendered once under the same options is not rendered again.

Verdict and pictures go into the journal under a digest of page, options, mirror and `VERSION`. So a resumed job goes on
where it was, and asks the judge with the very same evidence, which keeps the judge's answers valid too.
"""

from __future__ import annotations

import hashlib
import json
from typing import Protocol

from artifactscoder.journal import Journal
from artifactscoder.render import mirror
from artifactscoder.render.page import Render, RenderOptions

VERSION = 2  # raised when the engine sees pages differently


class Renders(Protocol):
    """What renders: a RenderPool, or what stands in its place."""

    options: RenderOptions

    async def render(self, html: str) -> Render: ...


class RecordedPool:
    """A RenderPool behind a journal."""

    def __init__(self, pool: Renders, journal: Journal) -> None:
        self.pool = pool
        self.journal = journal
        held = mirror.load().digest if pool.options.mirror else None
        options = json.dumps([pool.options.to_dict(), held], sort_keys=True)
        self._prefix = f"render/{VERSION}/{hashlib.sha256(options.encode()).hexdigest()[:12]}/"

    async def render(self, html: str) -> Render:
        """The recorded rendering of the page, or a new one, recorded before it is returned."""
        key = self._prefix + hashlib.sha256(html.encode("utf-8", "surrogatepass")).hexdigest()
        entry = self.journal.get(key)
        if entry is not None:
            return Render.from_dict(entry["render"])
        render = await self.pool.render(html)
        await self.journal.put(key, {"render": render.to_dict()})
        return render
