"""The guard on URLs out of events: which addresses strangers may send us to."""

from __future__ import annotations

import asyncio
import ipaddress
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from podium_daemon.relays import addresses
from podium_daemon.relays.addresses import (
    AddressRefused,
    Destination,
    SystemLookup,
    is_public,
    resolve_configured,
    resolve_public,
)

PUBLIC_4, PUBLIC_6 = "93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


def answering(*found: str) -> addresses.Lookup:
    """A resolver that always gives these addresses."""

    async def lookup(_host: str, _port: int) -> tuple[str, ...]:
        return found

    return lookup


async def failing(_host: str, _port: int) -> tuple[str, ...]:
    """A resolver that knows nothing."""
    raise OSError(-2, "Name or service not known")


@pytest.mark.family("URLs")
@pytest.mark.parametrize(
    "address",
    [
        pytest.param("0.0.0.0", id="unspecified"),  # noqa: S104  (an address under test, nothing is bound)
        pytest.param("0.1.2.3", id="this network"),
        pytest.param("10.0.0.1", id="private 10"),
        pytest.param("172.16.0.1", id="private 172.16"),
        pytest.param("172.31.255.255", id="private 172.31"),
        pytest.param("192.168.1.1", id="private 192.168"),
        pytest.param("100.64.0.1", id="carrier NAT"),
        pytest.param("127.0.0.1", id="loopback"),
        pytest.param("127.255.255.254", id="loopback, far end"),
        pytest.param("169.254.169.254", id="cloud metadata"),
        pytest.param("192.0.0.8", id="protocol assignments"),
        pytest.param("192.0.2.1", id="documentation 1"),
        pytest.param("198.51.100.7", id="documentation 2"),
        pytest.param("203.0.113.9", id="documentation 3"),
        pytest.param("192.88.99.1", id="6to4 relay"),
        pytest.param("198.18.0.1", id="benchmark"),
        pytest.param("224.0.0.1", id="multicast"),
        pytest.param("239.255.255.250", id="multicast, site"),
        pytest.param("240.0.0.1", id="reserved"),
        pytest.param("255.255.255.255", id="broadcast"),
        pytest.param("::", id="v6 unspecified"),
        pytest.param("::1", id="v6 loopback"),
        pytest.param("::ffff:127.0.0.1", id="v4-mapped loopback"),
        pytest.param("::ffff:93.184.215.14", id="v4-mapped public"),
        pytest.param("::7f00:1", id="v4-compatible"),
        pytest.param("64:ff9b::7f00:1", id="NAT64 of loopback"),
        pytest.param("64:ff9b::5db8:d70e", id="NAT64 of a public one"),
        pytest.param("64:ff9b:1::a00:1", id="local-use NAT64"),
        pytest.param("100::1", id="discard"),
        pytest.param("2001::1", id="Teredo"),
        pytest.param("2001:2::1", id="v6 benchmark"),
        pytest.param("2001:10::1", id="ORCHID"),
        pytest.param("2001:20::1", id="ORCHIDv2"),
        pytest.param("2001:db8::1", id="v6 documentation"),
        pytest.param("3fff::1", id="v6 documentation 2"),
        pytest.param("2002:7f00:1::1", id="6to4 of loopback"),
        pytest.param("2002:5db8:d70e::1", id="6to4 of a public one"),
        pytest.param("5f00::1", id="segment routing"),
        pytest.param("fc00::1", id="unique local"),
        pytest.param("fd12:3456:789a::1", id="unique local, assigned"),
        pytest.param("fe80::1", id="link-local"),
        pytest.param("fe80::1%eth0", id="link-local with a zone"),
        pytest.param("2606:4700::1%eth0", id="a zone on a public address"),
        pytest.param("fec0::1", id="site-local"),
        pytest.param("ff02::1", id="v6 multicast"),
        pytest.param("4000::1", id="unallocated"),
        pytest.param("example.org", id="no address"),
        pytest.param("", id="nothing"),
        pytest.param("127.1", id="short form"),
        pytest.param("0x7f000001", id="hex form"),
        pytest.param("2130706433", id="number form"),
        pytest.param("0177.0.0.1", id="octal form"),
    ],
)
def test_addresses_that_are_not_plainly_public_are_refused(address: str) -> None:
    """A stranger's host name that leads there is not connected to."""
    assert not is_public(address)


@pytest.mark.parametrize("address", [PUBLIC_4, PUBLIC_6, "1.1.1.1", "192.0.1.1", "172.32.0.1", "2a00:1450:4001::1"])
def test_ordinary_public_addresses_are_accepted(address: str) -> None:
    """The guard does not keep us from the world."""
    assert is_public(address)


@given(st.ip_addresses())
def test_what_python_calls_private_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    """The written-out registries are never laxer than the standard library's."""
    if address.is_private or address.is_multicast or address.is_reserved or address.is_loopback:
        assert not is_public(str(address))


@given(st.ip_addresses(v=4))
def test_an_ipv4_address_inside_an_ipv6_one_is_never_public(address: ipaddress.IPv4Address) -> None:
    """Mapped, compatible, NAT64 and 6to4 forms of any address are refused."""
    number = int(address)
    for inside in (0xFFFF << 32 | number, number, 0x64FF9B << 96 | number, 0x2002 << 112 | number << 80):
        assert not is_public(str(ipaddress.IPv6Address(inside)))


