"""`python -m podium_daemon`: the same as `podium`."""

from podium_daemon.cli import main

main()
