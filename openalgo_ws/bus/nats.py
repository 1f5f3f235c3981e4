"""The bus on NATS, for feeds and gateways on different machines.

Each instrument and mode has a subject of its own (`openalgo_ws.bus.subjects`), and a gateway subscribes to
those that its clients hold: the NATS server does the routing, and no gateway sees what it does not need.

A NATS server does not push back: a subscriber that is too slow is cut off. So subscribers always read, and
conflate what their gateway has no time for (`openalgo_ws.bus.intake`); publishers conflate while the
server can't be reached. What was on its way when a connection broke is lost; therefore a publisher that is
back says the last tick of every instrument again, and a subscriber that is back, or begins to be
interested, asks for it. What is no market data is numbered, and what is missing of it asked for
(`openalgo_ws.bus.nats_updates`).

The client is nats-py, which lives on asyncio: this needs Twisted's asyncio reactor
(``twistd --reactor=asyncio``).
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from openalgo_ws.bus import subjects
from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.intake import Intake, Message, Receive
from openalgo_ws.bus.nats_link import LinkEnd, NatsLink
from openalgo_ws.bus.nats_updates import FLUSH, PENDING, UpdatePublisher, UpdateSubscriber
from openalgo_ws.bus.records import TickRecord, pack
from openalgo_ws.bus.topics import parse_market_topic
from openalgo_ws.tick import Mode

__all__ = ["NatsBus", "NatsPublisher", "NatsSubscriber"]

#: Instruments of which a publisher remembers the last tick.
_REMEMBERED = 200_000
#: Instruments in one request for last ticks.
_ASKED = 500

_Key = tuple[str, str, str]
_Asked = list[tuple[str, str, str]]
_asked = msgspec.msgpack.Decoder(_Asked)
_msgpack = msgspec.msgpack.Encoder()


class _Outside(NamedTuple):
    """A tick of an untagged publisher, which waits as a record does."""

    mode: Mode
    subject: str
    payload: bytes


_Tick = TickRecord | _Outside


class NatsPublisher:
    """Publishes ticks and order updates; implements `openalgo_ws.bus.interface.BusPublisher`.

    Beyond ``bound`` ticks that wait, the latest of each instrument and mode is kept; beyond ``updates``
    order updates the oldest is lost.
    """

    def __init__(self, link: NatsLink, *, bound: int, updates: int) -> None:
        self._link = link
        self._bound = bound
        self._waiting: dict[_Key, list[_Tick]] = {}
        self._count = 0
        self._others = UpdatePublisher(link, most=updates)
        self._last: OrderedDict[_Key, TickRecord] = OrderedDict()
        self._pumping = False
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
        self._start()

    def down(self) -> None:
        """Nothing to be done: what waits, waits on."""

    def _wait(self, key: _Key, record: _Tick) -> None:
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
        self._start()

    def _start(self) -> None:
        if not self._pumping and not self._closed and self._link.client is not None:
            self._pumping = True
            self._link.run(self._pump)

    async def _pump(self) -> None:
        """Send all that waits, as fast as the server takes it."""
        try:
            while self._waiting and (client := self._link.client) is not None:
                if client.pending_data_size > PENDING:
                    await client.flush(FLUSH)
                else:
                    key = next(iter(self._waiting))
                    await self._send(client, key, self._waiting.pop(key))
        finally:
            self._pumping = False

    async def _send(self, client: Client, key: _Key, ticks: list[_Tick]) -> None:
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
                await client.publish(subject, payload)

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


class NatsSubscriber:
    """Receives; implements `openalgo_ws.bus.interface.BusSubscriber`.

    With ``everything`` it takes all that there is, otherwise orders, invalidations and what it is told to
    `want`. ``mark`` bounds what waits for the receiver, as in `openalgo_ws.bus.intake`; beyond it so many
    order updates wait as ``updates`` says, then the oldest is lost.
    """

    def __init__(
        self, link: NatsLink, receive: Receive, *, batch: int, mark: int, updates: int, everything: bool
    ) -> None:
        self._link = link
        self._mark = mark
        self._updates = updates
        self._fresh: list[Message] = []
        #: Messages that can't be conflated, while no more of them may wait in the intake.
        self._spilt: deque[Message] = deque()
        self._call: Any = None
        self._closed = False
        #: What is wanted; of an instrument of our feeds, how publishers know it.
        self._subjects: dict[str, _Key | None] = dict.fromkeys(subjects.TICKS if everything else ())
        self._subscribed: dict[str, Subscription] = {}
        self._asking: _Asked = []
        self._changing = False
        self.intake = Intake(receive, self._soon, batch=batch, mark=mark)
        self._lost = 0
        self._malformed = 0
        self._others = UpdateSubscriber(link, self._take, most=updates)
        link.join(self)

    @property
    def received(self) -> int:
        """Messages that came and could be read."""
        return self.intake.messages + len(self._fresh) + len(self._spilt)

    @property
    def conflated(self) -> int:
        """Ticks that a newer one replaced while the receiver was busy."""
        return self.intake.conflated

    @property
    def lost(self) -> int:
        """Order updates and the like that were missed, or were too many."""
        return self._lost + self._others.lost

    @property
    def malformed(self) -> int:
        """Messages that can't be read."""
        return self._malformed + self._others.malformed

    def backlog(self) -> int:
        """What waits for the receiver."""
        return self.intake.backlog() + len(self._fresh) + len(self._spilt) + self._others.backlog()

    def want(self, feed: str, symbol: str, exchange: str) -> None:
        """Take an instrument's ticks from now on, beginning with the last one."""
        if feed == UNTAGGED:
            self._subjects[subjects.foreign_interest(exchange, symbol)] = None
        else:
            key = (feed, exchange, symbol)
            self._subjects[subjects.interest(feed, exchange, symbol)] = key
            self._asking.append(key)
        self._start()

    def unwant(self, feed: str, symbol: str, exchange: str) -> None:
        """Take them no more."""
        foreign = feed == UNTAGGED
        subject = (
            subjects.foreign_interest(exchange, symbol)
            if foreign
            else subjects.interest(feed, exchange, symbol)
        )
        self._subjects.pop(subject, None)
        self._start()

    def up(self) -> None:
        """The server is there (again). What came meanwhile has been missed."""
        self._asking = [key for key in self._subjects.values() if key is not None]
        self._start()

    def down(self) -> None:
        """Nothing to be done: the client subscribes again by itself."""

    def close(self) -> None:
        """Stop receiving. Harmless when closed already."""
        if self._closed:
            return
        self._closed = True
        self._link.part(self)
        self._others.close()
        self._subjects.clear()
        self._fresh.clear()
        self._spilt.clear()
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._start()

    # Subscriptions.

    def _start(self) -> None:
        if not self._changing and self._link.client is not None:
            self._changing = True
            self._link.run(self._change)

    async def _change(self) -> None:
        """Make the server's subscriptions those that are wanted; then ask for last ticks, which the
        server passes on in this order."""
        try:
            while (client := self._link.client) is not None:
                # Each time anew: others change while this waits.
                wanted = next((one for one in self._subjects if one not in self._subscribed), None)
                if wanted is not None:
                    self._subscribed[wanted] = await client.subscribe(wanted, cb=self._arrived)
                    continue
                over = next((one for one in self._subscribed if one not in self._subjects), None)
                if over is not None:
                    await self._subscribed.pop(over).unsubscribe()
                elif self._asking:
                    asked, self._asking = self._asking[:_ASKED], self._asking[_ASKED:]
                    await client.publish(subjects.SNAPSHOTS, _msgpack.encode(asked))
                else:
                    return
        finally:
            self._changing = False

    # Messages.

    async def _arrived(self, message: Msg) -> None:
        if self._closed:
            return
        try:
            topic = subjects.topic_of(message.subject)
        except subjects.BadSubject:
            self._malformed += 1
            return
        self._take((topic, message.data))

    def _take(self, message: Message) -> None:
        self._fresh.append(message)
        self._soon()

    def _soon(self) -> None:
        if self._call is None and not self._closed:
            self._call = self._link.reactor.callLater(0, self._deliver)

    def _deliver(self) -> None:
        self._call = None
        fresh, self._fresh = self._fresh, []
        oldest: list[Message] = []
        if self.intake.size:
            while self._spilt and len(oldest) < self._mark:
                oldest.append(self._spilt.popleft())
        if self._spilt or not self.intake.size:
            fresh = [message for message in fresh if not self._spill(message)]
        if self.intake.take(oldest + fresh, False) or (self._spilt and self.intake.size):
            self._soon()

    def _spill(self, message: Message) -> bool:
        """Hold back what the intake may not have yet; True if it is none of what is conflated."""
        topic, _ = message
        if topic[:1] == b"\x00" or parse_market_topic(topic) is not None:
            return False
        self._spilt.append(message)
        if len(self._spilt) > self._updates:
            self._spilt.popleft()
            self._lost += 1
        return True


class NatsBus:
    """Publishers and subscribers on one connection; implements `openalgo_ws.bus.interface.Bus`.

    ``bound`` ticks and ``updates`` order updates wait for the server before ticks are conflated and the
    oldest update is lost.
    """

    def __init__(self, link: NatsLink, *, bound: int = 10_000, updates: int = 10_000) -> None:
        self._link = link
        self._bound = bound
        self._updates = updates
        self._made: list[LinkEnd] = []

    def publisher(self) -> NatsPublisher:
        publisher = NatsPublisher(self._link, bound=self._bound, updates=self._updates)
        self._made.append(publisher)
        return publisher

    def subscriber(
        self, receive: Receive, *, batch: int = 256, mark: int = 4096, everything: bool = True
    ) -> NatsSubscriber:
        subscriber = NatsSubscriber(
            self._link, receive, batch=batch, mark=mark, updates=self._updates, everything=everything
        )
        self._made.append(subscriber)
        return subscriber

    def shutdown(self) -> None:
        for end in self._made:
            end.close()
        self._made.clear()
