"""Forms of answers that judge a list: every entry once, no other, each value in range."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, create_model, model_validator


class Judgement(BaseModel):
    """Base of the forms: `values()` is what was given, by id; `reasons()` why."""

    def entries(self) -> list[Any]:
        return getattr(self, next(iter(type(self).model_fields)))

    def values(self) -> dict[str, float]:
        return {entry.id: float(entry.value) for entry in self.entries()}

    def reasons(self) -> dict[str, str]:
        return {entry.id: entry.reason for entry in self.entries()}


def judgement(
    plural: str, key: str, value: str, ids: list[str], allowed: list[float] | float | dict[str, float]
) -> type[Judgement]:
    """The form {plural: [{key, value, reason}, ...]} with each of `ids` once.

    `allowed`: the values that exist, or the largest of a range from 0, one for all or one for each id.
    """
    most = allowed if isinstance(allowed, dict) else {}
    if isinstance(allowed, list):
        levels: Any = {"enum": allowed}
        number: Any = Field(alias=value, ge=min(allowed), le=max(allowed), json_schema_extra=levels)
    else:
        number = Field(alias=value, ge=0, le=max(allowed.values()) if isinstance(allowed, dict) else allowed)
    entry = create_model(
        "Entry",
        id=(Literal[tuple(ids)], Field(alias=key)),  # type: ignore[arg-type]
        value=(float, number),
        reason=(str, Field(max_length=400)),
    )

    class Form(Judgement):
        @model_validator(mode="after")
        def each_once(self) -> Form:
            given = [found.id for found in self.entries()]
            missing = [id_ for id_ in ids if id_ not in given]
            if missing or len(given) != len(ids):
                raise ValueError(f"each {key} must be answered once; missing: {', '.join(missing) or 'none'}")
            for found in self.entries():
                if isinstance(allowed, list) and found.value not in allowed:
                    values = ", ".join(f"{one:g}" for one in allowed)
                    raise ValueError(f"{found.id} is {found.value:g}; only {values} exist")
                if found.value > most.get(found.id, found.value):
                    raise ValueError(f"{found.id} is {found.value:g}; its most is {most[found.id]:g}")
            return self

    return create_model("Answer", __base__=Form, **{plural: (list[entry], ...)})  # type: ignore[call-overload]
