"""Reading a configuration from file, environment and command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from podium_daemon.config import Config, ConfigError, load_config
from podium_protocol.nips.nip19 import encode_npub, encode_nsec
from tests.support.relays import new_key

Write = Callable[[str], Path]

DURATION = "expected a duration"


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a configuration file."""

    def writer(text: str) -> Path:
        path = tmp_path / "relays.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return writer


def problem_of(path: Path | None, **environment: str) -> str:
    """What is said of a configuration that must be refused."""
    with pytest.raises(ConfigError) as caught:
        load_config(path, environment=environment)
    return str(caught.value)


def test_nothing_at_all_gives_the_defaults() -> None:
    """Without file, environment and options every key has its default."""
    assert load_config(None, environment={}).model_dump() == Config().model_dump()


def test_the_file_wins_over_defaults_the_environment_over_the_file_and_a_flag_over_both(write: Write) -> None:
    """A flag wins over an environment variable, that over the file, and the file over the default."""
    path = write('[web]\nport = 1001\nhost = "127.0.0.2"\n[logging]\nlevel = "error"\n')
    config = load_config(
        path, {"web.port": "1003"}, environment={"PODIUM_WEB__PORT": "1002", "PODIUM_WEB__HOST": "::1"}
    )
    assert (config.web.port, config.web.host, config.logging.level) == (1003, "::1", "error")
    assert config.logging.format == "console"


def test_an_option_that_was_not_given_changes_nothing(write: Write) -> None:
    """An override of None leaves the file's value."""
    assert load_config(write("[web]\nport = 1001\n"), {"web.port": None}, environment={}).web.port == 1001


@pytest.mark.parametrize(
    ("variable", "text", "key", "value"),
    [
        ("PODIUM_LIFECYCLE__DOORS", "20 min", ("lifecycle", "doors"), 1200),
        ("PODIUM_LIFECYCLE__DOORS", "90", ("lifecycle", "doors"), 90),
        ("PODIUM_EMBEDDED__ENABLED", "auto", ("embedded", "enabled"), "auto"),
        ("PODIUM_EMBEDDED__ENABLED", "true", ("embedded", "enabled"), True),
        ("PODIUM_IDENTITY__SERVICE_NAME", "2026", ("identity", "service_name"), "2026"),
        ("PODIUM_WEB__ALLOWED_HOSTS", "a.example.org, b.example.org:80", ("web", "allowed_hosts"), None),
        ("PODIUM_WEB__ALLOWED_HOSTS", '["a.example.org", "b.example.org:80"]', ("web", "allowed_hosts"), None),
        ("PODIUM_REMINDERS__DAY__ENABLED", "false", ("reminders", "day", "enabled"), False),
    ],
)
def test_the_environment_is_read_by_the_type_of_the_key(
    variable: str, text: str, key: tuple[str, ...], value: object
) -> None:
    """Text from the environment becomes a number, a list or a duration where the key takes one."""
    found: object = load_config(None, environment={variable: text})
    for name in key:
        found = getattr(found, name)
    assert found == (("a.example.org", "b.example.org:80") if value is None else value)


def test_relays_may_be_given_as_a_list_of_urls(write: Write) -> None:
    """A relay's URL alone stands for a relay that is read, written, used for messages and logged in to."""
    from_file = load_config(write('relays = ["wss://Relay.example.org/"]\n'), environment={}).relays
    from_variable = load_config(None, environment={"PODIUM_RELAYS": "wss://relay.example.org"}).relays
    assert from_file == from_variable
    assert from_file[0].model_dump() == {
        "url": "wss://relay.example.org",
        "read": True,
        "write": True,
        "dm": True,
        "auth": True,
    }


def test_variables_that_name_no_section_are_left_alone() -> None:
    """Variables of the test suite and of other programs do not disturb."""
    environment = {"PODIUM_REQUIRE_REAL": "1", "PODIUM_CONFIG": "x", "HOME": "/", "OTHER__KEY": "1"}
    assert load_config(None, environment=environment).model_dump() == Config().model_dump()


def test_the_process_environment_is_read_unless_another_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an explicit environment the process's own counts."""
    monkeypatch.setenv("PODIUM_WEB__PORT", "1234")
    assert load_config(None).web.port == 1234


