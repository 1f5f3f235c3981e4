"""HTTP calls of authorise steps and of brokers that subscribe over HTTP."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred

from openalgo_ws.adapter import HttpRequest, HttpResponse

__all__ = ["HttpCaller"]


class HttpCaller(Protocol):
    """Makes HTTP calls to a broker."""

    def call(self, request: HttpRequest) -> Deferred[HttpResponse | None]:
        """The answer, or None if none came in time. Never fails."""
