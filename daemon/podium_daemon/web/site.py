"""The whole HTTP application, put together."""

from __future__ import annotations

from collections.abc import Collection
from importlib.metadata import version

from fastapi import FastAPI
from starlette.types import ASGIApp

from podium_daemon.web import problems
from podium_daemon.web.context import Context
from podium_daemon.web.guard import Guard
from podium_daemon.web.login import LoginDoor
from podium_daemon.web.routes import people, rooms, service, sessions


def build_api(context: Context) -> FastAPI:
    """The routes under their documentation, without the guard."""
    app = FastAPI(
        title="Podium",
        version=version("podium-nostr"),
        description="Live sessions over Nostr. Calls are signed with NIP-98; field names are the model's.",
        docs_url=None,  # it would load scripts from elsewhere
        redoc_url=None,
    )
    app.state.context = context
    app.state.login_door = LoginDoor(public_url=context.public_url, clock=context.clock)
    problems.install(app)
    for module in (service, sessions, people, rooms):
        app.include_router(module.router)
    return app


def build_site(context: Context, *, hosts: Collection[str]) -> ASGIApp:
    """What the server serves: every request passes the guard first."""
    return Guard(build_api(context), public_url=context.public_url, hosts=hosts)
