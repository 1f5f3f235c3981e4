"""``twistd openalgo-ws``: the only place where the parts are wired together.

`openalgo_ws.tap.feeds` composes what speaks to brokers, `openalgo_ws.tap.gateway` what speaks to
clients; `openalgo_ws.tap.server` is the process that has both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from twisted.application.service import IService

from openalgo_ws.feeds.environment import make_steady
from openalgo_ws.log import LoggedService, twistd_observer
from openalgo_ws.options import Options
from openalgo_ws.tap.server import Server

__all__ = ["Options", "Server", "makeService"]


def makeService(options: Options) -> IService:
    """The server that these options describe. A mistake in them ends the process with one line."""
    from twisted.internet import reactor

    settings = options.settings
    make_steady(reactor)
    server = Server(reactor, settings)
    # `parent` is twistd's own options: where its log goes.
    parent: Mapping[str, Any] = getattr(options, "parent", None) or {}
    service = LoggedService(twistd_observer(settings, parent))
    server.setServiceParent(service)  # type: ignore[no-untyped-call]
    return service
