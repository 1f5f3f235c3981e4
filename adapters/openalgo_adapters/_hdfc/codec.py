"""The feed of both HDFC brokers: JSON commands out, protobuf packets (`feed.proto`) in, errors as JSON.

Source: the brokers' documents and their published schema; no SDK exists. A packet names its
instrument by its number alone, and the exchange by its type (`packets`): the same number exists on
two exchanges. Zero and absent are the same everywhere.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from math import isfinite
from typing import ClassVar
from urllib.parse import urlencode

from google.protobuf.message import DecodeError

from openalgo_adapters._common.times import epoch_ms
from openalgo_adapters._common.values import BadValue, json_value
from openalgo_adapters._hdfc.feed_pb2 import Book, Index, Packet, PacketList, Quote
from openalgo_adapters._hdfc.orders import order_update
from openalgo_adapters._hdfc.packets import PACKETS, Kind
from openalgo_ws.adapter import (
    Alive,
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
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

__all__ = ["BROWSER", "HdfcCodec"]

#: Whoever does not look like a browser is refused.
BROWSER = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/123.0.0.0 Safari/537.36"
)

#: Scrips of one frame. (single source)
_PER_FRAME = 100
_LEVELS = 5
_PREFIX = {
    "NSE": "NSE_",
    "BSE": "BSE_",
    "NFO": "NFO_",
    "BFO": "BFO_",
    # (conflict: one sample of the documents says CDS_; their table and the peer say NCD_.)
    "CDS": "NCD_",
    "MCX": "MCX_",
    "NSE_INDEX": "NSE_INDEX_",
    "BSE_INDEX": "BSE_INDEX_",
}

_NOT_A_PRICE = Malformed("a price that is no number")


class _Held:
    """An instrument and what is known of it; ``tick`` is None until its first full packet."""

    __slots__ = ("decimals", "instrument", "lower", "oi", "tick", "upper")

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self.decimals = 4 if instrument.exchange == "CDS" else 2
        self.tick: Tick | None = None
        self.oi: int | None = None
        self.lower: float | None = None
        self.upper: float | None = None


class HdfcCodec(FeedCodec):
    """One connection to the feed; a broker says at which ``host``."""

    host: ClassVar[str]

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._credentials = credentials
        self._held: dict[str, dict[int, _Held]] = {exchange: {} for exchange in _PREFIX}
        self._refused: list[Event] = []

    def dial(self) -> Dial:
        # (conflict: the documents have the bare address, other clients the key in the query and the
        # token in the header. With all three in their places each reading is satisfied.)
        token = self._credentials.get("access_token", "")
        query = urlencode({"token": token, "api_key": self._credentials.get("api_key", "")})
        return Dial(
            url=f"wss://{self.host}/wsapi/v1/session?{query}",
            headers={"Authorization": token, "User-Agent": BROWSER},
        )

    # Out

    def heartbeat(self) -> Send:
        return '{"heart_beat":true}'

    def change(self, changes: Sequence[Change]) -> list[Send]:
        dropped: list[dict[str, str]] = []
        wanted: list[dict[str, str]] = []
        for instrument, old, new in changes:
            number = _number(instrument)
            if number is None:
                self._refused.append(Rejected("the broker does not stream this instrument", (instrument,)))
                continue
            held = self._held[instrument.exchange]
            if new is None:
                held.pop(number, None)
            elif number not in held:
                held[number] = _Held(instrument)
            if old is not None and new is not None and _type(old) == _type(new):
                continue
            scrip = f"{_PREFIX[instrument.exchange]}{number}"
            # Two types of one scrip at once: what the server does with them is not known.
            if old is not None:
                dropped.append({"scripId": scrip, "type": _type(old)})
            if new is not None:
                wanted.append({"scripId": scrip, "type": _type(new)})
        return [*_frames("unSubscribe", dropped), *_frames("subscribe", wanted)]

    # In

    def received(self, data: str | bytes) -> list[Event]:
        events, self._refused = self._refused, []
        if isinstance(data, str):
            events.append(_notice(data))
        elif data:
            packets = _packets(data)
            if packets is None:
                events.append(Malformed("no protobuf of this protocol"))
            else:
                for packet in packets:
                    event = self._packet(packet)
                    if event is not None:
                        events.append(event)
        return events

    def _packet(self, packet: Packet) -> Event | None:
        known = PACKETS.get(packet.packet_type)
        if known is None:
            return Malformed(f"a packet of the unknown type {packet.packet_type}")
        kind, exchange = known
        if kind is Kind.FULL:
            held = self._held[exchange].get(packet.instrument_id)
            if held is None or not packet.HasField("quote"):
                return None
            return _full(held, packet.quote, packet.packet_timestamp)
        if kind is Kind.INDEX:
            held = self._held[exchange].get(packet.instrument_id)
            if held is None or not packet.HasField("index"):
                return None
            return _index(held, packet.index, packet.packet_timestamp)
        if kind is Kind.CIRCUIT or kind is Kind.OPEN_INTEREST:
            held = self._held[exchange].get(packet.instrument_id)
            return None if held is None else _part(held, kind, packet)
        if kind is Kind.ORDER:
            return order_update(packet.order)
        # (single source: heartbeats. conflict: what a market status is; it is passed over.)
        return Alive() if kind is Kind.HEARTBEAT else None

    # The end

    def closed(self, code: int | None, reason: str) -> Verdict:
        """Close codes are not documented; a reason that speaks of the login asks for a new one."""
        if "auth" in reason.lower():
            return Verdict(Cause.TOKEN, f"the broker closed: authentication (code {code})")
        return super().closed(code, reason)


def _type(wish: Wish) -> str:
    return "LTP" if wish.mode is Mode.LTP else "ALL"


def _number(instrument: Instrument) -> int | None:
    token = instrument.token
    if instrument.exchange in _PREFIX and token.isascii() and token.isdigit() and len(token) <= 18:
        return int(token)
    return None


def _frames(action: str, scrips: list[dict[str, str]]) -> list[str]:
    return [
        json.dumps({"heart_beat": False, action: scrips[start : start + _PER_FRAME]}, separators=(",", ":"))
        for start in range(0, len(scrips), _PER_FRAME)
    ]


def _notice(data: str) -> Event:
    """Text is JSON: an error, or an acknowledgement that nobody waits for."""
    try:
        message = json_value(data)
    except BadValue as problem:
        return Malformed(f"text frame: {problem}")
    if isinstance(message, dict) and message.get("status") in ("error", "failure"):
        said = message.get("message")
        return Rejected(said[:200] if isinstance(said, str) and said else "the broker reports an error")
    return Alive()


def _packets(data: bytes) -> Sequence[Packet] | None:
    """The packets of a message: a list of them, or a single one without the list around it."""
    try:
        packets: Sequence[Packet] = PacketList.FromString(data).packets
    except DecodeError:
        packets = ()
    if packets:
        return packets
    try:
        packet = Packet.FromString(data)
    except DecodeError:
        return None
    # What holds nothing that is known is a message of something else.
    return [packet] if packet.ListFields() else None


# What is known of an instrument. Each returns a tick of its own: those that went out are not touched.


def _full(held: _Held, quote: Quote, stamp: int) -> Tick | Malformed:
    ltp, open_, high = quote.last_traded_price, quote.open_price, quote.high_price
    low, close, average = quote.low_price, quote.closing_price, quote.average_trade_price
    lower, upper = quote.lower_circuit_limit, quote.upper_circuit_limit
    book = _book(quote.book, held.decimals) if quote.HasField("book") else None
    if book is _BROKEN_BOOK or not isfinite(ltp + open_ + high + low + close + average + lower + upper):
        return _NOT_A_PRICE
    decimals = held.decimals
    if lower:
        held.lower = round(lower, decimals)
    if upper:
        held.upper = round(upper, decimals)
    held.oi = quote.oi or held.oi
    # `None` for zero; `or` would make a price of it that `round` then takes.
    tick = Tick(
        held.instrument,
        Mode.LTP,
        round(ltp, decimals) if ltp else None,
        round(open_, decimals) if open_ else None,
        round(high, decimals) if high else None,
        round(low, decimals) if low else None,
        round(close, decimals) if close else None,
        quote.volume_traded_today or None,
        quote.last_trade_quantity or None,
        round(average, decimals) if average else None,
        quote.total_buy_quantity or None,
        quote.total_sell_quantity or None,
        held.oi,
        held.upper,
        held.lower,
        # (single source: the unit of the last trade time is not documented.)
        epoch_ms(quote.last_trade_time),
        epoch_ms(stamp),
        book,
    )
    tick.kind = _kind(tick)
    held.tick = tick
    return tick


def _part(held: _Held, kind: Kind, packet: Packet) -> Tick | Malformed | None:
    """A packet of which only one thing counts: remembered, and told once there are prices."""
    quote = packet.quote
    if kind is Kind.CIRCUIT:
        lower, upper = quote.lower_circuit_limit, quote.upper_circuit_limit
        if not isfinite(lower + upper):
            return _NOT_A_PRICE
        if lower:
            held.lower = round(lower, held.decimals)
        if upper:
            held.upper = round(upper, held.decimals)
    else:
        held.oi = quote.oi or held.oi
    if held.tick is None:
        return None
    tick = copy(held.tick)
    tick.oi, tick.upper_circuit, tick.lower_circuit = held.oi, held.upper, held.lower
    tick.exchange_timestamp = epoch_ms(packet.packet_timestamp) or tick.exchange_timestamp
    tick.kind = _kind(tick)
    held.tick = tick
    return tick


def _index(held: _Held, index: Index, stamp: int) -> Tick | Malformed:
    ltp, open_, high = index.index_value, index.opening_index, index.high_index_value
    low, close = index.low_index_value, index.closing_index
    if not isfinite(ltp + open_ + high + low + close):
        return _NOT_A_PRICE
    tick = Tick(held.instrument, Mode.LTP) if held.tick is None else copy(held.tick)
    if ltp:
        tick.ltp = round(ltp, 2)
    if open_:
        tick.open = round(open_, 2)
    if high:
        tick.high = round(high, 2)
    if low:
        tick.low = round(low, 2)
    if close:
        tick.close = round(close, 2)
    tick.exchange_timestamp = epoch_ms(index.packet_timestamp or stamp) or tick.exchange_timestamp
    tick.kind = _kind(tick)
    held.tick = tick
    return tick


_BROKEN_BOOK = Depth([], [])


def _book(book: Book, decimals: int) -> Depth | None:
    """Both sides come in one list; None if there is no level in it, `_BROKEN_BOOK` if it can't be."""
    buy: list[Level] = []
    sell: list[Level] = []
    total = 0.0
    for level in book.levels:
        price, quantity = level.price, level.quantity
        if not price and not quantity:
            continue
        side = buy if level.buy_flag else sell
        if len(side) < _LEVELS:
            total += price
            side.append(Level(round(price, decimals), quantity, level.number_of_orders or None))
    if not isfinite(total):
        return _BROKEN_BOOK
    return Depth(buy, sell) if buy or sell else None


def _kind(tick: Tick) -> Mode:
    """The richest content, by what the merged state holds."""
    if tick.depth is not None:
        return Mode.DEPTH
    if any(getattr(tick, name) is not None for name in _QUOTE_FIELDS):
        return Mode.QUOTE
    return Mode.LTP


_QUOTE_FIELDS = (
    "close",
    "open",
    "high",
    "low",
    "volume",
    "last_trade_quantity",
    "avg_trade_price",
    "total_buy_quantity",
    "total_sell_quantity",
    "oi",
    "upper_circuit",
    "lower_circuit",
)
