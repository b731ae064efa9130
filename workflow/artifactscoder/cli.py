"""`artifactscoder STAGE STEP`: one subcommand a step, each of which runs by hand as it runs in a rule.

A step's module is imported only when its subcommand is called, so `--help` is quick; its opening paragraph is the
help text. A user's mistake is one sentence on standard error and exit code 2.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import errno
import sys
import textwrap
from collections.abc import Coroutine
from importlib import import_module
from pathlib import Path

from artifactscoder import guard
from artifactscoder.arguments import ARGUMENTS
from artifactscoder.commands import COMMANDS, NO_CONFIG, Command
from artifactscoder.errors import UserError
from artifactscoder.recipe import STEPS

PACKAGE = Path(__file__).parent
Parser = argparse.ArgumentParser


def _docstring(module: str) -> str:
    """A module's opening text, read without importing it."""
    path = PACKAGE.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""


def _summary(name: str) -> str:
    return COMMANDS[name].summary or STEPS[name.replace(" ", "/")].summary


# What a stage does, and what a group of other subcommands does.
STAGES = {
    "cpt": "pages and tokens for continual pre-training",
    "sft": "scored pages for supervised fine-tuning",
    "rl": "prompts, checklists and reference pages for GRPO",
    "train": "models, with verl",
    "eval": "what the models are worth",
}
GROUPS = {
    "audit": "what two runs differ in; pictures of the workflow; the run as an RO-Crate",
    "render": "the HTTP render service; one page: verdict and pictures",
    "reward": "the reward of one page, part by part",
    "images": "the Apptainer images: build those missing, list all",
    "journal": "answers, tokens and cost by step; remove what no step asks for any more",
    "config": "every key and its meaning; all of it as YAML; docs/config.md; the JSON schema",
}


def _overview() -> str:
    """A line a stage with its steps, and a line for each other subcommand."""
    lines = []
    for stage, what in STAGES.items():
        steps = [name.split()[1] for name in COMMANDS if name.startswith(f"{stage} ") and "-" not in name]
        lines += [f"  {stage:<10}{what}", *textwrap.wrap(" ".join(steps), 100, initial_indent=" " * 12,
                  subsequent_indent=" " * 12)]  # fmt: skip
    lines.append("")
    heads = {}
    for name in dict.fromkeys(name.split()[0] for name in COMMANDS if name.split()[0] not in STAGES):
        parts = [other.split()[1] for other in COMMANDS if other.startswith(f"{name} ")]
        heads[" ".join([name, "|".join(parts)]).strip()] = GROUPS.get(name) or _summary(name)
    width = max(map(len, heads))
    lines += [f"  {head:<{width}}  {what}" for head, what in heads.items()]
    return (
        "usage: artifactscoder STAGE STEP [options]     artifactscoder STAGE [STEP] --help\n\n"
        "From seed categories to a front-end code model. Each step reads files and writes files; the workflow\n"
        "(`snakemake -n` shows it) calls them in this order:\n\n" + "\n".join(lines) + "\n"
    )


def _stage(only: str) -> str:
    """All subcommands that begin with one word, each with what it does."""
    names = [name for name in COMMANDS if name.split()[0] == only]
    width = max(map(len, names))
    lines = "\n".join(f"  {name:<{width}}  {_summary(name)}" for name in names)
    return f"usage: artifactscoder {only} STEP [options]     artifactscoder {only} STEP --help\n\n{lines}\n"


def _parser(name: str, command: Command) -> Parser:
    parser = Parser(
        prog=f"artifactscoder {name}",
        description=f"{_summary(name)}\n\n{_docstring(command.module)}",
        epilog=f"example:\n  artifactscoder {name} {command.example}" if command.example else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    if name not in NO_CONFIG:
        parser.add_argument(
            "--config",
            type=Path,
            action="append",
            help="configuration, YAML or JSON; given several times, later ones overlay earlier ones "
            "(default: config.yaml)",
        )
    for argument in command.arguments:
        flag, options = ARGUMENTS[argument]
        parser.add_argument(flag, **options)
    return parser


def _find(argv: list[str]) -> tuple[str, list[str]]:
    for length in (2, 1):
        name = " ".join(argv[:length])
        if len(argv) >= length and name in COMMANDS:
            return name, argv[length:]
    near = [name for name in COMMANDS if argv and name.startswith(argv[0])]
    asks_help = not argv or argv[0] in ("-h", "--help")
    if not asks_help and (not near or (len(argv) > 1 and not argv[1].startswith("-"))):
        meant = _meant(argv)
        more = f"did you mean `{meant}`?" if meant else "`artifactscoder --help` lists them"
        raise UserError(f"there is no step '{' '.join(argv[:2])}'; {more}")
    return "", argv


def _meant(argv: list[str]) -> str:
    """The subcommand whose name is nearest to what was typed; empty where none is near."""
    stages = {name.split()[0] for name in COMMANDS}
    for words, known in ((argv[:2], COMMANDS.keys()), (argv[:1], COMMANDS.keys() | stages)):
        near = difflib.get_close_matches(" ".join(words), sorted(known), 1, 0.7)
        if near:
            return f"artifactscoder {near[0]}"
    return ""


def main(argv: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit code."""
    argv = sys.argv[1:] if argv is None else argv
    guard.no_core_dumps()
    try:
        name, rest = _find(argv)
        if not name:
            print(_stage(rest[0]) if rest and rest[0] in {word.split()[0] for word in COMMANDS} else _overview())
            return 0
        command = COMMANDS[name]
        args = _parser(name, command).parse_args(rest)
        config = None
        if name not in NO_CONFIG:
            from artifactscoder import config as configs

            args.config = args.config or [Path("config.yaml")]
            config = configs.load(args.config)
        result = command.call(import_module(f"artifactscoder.{command.module}"), config, args)
        if isinstance(result, Coroutine):
            from artifactscoder.llm import drain

            result = drain.run(result)
        return result if isinstance(result, int) else 0
    except UserError as error:
        print(f"artifactscoder: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:
        return 0
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        more = f"{error.filename or 'a file'} cannot be written ({error.strerror or error})"
        print(f"artifactscoder: {more}; make room, then run the same command again: what was answered is kept",
              file=sys.stderr)  # fmt: skip
        return 2
    except KeyboardInterrupt:
        print("artifactscoder: stopped; what was answered is kept", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
