"""sft/dedup: near-duplicates among the pages of all categories, threshold 0.8 (the engine is `dedup/`)."""

from __future__ import annotations

from artifactscoder.dedup.phases import HTML, bands, components, filter, keep, pairs, route, signature, verify

__all__ = ["HTML", "bands", "components", "filter", "keep", "pairs", "route", "signature", "verify"]
