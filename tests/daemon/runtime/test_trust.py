"""Whom TLS trusts."""

from __future__ import annotations

import ssl

from podium_daemon.runtime.trust import no_trust, system_trust


def test_the_authorities_of_the_machine_are_read_once() -> None:
    """With the certificate and the name checked, as the standard library sets it."""
    trust = system_trust()
    assert system_trust() is trust
    assert (trust.verify_mode, trust.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(trust.get_ca_certs()) == len(ssl.create_default_context().get_ca_certs())


def test_without_trust_no_server_would_do() -> None:
    """It checks, and knows nobody."""
    nobody = no_trust()
    assert (nobody.verify_mode, nobody.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert nobody.get_ca_certs() == []
