"""What a publisher keeps while the bus has no room: the latest tick of each instrument, and orders.

Every bus shares it, so that all behave alike under load. It does no I/O: a publisher gives it a
function that sends one message, or says that there is no room.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence

import msgspec

from openalgo_ws.bus.records import TickRecord, pack, topic_for

__all__ = ["ConflatingPublisher", "Conflator"]


class Conflator:
    """Gathers the ticks of one reactor turn into one message per feed, and conflates without room.

    ``send`` takes topic and payload and returns False, having taken nothing, if there is no room.
    ``batch`` is the most records in a message, ``updates`` the most order updates that wait, and
    ``most_bytes`` the longest payload that ``send`` will ever take: longer batches are divided, and a
    single record or update that is longer is lost.
    """

    def __init__(
        self,
        send: Callable[[bytes, bytes], bool],
        *,
        batch: int,
        updates: int,
        most_bytes: int = sys.maxsize,
    ) -> None:
        self._send = send
        self._batch = batch
        self._most_bytes = most_bytes
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
        if len(payload) > self._most_bytes:
            self.lost += 1
            return True
        if not self._updates and self._send(topic, payload):
            return True
        self.keep_order(topic, payload)
        return False

    def keep(self, feed: str, records: Iterable[TickRecord]) -> None:
        """Hold records, newer than those held, until there is room."""
        waiting = self._waiting.setdefault(feed, {})
        count = 0
        before = len(waiting)
        for record in records:
            waiting[record.symbol, record.exchange] = record
            count += 1
        self.conflated += before + count - len(waiting)

    def keep_order(self, topic: bytes, payload: bytes) -> None:
        """Hold an order update, newer than those held, until there is room."""
        self._number += 1
        self._updates[self._number] = (topic, payload)
        if len(self._updates) > self._most_updates:
            del self._updates[next(iter(self._updates))]
            self.lost += 1

    def take_over(self, other: Conflator) -> None:
        """Hold what waits in another, which is newer, as well."""
        for feed, waiting in other._waiting.items():
            self.keep(feed, waiting.values())
        for topic, payload in other._updates.values():
            self.keep_order(topic, payload)

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
                some = records[start : start + self._batch]
                sent = self._put(topic, some)
                if sent < len(some):
                    self.keep(feed, records[start + sent :])
                    break
        for feed in list(self._waiting):
            self._drain(feed)

    def clear(self) -> None:
        """Give up everything that waits."""
        self._fresh.clear()
        self._waiting.clear()
        self._updates.clear()

    def _put(self, topic: bytes, records: Sequence[TickRecord]) -> int:
        """Send a batch, in parts where it is too long for one message; how many records are done with."""
        payload = pack(records)
        if len(payload) <= self._most_bytes:
            return len(records) if self._send(topic, payload) else 0
        if len(records) == 1:
            self.lost += 1
            return 1
        half = len(records) // 2
        sent = self._put(topic, records[:half])
        return sent + self._put(topic, records[half:]) if sent == half else sent

    def _drain(self, feed: str) -> None:
        waiting = self._waiting[feed]
        topic = topic_for(feed)
        while waiting:
            keys = [key for key, _ in zip(waiting, range(self._batch), strict=False)]
            sent = self._put(topic, [waiting[key] for key in keys])
            for key in keys[:sent]:
                del waiting[key]
            if sent < len(keys):
                return
        del self._waiting[feed]


class ConflatingPublisher:
    """What a publisher tells of its `Conflator`: the counters of `openalgo_ws.bus.interface.BusPublisher`."""

    _queue: Conflator

    @property
    def published(self) -> int:
        """Ticks and order updates published."""
        return self._queue.published

    @property
    def conflated(self) -> int:
        """Ticks that a newer one replaced while they waited for room."""
        return self._queue.conflated

    @property
    def lost(self) -> int:
        """Order updates that were dropped because too many waited, and what no message can hold."""
        return self._queue.lost

    def backlog(self) -> int:
        """Ticks and order updates that wait for room."""
        return self._queue.backlog()
