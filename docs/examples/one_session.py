"""One session from another program: schedule it, answer, start, sit down, get up, end, and read the attendance.

Run it with the address of a daemon and the key file of somebody on its list of instructors:

    python docs/examples/one_session.py http://127.0.0.1:7448 podium.key
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from podium_daemon.client import PodiumClient, SessionWish
from podium_daemon.client.leading import conference_config_of
from podium_daemon.keys.key_file import read_key_file
from podium_protocol.live.rsvp import RsvpStatus


async def main(url: str, key_file: Path) -> None:
    async with PodiumClient(url, read_key_file(key_file)) as podium:
        wish = SessionWish(title="Knots for beginners", scheduled_at=int(time.time()) + 600, duration=30)
        lesson_id = await podium.create_session(wish)  # drafted by the daemon, looked at and signed here
        session = await podium.session(lesson_id)
        print(f"scheduled: {session.naddr}")

        hook = podium.live_session(lesson_id)  # the model's useLiveSession
        await hook.rsvp(RsvpStatus.CONFIRMED)
        print(f"answered: {hook.view.rsvp_status}, starts in {hook.view.time_until_start} s")

        room = await podium.calling.create_live_session(session, conference_config_of(session))
        await podium.calling.start_live_session(lesson_id)
        print(f"live: {room.join_url}")

        await hook.join_session()
        details = await podium.calling.get_conference_details(lesson_id)
        print(f"attending: {hook.view.is_attending}, {details.participant_count} in the room")
        await hook.leave_session()

        recording = await podium.calling.end_live_session(lesson_id)
        view = await hook.refresh()
        print(f"ended: {view.is_ended}, recording: {recording}")
        for one in await podium.attendance(lesson_id):
            print(f"attended: {one.npub} for {one.total_duration} s")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2])))
