"""What every part of a configuration is made of."""

from __future__ import annotations

from typing import ClassVar, Final

from pydantic import BaseModel, ConfigDict
from pydantic.config import JsonDict

RESTART: Final[JsonDict] = {"restart": True}
"""Marks a key that a running daemon cannot take over by SIGHUP."""

UNSHOWN: Final[JsonDict] = {"unshown": True}
"""Marks a key whose value is for the daemon alone."""


class Section(BaseModel):
    """Strict (a quoted number is no number), frozen, and without room for keys nobody knows."""

    model_config: ClassVar[ConfigDict] = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)
