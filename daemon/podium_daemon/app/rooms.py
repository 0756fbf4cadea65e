"""Builds the engine, the rooms on it, and their recorder."""

from __future__ import annotations

import os

import msgspec

from podium_daemon.app import policies
from podium_daemon.app.core import Core
from podium_daemon.app.mirror import MirrorParts
from podium_daemon.app.people import PeopleParts, SignerParts
from podium_daemon.app.relays import RelayParts
from podium_daemon.conference import registry
from podium_daemon.conference.engine import ConferenceEngine
from podium_daemon.conference.engines.link import LinkSettings
from podium_daemon.conference.registry import EngineParts, configured_servers
from podium_daemon.conference.remote_server import RemoteServerEngine
from podium_daemon.conference.values import Support
from podium_daemon.config import Config
from podium_daemon.media.job import Layout
from podium_daemon.services.recording.blossom import BlossomServer
from podium_daemon.services.recording.files import LocalFiles
from podium_daemon.services.recording.ledger import RecordingLedger
from podium_daemon.services.recording.publishing import InstructorOrService, RecordingPublisher
from podium_daemon.services.recording.recording import Recorder, RecordingSettings
from podium_daemon.services.recording.tracks import Tracks
from podium_daemon.services.recording.watching import Watching
from podium_daemon.services.recording.work import RecordingWork, WorkSettings
from podium_daemon.services.rooms.controls import RoomControls
from podium_daemon.services.rooms.rooms import Rooms
from podium_daemon.services.rooms.seating import RoomSettings
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_protocol.live.recording import policy_words


class RoomParts(msgspec.Struct, frozen=True, kw_only=True):
    """The rooms, their controls, and their recordings."""

    engine: ConferenceEngine
    rooms: Rooms
    controls: RoomControls
    recorder: Recorder
    blossom: BlossomServer
    watching: Watching

    @property
    def can_encrypt(self) -> bool:
        """Whether the engine's rooms can be encrypted from end to end."""
        return self.engine.capabilities.e2ee is not Support.NONE

    def apply(self, core: Core) -> None:
        """Take over a new configuration."""
        self.rooms.settings = room_settings(core)
        self.recorder.settings = recording_settings(core.config)
        self.blossom.within = core.config.recording.transfer_within


def build_engine(core: Core) -> ConferenceEngine:
    """Build the engine that the configuration names.

    Raises:
        InvalidInput: its settings are bad; says which.
    """
    if core.outside.engine is not None:
        return core.outside.engine(core)
    config = core.config
    parts = EngineParts(
        clock=core.clock,
        random_bytes=core.random_bytes,
        link=LinkSettings(heartbeat=config.conference.heartbeat),  # `room_of` gives the meeting of each room
        servers=configured_servers(config, os.environ),
    )
    return registry.build_engine(config.conference.chosen_engine, parts)


def build_rooms(
    core: Core,
    engine: ConferenceEngine,
    *,
    mirror: MirrorParts,
    relays: RelayParts,
    people: PeopleParts,
    signers: SignerParts,
) -> RoomParts:
    """Build the rooms and their recorder, which need each other."""

    def is_recording(session_address: str) -> bool:
        return recorder.is_recording(session_address)

    rooms = Rooms(
        room_settings(core),
        store=core.store,
        engine=engine,
        clock=core.clock,
        random_bytes=core.random_bytes,
        recording=is_recording,
        own_names=mirror.profiles.own_names,
        shows_names=isinstance(engine, RemoteServerEngine),
    )
    blossom = BlossomServer(
        core.config.recording.blossom_server,
        signer=core.signer,
        lookup=core.outside.lookup,
        clock=core.clock,
        within=core.config.recording.transfer_within,
    )
    ledger = RecordingLedger(core.store, core.clock)
    publisher = _build_publisher(core, ledger, mirror=mirror, relays=relays, people=people, signers=signers)
    recorder = _build_recorder(core, ledger, engine=engine, rooms=rooms, publisher=publisher, blossom=blossom)
    return RoomParts(
        engine=engine,
        rooms=rooms,
        controls=RoomControls(store=core.store, engine=engine),
        recorder=recorder,
        blossom=blossom,
        watching=Watching(
            core.store,
            policy=lambda: policies.completion_policy(core.config),
            clock=core.clock,
            random_bytes=core.random_bytes,
        ),
    )


def _build_publisher(
    core: Core,
    ledger: RecordingLedger,
    *,
    mirror: MirrorParts,
    relays: RelayParts,
    people: PeopleParts,
    signers: SignerParts,
) -> RecordingPublisher:
    return RecordingPublisher(
        ledger,
        status=people.status,
        private_outbox=PrivateOutbox(core.store, core.clock),
        mirror=mirror.mirror,
        event_writer=mirror.event_writer,
        instructors=core.outside.instructor_signing or InstructorOrService(relays.mining, signers.instructors),
        page_of=core.page_of,
        clock=core.clock,
    )


def _build_recorder(
    core: Core,
    ledger: RecordingLedger,
    *,
    engine: ConferenceEngine,
    rooms: Rooms,
    publisher: RecordingPublisher,
    blossom: BlossomServer,
) -> Recorder:
    config, settings = core.config, recording_settings(core.config)
    # beside the finished files and not in a temporary folder: moving a file over is then one step
    tracks = Tracks(config.recording_directory / "work", engine)
    files = LocalFiles(config.recording_directory, config.public_url)
    work = RecordingWork(
        settings.work,
        ledger=ledger,
        tracks=tracks,
        keeper=blossom if config.recording.store == blossom.name else files,
        guarded_keeper=files,
        publisher=publisher,
        clock=core.clock.now,
    )
    return Recorder(
        settings,
        store=core.store,
        engine=engine,
        ledger=ledger,
        tracks=tracks,
        work=work,
        publisher=publisher,
        files=files,
        notify=core.outside.notify or rooms.notify,
        clock=core.clock,
    )


def room_settings(core: Core) -> RoomSettings:
    """The rules of entering a room, and the texts shown there."""
    config = core.config
    return RoomSettings(
        door=policies.door_policy(config),
        resume=config.conference.resume,
        notice=config.attendance.notice,
        recording_policies=policy_words(config.recording.policy, config.recording.policy_de),
        room_of=core.room_of,
    )


def recording_settings(config: Config) -> RecordingSettings:
    """How recordings are made."""
    given = config.recording
    work = WorkSettings(
        layout=Layout(given.layout),
        keep_tracks=given.keep_tracks,
        max_megabytes=given.max_megabytes,
        review=given.review,
    )
    return RecordingSettings(policies=policy_words(given.policy, given.policy_de), work=work)
