"""cpt/dedup: near-duplicates among the pages of all roots and WebSight, threshold 0.7 (the engine is `dedup/`)."""

from __future__ import annotations

from artifactscoder.dedup.phases import HTML, bands, components, filter, keep, pairs, route, signature, verify

__all__ = ["HTML", "bands", "components", "filter", "keep", "pairs", "route", "signature", "verify"]
