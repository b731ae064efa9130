"""The docs speak of what is there: messages, pages, commands, files."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from artifactscoder import cli, config
from artifactscoder.cli import COMMANDS
from artifactscoder.llm import forecast

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


def test_a_command_that_the_docs_show_with_its_arguments_is_one_that_it_takes() -> None:
    """Once the README's own `render page FILE` and `reward explain FILE` ended with what they lack."""
    shown = 0
    for path in (*DOCS, ROOT / "README.md"):
        for text in re.findall(r"`artifactscoder ([^`>]+)`", path.read_text()):
            words = shlex.split(text)
            name = next(name for name in (" ".join(words[:2]), words[0]) if name in COMMANDS)
            if rest := words[len(name.split()) :]:
                shown += 1
                try:
                    cli._parser(name, COMMANDS[name]).parse_args(rest)
                except SystemExit as ended:
                    assert ended.code == 0, f"{path.name}: artifactscoder {text}"  # --help
    assert shown > 10


def test_a_snakemake_that_is_to_make_something_is_told_where_and_how_much_at_once() -> None:
    for path in (ROOT / "README.md", *DOCS):
        for text in re.findall(r"`snakemake ([^`]+)`", path.read_text()):
            makes = {"data", "tokens", "all", "eval", "grpo", "--forcerun"} & set(text.split())
            given = {"--cores", "--profile"} & set(text.split()) or "<your options>" in text
            assert given or not makes or text == "all", f"{path.name}: snakemake {text}"


@pytest.mark.parametrize("page", ["README.md", "docs/endpoints.md"])
def test_the_file_that_a_user_starts_from_has_a_judge_that_sees_and_a_model_to_train(page: str, tmp_path: Path) -> None:
    (text,) = re.findall(r"```yaml\n(# my\.yaml\n.*?)```", (ROOT / page).read_text(), re.DOTALL)
    (tmp_path / "my.yaml").write_text(text)
    made = config.load([ROOT / "config.yaml", tmp_path / "my.yaml"])
    assert made.blind_judges == [] and made.endpoint("vision_judge")[1].vision
    assert {endpoint.url for endpoint in made.in_use.values()} == {"http://gpu-node:8000/v1", "http://gpu-node:8001/v1"}
    assert made.train.base != config.load([ROOT / "config.yaml"]).train.base and made.train.base.is_absolute()


def test_a_figure_that_stands_in_several_places_is_the_same_in_all() -> None:
    told = {
        name: (ROOT / name).read_text() for name in ("config.yaml", "docs/config.md", "docs/house.md", "docs/cpt.md")
    }
    slower = {name: set(re.findall(r"(\d+) times slower", told[name])) for name in list(told)[:3]}
    measured = re.search(r"(\d+) times datasketch's", (ROOT / "docs/performance.md").read_text())
    assert measured and slower == dict.fromkeys(slower, {measured[1]})
    asked = {share.step: share.requests for share in forecast.shares(config.load([ROOT / "config.yaml"]))}
    requests = re.search(r"\| (\d+)K requests, 78K leaves \|", told["docs/cpt.md"])
    assert requests and int(requests[1]) == round(asked["cpt/tree"] / 1000)


def test_a_floor_imports_only_from_below_as_the_house_says() -> None:
    package = ROOT / "workflow/artifactscoder"
    parts = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    blocks = (ROOT / "docs/house.md").read_text().split("```")[1::2]
    plan = next(block for block in blocks if "\n0  errors" in block)
    floors: dict[str, int] = {}
    floor = 0
    for line in plan.strip().splitlines():
        floor = int(line[0]) if line[0].isdigit() else floor
        names = re.split(r" {3,}", line[3:])[0]
        floors |= {name: floor for name in re.findall(r"\w+", names) if name in parts}
    assert set(floors) == parts - {"__init__"}
    said = re.findall(r"^([\w ]+) -> ([\w ]+?)(?: {2,}.*)?$", "".join(blocks), re.MULTILINE)
    allowed = {(one, other) for ones, others in said for one in ones.split() for other in others.split()}
    seen = set()
    for path in package.rglob("*.py"):
        one = path.relative_to(package).parts[0].removesuffix(".py")
        for other in _imported(path) & set(floors) - {one}:
            if floors[other] >= floors[one] and not floors[other] == floors[one] == 0:
                seen.add((one, other))
    assert seen == allowed


def _imported(path: Path) -> set[str]:
    """The parts of the package that a module imports, those for type checkers alone aside."""

    def nodes(node: ast.AST) -> Iterator[ast.AST]:
        for child in ast.iter_child_nodes(node):
            if not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
                yield child
                yield from nodes(child)

    names: list[str] = []
    for node in nodes(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return {name.split(".")[1] for name in names if name.startswith("artifactscoder.")}


def test_a_size_is_named_before_the_user_s_own_file_whose_keys_then_count() -> None:
    sizes = list((ROOT / "profiles/sizes").glob("*.yaml"))
    told = [line for path in (*DOCS, ROOT / "README.md", *sizes) for line in path.read_text().splitlines()]
    named = [line for line in told if "--configfile" in line and "profiles/sizes/" in line]
    assert len(named) > len(sizes) >= 3
    assert [line for line in named if not re.search(r"--configfile profiles/sizes/\S+ my\.yaml", line)] == []
