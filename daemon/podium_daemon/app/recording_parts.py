"""The recorder and its parts, joined: for the composition root, and for tests that want the same one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from podium_daemon.conference.engine import ConferenceEngine
from podium_daemon.runtime.clock import Clock
from podium_daemon.services.recording.files import Keeper, LocalFiles
from podium_daemon.services.recording.ledger import RecordingLedger
from podium_daemon.services.recording.publishing import RecordingPublisher
from podium_daemon.services.recording.recording import Recorder, RecordingSettings
from podium_daemon.services.recording.segments import Notify
from podium_daemon.services.recording.tracks import Tracks
from podium_daemon.services.recording.work import RecordingWork
from podium_daemon.signers.instructors import InstructorSigning
from podium_daemon.writers.event_writer import EventWriter
from podium_daemon.writers.live_status import StatusEvents
from podium_daemon.writers.private_outbox import PrivateOutbox
from podium_storage.mirror.mirror import Mirror
from podium_storage.store import Store
from podium_storage.table.models import LiveSessionRow


class RecordingPlace(msgspec.Struct, frozen=True, kw_only=True):
    """The folder in which recordings are made, and the keeper that stores them; None: `folder`, which we serve."""

    folder: Path
    public_url: str
    keeper: Keeper | None = None


def join_recorder(
    settings: RecordingSettings,
    place: RecordingPlace,
    *,
    store: Store,
    mirror: Mirror,
    outgoing: EventWriter,
    status: StatusEvents,
    engine: ConferenceEngine,
    instructors: InstructorSigning,
    notify: Notify,
    page_of: Callable[[LiveSessionRow], str],
    clock: Clock,
) -> Recorder:
    """Build a recorder with all its parts."""
    ledger = RecordingLedger(store, clock)
    publisher = RecordingPublisher(
        ledger,
        status=status,
        letters=PrivateOutbox(store, clock),
        mirror=mirror,
        outgoing=outgoing,
        instructors=instructors,
        page_of=page_of,
        clock=clock,
    )
    # beside the finished files and not in a temporary folder: moving a file over is then one step
    tracks = Tracks(place.folder / "work", engine)
    files = LocalFiles(place.folder, place.public_url)
    work = RecordingWork(
        settings.work,
        ledger=ledger,
        tracks=tracks,
        keeper=place.keeper or files,
        guarded_keeper=files,
        publisher=publisher,
        clock=clock.now,
    )
    return Recorder(
        settings,
        store=store,
        engine=engine,
        ledger=ledger,
        tracks=tracks,
        work=work,
        publisher=publisher,
        files=files,
        notify=notify,
        clock=clock,
    )
