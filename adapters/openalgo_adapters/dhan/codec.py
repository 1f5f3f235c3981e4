"""The live market feed: JSON text frames out, binary packets in, one after another in a message.

Source: DhanHQ v2 documentation, "Live Market Feed" and "Annexure", and the official SDK (dhanhq
2.3). All values are little-endian; integers are unsigned, prices are 32-bit floats in rupees. A
packet begins with u8 code, u16 length, u8 segment, u32 security id, and its code says its size
(the length is not to be trusted: it may count the header or not)::

    2    16 bytes  f32 ltp, u32 last trade time
    4    50        f32 ltp, u16 last quantity, u32 last trade time, f32 average, u32 volume, total
                   sell, total buy, f32 open, close, high, low
    5    12        u32 open interest
    6    16        f32 previous close, u32 open interest of the day before
    7     8        market status
    8   162        as 4 up to total buy, u32 oi, its high and low, f32 open, close, high, low, then
                   5 rows of u32 bid quantity, ask quantity, u16 bid orders, ask orders, f32 bid, ask
    50   10        u16 reason of disconnection

Codes 5 and 6 are news about an instrument whose last packet is told again with them, so that packet
is kept: as its values, for the ticks are given away. A last trade time is Indian wall-clock time
written as if it were UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from struct import Struct
from typing import Any

from openalgo_adapters.dhan.wire import (
    decimal_factor,
    end_event,
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

__all__ = ["LiveCodec"]

_SUBSCRIBE = {Mode.LTP: 15, Mode.QUOTE: 17, Mode.DEPTH: 21}
_PER_FRAME = 100

_HEADER = 8
_LENGTH = Struct("<xH")
_OI = Struct("<8xI")
_CLOSE = Struct("<8xf4x")
_REASON = Struct("<8xH")
_TICKER = Struct("<8xfI")
_QUOTE = Struct("<8xfHIf3I4f")
_FULL = Struct("<8xfHIf4I8x4f" + "IIHHff" * 5)
_STATUS_SIZE = 8

#: Codes that version 2 doesn't use. (single source: 0 is a heartbeat.)
_SILENT = frozenset({0, 1, 3})
#: Indian time is ahead of UTC by so many seconds. (conflict: the documentation names no zone, and
#: the peer takes the time for UTC; published outputs show Indian wall-clock time.)
_AHEAD = 19_800


class _State:
    """What is known of one instrument: what codes 5 and 6 said, and its last packet."""

    __slots__ = ("close", "factor", "instrument", "make", "oi", "values")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.factor = decimal_factor(instrument)
        self.close: float | None = None
        self.oi: int | None = None
        self.forget()

    def forget(self) -> None:
        """The last packet is not to be told again."""
        self.make: _Make | None = None
        self.values: Sequence[Any] = ()


class LiveCodec(FeedCodec):
    """One connection to the live market feed."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[bytes, _State] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        return Dial(url=f"wss://api-feed.dhan.co?version=2&{query(self._credentials)}")

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        return refusal(status) or super().refused(status, headers, body)

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: dict[Mode, list[Instrument]] = {}
        wanted: dict[Mode, list[Instrument]] = {}
        for instrument, old, new in changes:
            key = instrument_key(instrument)
            if key is None:
                self._refused.append(Rejected("no segment or security id of this broker", (instrument,)))
                continue
            before = None if old is None else old.mode
            after = None if new is None else new.mode
            if after is None:
                self._held.pop(key, None)
            elif key not in self._held:
                self._held[key] = _State(instrument)
            if before is after:
                continue
            if before is not None:
                dropped.setdefault(before, []).append(instrument)
            if after is not None:
                self._held[key].forget()
                wanted.setdefault(after, []).append(instrument)
        sends: list[Send] = []
        for mode, instruments in dropped.items():
            sends += requests(_SUBSCRIBE[mode] + 1, instruments, _PER_FRAME)
        for mode, instruments in wanted.items():
            sends += requests(_SUBSCRIBE[mode], instruments, _PER_FRAME)
        return sends

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
        held, packets = self._held, _PACKETS
        offset, end = 0, len(data)
        while offset < end:
            if end - offset < _HEADER:
                events.append(Malformed("less than a header at the end of a message"))
                break
            packet = packets.get(data[offset])
            if packet is None:
                size = self._other(data, offset, events)
                if not size:
                    break
                offset += size
                continue
            size, unpack, tell = packet
            if offset + size > end:
                events.append(Malformed("a packet runs past the end of its message"))
                break
            state = held.get(data[offset + 3 : offset + 8])
            if state is not None:
                try:
                    tick = tell(state, unpack(data, offset))
                except (ValueError, OverflowError):
                    # NaN and infinities can't be rounded.
                    events.append(Malformed("a price that is no number"))
                else:
                    if tick is not None:
                        events.append(tick)
            offset += size
        return events

    @staticmethod
    def _other(data: bytes, offset: int, events: list[Event]) -> int:
        """A packet that is about no instrument, or unknown: its size, 0 if it is the last one."""
        code, rest = data[offset], len(data) - offset
        if code == _STATUS:
            return _STATUS_SIZE
        if code == _DISCONNECTION:
            if rest < _REASON.size:
                events.append(Malformed("a disconnection without its reason"))
                return 0
            events.append(end_event(_REASON.unpack_from(data, offset)[0]))
            return _REASON.size
        (length,) = _LENGTH.unpack_from(data, offset)
        if length > rest:
            events.append(Malformed("a packet runs past the end of its message"))
            return 0
        if code not in _SILENT:
            events.append(Malformed(f"a packet of unknown code {code}"))
        return length if length >= _HEADER else 0


