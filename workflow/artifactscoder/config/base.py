"""What all sections of the configuration share."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A part of config.yaml: unknown keys are mistakes, values do not change after loading.

    Defaults are made of their types too: a 10 that were 10.0 when the file is read again would be another setting to
    whatever takes a digest of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
