"""Every key of the configuration in lines: dotted name, default, meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Any, get_args

import yaml
from pydantic import BaseModel


def lines(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """`sft.code.sampling.temperature = 0.7   Sampling temperature.` for each key, in the order of the models."""
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
                yield from lines(inner, f"{dotted}.")
            continue
        default = "(no default)" if field.is_required() else repr(field.get_default(call_default_factory=True))
        yield f"{dotted} = {default}   {field.description or ''}".rstrip()


def _section(annotation: Any) -> type[BaseModel] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, BaseModel):
            return part
    return None


def _mapping(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) is dict


HEAD = """\
# The recipe at the paper's scale: every key, with its unit, its meaning and its source.
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
