"""Counts what the feeds publish, by feed and mode, on its way to the bus."""

from __future__ import annotations

from openalgo_ws.bus.records import TickRecord, TickSink

__all__ = ["Meter"]


class Meter:
    """A `TickSink` that passes everything on.

    ``ticks`` holds for each feed a list of counts, indexed by `Mode` (0 is unused); it only grows.
    """

    def __init__(self, sink: TickSink) -> None:
        self._sink = sink
        self.ticks: dict[str, list[int]] = {}
        self.orders = 0

    def publish(self, feed: str, record: TickRecord) -> None:
        """Count a tick and pass it on."""
        counts = self.ticks.get(feed)
        if counts is None:
            counts = self.ticks[feed] = [0, 0, 0, 0]
        counts[record.mode] += 1
        self._sink.publish(feed, record)

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Count an order update and pass it on."""
        self.orders += 1
        self._sink.publish_order(broker, user, update)

    def published(self) -> dict[str, int]:
        """How many ticks each feed has published."""
        return {feed: sum(counts) for feed, counts in self.ticks.items()}
