"""The daemon's HTTP interface: routes, login, guards."""
