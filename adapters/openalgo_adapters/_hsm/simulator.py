"""HSM as a server speaks it. Written from the sheets, not from the codec.

A server tells what it has of a topic in a snapshot as soon as the topic is subscribed and something
is known of it, and from then on which values have changed. When asked to tell of a tick in which
nothing has changed, it repeats the snapshot.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from struct import error as StructError
from struct import pack, unpack_from

from openalgo_ws.adapter import Close, Market, SimulatorConnection
from openalgo_ws.tick import Instrument, Level, Tick

__all__ = [
    "ABSENT",
    "Directory",
    "Frames",
    "TopicConnection",
    "count",
    "frame",
    "read_fields",
    "seconds",
    "values_of_book",
]

Frames = list[str | bytes | Close]

ABSENT = -0x80000000
#: Records of one data frame.
_RECORDS = 400


class Directory:
    """Which instrument a topic names: (segment, token, whether it is an index) → instrument."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._known: dict[tuple[str, str, bool], Instrument] = {}

    def key(self, instrument: Instrument) -> tuple[str, str, bool]:
        """The names of an instrument in this feed. A broker overrides it."""
        return instrument.brexchange, instrument.token, instrument.is_index

    def find(self, topic: bytes) -> Instrument | None:
        """The instrument of a topic, unless the market doesn't have it (any more)."""
        try:
            prefix, segment, token = topic.decode("ascii").split("|")
        except ValueError:
            return None
        if prefix not in ("sf", "dp", "if"):
            return None
        key = segment, token, prefix == "if"
        if key not in self._known:
            self._known = {self.key(one): one for one in self._market.instruments()}
        found = self._known.get(key)
        return None if found is None else self._market.find(found.token, found.exchange)


class _Topic:
    def __init__(self, number: int, name: bytes, instrument: Instrument) -> None:
        self.number = number
        self.name = name
        self.instrument = instrument
        #: What the client knows; None before the snapshot.
        self.told: list[int] | None = None


class TopicConnection(SimulatorConnection):
    """One client. A broker overrides what its dialect differs in."""

    #: The number of the first topic, as in the published examples; they mean nothing.
    first_number = 21

    def __init__(self, market: Market, directory: Directory) -> None:
        self.market = market
        self._directory = directory
        self._topics: dict[bytes, _Topic] = {}
        self._of: dict[tuple[str, str], list[_Topic]] = {}
        self._next = self.first_number
        self._message = 0
        self.logged_in = False
        self.numbered = False

    # What differs

    @abstractmethod
    def log_in(self, fields: Mapping[int, bytes]) -> Frames:
        """Answer a login; sets ``logged_in`` and ``numbered``."""

    @abstractmethod
    def values(self, prefix: bytes, tick: Tick) -> list[int]:
        """The values of a topic, in its order."""

    @abstractmethod
    def snapshot(self, number: int, topic: bytes, instrument: Instrument, values: Sequence[int]) -> bytes:
        """A snapshot record."""

    @abstractmethod
    def update(self, number: int, values: Sequence[int]) -> bytes:
        """An update record."""

    def room(self, wanted: int) -> Frames | None:
        """What is said to a client who asks for so many topics in all; None = there is room."""
        return None

    def request(self, kind: int, fields: Mapping[int, bytes]) -> Frames:
        """Answer a request that is neither login nor a list of topics."""
        return []

    # The server

    def received(self, data: str | bytes) -> Frames:
        if isinstance(data, str) or len(data) < 3:
            return []
        fields = read_fields(data)
        kind = data[2]
        if kind == 1:
            return self.log_in(fields)
        if kind not in (4, 5):
            return self.request(kind, fields)
        topics = _read_topics(fields.get(1, b""))
        if not self.logged_in or topics is None:
            return [frame(kind, (1, b"N"))]
        if kind == 5:
            for topic in topics:
                self._forget(topic)
            return [frame(kind, (1, b"K"))]
        refusal = self.room(len(self._topics.keys() | set(topics)))
        if refusal is not None:
            return [*refusal, frame(kind, (1, b"N"))]
        records = []
        for name in topics:
            held = self._hold(name)
            if held is not None:
                tick = self.market.last(held.instrument)
                if tick.ltp or (tick.depth is not None and (tick.depth.buy or tick.depth.sell)):
                    records.append(self._record(held, tick))
        return [frame(kind, (1, b"K")), *self._frames(records)]

    def ticks(self, ticks: Sequence[Tick]) -> Frames:
        records = []
        for tick in ticks:
            for topic in self._of.get((tick.instrument.exchange, tick.instrument.token), ()):
                records.append(self._record(topic, tick))
        return self._frames(records)

    def held(self) -> int:
        return len(self._of)

    def _hold(self, name: bytes) -> _Topic | None:
        known = self._topics.get(name)
        if known is not None:
            known.told = None
            return known
        instrument = self._directory.find(name)
        if instrument is None:
            return None
        topic = self._topics[name] = _Topic(self._next, name, instrument)
        self._next += 1
        self._of.setdefault((instrument.exchange, instrument.token), []).append(topic)
        return topic

    def _forget(self, name: bytes) -> None:
        topic = self._topics.pop(name, None)
        if topic is not None:
            key = topic.instrument.exchange, topic.instrument.token
            self._of[key].remove(topic)
            if not self._of[key]:
                del self._of[key]

    def _record(self, topic: _Topic, tick: Tick) -> bytes:
        values = self.values(topic.name[:2], tick)
        told, topic.told = topic.told, values
        if told is None or told == values:
            return self.snapshot(topic.number, topic.name, topic.instrument, values)
        changed = [ABSENT if new == old else new for new, old in zip(values, told, strict=True)]
        while changed[-1] == ABSENT:
            changed.pop()
        return self.update(topic.number, changed)

    def _frames(self, records: Sequence[bytes]) -> Frames:
        frames: Frames = []
        for start in range(0, len(records), _RECORDS):
            part = records[start : start + _RECORDS]
            body = b"\6"
            if self.numbered:
                self._message += 1
                body += pack(">I", self._message)
            body += pack(">H", len(part)) + b"".join(part)
            # The length of a large frame doesn't fit; no client looks at it.
            frames.append(pack(">H", min(len(body), 0xFFFF)) + body)
        return frames


