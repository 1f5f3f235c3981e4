"""Bounds: how much one feed of one account may carry, on how many connections."""

from __future__ import annotations

from dataclasses import dataclass

from openalgo_ws.adapter import Limits
from openalgo_ws.feeds.interfaces import FeedSettings

__all__ = ["Bounds"]


@dataclass(frozen=True)
class Bounds:
    """How much one feed of one account may carry (cost units; instruments, for most brokers)."""

    per_connection: int
    connections: int
    per_account: int

    @classmethod
    def of(cls, limits: Limits, settings: FeedSettings, *, market: bool = True) -> Bounds:
        """The broker's limits, within what the operator allows.

        A feed with ``market`` data is shared with other processes (`FeedSettings.shards`): each has an
        equal part, which may be none. One for orders alone is opened by one of them.
        """
        size = min(limits.per_connection, settings.max_symbols or limits.per_connection)
        connections = min(limits.connections, settings.max_connections or limits.connections)
        if not settings.pooling:
            connections = 1
        shards = settings.shards if market else 1
        connections //= shards
        product = size * connections
        account = limits.per_account // shards if limits.per_account else product
        return cls(size, connections, min(account, product))