# What the packets tell. These run for every tick; the products are exact, as a 32-bit float has
# only 24 bits, so that their rounding is that of the decimal.


def _ticker(state: _State, v: Sequence[Any]) -> Tick:
    state.make, state.values = _make_ticker, v
    return _make_ticker(state)


def _make_ticker(state: _State) -> Tick:
    ltp, ltt = state.values
    d = state.factor
    tick = Tick(state.instrument, Mode.LTP, round(ltp * d) / d)
    tick.close = state.close
    if ltt > _AHEAD:
        tick.ltt = (ltt - _AHEAD) * 1000
    return tick


def _quote(state: _State, v: Sequence[Any]) -> Tick:
    state.make, state.values = _make_quote, v
    return _make_quote(state)


# fmt: off
def _make_quote(state: _State) -> Tick:
    ltp, last, ltt, average, volume, sell, buy, open_, close, high, low = state.values
    d = state.factor
    return Tick(
        state.instrument, Mode.QUOTE, round(ltp * d) / d, round(open_ * d) / d, round(high * d) / d,
        round(low * d) / d, _close(state, close), volume, last, round(average * d) / d, buy, sell,
        state.oi, None, None, (ltt - _AHEAD) * 1000 if ltt > _AHEAD else None,
    )


def _full(state: _State, v: Sequence[Any]) -> Tick:
    state.make, state.values, state.oi = _make_full, v, v[7]
    return _make_full(state)


def _make_full(state: _State) -> Tick:
    (ltp, last, ltt, average, volume, sell, buy, _, open_, close, high, low,
     b0, a0, m0, n0, p0, q0, b1, a1, m1, n1, p1, q1, b2, a2, m2, n2, p2, q2,
     b3, a3, m3, n3, p3, q3, b4, a4, m4, n4, p4, q4) = state.values
    d = state.factor
    return Tick(
        state.instrument, Mode.DEPTH, round(ltp * d) / d, round(open_ * d) / d, round(high * d) / d,
        round(low * d) / d, _close(state, close), volume, last, round(average * d) / d, buy, sell,
        state.oi, None, None, (ltt - _AHEAD) * 1000 if ltt > _AHEAD else None, None,
        Depth(
            [Level(round(p0 * d) / d, b0, m0), Level(round(p1 * d) / d, b1, m1),
             Level(round(p2 * d) / d, b2, m2), Level(round(p3 * d) / d, b3, m3),
             Level(round(p4 * d) / d, b4, m4)],
            [Level(round(q0 * d) / d, a0, n0), Level(round(q1 * d) / d, a1, n1),
             Level(round(q2 * d) / d, a2, n2), Level(round(q3 * d) / d, a3, n3),
             Level(round(q4 * d) / d, a4, n4)],
        ),
    )
# fmt: on


def _close(state: _State, day_close: float) -> float | None:
    """What code 6 said, else the packet's own, unless it is 0.

    (conflict: the documentation has the day's close after the market's; live samples have a value
    during the day, which is most likely the previous close.)
    """
    if state.close is not None:
        return state.close
    return round(day_close * state.factor) / state.factor or None


def _open_interest(state: _State, v: Sequence[Any]) -> Tick | None:
    (state.oi,) = v
    return None if state.make is None or state.make is _make_ticker else state.make(state)


def _previous_close(state: _State, v: Sequence[Any]) -> Tick | None:
    close = round(v[0] * state.factor) / state.factor
    if not close:
        return None
    state.close = close
    return None if state.make is None else state.make(state)


_Unpack = Callable[[bytes, int], tuple[Any, ...]]
_Make = Callable[[_State], Tick]
_Tell = Callable[[_State, Sequence[Any]], Tick | None]

_STATUS = 7
_DISCONNECTION = 50

#: By code: size, how to unpack, what to make of it.
_PACKETS: dict[int, tuple[int, _Unpack, _Tell]] = {
    2: (_TICKER.size, _TICKER.unpack_from, _ticker),
    4: (_QUOTE.size, _QUOTE.unpack_from, _quote),
    5: (_OI.size, _OI.unpack_from, _open_interest),
    6: (_CLOSE.size, _CLOSE.unpack_from, _previous_close),
    8: (_FULL.size, _FULL.unpack_from, _full),
}
