"""Paytm Money's broadcast: JSON arrays out, binary packets in, errors as plain text.

Source: the official SDKs (pyPMClient 1.1.4, jsPMClient, javaPMClient), which agree on the layouts.

A frame is packets back to back, each beginning with a code that fixes its length; everything is
little-endian, prices are 32-bit floats in rupees, times are seconds since 1980-01-01 UTC. ::

    61   23  ltp, last trade time, id, tradable, mode, change, change in percent
    62   67  ltp, last trade time, id, tradable, mode, last quantity, average price, volume,
             total buy, total sell, open, close, high, low, change in percent, change, 52 weeks
    63  175  five levels of bid and ask quantity, bid and ask orders, bid and ask price; then as 62,
             then oi and its change
    64   23  index: as 61, with the time of its last update
    65   43  index: ltp, id, tradable, mode, open, close, high, low, changes, 52 weeks
    66   39  index: as 65, with the time of its last update in place of the 52 weeks

The close stands before the high. A packet names its instrument by a number that shares and
indices have in common: the code says which of the two it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from struct import Struct
from typing import Any
from urllib.parse import urlencode

from openalgo_ws.adapter import (
    Cause,
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

__all__ = ["PaytmCodec"]

_MODE = {Mode.LTP: "LTP", Mode.QUOTE: "QUOTE", Mode.DEPTH: "FULL"}
_BROKER_EXCHANGE = {
    "NSE": "NSE",
    "BSE": "BSE",
    "NFO": "NSE",
    "BFO": "BSE",
    "NSE_INDEX": "NSE",
    "BSE_INDEX": "BSE",
}
#: Entries of one frame. The broker names no limit.
_PER_FRAME = 100

#: Seconds from 1970 to 1980. (single source: no correction for Indian time beside it.)
_EPOCH = 315_532_800

# From the byte after the code. Integers are unsigned (conflict: one SDK reads them as signed).
_LTP = Struct("<f2I10x")
_QUOTE = Struct("<f2I2xIf3I4f16x")
_FULL = Struct("<" + "2I2h2f" * 5 + "f2I2xIf3I4f16xI4x")
_INDEX = Struct("<fI2x4f16x")
_INDEX_FULL = Struct("<fI2x4f8xI")

_FIRST_INDEX_CODE = 64


class PaytmCodec(FeedCodec):
    """One connection to the broadcast."""

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        # Ids to those who hold them, the first subscribed first: his are the packets.
        self._shares: dict[int, list[Instrument]] = {}
        self._indices: dict[int, list[Instrument]] = {}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        query = urlencode({"x_jwt_token": self._credentials.get("public_access_token", "")})
        return Dial(url=f"wss://developer-ws.paytmmoney.com/broadcast/user/v1/data?{query}")

    # Out

    def change(self, changes: Sequence[Change]) -> list[Send]:
        entries: list[dict[str, str]] = []
        for instrument, old, new in changes:
            key = _key(instrument)
            if key is None:
                self._refused.append(Rejected("the broker does not stream this instrument", (instrument,)))
                continue
            self._hold(instrument, int(key["scripId"]), held=new is not None)
            if old is not None and new is not None and old.mode is new.mode:
                continue
            # (unconfirmed: two modes of one instrument are two subscriptions, so the old one goes.)
            if old is not None:
                entries.append({"actionType": "REMOVE", "modeType": _MODE[old.mode], **key})
            if new is not None:
                entries.append({"actionType": "ADD", "modeType": _MODE[new.mode], **key})
        return [
            json.dumps(entries[start : start + _PER_FRAME], separators=(",", ":"))
            for start in range(0, len(entries), _PER_FRAME)
        ]

    def _hold(self, instrument: Instrument, number: int, *, held: bool) -> None:
        table = self._indices if instrument.is_index else self._shares
        holders = [one for one in table.get(number, []) if one != instrument or held]
        if held and instrument not in holders:
            holders.append(instrument)
        if holders:
            table[number] = holders
        else:
            table.pop(number, None)

    # In

    def received(self, data: str | bytes) -> list[Event]:
        events, self._refused = self._refused, []
        if isinstance(data, str):
            # The server answers nothing but errors in text.
            events.append(Rejected(data.strip()[:200] or "the broker reports an error"))
            return events
        end = len(data)
        offset = 0
        while offset < end:
            code = data[offset]
            packet = _PACKETS.get(code)
            if packet is None:
                events.append(Malformed(f"a packet of the unknown code {code}"))
                break
            unpack, make, length = packet
            if offset + length > end:
                events.append(Malformed(f"a packet of code {code} is cut short"))
                break
            held = self._indices if code >= _FIRST_INDEX_CODE else self._shares
            event = make(unpack(data, offset + 1), held)
            if event is not None:
                events.append(event)
            offset += length
        return events

    # The end

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        """Any 4xx asks for a fresh login; the broker tells no more."""
        if 400 <= status < 500 and status != 429:
            return Verdict(Cause.TOKEN, f"the broker refused the connection (HTTP {status})")
        return super().refused(status, headers, body)


def _key(instrument: Instrument) -> dict[str, str] | None:
    """How a subscription names an instrument; None if it can't."""
    exchange = _BROKER_EXCHANGE.get(instrument.exchange)
    token = instrument.token
    if exchange is None or not (token.isascii() and token.isdigit() and len(token) <= 10):
        return None
    number = int(token)
    if number >= 1 << 32:
        return None
    return {"scripType": _scrip_type(instrument), "exchangeType": exchange, "scripId": str(number)}


