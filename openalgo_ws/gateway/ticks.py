"""A tick on its way to clients: a `TickRecord` of our own feeds, or one of an untagged publisher.

Both know their mode and can give the ``data`` object of their own and of every poorer mode.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from openalgo_ws.encoding.trim import cut_book
from openalgo_ws.tick import Mode

__all__ = [
    "ForeignTick",
    "RoutedTick",
    "checker_of",
    "read_foreign",
    "reader_of",
    "stamped",
]


class RoutedTick(Protocol):
    """What the router needs of a tick: ``body`` is its whole ``data`` object as JSON, ``levels`` the
    depth of the book in it."""

    mode: Mode
    levels: int
    body: bytes

    def data(self, mode: Mode, levels: int) -> bytes:
        """The ``data`` object for a mode no richer than the tick's own, as JSON; a book is cut to
        ``levels`` a side."""


class Checked(msgspec.Struct, gc=False):
    """What every foreign payload must have; the pass over it validates the rest as JSON. A number that
    is not finite is no JSON, or out of a float's range, and refused."""

    ltp: float
    timestamp: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET

    def is_within(self, levels: int) -> bool:
        """Whether it has no book with more levels than that."""
        return True


class _Book(msgspec.Struct, gc=False):
    buy: list[msgspec.Raw] = []
    sell: list[msgspec.Raw] = []


class _CheckedDepth(Checked, gc=False):
    depth: _Book | None = None

    def is_within(self, levels: int) -> bool:
        book = self.depth
        return book is None or (len(book.buy) <= levels and len(book.sell) <= levels)


_Text = msgspec.Raw | msgspec.UnsetType


class _LtpText(msgspec.Struct):
    """The LTP fields of a foreign payload, each as the text that came."""

    ltp: _Text = msgspec.UNSET
    ltt: _Text = msgspec.UNSET
    timestamp: _Text = msgspec.UNSET


class _QuoteText(_LtpText):
    """The Quote fields; the last two are older names of the platform's own processes."""

    open: _Text = msgspec.UNSET
    high: _Text = msgspec.UNSET
    low: _Text = msgspec.UNSET
    close: _Text = msgspec.UNSET
    volume: _Text = msgspec.UNSET
    last_trade_quantity: _Text = msgspec.UNSET
    avg_trade_price: _Text = msgspec.UNSET
    total_buy_quantity: _Text = msgspec.UNSET
    total_sell_quantity: _Text = msgspec.UNSET
    oi: _Text = msgspec.UNSET
    upper_circuit: _Text = msgspec.UNSET
    lower_circuit: _Text = msgspec.UNSET
    bid_price: _Text = msgspec.UNSET
    bid_size: _Text = msgspec.UNSET
    ask_price: _Text = msgspec.UNSET
    ask_size: _Text = msgspec.UNSET
    change: _Text = msgspec.UNSET
    change_percent: _Text = msgspec.UNSET
    average_price: _Text = msgspec.UNSET
    last_quantity: _Text = msgspec.UNSET


_check_bookless = msgspec.json.Decoder(Checked).decode
_check_with_book = msgspec.json.Decoder(_CheckedDepth).decode
_ltp_text = msgspec.json.Decoder(_LtpText).decode
_quote_text = msgspec.json.Decoder(_QuoteText).decode
_json = msgspec.json.Encoder().encode

# An enum's member costs 0.1 µs where it is looked up; this is done for every tick.
_DEPTH = Mode.DEPTH
_UNSET = msgspec.UNSET


class ForeignTick(msgspec.Struct, gc=False, eq=False):
    """A tick of an untagged publisher: its bytes are spliced as they came.

    ``levels`` is the depth of its book, 0 where it has none of the usual form.
    """

    mode: Mode
    body: bytes
    levels: int = 0

    def data(self, mode: Mode, levels: int) -> bytes:
        if mode is not self.mode:
            return _derived(self.body, mode)
        return cut_book(self.body, levels) if self.levels > levels else self.body


def read_foreign(payload: bytes, mode: Mode, now_ms: int) -> ForeignTick:
    """Check an untagged payload: one JSON object, UTF-8, with a finite numeric ``ltp``.

    ``now_ms`` becomes its timestamp if it has none. ValueError (or a msgspec error, which is one)
    if it is not so.
    """
    return reader_of(mode)(payload, now_ms)


def reader_of(mode: Mode) -> Callable[[bytes, int], ForeignTick]:
    """`read_foreign` for one mode."""
    return _READERS[mode]


def checker_of(mode: Mode) -> Callable[[bytes], Checked]:
    """The pass over a payload of one mode. ValidationError: `read_foreign` has to tell, for a book may have
    another form than the usual one."""
    return _check_with_book if mode is _DEPTH else _check_bookless


def _bookless(payload: bytes, now_ms: int) -> bytes:
    return _passed(_check_bookless(payload), payload, now_ms)


def _passed(checked: Checked, payload: bytes, now_ms: int) -> bytes:
    if not payload.isascii():
        payload.decode()
    return stamped(payload, now_ms) if checked.timestamp is _UNSET else payload


def stamped(payload: bytes, now_ms: int) -> bytes:
    """A payload without a timestamp, with this one."""
    return payload.rstrip()[:-1] + b',"timestamp":%d}' % now_ms


def _plain_reader(mode: Mode) -> Callable[[bytes, int], ForeignTick]:
    def read(payload: bytes, now_ms: int) -> ForeignTick:
        return ForeignTick(mode, _bookless(payload, now_ms))

    return read


def _read_depth(payload: bytes, now_ms: int) -> ForeignTick:
    try:
        checked = _check_with_book(payload)
    except msgspec.ValidationError:
        return _read_bookless(payload, now_ms)
    book = checked.depth
    levels = 0 if book is None else max(len(book.buy), len(book.sell))
    return ForeignTick(_DEPTH, _passed(checked, payload, now_ms), levels)


_read_bookless = _plain_reader(_DEPTH)
_READERS = {Mode.LTP: _plain_reader(Mode.LTP), Mode.QUOTE: _plain_reader(Mode.QUOTE), _DEPTH: _read_depth}


def _derived(payload: bytes, mode: Mode) -> bytes:
    if mode is Mode.LTP:
        return _json(_ltp_text(payload))
    quote = _quote_text(payload)
    if quote.avg_trade_price is msgspec.UNSET:
        quote.avg_trade_price = quote.average_price
    if quote.last_trade_quantity is msgspec.UNSET:
        quote.last_trade_quantity = quote.last_quantity
    quote.average_price = quote.last_quantity = msgspec.UNSET
    return _json(quote)
