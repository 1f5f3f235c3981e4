"""What the status port serves, and under which paths."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from twisted.web import http
from twisted.web.server import Request, Site

from openalgo_ws.ops.access import Access, Entry
from openalgo_ws.ops.live import LiveFactory, LiveResource
from openalgo_ws.ops.metrics import CONTENT_TYPE
from openalgo_ws.ops.pages import Login, Logout, page, static_files
from openalgo_ws.ops.resources import Answering, Document, Folder, Guarded, Json, show_json

__all__ = ["Contents", "status_site"]

#: Bytes of a request's body.
_LONGEST_BODY = 4096

Read = Callable[[], Mapping[str, Any]]


class _Ready(Json):
    """Everybody may know whether the server is ready, but only who is admitted learns why not."""

    def __init__(self, access: Access, read: Read) -> None:
        super().__init__(read)
        self._access = access

    def render_GET(self, request: Request) -> bytes:
        """The state, with the feeds for those who are admitted."""
        if self._access.entry(request) is Entry.ADMITTED:
            return super().render_GET(request)
        ok = bool(self._read()["ok"])
        if not ok:
            request.setResponseCode(503)
        return show_json(request, {"ok": ok})


class _Request(Request):
    """A request that brings little: the longest thing anybody has to send here is a token."""

    def gotLength(self, length: int | None) -> None:
        """Hang up on whoever wants to send more (or does not say how much)."""
        super().gotLength(length)  # type: ignore[no-untyped-call]
        if length is None or length > _LONGEST_BODY:
            self.channel.loseConnection()


class _Site(Site):
    """Asked by Prometheus every few seconds: that is not worth a line in the log each time."""

    def log(self, request: http.Request) -> None:
        """Say nothing."""


class Contents(msgspec.Struct, frozen=True, kw_only=True):
    """What the paths show."""

    ready: Read
    status: Read
    metrics: Callable[[], bytes]
    users: Callable[[Request], Awaitable[tuple[int, Any]]]
    websocket_config: Callable[[Request], Awaitable[tuple[int, Any]]]
    websocket_key: Callable[[Request], Awaitable[tuple[int, Any]]]
    live: LiveFactory


def status_site(reactor: Any, access: Access, contents: Contents) -> Site:
    """``/`` (the page), ``/healthz`` (the process answers), ``/readyz`` (its feeds are live, or nothing
    trades), ``/metrics`` (Prometheus) and what is under ``/api``."""
    root, api, websocket = Folder(), Folder(), Folder()
    form = page("login.html")
    root.putChild(b"", Guarded(access, page("index.html"), form))
    root.putChild(b"login", Login(access, form))
    root.putChild(b"logout", Logout(access))
    root.putChild(b"static", static_files())
    root.putChild(b"healthz", Json(lambda: {"ok": True}))
    root.putChild(b"readyz", _Ready(access, contents.ready))
    root.putChild(b"metrics", Guarded(access, Document(CONTENT_TYPE, contents.metrics)))
    root.putChild(b"api", api)
    api.putChild(b"status", Guarded(access, Json(contents.status)))
    api.putChild(b"users", Guarded(access, Answering(contents.users)))
    api.putChild(b"live", Guarded(access, LiveResource(contents.live)))  # type: ignore[no-untyped-call]
    api.putChild(b"websocket", websocket)
    websocket.putChild(b"config", Guarded(access, Answering(contents.websocket_config)))
    websocket.putChild(b"apikey", Guarded(access, Answering(contents.websocket_key)))
    site = _Site(root, requestFactory=_Request, reactor=reactor)  # type: ignore[no-untyped-call]
    site.displayTracebacks = False
    site.noisy = False
    return site
