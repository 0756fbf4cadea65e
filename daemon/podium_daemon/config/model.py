"""The whole configuration, checked, with the paths and addresses that follow from it."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, Self

import platformdirs
from pydantic import Field, PrivateAttr
from pydantic.fields import FieldInfo

from podium_daemon.config.reminders import RemindersSection
from podium_daemon.config.sections import (
    AttendanceSection,
    Conference,
    Embedded,
    IdentitySection,
    InstructorsSection,
    LifecycleSection,
    Logging,
    OutboxSection,
    Publishing,
    RecordingSection,
    RelayList,
    Storage,
    Web,
)
from podium_daemon.config.values import AnchoredPath, Section
from podium_protocol.limits import MAX_DM_RELAYS, MAX_LISTED_RELAYS

_ANY_ADDRESS: Final = frozenset({"0.0.0.0", "::", "[::]"})  # noqa: S104  (to refuse them as part of a link)


class Config(Section):
    """One valid configuration. Durations are whole seconds."""

    relays: RelayList = Field(default=(), description="Where to read and publish. Empty: the embedded relay.")
    identity: IdentitySection = Field(default_factory=IdentitySection)
    instructors: InstructorsSection = Field(default_factory=InstructorsSection)
    embedded: Embedded = Field(default_factory=Embedded)
    publishing: Publishing = Field(default_factory=Publishing)
    outbox: OutboxSection = Field(default_factory=OutboxSection)
    reminders: RemindersSection = Field(default_factory=RemindersSection)
    lifecycle: LifecycleSection = Field(default_factory=LifecycleSection)
    attendance: AttendanceSection = Field(default_factory=AttendanceSection)
    conference: Conference = Field(default_factory=Conference)
    recording: RecordingSection = Field(default_factory=RecordingSection)
    web: Web = Field(default_factory=Web)
    storage: Storage = Field(default_factory=Storage)
    logging: Logging = Field(default_factory=Logging)

    _again: Callable[[], Config] | None = PrivateAttr(default=None)

    @property
    def state_directory(self) -> Path:
        """The absolute path of the folder for all data."""
        return (self.storage.state_directory or platformdirs.user_state_path("podium")).absolute()

    @property
    def database_file(self) -> Path:
        """The SQLite database."""
        return self.state_directory / "podium.sqlite3"

    @property
    def key_file(self) -> Path:
        """The service's key file."""
        return self.identity.key_file or self.state_directory / "podium.key"

    @property
    def recording_directory(self) -> Path:
        """The path of the folder in which recordings are kept."""
        return self.recording.directory or self.state_directory / "recordings"

    @property
    def public_url(self) -> str:
        """How people reach the page and the HTTP interface: scheme, host and port, no slash at the end."""
        return self.web.public_url or f"http://{_in_url(self.web.host)}:{self.web.port}"

    @property
    def runs_embedded_relay(self) -> bool:
        """Whether `podium run` starts its own relay."""
        return not self.relays if self.embedded.enabled == "auto" else self.embedded.enabled

    @property
    def embedded_url(self) -> str:
        """The embedded relay's address for this machine (its port is 0 where any free one was asked for)."""
        return f"ws://{_in_url(self.embedded.host)}:{self.embedded.port}"

    def reload(self) -> Config:
        """The configuration read again from where this one came; itself, when it was made in a program.

        Raises:
            ConfigError: what is there now cannot be used; this configuration stays good.
        """
        return self if self._again is None else self._again()

    def remember(self, again: Callable[[], Config]) -> Self:
        """Called by the loader: how to read this configuration again."""
        self._again = again
        return self

    def conflicts(self) -> Iterator[tuple[str, str]]:
        """Yield keys whose valid values contradict each other, with what to do; the loader refuses them."""
        yield from self._conflicts_of_relays()
        yield from self._conflicts_of_recording()
        if self.web.host in _ANY_ADDRESS and not self.web.public_url:
            yield "web.public_url", "is needed when web.host is every address: say how people reach this server"
        web, embedded = self.web, self.embedded
        if self.runs_embedded_relay and web.port == embedded.port != 0 and web.host == embedded.host:
            yield "embedded.port", f"is taken by web.port ({web.port}): give one of them another port"
        before = [offset.before for offset in self.reminders.offsets()]
        if before != sorted(set(before), reverse=True):
            yield "reminders", "day must come before hour, and hour before quarter: correct the values of `before`"

    def _conflicts_of_recording(self) -> Iterator[tuple[str, str]]:
        if self.recording.store == "blossom" and not self.recording.blossom_server:
            yield "recording.blossom_server", 'is needed when recording.store is "blossom": give its address'

    def _conflicts_of_relays(self) -> Iterator[tuple[str, str]]:
        if not self.relays and not self.runs_embedded_relay:
            yield "relays", "there is no relay at all: list one, or set embedded.enabled to true"
        urls = [relay.url for relay in self.relays]
        for url in sorted({url for url in urls if urls.count(url) > 1}):
            yield "relays", f"{url} is listed twice: leave one of them out"
        for use in ("read", "write"):
            if self.relays and not self.runs_embedded_relay and not any(getattr(relay, use) for relay in self.relays):
                yield "relays", f"none of them is to {use}: set {use} = true for one at least"
        # the service's lists name all of them, and no client reads longer ones
        for use, most in (("read", MAX_LISTED_RELAYS), ("write", MAX_LISTED_RELAYS), ("dm", MAX_DM_RELAYS)):
            used = sum(getattr(relay, use) for relay in self.relays) + self.runs_embedded_relay
            if used > most:
                yield "relays", f"{used} of them have {use} = true, {most} at most: set {use} = false for the others"


def default_config_file() -> Path:
    """The path at which a configuration is looked for when none is named."""
    return platformdirs.user_config_path("podium") / "relays.toml"


def fields_of(section: type[Section], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every key under `section` with its declaration, as dotted names; the relays are one key."""
    for name, field in section.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            yield from fields_of(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


FIELDS: Final[dict[str, FieldInfo]] = dict(fields_of(Config))
"""Every key by its dotted name."""

PATHS: Final = tuple(
    name for name, field in FIELDS.items() if any(isinstance(mark, AnchoredPath) for mark in field.metadata)
)
"""The keys that hold paths."""


def _in_url(host: str) -> str:
    try:
        return f"[{host}]" if ipaddress.ip_address(host).version == 6 else host
    except ValueError:
        return host
