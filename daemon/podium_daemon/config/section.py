"""The base class of every section of a configuration, and the marks on its keys."""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

RESTART: Final[JsonDict] = {"restart": True}
"""Marks a key whose change needs a restart: SIGHUP does not apply it."""

UNSHOWN: Final[JsonDict] = {"unshown": True}
"""Marks a key whose value is never shown to people."""


class Section(BaseModel):
    """A section: strict (a quoted number is no number), frozen, and unknown keys are refused."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
