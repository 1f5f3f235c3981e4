"""What a publisher keeps while the bus has no room: the latest tick of each instrument, and orders.

Every bus shares it, so that all behave alike under load. It does no I/O: a publisher gives it a
function that sends one message, or says that there is no room.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from openalgo_ws.bus.records import TickRecord, pack, topic_for

__all__ = ["Conflator"]


class Conflator:
    """Gathers the ticks of one reactor turn into one message per feed, and conflates without room.

    ``send`` takes topic and payload and returns False, having taken nothing, if there is no room.
    ``batch`` is the most records in a message, ``updates`` the most order updates that wait.
    """

    def __init__(self, send: Callable[[bytes, bytes], bool], *, batch: int, updates: int) -> None:
        self._send = send
        self._batch = batch
        self._most_updates = updates
        self._fresh: dict[str, list[TickRecord]] = {}
        self._waiting: dict[str, dict[tuple[str, str], TickRecord]] = {}
        # A dictionary for its order; numbered, because two updates may be equal.
        self._updates: dict[int, tuple[bytes, bytes]] = {}
        self._number = 0
        self.published = 0
        self.conflated = 0
        self.lost = 0

    @property
    def idle(self) -> bool:
        """Whether nothing waits, neither for room nor for the end of the turn."""
        return not (self._fresh or self._waiting or self._updates)

    @property
    def stuck(self) -> bool:
        """Whether something waits for room."""
        return bool(self._waiting or self._updates)

    def backlog(self) -> int:
        """Ticks and order updates that wait for room."""
        return sum(map(len, self._waiting.values())) + len(self._updates)

    def add(self, feed: str, record: TickRecord) -> bool:
        """Take a tick for the next `flush`; True if it is the first of its feed since the last."""
        self.published += 1
        fresh = self._fresh.get(feed)
        if fresh is None:
            self._fresh[feed] = [record]
            return True
        fresh.append(record)
        return False

    def add_order(self, broker: str, user: str, update: dict[str, object]) -> bool:
        """Send an order update under the platform's topic ``<BROKER>_<user>_orders``; False if it waits."""
        self.published += 1
        topic = f"{broker.upper()}_{user}_orders".encode()
        payload = msgspec.json.encode(update)
        if not self._updates and self._send(topic, payload):
            return True
        self._number += 1
        self._updates[self._number] = (topic, payload)
        if len(self._updates) > self._most_updates:
            del self._updates[next(iter(self._updates))]
            self.lost += 1
        return False

    def keep(self, feed: str, records: Sequence[TickRecord]) -> None:
        """Hold records, newer than those held, until there is room."""
        waiting = self._waiting.setdefault(feed, {})
        before = len(waiting)
        for record in records:
            waiting[record.symbol, record.exchange] = record
        self.conflated += before + len(records) - len(waiting)

    def flush(self) -> None:
        """Send what there is room for: order updates first, ticks that waited last."""
        while self._updates:
            oldest = next(iter(self._updates))
            if not self._send(*self._updates[oldest]):
                break
            del self._updates[oldest]
        fresh, self._fresh = self._fresh, {}
        for feed, records in fresh.items():
            if feed in self._waiting:
                self.keep(feed, records)
                continue
            topic = topic_for(feed)
            for start in range(0, len(records), self._batch):
                if not self._send(topic, pack(records[start : start + self._batch])):
                    self.keep(feed, records[start:])
                    break
        for feed in list(self._waiting):
            self._drain(feed)

    def clear(self) -> None:
        """Give up everything that waits."""
        self._fresh.clear()
        self._waiting.clear()
        self._updates.clear()

    def _drain(self, feed: str) -> None:
        waiting = self._waiting[feed]
        topic = topic_for(feed)
        while waiting:
            keys = [key for key, _ in zip(waiting, range(self._batch), strict=False)]
            if not self._send(topic, pack([waiting[key] for key in keys])):
                return
            for key in keys:
                del waiting[key]
        del self._waiting[feed]
