"""HSM, client side: a login, lists of topics out, snapshots and updates of numbered topics in.

A topic is text, ``sf|nse_cm|3045``: ``sf`` a quote, ``dp`` five levels, ``if`` an index. A data frame
holds records. A snapshot binds a number to a topic for the life of the connection and gives its
values; an update gives values by position, −2^31 standing for "not sent". Every snapshot of a topic
that is held, and every update that changes something, gives one full tick.

What Fyers and Kotak do differently (the size of the numbers, where multiplier and precision stand,
how topics are spread over frames and channels) is declared by their codecs.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from struct import Struct
from typing import ClassVar

from openalgo_adapters._common.values import BadValue
from openalgo_adapters._hsm.wire import control, fields, topic_list
from openalgo_ws.adapter import (
    Cause,
    Change,
    Environment,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Rejected,
    Reply,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["LOGIN", "SUBSCRIBE", "UNSUBSCRIBE", "Book", "Bound", "HsmCodec", "Quote", "topics_of"]

LOGIN, ACK, SUBSCRIBE, UNSUBSCRIBE, DATA = 1, 3, 4, 5, 6
_SNAPSHOT, _UPDATE, _LITE = 0x53, 0x55, 0x4C
_OK = b"K"

_NOT_SENT = -(1 << 31)
_VALUES = tuple(Struct(f">{count}i").unpack_from for count in range(256))
_U16 = Struct(">H")
_U32 = Struct(">I")


class Layout(ABC):
    """What the values of a topic mean. ``skip`` leading values mean nothing, ``size`` are remembered.

    ``scale_at`` is where multiplier and precision stand among those, None if they come elsewhere.
    """

    def __init__(self, size: int, skip: int = 0, scale_at: int | None = None) -> None:
        self.size = size
        self.skip = skip
        self.scale_at = scale_at

    @abstractmethod
    def tick(self, instrument: Instrument, topic: Bound) -> Tick:
        """What is remembered of the topic, as a tick."""


class Quote(Layout):
    """Prices and counts. ``prices``, ``counts`` and ``times`` name the places of `Tick`'s fields."""

    def __init__(
        self,
        size: int,
        prices: Mapping[str, int],
        counts: Mapping[str, int],
        times: Mapping[str, int],
        skip: int = 0,
        scale_at: int | None = None,
    ) -> None:
        super().__init__(size, skip, scale_at)
        places = {**prices, **counts, **times}
        # A field without a place reads the value behind the last one, which is never sent.
        self._pick = itemgetter(*(places.get(name, size) for name in _FIELDS))

    def tick(self, instrument: Instrument, topic: Bound) -> Tick:
        values = self._pick(topic.values)
        divisor = topic.divisor
        ltp, open_, high, low, close, volume, last, average, buy, sell, oi, upper, lower, ltt, stamp = values
        if topic.rounded or _NOT_SENT in values:
            price = topic.price
            return Tick(
                instrument,
                Mode.QUOTE,
                price(ltp),
                price(open_),
                price(high),
                price(low),
                price(close),
                None if volume == _NOT_SENT else volume,
                None if last == _NOT_SENT else last,
                price(average),
                None if buy == _NOT_SENT else buy,
                None if sell == _NOT_SENT else sell,
                None if oi == _NOT_SENT else oi,
                price(upper) if upper else None,
                price(lower) if lower else None,
                ltt * 1000 if ltt > 0 else None,
                stamp * 1000 if stamp > 0 else None,
            )
        # Positional, and without a look at each value: this runs for every tick.
        return Tick(
            instrument,
            Mode.QUOTE,
            ltp / divisor,
            open_ / divisor,
            high / divisor,
            low / divisor,
            close / divisor,
            volume,
            last,
            average / divisor,
            buy,
            sell,
            oi,
            upper / divisor if upper else None,
            lower / divisor if lower else None,
            ltt * 1000 if ltt > 0 else None,
            stamp * 1000 if stamp > 0 else None,
        )


