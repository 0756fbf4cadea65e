"""What a reload changed."""

from __future__ import annotations

from podium_daemon.config import Config, changed_keys, load_config, restart_keys


def test_changed_keys_are_named_and_those_that_need_a_restart_are_told_apart() -> None:
    """A reload names the keys that changed; of these, addresses to listen on wait for a restart."""
    new = load_config(
        None, {"web.port": 1234, "lifecycle.doors": "5 min", "reminders.day.before": "2 days"}, environment={}
    )
    changed = changed_keys(Config(), new)
    assert changed == ("reminders.day.before", "lifecycle.doors", "web.port")
    assert restart_keys(changed) == ("web.port",)


def test_the_relays_are_one_key() -> None:
    """A changed list of relays is told as such, and can be taken over by a running daemon."""
    new = load_config(None, {"relays": "wss://a.example.org"}, environment={})
    assert changed_keys(Config(), new) == ("relays",)
    assert restart_keys(("relays",)) == ()


def test_equal_configurations_have_no_changes() -> None:
    """Nothing is told where nothing changed."""
    assert changed_keys(Config(), load_config(None, environment={})) == ()
