"""The docs speak of what is there: messages, pages, commands, files."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from artifactscoder.cli import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
DOCS = sorted((ROOT / "docs").glob("*.md"))


def test_every_message_that_troubleshooting_names_is_one_of_the_code() -> None:
    code = "\n".join(path.read_text() for path in (ROOT / "workflow/artifactscoder").rglob("*.py"))
    named = 0
    for line in (ROOT / "docs/troubleshooting.md").read_text().splitlines():
        seen = line.split(" | ")[0].removeprefix("| ")
        for message in re.findall(r"`((?:\\`|[^`])+)`", seen if line.startswith("| ") else ""):
            if message not in ("snakemake", "snakemake -n", "train fit"):
                assert message.replace("\\`", "`") in code, message
                named += 1
    assert named > 40


def test_every_page_is_in_the_site_and_in_its_start() -> None:
    text = (ROOT / "mkdocs.yml").read_text()
    nav = set(re.findall(r"[\w-]+\.md", text))
    assert nav == {path.name for path in DOCS}
    start = (ROOT / "docs/index.md").read_text()
    assert all(f"({path.name})" in start for path in DOCS if path.name != "index.md")
    assert yaml.safe_load(text)["strict"] is True


def test_the_subcommands_that_the_docs_name_are_there() -> None:
    words = {name.split()[0] for name in COMMANDS}
    for path in (*DOCS, ROOT / "README.md"):
        for first, second in re.findall(
            r"(?:`|^)artifactscoder ([a-z_]+)(?: ([a-z_-]+))?", path.read_text(), re.MULTILINE
        ):
            known = first in words and (first in COMMANDS or not second or f"{first} {second}" in COMMANDS)
            assert known or f"{first} {second}" == "look elements", f"{path.name}: artifactscoder {first} {second}"
