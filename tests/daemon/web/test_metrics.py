"""The daemon's own counters for Prometheus."""

from __future__ import annotations

from collections import Counter

import httpx
import msgspec
from prometheus_client.parser import text_string_to_metric_families

from podium_daemon.web.metrics import Counted, exposition
from podium_daemon.web.site import build_site
from tests.support.site import site


def samples(text: str) -> dict[tuple[str, str], float]:
    """Values by the sample's name and its label's value, as Prometheus reads them."""
    return {
        (sample.name, "".join(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_what_services_count_is_told_by_name() -> None:
    """Each name is a label, each value what was counted so far, beside those of the process."""
    counted = Counted("podium_messages", "What became of them.", "outcome", {"rsvp": 3, "bad_seal": 1})
    text = exposition([counted]).decode()
    found = samples(text)
    assert found["podium_messages_total", "rsvp"] == 3
    assert found["podium_messages_total", "bad_seal"] == 1
    assert "# HELP podium_messages_total What became of them." in text
    assert any(name == "process_cpu_seconds_total" for name, _ in found)


async def test_the_route_shows_what_was_counted_up_to_now() -> None:
    """Values are read with each scrape."""
    counts: Counter[str] = Counter()
    async with site() as here:
        context = msgspec.structs.replace(
            here.context(), counted=lambda: [Counted("podium_messages", "Theirs.", "outcome", counts)]
        )
        app = build_site(context, hosts=["localhost"])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            for number in (1, 2):
                counts["rsvp"] += 1
                found = samples((await client.get("/metrics")).text)
                assert found["podium_messages_total", "rsvp"] == number
