"""The daemon's HTTP face: routes, login, guards. It knows the services only through `ports`."""
