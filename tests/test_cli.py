"""The front door: its help is legible and teaches, and what was mistyped is named."""

from __future__ import annotations

import pytest

from artifactscoder import cli
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