def test_relative_paths_start_at_the_file(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative path in a file is meant from the file's folder, wherever the daemon was started; ~ is the home."""
    path = write('[identity]\nkey_file = "podium.key"\n[storage]\nstate_directory = "~/state"\n')
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.chdir("/")
    config = load_config(path, environment={})
    assert config.key_file == path.parent / "podium.key"
    assert config.state_directory == Path("/home/somebody/state")


def test_what_is_derived_follows_the_state_directory_and_the_port() -> None:
    """Key, database, recordings and public URL have sensible places without being set."""
    config = load_config(
        None, {"storage.state_directory": "/data", "web.port": 8080, "web.host": "::1"}, environment={}
    )
    assert config.key_file == Path("/data/podium.key")
    assert config.database_file == Path("/data/podium.sqlite3")
    assert config.recording_directory == Path("/data/recordings")
    assert config.public_url == "http://[::1]:8080"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("https://Live.Example.org/", "https://live.example.org"),
        ("https://live.example.org:443", "https://live.example.org"),
        ("http://127.0.0.1:7448", "http://127.0.0.1:7448"),
    ],
)
def test_the_public_url_has_one_spelling(write: Write, written: str, read: str) -> None:
    """Host case, the default port and a last slash do not change which URL a login must name."""
    assert load_config(write(f'[web]\npublic_url = "{written}"\n'), environment={}).public_url == read


def test_instructors_are_read_as_keys_and_names(write: Write) -> None:
    """An npub becomes the key it stands for; a NIP-05 name stays a name, in lower case."""
    pubkey = new_key().pubkey
    path = write(f'[instructors]\nallow = ["{encode_npub(pubkey)}", "{pubkey}", "Ada@Example.org"]\n')
    assert load_config(path, environment={}).instructors.allow == (pubkey, pubkey, "ada@example.org")


def test_the_embedded_relay_runs_when_no_relay_is_listed(write: Write) -> None:
    """By default the embedded relay is there for machines without relays, and only for them."""
    assert load_config(None, environment={}).runs_embedded_relay
    assert not load_config(write('relays = ["wss://relay.example.org"]\n'), environment={}).runs_embedded_relay


def test_offsets_come_earliest_first_and_without_those_switched_off(write: Write) -> None:
    """The reminders around the start are given in order; a disabled one is not among them."""
    path = write("[reminders.hour]\nenabled = false\n")
    offsets = load_config(path, environment={}).reminders.offsets()
    assert [(offset.name, offset.before, offset.window) for offset in offsets] == [
        ("day", 86_400, 79_200),
        ("quarter", 900, 900),
        ("start", 0, 900),
    ]


def _relays(count: int, *, dm: int = 100) -> str:
    tables = (
        f'[[relays]]\nurl = "wss://relay{one}.example.org"\ndm = {str(one < dm).lower()}\n' for one in range(count)
    )
    return "".join(tables)


