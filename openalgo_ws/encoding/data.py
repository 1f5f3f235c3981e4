"""The ``data`` object of a market-data message (client protocol 1.3) from a tick.

The three modes nest, and so does the text: the LTP fields come first, the
Quote fields after them, the book last. A poorer mode is therefore a prefix of a
richer one plus a closing brace, and whoever has the rich text never encodes again.
"""

from __future__ import annotations

from math import isfinite
from typing import NamedTuple

import msgspec

from openalgo_ws.tick import Depth, Level, Mode, Tick

__all__ = ["Encoded", "encode", "finite"]


class Encoded(NamedTuple):
    """A ``data`` object as JSON; ``body[:ltp_end] + b"}"`` is its LTP form, and so on.

    ``quote_end`` is 0 where the body is an LTP body, and ``levels`` 0 where it has no book.
    """

    body: bytes
    ltp_end: int
    quote_end: int
    levels: int


class _Ltp(msgspec.Struct, omit_defaults=True, gc=False):
    ltp: float | None = None
    ltt: int | None = None
    timestamp: int | None = None


class _Quote(msgspec.Struct, omit_defaults=True, gc=False):
    open: float | None = None
    high: float | None = None
    low: float | None = None
    close: float | None = None
    volume: int | float | None = None
    last_trade_quantity: int | float | None = None
    avg_trade_price: float | None = None
    total_buy_quantity: int | float | None = None
    total_sell_quantity: int | float | None = None
    oi: int | float | None = None
    upper_circuit: float | None = None
    lower_circuit: float | None = None
    bid_price: float | None = None
    bid_size: int | float | None = None
    ask_price: float | None = None
    ask_size: int | float | None = None
    change: float | None = None
    change_percent: float | None = None


_json = msgspec.json.Encoder().encode


def finite(value: float | None) -> bool:
    """Whether a number is there and is one that JSON can hold."""
    return value is not None and isfinite(value)


def encode(state: Tick, mode: Mode, timestamp: int, levels: int = 5) -> Encoded:
    """The ``data`` object for ``mode`` from what is known of an instrument.

    ``state.ltp`` must be finite. ``timestamp`` is epoch milliseconds. A DEPTH body holds at most
    ``levels`` levels a side. Other numbers that are not finite count as absent.
    """
    head = _json(_Ltp(state.ltp, state.ltt, timestamp))[:-1]
    if mode is Mode.LTP:
        return Encoded(head + b"}", len(head), 0, 0)
    quote = _quote(state)
    middle = _json(quote)
    if b"null" in middle:
        middle = _json(_without_nonsense(quote))
    # An empty object adds no fields and so no comma.
    text = head if middle == b"{}" else b"%b,%b" % (head, middle[1:-1])
    book = state.depth
    if mode is Mode.QUOTE or book is None:
        return Encoded(text + b"}", len(head), len(text), 0)
    buy, sell = book.buy, book.sell
    if len(buy) > levels or len(sell) > levels:
        buy, sell = buy[:levels], sell[:levels]
        book = Depth(buy, sell)
    tail = _json(book)
    if b"null" in tail:
        buy, sell = _finite_levels(buy), _finite_levels(sell)
        tail = _json(Depth(buy, sell))
    body = b'%b,"depth":%b}' % (text, tail)
    return Encoded(body, len(head), len(text), max(len(buy), len(sell)))


def _quote(state: Tick) -> _Quote:
    quote = _Quote(
        state.open,
        state.high,
        state.low,
        state.close,
        state.volume,
        state.last_trade_quantity,
        state.avg_trade_price,
        state.total_buy_quantity,
        state.total_sell_quantity,
        state.oi,
        state.upper_circuit,
        state.lower_circuit,
    )
    book = state.depth
    if book is not None:
        if book.buy and book.buy[0].quantity:
            quote.bid_price, quote.bid_size = book.buy[0].price, book.buy[0].quantity
        if book.sell and book.sell[0].quantity:
            quote.ask_price, quote.ask_size = book.sell[0].price, book.sell[0].quantity
    close, ltp = state.close, state.ltp
    if close and ltp is not None:
        change = ltp - close
        quote.change = round(change, 2)
        quote.change_percent = round(change / close * 100, 2)
    return quote


def _without_nonsense(quote: _Quote) -> _Quote:
    return _Quote(*(value if finite(value) else None for value in msgspec.structs.astuple(quote)))


def _finite_levels(side: list[Level]) -> list[Level]:
    return [level for level in side if finite(level.price) and finite(level.quantity)]
