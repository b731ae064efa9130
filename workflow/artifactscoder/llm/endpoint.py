"""Which class answers for an endpoint of the configuration."""

from __future__ import annotations

from pathlib import Path

from artifactscoder.config import Endpoint
from artifactscoder.llm.api import ApiEndpoint
from artifactscoder.llm.request import Asks


def open_endpoint(name: str, settings: Endpoint, folder: Path) -> Asks:
    """The endpoint `name` of the configuration, ready for `async with`. A server's log goes into `folder`."""
    if settings.hosted:
        from artifactscoder.llm.hosted import HostedEndpoint

        return HostedEndpoint(name, settings, folder)
    if settings.kind == "procedural":
        from artifactscoder.llm.procedural.endpoint import ProceduralEndpoint  # a library of pages: only when used

        return ProceduralEndpoint()
    if settings.batch:
        from artifactscoder.llm.batch import BatchEndpoint

        return BatchEndpoint(name, settings, folder)
    return ApiEndpoint(name, settings)
