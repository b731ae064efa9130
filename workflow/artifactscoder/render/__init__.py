"""Rendering of model-written pages: in a pool of browsers here, or by a service elsewhere."""

from artifactscoder.render.client import RenderClient
from artifactscoder.render.page import Render, RenderOptions, RenderUnavailable, Route, Verdict
from artifactscoder.render.pool import RenderPool
from artifactscoder.render.recorded import RecordedPool

__all__ = [
    "RecordedPool",
    "Render",
    "RenderClient",
    "RenderOptions",
    "RenderPool",
    "RenderUnavailable",
    "Route",
    "Verdict",
]
