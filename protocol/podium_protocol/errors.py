"""Errors say whose fault it is: ours or a peer's. Expected outcomes are values, not errors."""

from __future__ import annotations


class PodiumError(Exception):
    """Root of every error this project raises on purpose; its text names what was expected and the next step."""


class LocalProtocolError(PodiumError):
    """We were about to break the rules: a programming error or a bad value handed in by our own side."""


class RemoteProtocolError(PodiumError):
    """The other side broke the rules: a relay, a client, a signer or a file."""


class InvalidInput(PodiumError):
    """A person or a configuration file gave a value that cannot be used; the text names what was expected."""
