"""The receiving end of the bus on NATS: see `openalgo_ws.bus.nats`."""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from openalgo_ws.bus import subjects
from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.intake import Intake, Message, Receive, ReceivingEnd
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.bus.nats_publisher import Asked, Key
from openalgo_ws.bus.nats_updates import UpdateSubscriber
from openalgo_ws.bus.records import topic_for
from openalgo_ws.bus.terms import Terms
from openalgo_ws.bus.topics import parse_market_topic

__all__ = ["NatsSubscriber"]

#: Instruments in one request for last ticks.
_ASKED = 500

_msgpack = msgspec.msgpack.Encoder()


class NatsSubscriber(ReceivingEnd):
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
        self._subjects: dict[str, Key | None] = dict.fromkeys(subjects.TICKS if everything else ())
        self._subscribed: dict[str, Subscription] = {}
        self._asking: Asked = []
        self._terms = Terms(link.reactor, self._begun_anew)
        self._changing = False
        self.intake = Intake(receive, self._soon, batch=batch, mark=mark)
        self._lost = 0
        self._malformed = 0
        #: Ticks that were passed over, because they are of a term before the present one.
        self.past = 0
        self._others = UpdateSubscriber(link, self._take, most=updates)
        link.join(self)

    @property
    def received(self) -> int:
        """Messages that came and could be read."""
        return self.intake.messages + len(self._fresh) + len(self._spilt)

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
            term = subjects.term_of(message.reply)
        except subjects.BadSubject:
            self._malformed += 1
            return
        if term is not None and not self._terms.counts(topic, term):
            self.past += 1
            return
        self._take((topic, message.data))

    def _begun_anew(self, topic: bytes) -> None:
        """What this feed said in the last moments has been passed over: it has to say the last again."""
        self._asking += [key for key in self._subjects.values() if key and topic_for(key[0]) == topic]
        self._start()

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