@pytest.mark.family("configuration and CLI")
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("[web\n", "is no valid TOML", id="unclosed table"),
        pytest.param("[web]\nport = 1\nport = 2\n", "is no valid TOML", id="repeated key"),
        pytest.param("[web]\nport = \n", "is no valid TOML", id="no value"),
        pytest.param("[web]\nprot = 80\n", "web.prot: there is no such key; did you mean web.port?", id="misspelt key"),
        pytest.param("[wbe]\nport = 80\n", "wbe: there is no such key; did you mean web?", id="misspelt section"),
        pytest.param("[web]\nlevel = 1\n", "did you mean logging.level?", id="key of another section"),
        pytest.param("zzzzzz = 1\n", "`podium config show` lists all", id="key unlike any other"),
        pytest.param('[web]\nport = "7448"\n', "web.port: expected a port number from 1 to 65535", id="quoted number"),
        pytest.param('[web]\ntrusted_proxies = ["proxy"]\n', "or a network such as 10.0.0.0/8", id="named proxy"),
        pytest.param('[web]\ntrusted_proxies = ["::/0"]\n', "not of all addresses", id="everybody as a proxy"),
        pytest.param("[web]\nport = 70000\n", "got 70000", id="port out of range"),
        pytest.param("[web]\nport = nan\n", "web.port: expected a port number", id="not a number"),
        pytest.param('web = "x"\n', "web: expected a table", id="value for a section"),
        pytest.param('[embedded]\nin_memory = "yes"\n', "expected true or false", id="text for a boolean"),
        pytest.param("[embedded]\nenabled = 1\n", 'expected one of "auto" or true or false', id="number for auto"),
        pytest.param('[logging]\nlevel = "loud"\n', '"debug", "info", "warning", "error"', id="unknown choice"),
        pytest.param('[lifecycle]\ndoors = "soon"\n', f"lifecycle.doors: {DURATION}", id="no duration"),
        pytest.param("[lifecycle]\ndoors = -1\n", f"lifecycle.doors: {DURATION}", id="negative duration"),
        pytest.param("[lifecycle]\ndoors = 1.5\n", f"lifecycle.doors: {DURATION}", id="fractional duration"),
        pytest.param("[lifecycle]\ndoors = true\n", f"lifecycle.doors: {DURATION}", id="boolean for a duration"),
        pytest.param("[conference]\nheartbeat = 0\n", "longer than zero", id="zero heartbeat"),
        pytest.param("[lifecycle]\ndoors = 2026-12-01\n", f"lifecycle.doors: {DURATION}", id="date for a duration"),
        pytest.param(
            '[web]\npublic_url = "ftp://a"\n', "expected http:// or https://", id="public URL of another scheme"
        ),
        pytest.param('[web]\npublic_url = "https://a/b"\n', "nothing after it", id="public URL with a path"),
        pytest.param('[web]\npublic_url = "https://u:p@a"\n', "expected http://", id="public URL with a password"),
        pytest.param('[web]\nhost = "a b"\n', "web.host: expected an address to listen on", id="no host"),
        pytest.param('[web]\nhost = "0.0.0.0"\n', "web.public_url: is needed", id="every address, no public URL"),
        pytest.param("[relays]\nurl = 1\n", "each under [[relays]]", id="one table for the list of relays"),
        pytest.param('relays = ["http://a"]\n', "relays[0].url: expected a ws:// or wss:// URL", id="relay of http"),
        pytest.param("[[relays]]\nread = true\n", "relays[0].url: is missing", id="relay without URL"),
        pytest.param(
            '[[relays]]\nurl = "wss://a"\nraed = true\n', "did you mean relays.read?", id="misspelt relay key"
        ),
        pytest.param('relays = ["wss://a", "wss://A/"]\n', "wss://a is listed twice", id="relay twice"),
        pytest.param(
            '[[relays]]\nurl = "wss://a"\nwrite = false\n', "none of them is to write", id="no relay to write"
        ),
        # the service's own lists (NIP-17, NIP-65) name all of them, and are bounded
        pytest.param(_relays(11), "11 of them have dm = true, 10 at most", id="relays for messages"),
        pytest.param(_relays(21, dm=10), "21 of them have read = true, 20 at most", id="relays to read"),
        pytest.param(_relays(21, dm=10), "21 of them have write = true, 20 at most", id="relays to write"),
        pytest.param(
            f"{_relays(10)}[embedded]\nenabled = true\n", "11 of them have dm = true", id="the embedded relay counts"
        ),
        pytest.param("[embedded]\nenabled = false\n", "there is no relay at all", id="no relay"),
        pytest.param("[embedded]\nport = 7448\n", "embedded.port: is taken by web.port", id="one port for two"),
        pytest.param('[instructors]\nallow = ["somebody"]\n', "expected a public key", id="no instructor"),
        pytest.param('[instructors]\nallow = "a@example.org"\n', "expected a list", id="instructor outside a list"),
        pytest.param('[reminders.hour]\nbefore = "48h"\n', "day must come before hour", id="reminders out of order"),
        pytest.param(
            '[identity]\nservice_name = "a\\u001b[2J"\n', "expected one line", id="control characters in a name"
        ),
        pytest.param("[attendance]\npercent = 101\n", "from 1 to 100", id="more than all"),
        pytest.param(
            '[conference]\nengine = "zoom"\n',
            'expected one of "auto", "embedded", "link", "janus", "bigbluebutton", "livekit"',
            id="unknown engine",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_name(write: Write, text: str, expected: str) -> None:
    """Each mistake is told with the file, the key and what was expected."""
    path = write(text)
    said = problem_of(path)
    assert expected in said
    assert said.startswith(str(path))


def test_all_problems_are_told_together(write: Write) -> None:
    """One run shows every mistake, from the file, the environment and the command line, each with its source."""
    path = write('[web]\nprot = 1\n[logging]\nlevel = "loud"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(
            path, {"lifecycle.doors": "soon"}, environment={"PODIUM_WEB__PORT": "x", "PODIUM_REMINDERS__DAYY__X": "1"}
        )
    assert {(problem.source, problem.key) for problem in caught.value.problems} == {
        (str(path), "web.prot"),
        (str(path), "logging.level"),
        ("command line", "lifecycle.doors"),
        ("environment variable PODIUM_WEB__PORT", "web.port"),
        ("environment variable PODIUM_REMINDERS__DAYY__X", "reminders.dayy"),
    }


def test_a_section_that_is_no_table_is_told_though_the_environment_adds_to_it(write: Write) -> None:
    """A variable for a section that the file has spoilt does not hide the mistake in the file."""
    assert "web: expected a table" in problem_of(write("web = 3\n"), PODIUM_WEB__PORT="1")


@pytest.mark.family("configuration and CLI")
@pytest.mark.parametrize(
    "template",
    [
        'name = "{}"\n',
        '[identity]\nkey_file = "{}"\n',
        "# {}\n",
        '[instructors]\nallow = ["{}"]\n',
        '"{}" = 1\n',
        '[identity\nkey_file = "{}"\n',
    ],
)
@pytest.mark.parametrize("change", [str, str.upper])
def test_a_secret_key_anywhere_in_the_file_is_refused_and_not_repeated(
    write: Write, template: str, change: Callable[[str], str]
) -> None:
    """An nsec in a value, a key, a comment or a broken file is refused with its line, and never echoed."""
    secret = change(encode_nsec(new_key()))
    path = write("\n" + template.format(secret))
    said = problem_of(path)
    assert "holds a secret key" in said
    assert f"{path}, line {2 if chr(10) not in template[:-1] else 3}:" in said
    assert secret[5:].lower() not in said.lower()


def test_a_secret_key_in_the_environment_or_an_option_is_refused_and_not_repeated() -> None:
    """An nsec given as a configuration value is refused wherever it comes from."""
    secret = encode_nsec(new_key())
    said = problem_of(None, PODIUM_IDENTITY__KEY_FILE=secret)
    assert "PODIUM_IDENTITY__KEY_FILE" in said
    assert secret not in said
    with pytest.raises(ConfigError) as caught:
        load_config(None, {"identity.service_name": secret}, environment={})
    assert secret not in str(caught.value)


def test_a_wrong_value_that_may_be_a_key_is_not_repeated(write: Write) -> None:
    """64 hex digits in the wrong place are not echoed: they may be a secret."""
    digits = new_key().expose().hex()
    assert digits not in problem_of(write(f'[lifecycle]\ndoors = "{digits}"\n'))


def test_a_meeting_url_is_never_repeated(write: Write) -> None:
    """A meeting's address may hold its password, so a mistake in it is told without it."""
    said = problem_of(write('[conference]\nmeeting_url = "htps://meet.example.org/x?pwd=letmein"\n'))
    assert "conference.meeting_url" in said
    assert "letmein" not in said


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    """A missing file and a folder in its place are told with what to do."""
    assert "`podium init` writes one" in problem_of(tmp_path / "none.toml")
    assert "is a folder" in problem_of(tmp_path)


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"\xff\xfe[web]", "is not UTF-8"),
        (b"#" * (1024 * 1024 + 1), "longer than 1 MiB"),
        (b"[web]\nport = 1\x00", "TOML"),
    ],
)
def test_a_file_of_other_bytes_is_told(tmp_path: Path, raw: bytes, expected: str) -> None:
    """A file that is no UTF-8, too long or binary is refused."""
    path = tmp_path / "relays.toml"
    path.write_bytes(raw)
    assert expected in problem_of(path)


