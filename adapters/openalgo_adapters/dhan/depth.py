"""The deep books: 20 levels of up to 50 instruments, or 200 levels of one, each on its own socket.

Source: DhanHQ v2 documentation, "Full Market Depth", and the official SDK (dhanhq 2.3). All values
are little-endian. A message holds packets one after another; each is one side of a book: i16 length,
u8 code (41 bids, 51 asks, 50 disconnection; the length is first here, not the code), u8 segment, u32
security id, u32 sequence (20 levels) or number of rows (200 levels), then rows of f64 price, u32
quantity, u32 orders. There are no prices and no times besides.

A book of 200 levels takes some 90 µs to decode, both sides together: there are 400 levels to make.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import Struct
from typing import ClassVar

from openalgo_adapters.dhan.wire import (
    decimal_factor,
    end_event,
    flat_requests,
    instrument_key,
    query,
    refusal,
    requests,
)
from openalgo_ws.adapter import (
    Change,
    Dial,
    Environment,
    Event,
    FeedCodec,
    Malformed,
    Rejected,
    Send,
    Verdict,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["Depth20Codec", "Depth200Codec"]

_SUBSCRIBE = 23
#: (conflict: 24 in older renderings of the annexure and in the SDK; 25 in the current one.)
_UNSUBSCRIBE = 25

_BIDS, _ASKS, _DISCONNECTION = 41, 51, 50
_HEADER = Struct("<hB5xI")
_REASON = Struct("<H")
_REASON_AT = 12
_ROW = Struct("<dII")
_MOST_ROWS = 200
#: Reasons of disconnection begin here.
_FIRST_REASON = 800


class _Sides:
    """The newest side of each kind that is still waiting for the other."""

    __slots__ = ("asks", "bids", "factor", "instrument")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.factor = decimal_factor(instrument)
        self.bids: list[Level] | None = None
        self.asks: list[Level] | None = None


class Depth20Codec(FeedCodec):
    """One connection to the 20-level feed."""

    url: ClassVar[str] = "wss://depth-api-feed.dhan.co/twentydepth"
    #: Rows of a side; None where each packet says it.
    rows: ClassVar[int | None] = 20

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[bytes, _Sides] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return Dial(url=f"{self.url}?{query(self._credentials)}")

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        return refusal(status) or super().refused(status, headers, body)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[Instrument] = []
        wanted: list[Instrument] = []
        for instrument, old, new in changes:
            key = instrument_key(instrument)
            if key is None:
                self._refused.append(Rejected("no segment or security id of this broker", (instrument,)))
            elif new is None:
                if self._held.pop(key, None) is not None:
                    dropped.append(instrument)
            else:
                self._held.setdefault(key, _Sides(instrument))
                if old is None:
                    wanted.append(instrument)
        return [*self.requests(_UNSUBSCRIBE, dropped), *self.requests(_SUBSCRIBE, wanted)]

    def requests(self, code: int, instruments: Sequence[Instrument]) -> Sequence[str]:
        """The frames that ask for these instruments, or give them up."""
        return list(requests(code, instruments, 50))

    # In

    def received(self, data: str | bytes) -> list[Event]:
        if self._refused:
            events, self._refused = self._refused, []
            return events + self.received(data)
        if isinstance(data, str):
            return [Malformed("a text frame")]
        if not data:
            return [Malformed("an empty frame")]
        return self._packets(data)

    def _packets(self, data: bytes) -> list[Event]:
        events: list[Event] = []
        offset, end = 0, len(data)
        while offset < end:
            if offset + _HEADER.size > end:
                events.append(Malformed("less than a header at the end of a message"))
                break
            length, code, number = _HEADER.unpack_from(data, offset)
            start = offset + _HEADER.size
            if code == _DISCONNECTION:
                reason, offset = _reason(data, start, length, number)
                events.append(end_event(reason))
                continue
            count = number if self.rows is None else self.rows
            stop = start + count * _ROW.size
            if code not in (_BIDS, _ASKS) or count > _MOST_ROWS or stop > end:
                events.append(Malformed("a packet of unknown code, or not as many rows as it says"))
                break
            sides = self._held.get(data[offset + 3 : offset + 8])
            if sides is not None:
                events += _side(sides, code, data[start:stop])
            offset = stop
        return events


class Depth200Codec(Depth20Codec):
    """One connection to the 200-level feed, which carries one instrument."""

    # (conflict: the documentation has /twohundreddepth, where field reports tell of resets; the SDK
    # uses the root.)
    url = "wss://full-depth-api.dhan.co/"
    rows = None

    def requests(self, code: int, instruments: Sequence[Instrument]) -> Sequence[str]:
        """Frames without a list. A connection that holds nothing any more is closed by its pool."""
        return list(flat_requests(code, instruments))


def _side(sides: _Sides, code: int, rows: bytes) -> list[Event]:
    """Take one side; a tick as soon as both are there."""
    d = sides.factor
    try:
        levels = [
            Level(round(price * d) / d, quantity, orders)
            for price, quantity, orders in _ROW.iter_unpack(rows)
        ]
    except (ValueError, OverflowError):
        # NaN and infinities can't be rounded.
        return [Malformed("a price that is no number")]
    if code == _BIDS:
        sides.bids = levels
    else:
        sides.asks = levels
    bids, asks = sides.bids, sides.asks
    if bids is None or asks is None:
        return []
    sides.bids = sides.asks = None
    return [Tick(sides.instrument, Mode.DEPTH, depth=Depth(bids, asks))]


def _reason(data: bytes, start: int, length: int, number: int) -> tuple[int, int]:
    """Why we are disconnected, and where the packet ends.

    (conflict: the documentation has the reason behind the header, the SDK in place of the number of
    rows; the first that can be a reason is taken.)
    """
    if length != _REASON_AT and len(data) - start >= _REASON.size:
        (reason,) = _REASON.unpack_from(data, start)
        if reason >= _FIRST_REASON or length == _REASON_AT + _REASON.size:
            return (reason if reason >= _FIRST_REASON else number), start + _REASON.size
    return number, start
