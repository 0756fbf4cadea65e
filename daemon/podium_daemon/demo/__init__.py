"""`podium demo`: a whole session in under 90 seconds, seen from outside the daemon.

The people here have their own keys, sockets and client code. Of the daemon they share nothing but the protocol package.
"""

from podium_daemon.demo.show import run

__all__ = ["run"]
