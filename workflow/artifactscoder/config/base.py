"""What all sections of the configuration share."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A part of config.yaml: unknown keys are mistakes, values do not change after loading.

    Defaults are made of their types too: a 10 that were 10.0 when the file is read again would be another setting to
    whatever takes a digest of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
    OPERATIONAL: ClassVar[frozenset[str]] = frozenset()
    """Fields that say where, how fast, how long is waited or what is looked at: no result is another by them."""

    @model_validator(mode="before")
    @classmethod
    def what_is_not_named_keeps_its_default(cls, values: Any) -> Any:
        """A section given in part is laid over its default in this place, which may differ from its class's."""
        if not isinstance(values, dict):
            return values
        fields = cls.model_fields
        return {name: _over(fields[name].default, value) if name in fields else value for name, value in values.items()}


def _over(default: Any, value: Any) -> Any:
    if not (isinstance(default, Section) and isinstance(value, dict)):
        return value
    return {**dict(default), **{name: _over(getattr(default, name, None), part) for name, part in value.items()}}
