"""What the status port serves, and under which paths."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from openalgo_ws.ops.access import Access, Entry
from openalgo_ws.ops.metrics import CONTENT_TYPE
from openalgo_ws.ops.resources import Document, Guarded, Json, show_json

__all__ = ["status_site"]

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


def status_site(
    reactor: Any, access: Access, *, ready: Read, status: Read, metrics: Callable[[], bytes]
) -> Site:
    """``/healthz`` (the process answers), ``/readyz`` (its feeds are live, or nothing trades),
    ``/metrics`` (Prometheus) and ``/api/status``."""
    root, api = Resource(), Resource()
    root.putChild(b"healthz", Json(lambda: {"ok": True}))
    root.putChild(b"readyz", _Ready(access, ready))
    root.putChild(b"metrics", Guarded(access, Document(CONTENT_TYPE, metrics)))
    root.putChild(b"api", api)
    api.putChild(b"status", Guarded(access, Json(status)))
    site = Site(root, reactor=reactor)
    site.displayTracebacks = False
    site.noisy = False
    return site
