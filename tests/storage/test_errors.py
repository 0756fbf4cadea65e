"""Finding damage among failures."""

from __future__ import annotations

from podium_protocol.errors import PodiumError
from podium_storage.errors import NotUnique, StoreDamaged, StoreFull, damage_in, disk_trouble_in


def test_damage_is_found_wherever_it_hides() -> None:
    """As the cause of another failure, in a group of failures, or in both."""
    damage = StoreDamaged("malformed")
    caused = PodiumError("a service failed")
    caused.__cause__ = ExceptionGroup("several", [ValueError("no"), ExceptionGroup("inner", [damage])])
    assert damage_in(caused) is damage
    assert damage_in(damage) is damage
    assert damage_in(StoreFull("disk full")) is None


def test_trouble_with_the_disk_is_told_from_faults_of_ours() -> None:
    """A disk that is full may have room again; a row that breaks a rule never fits."""
    full = StoreFull("disk full")
    assert disk_trouble_in(ExceptionGroup("several", [full])) is full
    assert disk_trouble_in(NotUnique("id")) is None
    assert disk_trouble_in(StoreDamaged("malformed")) is None


def test_a_failure_that_is_its_own_cause_ends_the_search() -> None:
    """Chains of causes may be circles."""
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert damage_in(one) is None
