"""The daemon's HTTP face: routes, login, guards."""