def frame(kind: int, *fields: tuple[int, bytes]) -> bytes:
    """``u16 length, u8 type, u8 count``, then ``u8 id, u16 length, value`` each."""
    body = pack(">BB", kind, len(fields)) + b"".join(
        pack(">BH", number, len(value)) + value for number, value in fields
    )
    return pack(">H", len(body)) + body


def read_fields(data: bytes) -> dict[int, bytes]:
    """The fields of a request; those that are cut are left out."""
    found = {}
    rest = data[4:]
    while len(rest) >= 3:
        number, length = unpack_from(">BH", rest)
        if len(rest) < 3 + length:
            break
        found[number] = rest[3 : 3 + length]
        rest = rest[3 + length :]
    return found


def _read_topics(data: bytes) -> list[bytes] | None:
    """A list of topics; None if it isn't one."""
    topics = []
    try:
        (count,) = unpack_from(">H", data)
        offset = 2
        for _ in range(count):
            end = offset + 1 + data[offset]
            if end > len(data):
                return None
            topics.append(data[offset + 1 : end])
            offset = end
    except (StructError, IndexError):
        return None
    return topics


def values_of_book(tick: Tick, units: float) -> list[int]:
    """Thirty values: the prices of both sides, their quantities, their order counts."""
    depth = tick.depth
    buy, sell = ([], []) if depth is None else (depth.buy[:5], depth.sell[:5])

    def padded(levels: list[Level], values: Iterable[float | None]) -> list[int]:
        known = [ABSENT if value is None else int(value) for value in values]
        return known + [0] * (5 - len(levels))

    sides = (buy, sell)
    prices = [padded(side, [round(level.price * units) for level in side]) for side in sides]
    quantities = [padded(side, [level.quantity for level in side]) for side in sides]
    orders = [padded(side, [level.orders for level in side]) for side in sides]
    return [value for part in (*prices, *quantities, *orders) for value in part]


def count(value: float | None) -> int:
    """A quantity as a signed 32-bit number, which large ones overflow."""
    return ABSENT if value is None else (int(value) + (1 << 31)) % (1 << 32) - (1 << 31)


def seconds(milliseconds: int | None) -> int:
    """A time of a field of the feed."""
    return ABSENT if milliseconds is None else milliseconds // 1000
