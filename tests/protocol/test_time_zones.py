"""Zones by name."""

from __future__ import annotations

import pytest

from podium_protocol.times import expectation, zone_or_none


@pytest.mark.parametrize(
    "name", ["UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "Asia/Kolkata"]
)
def test_iana_names_are_zones(name: str) -> None:
    """A name of the IANA database gives that zone."""
    zone = zone_or_none(name)
    assert zone is not None
    assert zone.key == name


@pytest.mark.parametrize(
    "name",
    [
        *("", "Mars/Base", "utc", "America", "../../etc/passwd", "/etc/localtime", "localtime", "Factory", "tzdata.zi"),
        *("right/UTC", "posix/UTC", "Europe/Berlin\n", "\x00", "Europe\\Berlin", "a\ud800", "A" * 300, "leapseconds"),
    ],
)
def test_what_is_no_zone_is_refused(name: str) -> None:
    """Paths, folders, leap-second zones, the machine's own zone and plain nonsense are no zones."""
    assert zone_or_none(name) is None


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("Europe/Berln", "Europe/Berlin"), ("europe/berlin", "Europe/Berlin"), ("Berlin", "Europe/Berlin")],
)
def test_the_nearest_name_is_offered(typed: str, meant: str) -> None:
    """A typing error, wrong case or the city alone leads to the real name."""
    assert f"did you mean {meant}?" in expectation(typed)


def test_nonsense_gets_an_example_instead() -> None:
    """Where nothing is near, the message shows what a name looks like."""
    assert "Europe/Berlin or UTC" in expectation("qqqqqqqqqqqq")
