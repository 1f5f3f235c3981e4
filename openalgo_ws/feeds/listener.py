"""Who hears of a connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from openalgo_ws.adapter import OrderUpdate, Rejected
from openalgo_ws.feeds.life import ConnectionState
from openalgo_ws.tick import Tick

if TYPE_CHECKING:
    from openalgo_ws.feeds.connection import Connection

__all__ = ["ConnectionListener"]


class ConnectionListener(Protocol):
    """Who hears of a connection. Calls come on the reactor thread and must not raise."""

    def state_changed(self, connection: Connection, state: ConnectionState, message: str) -> None:
        """The connection is in another state; ``message`` is for people and holds no secret."""

    def ticked(self, connection: Connection, ticks: Sequence[Tick]) -> None:
        """All ticks of one received frame, in order."""

    def ordered(self, connection: Connection, update: OrderUpdate) -> None:
        """An order update came."""

    def rejected(self, connection: Connection, rejected: Rejected) -> None:
        """The broker refused something. The instruments stay in `Connection.wanted` (and would be
        asked for again after a reconnect) until the listener takes them out with `want`."""
