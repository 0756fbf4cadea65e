"""Errors as RFC 9457 problem details."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from podium_daemon.api.base import Model

MEDIA_TYPE = "application/problem+json"
TYPE = "urn:podium:problem:"
"""The part of a problem's type before its slug."""


class ProblemDocument(Model):
    model_config = ConfigDict(
        title="Problem",
        extra="ignore",  # RFC 9457 lets problems have more fields
        json_schema_serialization_defaults_required=True,
    )

    type: Annotated[str, Field(description=f"{TYPE}<slug>; the slug is stable, for machines")]
    title: str
    status: int
    detail: Annotated[str, Field(description="what was wrong with this request")]
    next: Annotated[str, Field(description="what the caller can do about it")]
    values: Annotated[
        dict[str, int],
        # a daemon that is older than its client sends none
        Field(description="the numbers that `detail` names", default_factory=dict),
    ]
