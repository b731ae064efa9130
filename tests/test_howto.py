"""docs/howto.md runs as it is written: its commands are run, its files written, its changes made, in their order."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from checkout import ROOT, server

PAGE = ROOT / "docs/howto.md"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)
JUDGE = "http://judge.example.org:8000/v1"


ACCOUNTS = """
from pathlib import Path
from artifactscoder import config as configs
from artifactscoder.report import accounts

found = accounts.collect(configs.of_run(Path("results")), Path("results"))
print(*[f"{one.step} {one.problems}" for one in found if one.step == "look/elements"])
"""


@dataclass
class Block:
    """A block of the page: commands (`bash`), a file (`title`), or a change (`diff`)."""

    kind: str
    title: str
    text: str


def sections() -> dict[str, list[Block]]:
    """The blocks of the page by the heading above them."""
    parts = re.split(r"^## (.+)$", PAGE.read_text(), flags=re.MULTILINE)
    found = dict(zip(["", *parts[1::2]], parts[::2], strict=True))
    return {name: [Block(*match) for match in BLOCK.findall(text)] for name, text in found.items()}


def follow(folder: Path, blocks: list[Block], url: str = "") -> str:
    """Do what a section says; returns what its commands printed."""
    said = ""
    exports: list[str] = []
    for block in blocks:
        if block.title:
            path = folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text)
        elif block.kind == "diff":
            done = subprocess.run(["patch", "-p1"], cwd=folder, input=block.text, capture_output=True, text=True)
            assert done.returncode == 0, done.stdout + done.stderr
        else:
            assert block.kind == "bash", f"nobody knows what to do with a block of {block.kind}"
            text = block.text.replace(JUDGE, url or JUDGE)
            exports += [line for line in text.splitlines() if line.startswith("export ")]
            said += shell(folder, "\n".join([*exports, text]))
    return said


def shell(folder: Path, text: str) -> str:
    """Run commands as one would type them, in the checkout's own code."""
    text = text.replace("source .venv/bin/activate", "true")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": f"{folder}/workflow:{os.environ.get('PYTHONPATH', '')}"}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text], cwd=folder, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, f"{text}\n{done.stdout[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout to change: copies, no links."""
    made = tmp_path_factory.mktemp("howto") / "artifactscoder"
    names = ("workflow", "rules", "profiles", "containers", "envs")
    leave = shutil.ignore_patterns("__pycache__", "*.sif", "wheels")
    for name in names:
        shutil.copytree(ROOT / name, made / name, ignore=leave)
    for name in ("config.yaml", "pyproject.toml"):
        shutil.copy(ROOT / name, made)
    return made


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_step_of_the_page_runs_as_written(folder: Path, tmp_path: Path) -> None:
    told = sections()
    assert list(told) == ["", "A category", "A judge", "A component of the reward", "A stage"]
    follow(folder, told[""])

    said = follow(folder, told["A category"])
    assert "sft/rules: pages of music-practice" in said and "all hold" in said
    assert pq.read_table(folder / "results/sft/rules/music-practice.parquet").num_rows > 0

    with server(tmp_path / "asked.log") as url:
        said = follow(folder, told["A judge"], url)
    assert re.search(r"^second is (not )?fit", said, re.MULTILINE) and "second (Qwen2.5-VL-72B-Instruct)" in said
    assert len((tmp_path / "asked.log").read_text().splitlines()) >= 17, "the new judge was asked"

    said = follow(folder, told["A component of the reward"])
    assert re.search(r"s_has_dark_mode\s.*\b1(\.0+)?\b", said), said[-2000:]

    said = follow(folder, told["A stage"])
    assert "look/elements: pages of music-practice" in said and "Nothing to be done" in said
    table = pq.read_table(folder / "results/look/elements/music-practice.parquet")
    assert table.num_rows == pq.read_table(folder / "results/sft/rules/music-practice.parquet").num_rows
    assert min(table["elements"].to_pylist()) > 5
    help_ = shell(folder, "artifactscoder --help")
    assert "look      a look at finished pages" in help_
    (folder / "count.py").write_text(ACCOUNTS)
    assert shell(folder, "python count.py").strip() == "look/elements []", "the report's accounts know the step"