async def test_the_connection_is_pinned_to_the_address_that_was_checked() -> None:
    """The destination carries the host for TLS and the checked addresses for the socket."""
    found = await resolve_public("wss://Relay.Example.org/path", answering(PUBLIC_4, PUBLIC_6))
    assert found == Destination(
        "wss://relay.example.org/path", "relay.example.org", 443, is_secure=True, addresses=(PUBLIC_4, PUBLIC_6)
    )


async def test_private_addresses_among_public_ones_are_left_out() -> None:
    """A name that mixes both (DNS rebinding) leads to the public ones only."""
    found = await resolve_public("ws://mixed.example.org", answering("127.0.0.1", PUBLIC_4, "::1", "10.0.0.1"))
    assert isinstance(found, Destination)
    assert found.addresses == (PUBLIC_4,)


@pytest.mark.family("URLs")
@pytest.mark.parametrize(
    "url",
    [
        "http://example.org",
        "https://example.org",
        "file:///etc/passwd",
        "wss://",
        "wss://user:password@example.org",
        "wss://example.org\n",
        "wss://exa\tmple.org",
        "wss://127.1",
        "wss://0x7f.0.0.1",
        "wss://2130706433",
        "wss://[::1",
        "wss://example.org:0",
        "wss://example.org:99999",
        "wss://example.org/#fragment",
        "//example.org",
        "javascript:alert(1)",
        "",
        "wss://" + "a" * 300 + ".org",
    ],
)
async def test_what_is_no_relay_url_is_refused_for_good(url: str) -> None:
    """No resolver is asked about nonsense, and nobody tries again."""
    found = await resolve_public(url, answering(PUBLIC_4))
    assert isinstance(found, AddressRefused)
    assert found.is_lasting


@pytest.mark.parametrize("url", ["ws://127.0.0.1", "ws://[::1]:8080", "wss://169.254.169.254", "ws://10.1.2.3:7777"])
async def test_literal_private_addresses_are_refused_without_asking_a_resolver(url: str) -> None:
    """A literal is checked like any other answer."""
    found = await resolve_public(url, failing)
    assert isinstance(found, AddressRefused)
    assert "no public address" in found.reason


@pytest.mark.family("URLs")
@pytest.mark.parametrize("port", [1, 22, 25, 53, 110, 143, 587, 993, 1720, 2049, 5060, 6000, 6379, 6667, 11211])
async def test_ports_of_other_protocols_are_refused(port: int) -> None:
    """Nobody makes us talk to mail servers or databases."""
    found = await resolve_public(f"ws://example.org:{port}", answering(PUBLIC_4))
    assert isinstance(found, AddressRefused)
    assert "another protocol" in found.reason


@pytest.mark.parametrize("port", [80, 443, 1024, 4848, 7447, 8080, 65535])
async def test_ports_of_relays_are_accepted(port: int) -> None:
    """Relays run on many ports."""
    assert isinstance(await resolve_public(f"ws://example.org:{port}", answering(PUBLIC_4)), Destination)


async def test_networks_that_the_operator_permits_are_accepted() -> None:
    """An organisation's own relays may be in its own network."""
    permitted = [ipaddress.IPv4Network("10.1.0.0/16"), ipaddress.IPv6Network("fd00::/8")]
    found = await resolve_public("ws://relay.lan", answering("10.1.2.3", "10.2.2.3", "fd00::1"), permitted=permitted)
    assert isinstance(found, Destination)
    assert found.addresses == ("10.1.2.3", "fd00::1")


async def test_what_the_operator_configured_may_be_private() -> None:
    """The embedded relay is on loopback."""
    found = await resolve_configured("ws://127.0.0.1:7447/", failing)
    assert found == Destination("ws://127.0.0.1:7447", "127.0.0.1", 7447, is_secure=False, addresses=("127.0.0.1",))


@pytest.mark.parametrize("resolve", [resolve_public, resolve_configured])
async def test_a_name_that_cannot_be_resolved_may_be_tried_again(resolve: type) -> None:
    """A name server that is away says nothing about the relay."""
    found = await resolve("wss://example.org", failing)
    assert isinstance(found, AddressRefused)
    assert not found.is_lasting
    assert "Name or service not known" in found.reason


async def test_a_name_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lookup ends after its time, however long the resolver takes."""
    monkeypatch.setattr(addresses, "RESOLVE_WITHIN", 0.01)

    async def silent(_host: str, _port: int) -> tuple[str, ...]:
        await asyncio.Event().wait()
        return ()

    found = await resolve_public("wss://example.org", silent)
    assert isinstance(found, AddressRefused)
    assert not found.is_lasting


async def test_the_systems_resolver_knows_localhost_and_says_when_it_knows_nothing() -> None:
    """The real resolver answers on a thread of its own, with addresses or an OSError."""
    lookup = SystemLookup()
    assert set(await lookup("localhost", 80)) <= {"127.0.0.1", "::1"}
    with pytest.raises(OSError, match=r".+"):
        await lookup("no-such-host.invalid", 80)
    with pytest.raises(OSError, match=r".+"):
        await lookup("a" * 64 + ".invalid", 80)


async def test_slow_lookups_do_not_hold_up_the_exit() -> None:
    """Resolver threads are daemon threads, and a lookup that is given up leaves no error behind."""
    lookup = SystemLookup()
    asking = asyncio.create_task(lookup("localhost", 80))
    await asyncio.sleep(0)
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "dns")
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
