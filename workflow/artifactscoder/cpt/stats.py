"""cpt/stats: what the pages of a shard are, for the report.

In: the pages that dedup kept, and the ledger of their packing. Out: `SHARD.json`: documents, bytes and tokens by
category (a root of the tree, or WebSight), pages by the language that they declare (`lang` of <html>, without its
region; `none` where they declare none) and by the libraries that they load (scripts, style sheets, imports and import
maps, named as npm names them where the host is a known CDN, else `elsewhere`). A library counts once a page. What
language a page really is in is not guessed: most of a page is code. 20 MB/s.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

from artifactscoder import files, tables
from artifactscoder.errors import UserError
from artifactscoder.progress import Progress
from artifactscoder.render import cdn

_HTML = re.compile(r"<html\b[^<>]*?\blang\s*=\s*[\"']?\s*([A-Za-z]{2,8})\b", re.IGNORECASE)
_URL = r"((?:https?:)?//[^\"'`\s<>\\]{4,500})"
_LOADED = (
    re.compile(rf"<script\b[^<>]*?\bsrc\s*=\s*[\"']?{_URL}", re.IGNORECASE),
    re.compile(rf"<link\b(?=[^<>]*\brel\s*=\s*[\"']?stylesheet)[^<>]*?\bhref\s*=\s*[\"']?{_URL}", re.IGNORECASE),
    re.compile(rf"\b(?:from|import)\s*\(?\s*[\"'`]{_URL}"),  # of scripts, and of style sheets by @import "..."
)
_MAP = re.compile(r"<script\b[^<>]*\btype\s*=\s*[\"']?importmap[^<>]*>", re.IGNORECASE)
_MAPPED = re.compile(rf":\s*\"{_URL}\"")


def run(input: Path, ledger: Path, output: Path) -> None:
    """Write the statistics of the pages of `input`, whose tokens `ledger` (of cpt/pack) counts."""
    groups: dict[str, Counter[str]] = {}
    languages: Counter[str] = Counter()
    loaded: Counter[str] = Counter()
    progress = Progress(f"cpt/stats {input.stem}", tables.count(input))
    if tables.count(ledger) != tables.count(input):
        raise UserError(f"{ledger} does not belong to {input}; pack {input.stem} again")
    packed = tables.rows(ledger, ["id", "tokens_out"], batch=5000)
    for row, line in zip(tables.rows(input, ["id", "group", "html"]), packed, strict=True):
        if line["id"] != row["id"]:
            raise UserError(f"{ledger} does not belong to {input}: it has {line['id']} where {row['id']} stands")
        size = len(row["html"].encode())
        groups.setdefault(row["group"], Counter()).update(documents=1, bytes=size, tokens=line["tokens_out"])
        languages[language(row["html"])] += 1
        loaded.update(libraries(row["html"]))
        progress.step()
    found = {"groups": groups, "languages": dict(languages), "libraries": dict(loaded)}
    files.write_bytes(output, json.dumps(found, indent=1, sort_keys=True).encode())
    progress.end(f"{sum(languages.values())} pages")


def language(html: str) -> str:
    """The language that a page declares: `en` for lang="en-GB"."""
    found = _HTML.search(html[:20_000])
    return found.group(1).lower() if found else "none"


def libraries(html: str) -> set[str]:
    """The libraries that a page loads."""
    if "//" not in html:
        return set()
    urls = {url for pattern in _LOADED for url in pattern.findall(html)}
    at = 0
    while (begin := _MAP.search(html, at)) and (at := html.find("</script", begin.end())) >= 0:
        urls.update(_MAPPED.findall(html, begin.end(), at))
    names: set[str] = set()
    for url in urls:
        wanted = cdn.parse(f"https:{url}" if url.startswith("//") else url)
        names.update(one.names[0] for one in wanted or [] if one.names)
        if wanted is None:
            names.add("elsewhere")
    return names
