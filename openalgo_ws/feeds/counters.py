"""What a connection has counted, for status pages and metrics."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

__all__ = ["ConnectionCounters"]


@dataclass
class ConnectionCounters:
    """Counts since the connection was made; they only grow. Times are of the reactor's clock."""

    #: Messages (WebSocket) or pieces (stream) received, and their bytes.
    frames: int = 0
    bytes: int = 0
    ticks: int = 0
    orders: int = 0
    malformed: int = 0
    #: Refusals that the broker reported (`Rejected` events).
    rejected: int = 0
    #: Sockets dialled, and logins that got through.
    dials: int = 0
    logins: int = 0
    #: How often the connection or an attempt ended, by cause: the values of `Cause`, and
    #: ``stalled``, ``renewed`` (credentials changed).
    ended: Counter[str] = field(default_factory=Counter)
    #: When the last tick and the last login came; None before the first.
    last_tick: float | None = None
    last_login: float | None = None

    def add(self, other: ConnectionCounters) -> None:
        """Count what another connection has counted as well."""
        self.frames += other.frames
        self.bytes += other.bytes
        self.ticks += other.ticks
        self.orders += other.orders
        self.malformed += other.malformed
        self.rejected += other.rejected
        self.dials += other.dials
        self.logins += other.logins
        self.ended.update(other.ended)
        self.last_tick = _later(self.last_tick, other.last_tick)
        self.last_login = _later(self.last_login, other.last_login)


def _later(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return one if other is None else other
    return max(one, other)
