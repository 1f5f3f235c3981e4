"""Authorise steps: once a dial, or once for all connections of an account."""

from __future__ import annotations

from openalgo_ws.adapter import Environment
from openalgo_ws.feeds.http import HttpCaller

__all__ = ["Authoriser"]


class Authoriser:
    """Runs the authorise steps of one account. Shared by all its connections, on all feeds."""

    def __init__(self, *, http: HttpCaller, environment: Environment) -> None:
        raise NotImplementedError
