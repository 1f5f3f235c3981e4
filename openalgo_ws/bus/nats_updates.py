"""On NATS: what is no market data, above all order updates. None is to be missed while a connection is away.

A publisher numbers what it sends, in the subject for replies, and keeps the last of it. It says where it is
when it has reached the server, for what was on its way when that went may be lost; a subscriber that has
reached the server asks all publishers where they are. What is missing comes again to the inbox of whoever
asks for it (`openalgo_ws.bus.sequence`). Messages without a number, of somebody else, are taken as they come.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from functools import partial

import msgspec
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from openalgo_ws.bus import subjects
from openalgo_ws.bus.intake import Message
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.bus.nats_pump import Pump, congested
from openalgo_ws.bus.sequence import Sequences

__all__ = ["UpdatePublisher", "UpdateSubscriber"]

#: Bytes of what has been sent that are kept.
_KEPT = 16 * 1024 * 1024

#: Which messages a publisher has: its name, the first, the one after the last.
_State = tuple[str, int, int]
_state = msgspec.msgpack.Decoder(_State)
_number = msgspec.msgpack.Decoder(int)
_msgpack = msgspec.msgpack.Encoder()


class UpdatePublisher:
    """Sends messages in order, beyond ``most`` that wait for the server not the oldest. It keeps as many of
    those that were sent."""

    def __init__(self, link: NatsLink, *, most: int) -> None:
        self._link = link
        self._most = most
        self._name = secrets.token_hex(8)
        self._waiting: deque[tuple[str, bytes]] = deque()
        #: By number, without gaps.
        self._sent: dict[int, tuple[str, bytes]] = {}
        self._bytes = 0
        self._next = 0
        self._pump = Pump(link, lambda: bool(self._waiting), self._send_next)
        self._closed = False
        self._listening = False
        self._requests: list[Subscription] = []
        #: Messages that were dropped: too many waited, or it is longer than the server takes.
        self.lost = 0
        link.join(self)

    def send(self, topic: bytes, payload: bytes) -> None:
        """Send a message as soon as the server is reached."""
        self._waiting.append((subjects.token(topic), payload))
        if len(self._waiting) > self._most:
            self._waiting.popleft()
            self.lost += 1
        self._pump.start()

    def backlog(self) -> int:
        """What waits for the server."""
        return len(self._waiting)

    def up(self) -> None:
        """Part of `LinkEnd`."""
        self._link.run(self._announce)
        self._pump.start()

    def down(self) -> None:
        """Part of `LinkEnd`: what waits, waits on."""

    def close(self) -> None:
        """Send no more, and answer no more. Harmless when closed already."""
        self._closed = True
        self._pump.stop()
        self._link.part(self)
        self._waiting.clear()
        self._sent.clear()
        requests, self._requests = self._requests, []
        for subscription in requests:
            self._link.run(subscription.unsubscribe)

    async def _send_next(self, client: Client) -> None:
        topic, payload = self._waiting.popleft()
        if len(payload) > client.max_payload:
            self.lost += 1
            return
        # Kept first: should the connection break now, it is asked for.
        number = self._keep(topic, payload)
        await client.publish(subjects.MESSAGES + topic, payload, self._numbered(number))

    def _keep(self, topic: str, payload: bytes) -> int:
        number = self._next
        self._next += 1
        self._sent[number] = (topic, payload)
        self._bytes += len(payload)
        while len(self._sent) > self._most or (self._bytes > _KEPT and len(self._sent) > 1):
            _, oldest = self._sent.pop(self._first())
            self._bytes -= len(oldest)
        return number

    def _first(self) -> int:
        return self._next - len(self._sent)

    def _numbered(self, number: int) -> str:
        return f"{subjects.NUMBERS}.{self._name}.{number}"

    def _state(self) -> bytes:
        return _msgpack.encode((self._name, self._first(), self._next))

    async def _announce(self) -> None:
        """Be there for questions, then say where we are."""
        client = self._link.client
        if client is None or self._closed:
            return
        if not self._listening:
            self._listening = True
            # The client subscribes by itself again when it reconnects.
            self._requests = [
                await client.subscribe(subjects.NUMBERS, cb=self._asked),
                await client.subscribe(f"{subjects.NUMBERS}.{self._name}", cb=self._asked_again),
            ]
        if self._closed:
            self.close()
        else:
            await client.publish(subjects.STATES, self._state())

    async def _asked(self, message: Msg) -> None:
        client = self._link.client
        if client is not None and not self._closed and message.reply.startswith(subjects.INBOXES):
            await client.publish(message.reply + subjects.STATE, self._state())

    async def _asked_again(self, message: Msg) -> None:
        inbox = message.reply
        try:
            number = _number.decode(message.data)
        except msgspec.MsgspecError:
            return
        await self._asked(message)
        # Each time anew: more is sent, and kept no longer, while this waits.
        while not self._closed and (number := max(number, self._first())) < self._next:
            client = self._link.client
            if client is None or not inbox.startswith(subjects.INBOXES):
                return
            if await congested(client):
                continue
            topic, payload = self._sent[number]
            await client.publish(f"{inbox}{subjects.AGAIN}{topic}", payload, self._numbered(number))
            number += 1


class UpdateSubscriber:
    """Receives what publishers send, once and in order. At most ``most`` messages of a publisher wait for one
    that is missing."""

    def __init__(self, link: NatsLink, receive: Callable[[Message], None], *, most: int) -> None:
        self._link = link
        self._inbox = subjects.INBOXES + secrets.token_hex(12)
        self._listening = False
        self._subscriptions: list[Subscription] = []
        self._closed = False
        self._sequences = Sequences(link.reactor, receive, self._ask, most=most)
        self._receive = receive
        #: Messages that could not be read.
        self.malformed = 0
        link.join(self)

    @property
    def lost(self) -> int:
        """Messages that are known not to come."""
        return self._sequences.lost

    def backlog(self) -> int:
        """Messages that are held back, because one before them is missing."""
        return self._sequences.waiting()

    def up(self) -> None:
        """Part of `LinkEnd`: what came meanwhile has been missed."""
        self._sequences.up()
        self._link.run(self._look)

    def down(self) -> None:
        """Part of `LinkEnd`."""
        self._sequences.down()

    def close(self) -> None:
        """Receive no more. Harmless when closed already."""
        self._closed = True
        self._link.part(self)
        self._sequences.down()
        subscriptions, self._subscriptions = self._subscriptions, []
        for subscription in subscriptions:
            self._link.run(subscription.unsubscribe)

    async def _look(self) -> None:
        """Listen, then ask all publishers where they are."""
        client = self._link.client
        if client is None or self._closed:
            return
        if not self._listening:
            self._listening = True
            # The client subscribes by itself again when it reconnects.
            self._subscriptions = [
                await client.subscribe(subjects.OTHERS, cb=self._came),
                await client.subscribe(subjects.STATES, cb=self._heard),
                await client.subscribe(self._inbox + subjects.STATE, cb=self._heard),
                await client.subscribe(f"{self._inbox}{subjects.AGAIN}*", cb=self._repeated),
            ]
        if self._closed:
            self.close()
        else:
            await client.publish(subjects.NUMBERS, b"", self._inbox)

    def _ask(self, name: str, number: int) -> None:
        self._link.run(partial(self._request, name, number))

    async def _request(self, name: str, number: int) -> None:
        client = self._link.client
        if client is not None:
            await client.publish(f"{subjects.NUMBERS}.{name}", _msgpack.encode(number), self._inbox)

    async def _heard(self, message: Msg) -> None:
        try:
            name, first, end = _state.decode(message.data)
        except msgspec.MsgspecError:
            self.malformed += 1
            return
        if not self._closed:
            self._sequences.heard(name, first, end)

    async def _came(self, message: Msg) -> None:
        try:
            came = (subjects.topic_of(message.subject), message.data)
            numbered = subjects.number_of(message.reply)
        except subjects.BadSubject:
            self.malformed += 1
            return
        if self._closed:
            return
        if numbered is None:
            self._receive(came)
        else:
            self._sequences.came(*numbered, came)

    async def _repeated(self, message: Msg) -> None:
        try:
            topic = subjects.untoken(message.subject.removeprefix(self._inbox + subjects.AGAIN))
            numbered = subjects.number_of(message.reply)
        except subjects.BadSubject:
            self.malformed += 1
            return
        if numbered is not None and not self._closed:
            self._sequences.repeated(*numbered, (topic, message.data))
