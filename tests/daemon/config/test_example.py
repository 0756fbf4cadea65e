"""The documented example file."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from podium_daemon.config import (
    FIELDS,
    Config,
    RelaySection,
    effective_toml,
    effective_values,
    example_toml,
    load_config,
    starting_toml,
    value_of,
)

EXAMPLE = Path(__file__).parents[3] / "relays.example.toml"


def uncommented(text: str) -> str:
    """The example with every documented key set; what follows "# " is prose."""
    return re.sub(r"^#(?=[a-z\[])", "", text, flags=re.MULTILINE)


def test_the_file_in_the_repository_is_the_one_the_program_writes() -> None:
    """relays.example.toml says what the declarations of the keys say."""
    assert EXAMPLE.read_text(encoding="utf-8") == example_toml()


@pytest.mark.usefixtures("tmp_path")
def test_as_it_stands_it_changes_nothing() -> None:
    """The example without a change gives the defaults."""
    assert load_config(EXAMPLE, environment={}).model_dump() == Config().model_dump()


def test_uncommented_it_gives_the_defaults(tmp_path: Path) -> None:
    """Every value in the example is the default."""
    path = tmp_path / "relays.toml"
    path.write_text(uncommented(EXAMPLE.read_text(encoding="utf-8")), encoding="utf-8")
    assert load_config(path, environment={}).model_dump() == Config().model_dump()


@pytest.mark.parametrize("key", FIELDS)
def test_every_key_is_in_the_example(key: str) -> None:
    """No key is undocumented, and none is documented that does not exist."""
    tree: object = tomllib.loads(uncommented(EXAMPLE.read_text(encoding="utf-8")))
    for name in key.split("."):
        assert isinstance(tree, dict)
        assert name in tree
        tree = tree[name]


@pytest.mark.parametrize("key", [key for key in FIELDS if key != "relays"])
def test_every_key_is_explained(key: str) -> None:
    """A sentence stands before each key."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    section, name = key.rsplit(".", 1)
    at = lines.index(f"[{section}]")
    line = next(number for number in range(at, len(lines)) if lines[number].startswith(f"#{name} = "))
    assert lines[line - 1].startswith("# ")


def test_the_keys_of_a_relay_are_documented_with_their_defaults() -> None:
    """The table of one relay is shown whole, and is valid."""
    shown = re.findall(r"^#     (.*)$", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    (relay,) = tomllib.loads("\n".join(shown))["relays"]
    assert relay.keys() == RelaySection.model_fields.keys()
    assert RelaySection(**relay).model_dump() == RelaySection(url=relay["url"]).model_dump()


def test_chosen_keys_are_set_and_the_rest_stays_documented(tmp_path: Path) -> None:
    """`podium init` writes the whole example with its own choice in force, quotes and all."""
    path = tmp_path / "relays.toml"
    path.write_text(starting_toml({"identity.service_name": 'The "Knot" School'}), encoding="utf-8")
    config = load_config(path, environment={})
    assert config.identity.service_name == 'The "Knot" School'
    assert len(path.read_text(encoding="utf-8").splitlines()) == len(example_toml().splitlines())


def test_the_values_in_force_can_be_read_back(tmp_path: Path) -> None:
    """What `config show` prints is a configuration that means the same."""
    source = tmp_path / "source.toml"
    source.write_text(
        '[lifecycle]\ndoors = "25 min"\n[embedded]\nenabled = true\n[[relays]]\nurl = "wss://a.example"\ndm = false\n',
        encoding="utf-8",
    )
    config = load_config(source, environment={})
    shown = tmp_path / "shown.toml"
    shown.write_text(effective_toml(config), encoding="utf-8")
    assert load_config(shown, environment={}).model_dump() == config.model_dump()


def test_the_address_of_a_meeting_is_not_shown(tmp_path: Path) -> None:
    """Neither form of `config show` prints what only admitted people may see, and neither does the value's repr."""
    source = tmp_path / "source.toml"
    source.write_text('[conference]\nmeeting_url = "https://meet.example.org/?pwd=letmein"\n', encoding="utf-8")
    config = load_config(source, environment={})
    assert value_of(config, "conference.meeting_url")
    assert "letmein" not in effective_toml(config) + str(effective_values(config)) + repr(config)
    tomllib.loads(effective_toml(config))
