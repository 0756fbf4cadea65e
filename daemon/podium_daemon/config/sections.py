"""Every configuration key: its name, its default and what it means. The example file is written from this page."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from podium_daemon.config.engines import BigBlueButton, Janus, LiveKit
from podium_daemon.config.values import (
    RESTART,
    UNSHOWN,
    Address,
    BudgetMegabytes,
    Connections,
    Days,
    Devices,
    FrozenList,
    HostHeader,
    IceUrl,
    Instructor,
    ListenHost,
    Location,
    MeetingUrl,
    Megabytes,
    Messages,
    Minutes,
    Name,
    Percent,
    Port,
    PositiveSeconds,
    ProxyNetwork,
    PublicUrl,
    RelayUrl,
    Seconds,
    Section,
    Text,
    WorkBits,
)
from podium_protocol.live.recording import DEFAULT_POLICY


class IdentitySection(Section):
    """Who the daemon is."""

    key_file: Location = Field(
        default=None,
        description="File with the service's secret key, mode 0600. Empty: podium.key in the state directory.",
        json_schema_extra=RESTART,
    )
    allow_environment_key: bool = Field(
        default=False,
        description="Whether PODIUM_SECRET_KEY may hold the key. Other programs of the same user can read it there.",
        json_schema_extra=RESTART,
    )
    service_name: Name = Field(default="Podium", description="What people see as the sender's name.")
    language: Literal["en", "de"] = Field(
        default="en",
        description="The language of messages to people of whom none is known, from their page or from a reply.",
    )


class RelaySection(Section):
    """One relay."""

    url: RelayUrl = Field(description="Where it is: wss://, or ws:// on networks you trust.")
    read: bool = Field(default=True, description="Read sessions, RSVPs and messages from it.")
    write: bool = Field(default=True, description="Publish to it.")
    dm: bool = Field(default=True, description="Receive private messages there (listed in kind 10050).")
    auth: bool = Field(default=True, description="Log in with the service's key when it asks (NIP-42).")


class Publishing(Section):
    """What is done for relays that ask for it."""

    proof_of_work: WorkBits = Field(
        default=16,
        description="Bits of work (NIP-13) done for a relay that asks for them, which refuses if it asks for more. "
        "Each bit doubles the time an event takes: 16 are some 0.1 s of one processor, 20 some 2 s, and several times "
        "that for long messages. 0: none.",
    )


class Embedded(Section):
    """The relay that comes with Podium, a child process that keeps its events in the state directory."""

    enabled: Literal["auto"] | bool = Field(
        default="auto",
        description='Start it: true, false, or "auto", which is when no relays are listed.',
        json_schema_extra=RESTART,
    )
    host: ListenHost = Field(default="127.0.0.1", description="Address it listens on.", json_schema_extra=RESTART)
    port: Port = Field(default=7447, description="Port it listens on.", json_schema_extra=RESTART)
    in_memory: bool = Field(
        default=False, description="Keep nothing on disk: for demonstrations.", json_schema_extra=RESTART
    )
    connections: Connections = Field(
        default=1_000,
        description="Connections at once, besides the daemon's own, which none of these limits concerns. Each takes "
        "150 kB of memory.",
        json_schema_extra=RESTART,
    )
    connections_per_address: Connections = Field(
        default=200,
        description="Of one address; of those behind web.trusted_proxies, of the address that the proxy names. What "
        "else comes from this machine is not counted.",
        json_schema_extra=RESTART,
    )
    messages_per_minute: Messages = Field(
        default=3_000,
        description="Of one address, counted in the same way; each further KiB of a message counts as one more. Who "
        "sends more is read more slowly.",
        json_schema_extra=RESTART,
    )
    max_megabytes: BudgetMegabytes = Field(
        default=2_000,
        description="Size on disk from which on events of others are refused; what the daemon publishes is stored "
        "all the same. 0: no bound.",
        json_schema_extra=RESTART,
    )


class InstructorsSection(Section):
    """Who may hold sessions here."""

    allow: Annotated[tuple[Instructor, ...], FrozenList] = Field(
        default=(),
        description="npub, nprofile, 64 hex digits or NIP-05 names. Empty: only the service's own key.",
    )


class OutboxSection(Section):
    """Where people are found who write to relays of their own choice (NIP-65, the outbox model)."""

    enabled: bool = Field(
        default=True,
        description="Read the relays that instructors and participants list as theirs. With false, or with only relays "
        "on private addresses and no indexers, no relay is read but those above.",
    )
    indexers: Annotated[tuple[RelayUrl, ...], FrozenList] = Field(
        default=(),
        max_length=16,
        description="Public relays asked for people's lists besides those above, and given the service's own. Empty: "
        "none.",
    )


class LifecycleSection(Section):
    """When sessions open, start and end."""

    start_policy: Literal["clock", "instructor"] = Field(
        default="clock",
        description='"clock": at the scheduled time. "instructor": not before the instructor is in the room.',
    )
    doors: Seconds = Field(default=900, description="How long before the start the waiting room opens.")
    no_show: PositiveSeconds = Field(
        default=1800, description="Under start_policy instructor: how long to wait for the instructor."
    )
    warning: Seconds = Field(default=300, description="How long before the end people are warned.")
    overrun: Seconds = Field(default=1800, description="How long it may run over while the instructor is present.")
    arrival_grace: Seconds = Field(
        default=300,
        description="How long after a start by command the instructor counts as present in any case.",
    )
    default_minutes: Minutes = Field(
        default=60,
        description="Minutes a session lasts whose event gives no end, which other calendar clients may leave out.",
        json_schema_extra=RESTART,
    )
    reopen: Seconds = Field(default=1800, description="How long after its end a session can be reopened.")
    unclaimed_seats: Seconds = Field(default=600, description="When, after the start, unclaimed seats go to others.")
    live_refresh: PositiveSeconds = Field(
        default=600, description="How often the live status is published again: clients give it up after an hour."
    )
    announce_live_event: bool = Field(
        default=False, description="Mirror the live status to kind 30311, for streaming clients."
    )


class AttendanceSection(Section):
    """What counts as having been there."""

    poll: PositiveSeconds = Field(default=60, description="How often the engine is asked who is there.")
    bridge: Seconds = Field(default=60, description="Gaps up to this long are credited and are no new join.")
    presence_credit: Seconds = Field(default=150, description="What one presence event (kind 10312) credits at most.")
    presence_skew: Seconds = Field(default=120, description="How far a presence event's time may be from ours.")
    completion: Literal["any", "all"] = Field(
        default="any",
        description='Whether minutes or percent completes the session ("any"), or only both ("all").',
    )
    minutes: Minutes = Field(default=30, description="Minutes of attendance that complete it.")
    percent: Percent = Field(default=50, description="Percent of the shorter of scheduled and actual duration.")
    recording_percent: Percent = Field(default=90, description="Percent of a recording, each second once.")
    notice: Text = Field(
        default="",
        description="What you add to the notice before joining, which says what is recorded and where it goes.",
    )
    publish: bool = Field(
        default=True,
        description="Publish the attendance records (kind 31953) of public sessions that do not say otherwise. false: "
        "they go sealed to the person and the instructor.",
    )
    retention_days: Days = Field(
        default=365, description="Days after its end until a session and all that belongs to it is deleted; 0: never."
    )


class Conference(Section):
    """The room."""

    engine: Literal["auto", "embedded", "link", "janus", "bigbluebutton", "livekit"] = Field(
        default="auto",
        description='"embedded": rooms of Podium\'s own. "janus": the same, with a Janus. "link": any '
        "meeting URL, handed out to those admitted. "
        '"bigbluebutton", "livekit": a server of that kind. "auto": "link" if meeting_url is set, else "embedded".',
        json_schema_extra=RESTART,
    )
    meeting_url: MeetingUrl = Field(
        default="",
        description="The meeting of sessions that bring none of their own. Never shown in public.",
        json_schema_extra=UNSHOWN,
        repr=False,
    )
    guests: Literal["off", "invited", "anyone"] = Field(
        default="invited",
        description="Who may come without a signer to sessions that do not say it.",
        json_schema_extra=RESTART,
    )
    auto_admit_confirmed: bool = Field(default=False, description="Let confirmed RSVPs pass the waiting room.")
    heartbeat: PositiveSeconds = Field(
        default=5, description="How often a page in the room gives a sign of life.", json_schema_extra=RESTART
    )
    devices: Devices = Field(
        default=3, description="Devices of one person in a room at once.", json_schema_extra=RESTART
    )
    resume: Seconds = Field(default=120, description="A return within this time passes the waiting room.")
    media_addresses: Annotated[tuple[Address, ...], FrozenList] = Field(
        default=(),
        description='For engine = "embedded": addresses of this machine at which browsers reach the media. Empty: all '
        "but loopback.",
        json_schema_extra=RESTART,
    )
    ice_servers: Annotated[tuple[IceUrl, ...], FrozenList] = Field(
        default=(),
        description='For engine = "embedded": STUN and TURN servers. Empty: none, and no foreign host is contacted.',
        json_schema_extra=RESTART,
    )
    turn_secret_file: Location = Field(
        default=None,
        description="File with the secret that the TURN servers share with Podium (static-auth-secret), mode 0600.",
        json_schema_extra=RESTART,
    )
    janus: Janus = Field(default_factory=Janus)
    bigbluebutton: BigBlueButton = Field(default_factory=BigBlueButton)
    livekit: LiveKit = Field(default_factory=LiveKit)

    @property
    def chosen_engine(self) -> str:
        """The engine that is used."""
        if self.engine != "auto":
            return self.engine
        return "link" if self.meeting_url else "embedded"


class RecordingSection(Section):
    """Recordings and the consent to them."""

    policy: Text = Field(
        default=DEFAULT_POLICY,
        description="What people consent to, in English or for people of every language. A sentence that says who may "
        "see the recording of their session is added to it. The hash of both is in their signed consent.",
    )
    policy_de: Text = Field(
        default="",
        description="The same in German, with a hash of its own: a consent to either counts. Empty: the default's "
        "translation where policy is the default; else policy is shown to all.",
    )
    access: Literal["participants", "public"] = Field(
        default="participants",
        description='Who may see the recordings of sessions that do not say it. "participants": those who answered yes '
        'or maybe, were invited or attended, signed in. "public": anybody.',
    )
    review: bool = Field(
        default=True,
        description="The instructor or a co-host looks at a recording before it is published (`podium recording "
        "publish`). false: it is published as soon as it is made.",
    )
    directory: Location = Field(
        default=None,
        description="Where recordings are kept. Empty: recordings in the state directory.",
        json_schema_extra=RESTART,
    )
    store: Literal["local", "blossom"] = Field(
        default="local",
        description='"local": this server gives them out. "blossom": uploaded to recording.blossom_server, where '
        "anybody can read them; those for participants stay here, since a blob is anybody's who knows its hash.",
        json_schema_extra=RESTART,
    )
    blossom_server: PublicUrl = Field(
        default="", description="The Blossom server, such as https://cdn.example.org.", json_schema_extra=RESTART
    )
    layout: Literal["speaker", "grid"] = Field(
        default="speaker",
        description='"speaker": the picture of the instructor or a co-host, copied as it was sent. "grid": all '
        "cameras, drawn and encoded anew, about a minute of one core for each minute.",
    )
    keep_tracks: bool = Field(default=False, description="Keep each person's own track beside the finished recording.")
    max_megabytes: Megabytes = Field(default=4096, description="A recording that becomes larger fails.")
    transfer_within: PositiveSeconds = Field(
        default=3600, description="How long an upload, and reading it back, may each take."
    )


class Web(Section):
    """The page and the HTTP interface."""

    host: ListenHost = Field(default="127.0.0.1", description="Address to listen on.", json_schema_extra=RESTART)
    port: Port = Field(default=7448, description="Port to listen on.", json_schema_extra=RESTART)
    public_url: PublicUrl = Field(
        default="",
        description="How people reach it, for links and signed logins. Empty: http:// with host and port.",
        json_schema_extra=RESTART,
    )
    allowed_hosts: Annotated[tuple[HostHeader, ...], FrozenList] = Field(
        default=(),
        description="Further names this server answers to, beside public_url's.",
        json_schema_extra=RESTART,
    )
    trusted_proxies: Annotated[tuple[ProxyNetwork, ...], FrozenList] = Field(
        default=("127.0.0.1", "::1"),
        description="Reverse proxies that say in X-Forwarded-For for whom they speak; limits of one address are then "
        "that person's. From others the header is not read.",
        json_schema_extra=RESTART,
    )
    connections: Connections = Field(
        default=8_192,
        description="Connections at once. Fewer where the system allows fewer open files: a quarter of those, 1024 at "
        "most, is kept for relays and the database.",
    )
    connections_per_address: Connections = Field(
        default=512,
        description="Of one address. Those from this machine itself and from trusted_proxies are not counted so: a "
        "proxy speaks for all people.",
    )


class Storage(Section):
    """Where data live."""

    state_directory: Location = Field(
        default=None,
        description="Database, keys and lock, mode 0700. Empty: the user's state directory for podium.",
        json_schema_extra=RESTART,
    )
    max_megabytes: BudgetMegabytes = Field(
        default=4096,
        description="Size of the database from which on what strangers send is refused; what the service and its "
        "instructors write goes on. 0: no bound.",
    )


class Logging(Section):
    """What the daemon says. Never the content of messages, never secrets."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least that is said.")
    format: Literal["console", "json"] = Field(
        default="console", description='"console" for people, "json" for machines.', json_schema_extra=RESTART
    )


def _listed(value: object) -> object:
    """A relay may be written as its URL alone."""
    items = _as_items(value)
    return value if items is None else tuple({"url": item} if isinstance(item, str) else item for item in items)


def _as_items(value: object) -> list[Any] | None:
    return value if isinstance(value, list) else None


RelayList = Annotated[tuple[RelaySection, ...], BeforeValidator(_listed)]
