"""The publishing end of the bus on NATS: see `openalgo_ws.bus.nats`."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from openalgo_ws.bus import subjects
from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.bus.nats_pump import Pump
from openalgo_ws.bus.nats_updates import UpdatePublisher
from openalgo_ws.bus.records import TickRecord, pack
from openalgo_ws.bus.topics import parse_market_topic
from openalgo_ws.tick import Mode

__all__ = ["Asked", "Key", "NatsPublisher"]

#: Instruments of which a publisher remembers the last tick.
_REMEMBERED = 200_000

#: Feed, exchange and symbol.
Key = tuple[str, str, str]
#: What a request for last ticks names, as MessagePack.
Asked = list[Key]
_asked = msgspec.msgpack.Decoder(Asked)


class _Outside(NamedTuple):
    """A tick of an untagged publisher, which waits as a record does."""

    mode: Mode
    subject: str
    payload: bytes


_Tick = TickRecord | _Outside


class NatsPublisher:
    """Publishes ticks and order updates; implements `openalgo_ws.bus.interface.BusPublisher`.

    Beyond ``bound`` ticks that wait, the latest of each instrument and mode is kept; beyond ``updates``
    order updates the oldest is lost. ``term`` is that of the lease under which ticks of feeds are published
    (`openalgo_ws.bus.terms`), None where there is no lease.
    """

    def __init__(self, link: NatsLink, *, bound: int, updates: int, term: int | None) -> None:
        self._link = link
        self._term = "" if term is None else subjects.of_term(term)
        self._bound = bound
        self._waiting: dict[Key, list[_Tick]] = {}
        self._count = 0
        self._others = UpdatePublisher(link, most=updates)
        self._last: OrderedDict[Key, TickRecord] = OrderedDict()
        self._pump = Pump(link, lambda: bool(self._waiting), self._send_next)
        self._closed = False
        self._was_up = False
        self._requests: Subscription | None = None
        self.published = 0
        self.conflated = 0
        self._lost = 0
        link.join(self)

    @property
    def lost(self) -> int:
        """Order updates that were dropped because too many waited, and what is too long for the server."""
        return self._lost + self._others.lost

    def publish(self, feed: str, record: TickRecord) -> None:
        """Publish one tick with the others of this turn."""
        if self._closed:
            return
        self.published += 1
        key = (feed, record.exchange, record.symbol)
        self._last[key] = record
        self._last.move_to_end(key)
        if len(self._last) > _REMEMBERED:
            self._last.popitem(last=False)
        self._wait(key, record)

    def publish_order(self, broker: str, user: str, update: dict[str, object]) -> None:
        """Publish an order update under the platform's own topic ``<BROKER>_<user>_orders``."""
        self.forward(f"{broker.upper()}_{user}_orders".encode(), msgspec.json.encode(update))

    def forward(self, topic: bytes, payload: bytes) -> None:
        """Publish a message of the platform as it came. Ticks wait as our own do."""
        if self._closed:
            return
        self.published += 1
        market = parse_market_topic(topic)
        if market is None:
            self._others.send(topic, payload)
        else:
            key = (UNTAGGED, market.exchange, market.symbol)
            self._wait(key, _Outside(market.mode, subjects.of_message(topic), payload))

    def backlog(self) -> int:
        """Ticks and order updates that wait for room now."""
        return self._count + self._others.backlog()

    def close(self) -> None:
        """Stop publishing; what waits is given up. Harmless when closed already."""
        self._closed = True
        self._pump.stop()
        self._link.part(self)
        self._waiting.clear()
        self._count = 0
        self._others.close()
        self._last.clear()
        if self._requests is not None:
            self._link.run(self._requests.unsubscribe)
            self._requests = None

    def up(self) -> None:
        """The server is there (again). What was on its way when it went may be lost."""
        if self._requests is None:
            self._link.run(self._answer_requests)
        if self._was_up:
            for key, record in self._last.items():
                if key not in self._waiting:
                    self._wait(key, record)
        self._was_up = True
        self._pump.start()

    def down(self) -> None:
        """Nothing to be done: what waits, waits on."""

    def _wait(self, key: Key, record: _Tick) -> None:
        records = self._waiting.get(key)
        if records is None:
            records = self._waiting[key] = []
        elif self._count >= self._bound:
            before = len(records)
            # Of the mode that comes now none is left, of the others the last.
            records[:] = [one for one in _latest(records) if one.mode is not record.mode]
            self.conflated += before - len(records)
            self._count += len(records) - before
        records.append(record)
        self._count += 1
        self._pump.start()

    async def _send_next(self, client: Client) -> None:
        key = next(iter(self._waiting))
        await self._send(client, key, self._waiting.pop(key))

    async def _send(self, client: Client, key: Key, ticks: list[_Tick]) -> None:
        self._count -= len(ticks)
        feed, exchange, symbol = key
        for one in ticks:
            if isinstance(one, _Outside):
                if len(one.payload) > client.max_payload:
                    self._lost += 1
                else:
                    await client.publish(one.subject, one.payload)
        records = [one for one in ticks if isinstance(one, TickRecord)]
        while records:
            mode = records[0].mode
            run = 1
            while run < len(records) and records[run].mode is mode:
                run += 1
            some, records = records[:run], records[run:]
            subject = subjects.of_ticks(feed, exchange, symbol, mode)
            for payload in self._payloads(some, client.max_payload):
                await client.publish(subject, payload, self._term)

    def _payloads(self, records: list[TickRecord], most: int) -> Iterable[bytes]:
        payload = pack(records)
        if len(payload) <= most:
            yield payload
        elif len(records) == 1:
            self._lost += 1
        else:
            half = len(records) // 2
            yield from self._payloads(records[:half], most)
            yield from self._payloads(records[half:], most)

    async def _answer_requests(self) -> None:
        client = self._link.client
        if client is not None and self._requests is None and not self._closed:
            # The client subscribes by itself again when it reconnects.
            self._requests = await client.subscribe(subjects.SNAPSHOTS, cb=self._asked)

    async def _asked(self, message: Msg) -> None:
        try:
            wanted = _asked.decode(message.data)
        except msgspec.MsgspecError:
            return
        for key in wanted:
            record = self._last.get(key)
            if record is not None and key not in self._waiting and not self._closed:
                self._wait(key, record)


def _latest(records: list[_Tick]) -> list[_Tick]:
    """The last of each mode, in order."""
    found: dict[Mode, _Tick] = {}
    for record in records:
        found.pop(record.mode, None)
        found[record.mode] = record
    return list(found.values())
