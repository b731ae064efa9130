"""The front door: its help is legible and teaches, and what was mistyped is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifactscoder import cli
from artifactscoder.cluster import preflight
from artifactscoder.commands import COMMANDS


def help_of(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        cli.main([*name.split(), "--help"])
    return capsys.readouterr().out


def test_in_the_overview_a_space_stands_between_a_name_and_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {what}" in out for what in cli.GROUPS.values())


@pytest.mark.parametrize(
    ("typed", "meant"), [(["trce"], "trace"), (["sft", "scor"], "sft score"), (["sf", "score"], "sft score")]
)
def test_what_was_mistyped_is_named(typed: list[str], meant: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(typed) == 2
    assert f"did you mean `artifactscoder {meant}`?" in capsys.readouterr().err


def test_what_is_like_nothing_is_led_to_the_overview(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["xyzzy"]) == 2
    assert "`artifactscoder --help` lists them" in capsys.readouterr().err


def test_help_says_what_the_command_does_and_writes(capsys: pytest.CaptureFixture[str]) -> None:
    assert "every key, its default and meaning" in help_of("config keys", capsys)
    assert "page to write (HTML)" in help_of("report", capsys)


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.example])
def test_an_example_in_the_help_is_one_that_the_command_takes(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    command = COMMANDS[name]
    assert f"example:\n  artifactscoder {name} {command.example}\n" in help_of(name, capsys)
    assert cli._parser(name, command).parse_args(command.example.split())


def test_those_steps_that_the_readme_calls_teachers_have_an_example() -> None:
    assert COMMANDS["sft score"].example and COMMANDS["reward explain"].example


def test_help_says_which_checks_there_are_what_a_compute_node_is_asked_and_who_answers_by_default(
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = " ".join(help_of("preflight", capsys).split())
    assert f"these checks only: {', '.join(preflight.CHECKS)} " in said
    assert "look from a compute node too: its clock, endpoints, binds, file system" in said
    assert "default: the exported GRPO model, or SFT" in " ".join(help_of("generate", capsys).split())


def test_a_page_that_is_rendered_by_hand_has_its_pictures_among_the_results(tmp_path: Path, capsys) -> None:
    (tmp_path / "hello.html").write_text("<!DOCTYPE html><html><body><h1>Hello</h1></body></html>")
    (tmp_path / "my.yaml").write_text(f"results: {tmp_path / 'results'}")
    files = [word for name in ("config.yaml", str(tmp_path / "my.yaml")) for word in ("--config", name)]
    assert cli.main(["render", "page", str(tmp_path / "hello.html"), *files]) == 0
    pictures = sorted((tmp_path / "results/render/hello").iterdir())
    assert pictures and all(str(path) in capsys.readouterr().out for path in pictures[:1])