class Book(Layout):
    """Five bid prices, five ask prices, then the quantities and the order counts in the same order."""

    def __init__(self, skip: int = 0, scale_at: int | None = None) -> None:
        super().__init__(30 if scale_at is None else 32, skip, scale_at)

    def tick(self, instrument: Instrument, topic: Bound) -> Tick:
        return Tick(instrument, Mode.DEPTH, depth=Depth(_side(topic, 0), _side(topic, 5)))


def _side(topic: Bound, start: int) -> list[Level]:
    values, divisor = topic.values, topic.divisor
    stop = start + 5
    levels = zip(values[start:stop], values[start + 10 : stop + 10], values[start + 20 : stop + 20])  # noqa: B905
    if topic.rounded:
        return [
            Level(
                round(price / divisor, topic.decimals),
                0 if quantity == _NOT_SENT else quantity,
                None if orders == _NOT_SENT else orders,
            )
            for price, quantity, orders in levels
            if price and price != _NOT_SENT
        ]
    return [
        Level(
            price / divisor,
            0 if quantity == _NOT_SENT else quantity,
            None if orders == _NOT_SENT else orders,
        )
        for price, quantity, orders in levels
        if price and price != _NOT_SENT
    ]


_FIELDS = (
    "ltp",
    "open",
    "high",
    "low",
    "close",
    "volume",
    "last_trade_quantity",
    "avg_trade_price",
    "total_buy_quantity",
    "total_sell_quantity",
    "oi",
    "upper_circuit",
    "lower_circuit",
    "ltt",
    "exchange_timestamp",
)


class Bound:
    """A topic under its number: what is remembered of it, and the scale of its prices."""

    __slots__ = ("decimals", "divisor", "layout", "rounded", "text", "values")

    def __init__(self, text: bytes, layout: Layout | None, multiplier: int = 1, precision: int = 2) -> None:
        self.text = text
        self.layout = layout
        #: One more than the layout's, for what it has no place for.
        self.values: list[int] = [_NOT_SENT] * ((layout.size if layout else 0) + 1)
        self.scale(multiplier, precision)

    def scale(self, multiplier: int, precision: int) -> None:
        """Price = value ÷ (multiplier × 10^precision); what can't be a scale is 1 and 2."""
        if not 0 < multiplier < 1 << 31:
            multiplier = 1
        if not 0 <= precision < 256:
            precision = 2
        self.divisor = multiplier * 10.0**precision
        self.decimals = precision
        # The quotient by a power of ten is already the float nearest to the decimal.
        self.rounded = multiplier != 1 or precision > 15

    def price(self, value: int) -> float | None:
        """A value as a price; None if it was never sent."""
        return None if value == _NOT_SENT else round(value / self.divisor, self.decimals)

    def merge(self, new: Sequence[int]) -> bool:
        """Take over the values that were sent; whether one of them differs."""
        old = self.values
        merged = [known if value == _NOT_SENT else value for value, known in zip(new, old)]  # noqa: B905
        if len(merged) == len(old):
            merged[-1] = _NOT_SENT
        else:
            merged += old[len(merged) :]
        if merged == old:
            return False
        self.values = merged
        self._rescale()
        return True

    def _rescale(self) -> None:
        layout = self.layout
        if layout is not None and layout.scale_at is not None:
            multiplier, precision = self.values[layout.scale_at : layout.scale_at + 2]
            self.scale(
                1 if multiplier == _NOT_SENT else multiplier, 2 if precision == _NOT_SENT else precision
            )


def topics_of(segment: str, token: str, wish: Wish, *, index: bool) -> tuple[bytes, ...]:
    """The topics that a wish needs. An index has one, whatever is wanted of it; () = it has no name
    that a topic can carry."""
    # (conflict: Kotak's peer subscribes an index like a share, by number; both SDKs do it by name.)
    key = f"{segment}|{token}"
    if not token or "|" in token or not key.isascii() or not key.isprintable() or len(key) > 200:
        return ()
    prefixes: tuple[str, ...]
    if index:
        prefixes = ("if",)
    elif wish.mode is not Mode.DEPTH:
        prefixes = ("sf",)
    else:
        # A book topic carries no last price.
        prefixes = ("sf", "dp") if wish.with_quote else ("dp",)
    return tuple(f"{prefix}|{key}".encode() for prefix in prefixes)


