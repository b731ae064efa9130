"""Every key of the configuration in words: as lines, as commented YAML, and as a page of the documentation."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import PurePath
from typing import Annotated, Any, Literal, get_args, get_origin

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo


def lines(model: type[BaseModel], prefix: str = "", section: BaseModel | None = None) -> Iterator[str]:
    """`sft.code.sampling.temperature = 0.7   Sampling temperature.` for each key, in the order of the models.

    `section`: the default of the section itself, whose values are the keys' defaults; none: those of its class.
    """
    for name, field in model.model_fields.items():
        dotted = f"{prefix}{name}"
        inner = _section(field.annotation)
        if inner is not None:
            if _mapping(field.annotation):
                yield f"{dotted}: by name, each with   {field.description or ''}"
                yield from lines(inner, f"{dotted}.NAME.")
            else:
                if field.description:
                    yield f"{dotted}:   {field.description}"
                yield from lines(inner, f"{dotted}.", _default(field, name, section))
            continue
        default = "(no default)" if _required(field, section) else repr(_default(field, name, section))
        yield f"{dotted} = {default}   {field.description or ''}".rstrip()


def _required(field: FieldInfo, section: BaseModel | None) -> bool:
    return section is None and field.is_required()


def _default(field: FieldInfo, name: str, section: BaseModel | None) -> Any:
    if section is not None:
        return getattr(section, name)
    return None if field.is_required() else field.get_default(call_default_factory=True)


def _section(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is dict


PAGE = """\
# Configuration
Every key, its type, its default and its meaning, as the code has them. The recipe at the paper's scale is
`config.yaml`, which names each of them; a file of your own, given by `--configfile`, needs only what differs. A key
that is not here is refused, and so is a value of another type. This page is made by
`artifactscoder config reference > docs/config.md`.
"""


def page(model: type[BaseModel]) -> str:
    """The page: a table a section."""
    return PAGE + "\n".join(_tables(model, "", "", None)) + "\n"


def _tables(model: type[BaseModel], prefix: str, about: str, section: BaseModel | None) -> Iterator[str]:
    rows, sections = [], list[tuple[type[BaseModel], str, str, BaseModel | None]]()
    for name, field in model.model_fields.items():
        inner = _section(field.annotation)
        if inner is None:
            default = "" if _required(field, section) else f"`{_plain(_default(field, name, section))}`"
            meaning = _cell(field.description or "")
            rows.append(
                f"| `{prefix}{name}` | {_cell(_type(field))} | {default or 'none: must be given'} | {meaning} |"
            )
        else:
            named = _mapping(field.annotation)
            meaning = field.description or (inner.__doc__ or "").strip().splitlines()[0]
            default_of = None if named else _default(field, name, section)
            sections.append((inner, f"{prefix}{name}.NAME." if named else f"{prefix}{name}.", meaning, default_of))
    yield ""
    yield f"## {prefix.removesuffix('.') or 'At the top'}"
    if about:
        yield about
        yield ""
    if rows:
        yield from ("| key | type | default | meaning |", "|---|---|---|---|", *rows)
    for parts in sections:
        yield from _tables(*parts)


def _type(field: Any) -> str:
    """A field's type and its bounds, in words."""
    words = _words(field.annotation)
    signs = {"ge": "from", "gt": "above", "le": "to", "lt": "below"}
    bounds = [
        f"{word} {getattr(each, name):g}"
        for each in field.metadata
        for name, word in signs.items()
        if isinstance(getattr(each, name, None), int | float)
    ]
    return " ".join([words, *bounds])


def _words(annotation: Any) -> str:
    names = {
        "int": "whole number",
        "float": "number",
        "str": "text",
        "bool": "true or false",
        "Path": "path",
        "Any": "any",
    }
    of = get_args(annotation)
    if annotation is type(None) or annotation is None:
        return "null"
    if get_origin(annotation) is Literal:
        return ", ".join(f"`{value}`" for value in of)
    if get_origin(annotation) is Annotated:
        return _words(of[0])
    if get_origin(annotation) in (list, tuple):
        return f"list of {_words(of[0])}" if of else "list"
    if get_origin(annotation) is dict:
        return f"{_words(of[0])} to {_words(of[1])}"
    if of:
        return " or ".join(dict.fromkeys(_words(part) for part in of))
    return names.get(getattr(annotation, "__name__", ""), getattr(annotation, "__name__", "any"))


def _plain(value: Any) -> str:
    if isinstance(value, PurePath):
        value = str(value)
    text = yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True)
    return _cell(text.removesuffix("\n").removesuffix("\n...").strip())


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


HEAD = """\
# The recipe at the paper's scale: every key, with its unit, its meaning and its source. Which paper: README.md.
# A profile overlays a few of them (profiles/demo/recipe.yaml); where and how much at once is the profile's affair.
# This file is kept in step with the typed configuration: `artifactscoder config yaml > config.yaml` after a change.
"""
WIDTH = 112


def as_yaml(config: BaseModel) -> str:
    """The configuration as commented YAML; `load` reads it back to the same."""
    return HEAD + "\n".join(_yaml(config, 0)) + "\n"


def _yaml(section: BaseModel, depth: int) -> Iterator[str]:
    pad = "  " * depth
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        about = field.description or ""
        if depth == 0:
            yield ""
        if isinstance(value, BaseModel):
            about = about or (type(value).__doc__ or "").strip().splitlines()[0]
            yield from _comment(about, pad)
            yield f"{pad}{name}:"
            yield from _yaml(value, depth + 1)
        elif isinstance(value, dict) and value and all(isinstance(v, BaseModel) for v in value.values()):
            yield from _comment(about, pad)
            yield f"{pad}{name}:"
            for number, (key, inner) in enumerate(value.items()):
                yield f"{pad}  {key}:"
                explained = _yaml(inner, depth + 2)
                # The keys are the same in every entry: explained once.
                bare = (line.split("  # ")[0].rstrip() for line in explained)
                yield from explained if number == 0 else filter(None, bare)
        else:
            text = f"{pad}{name}: {_scalar(section, name)}"
            if len(text) + len(about) + 4 <= WIDTH:
                yield f"{text}  # {about}" if about else text
            else:
                yield from _comment(about, pad)
                yield text


def _comment(about: str, pad: str) -> Iterator[str]:
    yield from textwrap.wrap(about, WIDTH, initial_indent=f"{pad}# ", subsequent_indent=f"{pad}# ")


def _scalar(section: BaseModel, name: str) -> str:
    value = section.model_dump(mode="json", include={name})[name]
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("\n...\n").strip()
    )
