"""What lies between the bus and the gateway: nothing, or the latest value of each instrument.

As long as the gateway keeps up, batches pass through as they came: what was read a moment ago is still in
the processor's cache. When it does not keep up, messages are read all the same: a publisher whose queue
is full drops the newest in silence, and that one must not be lost. They wait in order up to a mark.
Beyond it only the latest of each instrument and mode is kept, before anything is parsed, until the
gateway has caught up. Order updates, invalidations and whatever is not market data are never replaced.
So what waits is bounded by the number of instruments whatever is offered, and where even that is too
much, the bus is read no further.

The order of one instrument's messages is kept, also between its modes. An instrument's place in the
line is that of its oldest message, so one that ticks often is not put off by that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

import msgspec
from twisted.internet.defer import Deferred

from openalgo_ws.bus.records import TICKS_PREFIX, TickRecord, pack, unpack
from openalgo_ws.bus.topics import is_invalidation, parse_market_topic

__all__ = ["BATCH", "BRACE", "Intake", "Message", "Receive", "ReceivingEnd"]

#: Topic and payload. A message that does not have two frames arrives as its topic and nothing.
Message = tuple[bytes, bytes]

#: Takes a batch; where it returns a Deferred, the next batch waits for that.
Receive = Callable[[list[Message]], Deferred[None] | None]

#: Of a platform's topic, what stands before its mode; of our own, the topic with symbol and exchange.
_Key = bytes | tuple[bytes, str, str]

#: Topics that are remembered. Whoever publishes more has them read anew.
_TOPICS = 65_536

#: What the payload of a tick begins with, unless it is one of our own batches.
BRACE = ord("{")

#: Bytes that count as a message where many are in one, as in our own batches.
_EACH = 256

#: Messages that are handed on at a time, if there are so many. A hundred clients are written to once for each
#: batch, so twice as many cost a tenth less for each; a turn takes 2 ms of them.
BATCH = 512

#: Messages to read where nothing says that there are many.
_FEW = 256

#: After so many full batches in a row it is looked whether the gateway keeps up: conflating costs more than
#: a short queue, and a source that is never empty may still have little waiting.
_PATIENCE = 64


class Intake:
    """Hands what a source reads to ``receive``, at most ``batch`` messages a turn; while it conflates,
    half of what it may read in one where that is more, and half of ``most`` once it has read all.

    The source reads up to `size` messages a turn, gives them to `take`, and has its next turn when that
    says so or when ``again`` is called. ``most`` is the largest `size`. Beyond ``mark`` messages (or 256
    times as many bytes) that wait it keeps the latest of each instrument, of at most ``limit``
    instruments, and at most ``mark`` messages that are not market data.
    """

    def __init__(
        self,
        receive: Receive,
        again: Callable[[], None],
        *,
        batch: int = BATCH,
        most: int = 2048,
        mark: int = 4096,
        limit: int = 100_000,
    ) -> None:
        self._receive = receive
        self._again = again
        self._batch = batch
        self._most = max(most, batch)
        self._mark = mark
        self._limit = limit
        self._few = self._size = min(_FEW, batch)
        #: Full batches in a row.
        self._full = 0
        self._held = False
        #: Everything while little waits, in batches with their bytes; while it conflates, what is never
        #: replaced.
        self._line: deque[tuple[list[Message], int]] = deque()
        #: Messages of it, and bytes.
        self._count = 0
        self._weight = 0
        #: Instrument → the latest: the message where it has one mode, else mode (or topic, which says the
        #: mode) → what came last.
        self._latest: dict[_Key, Message | dict[Any, Any]] = {}
        #: Topic → what stands before its mode; None where it is not market data.
        self._stems: dict[bytes, bytes | None] = {}
        #: Whether only the latest of each instrument is kept at present.
        self.conflating = False
        #: Ticks that a newer one of their instrument and mode replaced.
        self.conflated = 0
        #: Messages that were read.
        self.messages = 0

    @property
    def size(self) -> int:
        """How many messages to read now: more, the longer there is more than can be handed on; 0 while
        no more may wait."""
        full = self.conflating and (self._is_long() or len(self._latest) >= self._limit)
        return 0 if full else self._size

    def backlog(self) -> int:
        """What waits: messages, or instruments of which the latest is kept."""
        return self._count + len(self._latest)

    def take(self, messages: list[Message], more: bool) -> bool:
        """Take what was read; ``more``: something is left. Whether the source should have its next turn."""
        self.messages += len(messages)
        if not (self._held or self._line or self._latest) and len(messages) <= self._batch:
            if messages:
                self._hand(messages)
        else:
            self._keep(messages)
            if not self._held:
                self._hand(self._oldest(more))
        if not more:
            # While it conflates, turns are long: the next should read all that came during this one.
            self._size, self._full = self._size if self.conflating else self._few, 0
        elif self._size < self._batch:
            self._size = min(2 * self._size, self._batch)
        elif self._full < _PATIENCE:
            self._full += 1
        else:
            self._size = min(2 * self._size, self._most)
        return (more and self.size > 0) or (not self._held and self.backlog() > 0)

    def _is_long(self) -> bool:
        return self._count >= self._mark or self._weight >= self._mark * _EACH

    def _hand(self, messages: list[Message]) -> None:
        busy = self._receive(messages)
        if busy is not None:
            self._held = True
            busy.addCallback(self._go_on)

    def _go_on(self, _: None) -> None:
        """The last batch is done with. What came meanwhile has used up the source's signal."""
        self._held = False
        self._again()

    def _keep(self, messages: list[Message]) -> None:
        if not self.conflating:
            for start in range(0, len(messages), self._batch):
                self._line_up(messages[start : start + self._batch])
            if not self._is_long():
                return
            self.conflating = True
            messages = [message for batch, _ in self._line for message in batch]
            self._line.clear()
            self._count = self._weight = 0
        stems, latest = self._stems, self._latest
        replaced = 0
        for message in messages:
            topic, payload = message
            try:
                stem = stems[topic]
            except KeyError:
                stem = self._stem(topic)
            # What can't be a tick must not replace one; it is counted where all such are.
            if stem is None or not payload or payload[0] != BRACE:
                if topic.startswith(TICKS_PREFIX):
                    self._keep_records(message)
                else:
                    self._line_up([message])
                continue
            kept = latest.get(stem)
            if kept is None:
                latest[stem] = message
            elif isinstance(kept, tuple):
                if kept[0] == topic:
                    replaced += 1
                    latest[stem] = message
                else:
                    latest[stem] = {kept[0]: kept[1], topic: payload}
            else:
                # To the end, behind the instrument's other modes.
                replaced += kept.pop(topic, None) is not None
                kept[topic] = payload
        self.conflated += replaced

    def _keep_records(self, message: Message) -> None:
        topic, payload = message
        try:
            records = unpack(payload)
        except msgspec.MsgspecError:
            self._line_up([message])
            return
        latest = self._latest
        for record in records:
            key = topic, record.symbol, record.exchange
            kept = latest.get(key)
            if not isinstance(kept, dict):
                kept = latest[key] = {}
            self.conflated += kept.pop(record.mode, None) is not None
            kept[record.mode] = record

    def _stem(self, topic: bytes) -> bytes | None:
        if len(self._stems) >= _TOPICS:
            self._stems.clear()
        market = not is_invalidation(topic) and parse_market_topic(topic) is not None
        stem = self._stems[topic] = topic.rpartition(b"_")[0] if market else None
        return stem

    def _line_up(self, messages: list[Message]) -> None:
        weight = sum([len(payload) for _, payload in messages])
        self._line.append((messages, weight))
        self._count += len(messages)
        self._weight += weight

    def _oldest(self, more: bool) -> list[Message]:
        """Take away what waits longest: a batch, or less where it is heavy; while it conflates, more."""
        line, latest = self._line, self._latest
        most = self._batch
        if self.conflating:
            # Reading comes first. Where it has left nothing, the turn's time is for handing on.
            most = max(most, (self._size if more else self._most) // 2)
        found: list[Message] = []
        weight = 0
        while line and len(found) + len(line[0][0]) <= most and weight < most * _EACH:
            messages, size = line.popleft()
            weight += size
            found += messages
        self._count -= len(found)
        self._weight -= weight
        records: dict[bytes, list[TickRecord]] = {}
        for key in list(islice(latest, most - len(found))):
            kept = latest.pop(key)
            if isinstance(kept, tuple):
                found.append(kept)
            elif isinstance(key, tuple):
                records.setdefault(key[0], []).extend(kept.values())
            else:
                found.extend(kept.items())
        found.extend((topic, pack(some)) for topic, some in records.items())
        if not line and not latest:
            self.conflating = False
        return found


class ReceivingEnd:
    """What a subscriber tells of its `Intake`: the counters of `openalgo_ws.bus.interface.BusSubscriber`."""

    intake: Intake

    @property
    def received(self) -> int:
        """Messages that were read."""
        return self.intake.messages

    @property
    def conflated(self) -> int:
        """Ticks that a newer one replaced while the receiver was busy."""
        return self.intake.conflated

    def backlog(self) -> int:
        """What waits for the receiver, without what was read and not looked at yet."""
        return self.intake.backlog()
