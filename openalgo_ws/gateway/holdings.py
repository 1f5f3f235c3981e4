"""What one client holds: its subscriptions, each paired with the demand it was granted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import msgspec

from openalgo_ws.bus.demand import Hold
from openalgo_ws.gateway.channel import Channel
from openalgo_ws.tick import Mode

__all__ = ["Held", "Holdings"]

Key = tuple[str, str, Mode]


class Held(msgspec.Struct, frozen=True):
    """One subscription: what to give back to the feeds, and the channel its ticks come by."""

    hold: Hold
    channel: Channel
    broker: str | None
    price_scale: int
    qty_scale: int


class Holdings:
    """Subscriptions by (symbol, exchange, mode); ``counts``, by mode, are kept for all clients."""

    __slots__ = ("_counts", "_held")

    def __init__(self, counts: Counter[Mode]) -> None:
        self._counts = counts
        self._held: dict[Key, Held] = {}

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[Held]:
        return iter(self._held.values())

    def get(self, symbol: str, exchange: str, mode: Mode) -> Held | None:
        """The subscription, if it is held."""
        return self._held.get((symbol, exchange, mode))

    def put(self, held: Held) -> Held | None:
        """Hold it; the one that it replaces, if any."""
        key = (held.hold.symbol, held.hold.exchange, held.hold.wish.mode)
        old = self._held.get(key)
        self._held[key] = held
        if old is None:
            self._counts[key[2]] += 1
        return old

    def take(self, symbol: str, exchange: str, mode: Mode | None) -> list[Held]:
        """Take out one mode, or all modes of an instrument."""
        modes = list(Mode) if mode is None else [mode]
        popped = [self._held.pop((symbol, exchange, each), None) for each in modes]
        taken = [held for held in popped if held is not None]
        self._counts.subtract(held.hold.wish.mode for held in taken)
        return taken

    def take_all(self) -> list[Held]:
        """Take out everything."""
        self._counts.subtract(Counter(mode for _, _, mode in self._held))
        held, self._held = list(self._held.values()), {}
        return held