def test_deeply_nested_values_end_in_a_clear_error(write: Write) -> None:
    """Nesting that exhausts a parser is an error like any other."""
    assert "is no valid TOML" in problem_of(write("a = " + "[" * 100_000 + "]" * 100_000))


def test_a_line_break_in_a_variable_does_not_smuggle_in_another_key() -> None:
    """A variable's text is one value, whatever it looks like."""
    assert "web.port" in problem_of(None, PODIUM_WEB__PORT="1\nhost = 2")


def test_a_file_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    """Some editors put a mark before the text; it is no mistake worth refusing."""
    path = tmp_path / "relays.toml"
    path.write_bytes(b"\xef\xbb\xbf[web]\nport = 99\n")
    assert load_config(path, environment={}).web.port == 99


def test_reload_reads_the_same_file_and_options_again(write: Write) -> None:
    """A reload takes over what the file says now, keeps the options, and an invalid file leaves the old one good."""
    path = write("[web]\nport = 1001\n")
    config = load_config(path, {"logging.level": "error"}, environment={})
    write("[web]\nport = 1002\n")
    again = config.reload()
    assert (again.web.port, again.logging.level) == (1002, "error")
    write("[web]\nport = nothing\n")
    with pytest.raises(ConfigError):
        again.reload()
    assert again.web.port == 1002


def test_a_configuration_made_in_a_program_reloads_to_itself() -> None:
    """Without a file there is nothing to read again."""
    config = Config()
    assert config.reload() is config


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """A file that is there and cannot be opened is told, not taken for an empty one."""
    path = tmp_path / "relays.toml"
    path.symlink_to(path)
    assert "cannot be read" in problem_of(path)
