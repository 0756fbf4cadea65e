"""`podium demo`: a whole session in under 90 seconds, seen from outside the daemon.

The people here have their own keys, sockets and client code. They share only the protocol package with the daemon.
"""

from podium_daemon.demo.show import run

__all__ = ["run"]
