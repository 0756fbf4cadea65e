"""The whole HTTP application."""

from __future__ import annotations

from collections.abc import Collection

from fastapi import FastAPI

from podium_daemon.web import problems
from podium_daemon.web.calendars import CalendarTokens
from podium_daemon.web.context import Context
from podium_daemon.web.guard import Guard
from podium_daemon.web.head_requests import HeadRequests
from podium_daemon.web.login import LoginDoor, LoginTokens
from podium_daemon.web.problems import DocumentedApi
from podium_daemon.web.routes import (
    badges,
    calendar,
    certificates,
    chat,
    conference,
    engines,
    guests,
    instructors,
    login,
    pages,
    people,
    polls,
    questions,
    recordings,
    rooms,
    service,
    sessions,
    signers,
    stream,
)
from podium_daemon.web.session_list import SessionList
from podium_daemon.web.watch import StreamHub
from podium_storage.languages import Languages
from podium_storage.logins import Logins


def described_api(public_url: str) -> FastAPI:
    """The routes without the parts behind them: enough for /openapi.json."""
    app = DocumentedApi(public_url=public_url)
    problems.install(app)
    for module in (
        recordings,
        service,
        login,
        guests,
        instructors,
        sessions,
        people,
        rooms,
        chat,
        polls,
        questions,
        stream,
        calendar,
        badges,
        certificates,
    ):
        app.include_router(module.router)
    for module in (conference, engines, signers, pages):
        app.include_router(module.router)
    return app


def build_api(context: Context) -> FastAPI:
    """The routes with the parts they need, without the guard."""
    app = described_api(context.public_url)
    app.state.context = context
    app.state.calendar_tokens = CalendarTokens(context.store.database)
    app.state.login_door = LoginDoor(
        public_url=context.public_url,
        clock=context.clock,
        tokens=LoginTokens(Logins(context.store.database), context.clock),
        languages=Languages(context.store.database),
    )
    app.state.watch = StreamHub(context.store, context.views, connections=context.connections)
    app.state.session_list = SessionList(context.store, context.views, context.clock)
    return app


def build_site(context: Context, *, hosts: Collection[str]) -> Site:
    """Build the application with its guard, which every request passes first."""
    return Site(build_api(context), public_url=context.public_url, hosts=hosts)


class Site(Guard):
    """The guarded application, whose long answers the server can end."""

    def __init__(self, app: FastAPI, *, public_url: str, hosts: Collection[str]) -> None:
        allowances = app.state.context.allowances
        super().__init__(HeadRequests(app), public_url=public_url, hosts=hosts, allowances=allowances)
        self._watch: StreamHub = app.state.watch
        self._list: SessionList = app.state.session_list
        self._signers = app.state.context.signers
        self.tasks = self._watch.tasks

    def refresh(self) -> None:
        """Tell the open pages that a person's name has changed."""
        self._list.refresh()
        self._watch.refresh()

    def drain(self) -> None:
        """End the event streams, and the waiting for signers."""
        self._watch.close()
        self._signers.close()