def _scrip_type(instrument: Instrument) -> str:
    if instrument.is_index:
        return "INDEX"
    if instrument.exchange in ("NFO", "BFO"):
        return "FUTURE" if instrument.symbol.endswith("FUT") else "OPTION"
    # (unconfirmed: funds have a type of their own, ETF, and are said to be served as shares too.)
    return "EQUITY"


# The packets; None for an instrument that is not held. Positional construction: these run for every tick.

_Holders = Mapping[int, Sequence[Instrument]]
_Outcome = Tick | Malformed | None
_NOT_A_PRICE = Malformed("a price that is no number")


def _ltp(v: Sequence[Any], held: _Holders) -> _Outcome:
    ltp, ltt, number = v
    if number not in held:
        return None
    if not isfinite(ltp):
        return _NOT_A_PRICE
    tick = Tick(held[number][0], Mode.LTP, round(ltp, 2))
    tick.ltt = _milliseconds(ltt)
    return tick


def _index_ltp(v: Sequence[Any], held: _Holders) -> _Outcome:
    ltp, stamp, number = v
    if number not in held:
        return None
    if not isfinite(ltp):
        return _NOT_A_PRICE
    tick = Tick(held[number][0], Mode.LTP, round(ltp, 2))
    tick.exchange_timestamp = _milliseconds(stamp)
    return tick


def _index(v: Sequence[Any], held: _Holders) -> _Outcome:
    ltp, number, open_, close, high, low = v[:6]
    if number not in held:
        return None
    if not isfinite(ltp + open_ + close + high + low):
        return _NOT_A_PRICE
    tick = Tick(
        held[number][0],
        Mode.QUOTE,
        round(ltp, 2),
        round(open_, 2),
        round(high, 2),
        round(low, 2),
        round(close, 2),
    )
    if len(v) > 6:
        tick.exchange_timestamp = _milliseconds(v[6])
    return tick


def _quote(v: Sequence[Any], held: _Holders) -> _Outcome:
    ltp, ltt, number, last, average, volume, buy, sell, open_, close, high, low = v
    if number not in held:
        return None
    if not isfinite(ltp + average + open_ + close + high + low):
        return _NOT_A_PRICE
    return Tick(
        held[number][0],
        Mode.QUOTE,
        round(ltp, 2),
        round(open_, 2),
        round(high, 2),
        round(low, 2),
        round(close, 2),
        volume,
        last,
        round(average, 2),
        buy,
        sell,
        ltt=_milliseconds(ltt),
    )


def _full(v: Sequence[Any], held: _Holders) -> _Outcome:
    tick = _quote(v[30:42], held)
    if not isinstance(tick, Tick):
        return tick
    # Quantities and counts are finite, so the sum is if the prices are.
    if not isfinite(sum(v[:30])):
        return _NOT_A_PRICE
    tick.kind = Mode.DEPTH
    tick.oi = v[42]
    buy: list[Level] = []
    sell: list[Level] = []
    for at in range(0, 30, 6):
        bids, asks, buyers, sellers, bid, ask = v[at : at + 6]
        if bid or bids:
            buy.append(Level(round(bid, 2), bids, buyers))
        if ask or asks:
            sell.append(Level(round(ask, 2), asks, sellers))
    tick.depth = Depth(buy, sell)
    return tick


def _milliseconds(seconds: int) -> int | None:
    return (seconds + _EPOCH) * 1000 if seconds else None


_Unpack = Callable[[bytes, int], tuple[Any, ...]]
_Make = Callable[[Sequence[Any], _Holders], _Outcome]

#: By code: how to unpack what follows it, what to make of that, and the length with the code.
_PACKETS: dict[int, tuple[_Unpack, _Make, int]] = {
    61: (_LTP.unpack_from, _ltp, 23),
    62: (_QUOTE.unpack_from, _quote, 67),
    63: (_FULL.unpack_from, _full, 175),
    64: (_LTP.unpack_from, _index_ltp, 23),
    65: (_INDEX.unpack_from, _index, 43),
    66: (_INDEX_FULL.unpack_from, _index, 39),
}