class HsmCodec(FeedCodec):
    """One HSM connection. A broker says what is below, and the places of the values."""

    layouts: ClassVar[Mapping[bytes, Layout]]
    #: What snapshot and update begin with: ``type, number, u8`` (length of the topic, or of the values).
    head: ClassVar[Struct]
    #: Most topics of one frame.
    per_frame: ClassVar[int]
    #: The channels, in the order in which they are filled, and how many topics each may have.
    channels: ClassVar[Sequence[int]]
    per_channel: ClassVar[int]
    #: Whether topics of different prefixes may share a frame.
    mixed: ClassVar[bool]
    #: Whether data frames carry their number even where the server wants no acknowledgements.
    always_numbered: ClassVar[bool]
    #: Answers that carry a status, by type, with what they answer.
    answers: ClassVar[Mapping[int, str]]

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self.credentials = credentials
        self._topics: dict[int, Bound] = {}
        #: Who holds a topic; several instruments may be the same index.
        self._held: dict[bytes, list[Instrument]] = {}
        self._wanted: dict[Instrument, tuple[bytes, ...]] = {}
        self._channels: dict[bytes, int] = {}
        self._loads = dict.fromkeys(self.channels, 0)
        self._refused: list[Event] = []
        self._ack_count = 0
        self._unacknowledged = 0

    # What differs

    @abstractmethod
    def wanted(self, instrument: Instrument, wish: Wish) -> tuple[bytes, ...]:
        """The topics of a wish; () = the instrument can't be named in this feed."""

    @abstractmethod
    def trailer(self, data: bytes, offset: int, topic: Bound) -> int:
        """Read what follows the values of a snapshot; returns where it ends. Raises as `struct` does."""

    def other(self, kind: int, data: bytes) -> list[Event]:
        """A frame of a type that is only this broker's."""
        return [Malformed("a frame of an unknown type")]

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[tuple[int, bytes]] = []
        left: list[tuple[int, bytes]] = []
        wanted: list[tuple[int, bytes]] = []
        for instrument, _, new in changes:
            old = self._wanted.pop(instrument, ())
            topics = () if new is None else self.wanted(instrument, new)
            if new is not None:
                if not topics:
                    self._refuse("no name of this instrument on this feed", instrument)
                else:
                    self._wanted[instrument] = topics
            for topic in topics:
                if topic not in old:
                    self._hold(topic, instrument, wanted)
            for topic in old:
                if topic not in topics:
                    self._drop(topic, instrument, dropped if new is None else left)
        # What is given up makes room first; a change of mode takes the new topic before it leaves
        # the old one, so that there is no gap.
        return [
            *self._frames(UNSUBSCRIBE, dropped),
            *self._frames(SUBSCRIBE, wanted),
            *self._frames(UNSUBSCRIBE, left),
        ]

    def _hold(self, topic: bytes, instrument: Instrument, wanted: list[tuple[int, bytes]]) -> None:
        holders = self._held.get(topic)
        if holders is not None:
            holders.append(instrument)
            return
        channel = next((one for one, load in self._loads.items() if load < self.per_channel), None)
        if channel is None:
            self._refuse("no room for another topic on this connection", instrument)
            return
        self._loads[channel] += 1
        self._channels[topic] = channel
        self._held[topic] = [instrument]
        wanted.append((channel, topic))

    def _drop(self, topic: bytes, instrument: Instrument, dropped: list[tuple[int, bytes]]) -> None:
        holders = self._held.get(topic)
        if holders is None or instrument not in holders:
            return
        holders.remove(instrument)
        if not holders:
            del self._held[topic]
            channel = self._channels.pop(topic)
            self._loads[channel] -= 1
            dropped.append((channel, topic))

    def _refuse(self, why: str, instrument: Instrument) -> None:
        self._refused.append(Rejected(why, (instrument,)))

    def _frames(self, kind: int, topics: Iterable[tuple[int, bytes]]) -> list[Send]:
        groups: dict[tuple[int, bytes], list[bytes]] = {}
        for channel, topic in topics:
            groups.setdefault((channel, b"" if self.mixed else topic[:2]), []).append(topic)
        return [
            control(kind, (1, topic_list(members[start : start + self.per_frame])), (2, bytes((channel,))))
            for (channel, _), members in groups.items()
            for start in range(0, len(members), self.per_frame)
        ]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str) or len(data) < 3:
            return [Malformed("no frame of this protocol")]
        kind = data[2]
        if kind == DATA:
            return self._data(data)
        if kind == LOGIN:
            return self._login(fields(data, strict=False))
        asked = self.answers.get(kind)
        if asked is None:
            return self.other(kind, data)
        status = fields(data, strict=False).get(1)
        return [] if status == _OK else [Rejected(f"the broker refused {asked}")]

    def _login(self, answer: Mapping[int, bytes]) -> list[Event]:
        status = answer.get(1)
        if status is None:
            return [Malformed("a login answer without status")]
        if status != _OK:
            return [LoginFailed(Verdict(Cause.TOKEN, "the broker refused the login"))]
        self._ack_count = int.from_bytes(answer.get(2, b"")[:4], "big")
        self._unacknowledged = 0
        return [LoggedIn()]

    def _data(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        offset = 3
        try:
            if self.always_numbered or self._ack_count:
                (number,) = _U32.unpack_from(data, offset)
                offset += 4
                self._count(number, events)
            (count,) = _U16.unpack_from(data, offset)
            self._records(data, offset + 2, count, events)
        except BadValue as problem:
            events.append(Malformed(str(problem)))
        except (struct.error, IndexError):
            events.append(Malformed("a truncated data frame"))
        return events

    def _count(self, number: int, events: list[Event]) -> None:
        if self._ack_count:
            self._unacknowledged += 1
            if self._unacknowledged >= self._ack_count:
                self._unacknowledged = 0
                events.append(Reply(control(ACK, (1, number.to_bytes(4, "big")))))

    def _records(self, data: bytes, offset: int, count: int, events: list[Event]) -> None:
        head, size = self.head.unpack_from, self.head.size
        topics, held = self._topics, self._held
        for _ in range(count):
            kind, number, length = head(data, offset)
            offset += size
            if kind == _UPDATE:
                values = _VALUES[length](data, offset)
                offset += 4 * length
                topic = topics.get(number)
                if topic is None:
                    events.append(Malformed("an update of an unknown topic"))
                    continue
                layout = topic.layout
                if layout is None or not topic.merge(values[layout.skip :]):
                    continue
            elif kind == _SNAPSHOT:
                topic, offset = self._snapshot(data, offset, length)
                topics[number] = topic
                layout = topic.layout
            elif kind == _LITE:
                offset = self._lite(data, offset - 1, number, events)
                continue
            else:
                raise BadValue("a record of an unknown type")
            holders = held.get(topic.text)
            if holders is not None and layout is not None:
                for instrument in holders:
                    events.append(layout.tick(instrument, topic))

    def _snapshot(self, data: bytes, offset: int, length: int) -> tuple[Bound, int]:
        stop = offset + length
        count = data[stop]
        text = data[offset:stop]
        values = _VALUES[count](data, stop + 1)
        layout = self.layouts.get(text[:3])
        topic = Bound(text, layout)
        offset = self.trailer(data, stop + 1 + 4 * count, topic)
        if layout is not None:
            topic.merge(values[layout.skip :])
        return topic, offset

    def _lite(self, data: bytes, offset: int, number: int, events: list[Event]) -> int:
        """A record of one value; not every dialect has it."""
        raise BadValue("a record of an unknown type")

    def _updated(self, topic: Bound, values: Sequence[int], events: list[Event]) -> None:
        """Merge values and say what came of it."""
        layout = topic.layout
        if layout is not None and topic.merge(values):
            events.extend(layout.tick(instrument, topic) for instrument in self._held.get(topic.text, ()))
