"""The Bridge's payloads: little-endian structures of fixed size, packed.

``mw``, 186 bytes and usually two more: ltp, last quantity, volume, high, low, open, close, average
price, 2 bytes of nothing, best bid and ask, total buy and sell, divisor, last trade time, then five
bids and five asks of quantity, price, orders and type (often 0: the position tells the side). After
the 2 bytes nothing is aligned any more.

Quantities are unsigned, prices signed and to be divided by the divisor of their own packet.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log10
from struct import Struct

from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick

__all__ = ["CIRCUIT", "LENGTHS", "BadStructure", "Record", "scale"]

_MW = Struct("<iII5i2x16xII2i" + "Iih2x" * 10)
#: (single source: one official sample.) Id, time, value, moves up and down, closing value, divisor.
_INDEX = Struct("<3xI4xIi")
_OI = Struct("<i12x")
CIRCUIT = Struct("<IIi")
#: Length of what is told of the price protection: high, low, divisor.
_PROTECTION = 12

#: Least lengths of what is told of a whole segment.
LENGTHS = {
    b"uppercircuit": CIRCUIT.size,
    b"lowercircuit": CIRCUIT.size,
    b"high52week": CIRCUIT.size,
    b"low52week": CIRCUIT.size,
    # (conflict: two of the SDKs write the second.)
    b"marketstatus": 2,
    b"marketStatus": 2,
}

_DECIMALS = {1: 0, 10: 1, 100: 2, 1_000: 3, 10_000: 4}


class BadStructure(ValueError):
    """A payload that is too short or has an impossible divisor."""


def scale(divisor: int) -> tuple[int, int | None]:
    """The divisor to use, and the decimals to round to; None where the division alone is exact."""
    if divisor < 0:
        raise BadStructure("a divisor below zero")
    if divisor in _DECIMALS:
        return divisor, None
    # Nothing was sent.
    if divisor == 0:
        return 100, None
    return divisor, min(4, int(log10(divisor)))


class Record:
    """What is known of one instrument: its last prices, and what comes in packets of its own."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.oi: int | None = None
        self.upper: float | None = None
        self.lower: float | None = None
        self._last: Tick | None = None

    def watch(self, payload: bytes) -> Tick:
        """The tick after an ``mw`` packet, which replaces everything but oi and circuits."""
        if len(payload) < _MW.size:
            raise BadStructure("a market watch packet is cut short")
        v = _MW.unpack_from(payload)
        ltp, last, volume, high, low, open_, close, average, buy, sell, divisor, ltt = v[:12]
        d, decimals = scale(divisor)
        index = self.instrument.is_index
        tick = Tick(
            self.instrument,
            Mode.DEPTH,
            ltp / d if ltp else None,
            open_ / d if open_ else None,
            high / d if high else None,
            low / d if low else None,
            close / d if close else None,
            None if index and not volume else volume,
            None if index and not last else last,
            average / d if average else None,
            None if index and not buy else buy,
            None if index and not sell else sell,
            self.oi,
            self.upper,
            self.lower,
            ltt * 1000 if ltt > 0 else None,
        )
        bids, asks = _side(v[12:27], d), _side(v[27:42], d)
        if bids or asks:
            tick.depth = Depth(bids, asks)
        if decimals is not None:
            _round(tick, decimals)
        if tick.depth is None:
            _set_kind(tick)
        self._last = tick
        return tick

    def index(self, payload: bytes) -> Tick:
        """The tick after a packet on the topic of indices: an ``mw`` packet or a short one."""
        if len(payload) >= _MW.size:
            return self.watch(payload)
        if len(payload) < _INDEX.size:
            raise BadStructure("an index packet is cut short")
        value, close, divisor = _INDEX.unpack_from(payload)
        d, decimals = scale(divisor)
        tick = Tick(self.instrument, Mode.LTP) if self._last is None else _copy(self._last)
        # What is zero isn't known, here as in the other packet.
        tick.ltp = value / d if value else tick.ltp
        tick.close = close / d if close else tick.close
        if decimals is not None:
            _round(tick, decimals)
        _set_kind(tick)
        self._last = tick
        return tick

    def open_interest(self, payload: bytes) -> Tick | None:
        """The tick after an ``oi`` packet; None before there is a price."""
        if len(payload) < _OI.size:
            raise BadStructure("a packet of open interest is cut short")
        (self.oi,) = _OI.unpack_from(payload)
        return self.again()

    def protection(self, payload: bytes) -> None:
        """The range of price protection, which no tick has."""
        if len(payload) < _PROTECTION:
            raise BadStructure("a packet of price protection is cut short")

    def again(self) -> Tick | None:
        """The last tick with what is known now; None before there is a price."""
        if self._last is None:
            return None
        tick = _copy(self._last)
        tick.oi, tick.upper_circuit, tick.lower_circuit = self.oi, self.upper, self.lower
        _set_kind(tick)
        self._last = tick
        return tick


# fmt: off
def _side(values: Sequence[int], d: int) -> list[Level]:
    """Up to five levels; those with neither price nor quantity are left out."""
    q0, p0, o0, q1, p1, o1, q2, p2, o2, q3, p3, o3, q4, p4, o4 = values
    if p0 and p1 and p2 and p3 and p4:
        # As it usually is: spelled out, because this runs for every packet.
        return [Level(p0 / d, q0, o0), Level(p1 / d, q1, o1), Level(p2 / d, q2, o2),
                Level(p3 / d, q3, o3), Level(p4 / d, q4, o4)]
    levels = ((q0, p0, o0), (q1, p1, o1), (q2, p2, o2), (q3, p3, o3), (q4, p4, o4))
    return [Level(price / d, quantity, orders) for quantity, price, orders in levels if price or quantity]
# fmt: on


def _set_kind(tick: Tick) -> None:
    """The richest content; the mode that was asked for makes no difference."""
    if tick.depth is not None:
        tick.kind = Mode.DEPTH
        return
    quote = (tick.open, tick.high, tick.low, tick.close, tick.volume, tick.oi)
    tick.kind = Mode.LTP if all(value is None for value in quote) else Mode.QUOTE


def _copy(tick: Tick) -> Tick:
    """A tick of its own: the other one may be on its way still."""
    return Tick(*(getattr(tick, name) for name in Tick.__struct_fields__))


def _round(tick: Tick, decimals: int) -> None:
    for name in ("ltp", "open", "high", "low", "close", "avg_trade_price"):
        value = getattr(tick, name)
        if value is not None:
            setattr(tick, name, round(value, decimals))
    if tick.depth is not None:
        for level in (*tick.depth.buy, *tick.depth.sell):
            level.price = round(level.price, decimals)
