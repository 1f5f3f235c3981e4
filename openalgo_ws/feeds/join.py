"""Joining: what a broker sends of an instrument in pieces becomes one record per change.

A book may come without a price, a quote without a book, and both may come on
sockets of their own. Per instrument there is a `Record` with a `Piece` for every
feed that serves it. A piece is filled by its own feed alone; when that feed's
connection ends or changes, the piece is emptied, so that nothing is ever
published as fresh that nobody feeds any more. This is the tick's path: about two
microseconds an instrument beside the encoding.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from math import isfinite

import msgspec

from openalgo_ws.bus.records import TickRecord, TickSink
from openalgo_ws.encoding.data import encode
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

__all__ = ["Joiner", "Mark", "Piece", "Record"]

#: A feed's time that lies further ahead of our clock than this (milliseconds) is a mistake of the
#: broker's. It must not make everything after it look old.
_AHEAD = 60_000


class Mark(msgspec.Struct, frozen=True, gc=False):
    """How far an instrument had got when its source changed (milliseconds, 0 = nothing yet).

    ``stamp`` is the last published ``timestamp``, ``feed_time`` the last that was a feed's own.
    """

    stamp: int = 0
    feed_time: int = 0

    def after(self, feed_time: int | None, stamp: int, now: int) -> bool:
        """Whether a tick of that time is older than what this mark stands for.

        A feed's time is compared with a feed's time: our own clock is ahead of every feed by the
        way the tick had to go, and of one that counts in whole seconds by up to a second more.
        """
        reference = self.stamp if feed_time is None else self.feed_time
        return stamp < reference <= now + _AHEAD


class Piece:
    """What one feed has said of an instrument since its connection began to serve it."""

    __slots__ = ("changed", "feed", "record", "state", "wish")

    def __init__(self, record: Record, feed: str, wish: Wish) -> None:
        self.record = record
        self.feed = feed
        self.wish = wish
        self.state: Tick | None = None
        #: The source changed: ticks older than the last one published are not published.
        self.changed = True


class Record:
    """One instrument: its pieces, who hears it, and how far it has got."""

    __slots__ = (
        "bookless",
        "feed_time",
        "floors",
        "instrument",
        "is_index",
        "pieces",
        "stamp",
        "tags",
        "waiting",
        "wish",
    )

    def __init__(self, instrument: Instrument, bookless: bool = False) -> None:
        self.instrument = instrument
        #: What is published of it, at most.
        self.wish = Wish(Mode.LTP)
        #: There is no order book of this instrument: a quote is all that Depth can mean.
        self.bookless = bookless
        #: Of an index some brokers say no more than the price: that is then all that any mode can mean.
        self.is_index = instrument.is_index
        self.pieces: list[Piece] = []
        #: The feed tags it is published under.
        self.tags: tuple[str, ...] = ()
        #: The tags that wait for its next tick, to be published under from then on.
        self.waiting: frozenset[str] = frozenset()
        #: Where a tag that came from another source had got.
        self.floors: dict[str, Mark] = {}
        self.stamp = 0
        self.feed_time = 0

    @property
    def mark(self) -> Mark:
        """How far this record has got."""
        return Mark(self.stamp, self.feed_time)


class Joiner:
    """The records of one account, from ticks to published records.

    ``arrived(record)`` is called before a tick is published while tags wait for it; it may change
    the record's tags. ``seconds`` is the clock (seconds since the epoch).
    """

    def __init__(
        self, sink: TickSink, seconds: Callable[[], float], arrived: Callable[[Record], None]
    ) -> None:
        self._sink = sink
        self._seconds = seconds
        self._arrived = arrived
        self._pieces: dict[str, dict[Instrument, Piece]] = {}
        #: Ticks of instruments that nobody holds (on their way when they were given up).
        self.strays = 0
        #: Ticks not published because a later one of the same instrument had been already.
        self.outdated = 0

    def route(self, record: Record, routes: Sequence[tuple[str, Wish]]) -> None:
        """From now on the record is fed by these feeds, each with that wish; () = by none."""
        new = dict(routes)
        for piece in record.pieces:
            wish = new.get(piece.feed)
            if wish is None:
                del self._pieces[piece.feed][record.instrument]
            else:
                if piece.state is not None:
                    if wish.mode < piece.wish.mode:
                        piece.state = _stripped(piece.state, wish.mode)
                    elif piece.wish.with_quote and not wish.with_quote:
                        piece.state = Tick(record.instrument, Mode.DEPTH, depth=piece.state.depth)
                piece.wish = wish
        old = {piece.feed: piece for piece in record.pieces}
        record.pieces = [old.get(feed) or self._new(record, feed, wish) for feed, wish in new.items()]

    def _new(self, record: Record, feed: str, wish: Wish) -> Piece:
        piece = Piece(record, feed, wish)
        self._pieces.setdefault(feed, {})[record.instrument] = piece
        return piece

    def source_changed(self, feed: str, instruments: Iterable[Instrument]) -> None:
        """The connection behind these ended, or another one takes over: what it said is void."""
        pieces = self._pieces.get(feed, {})
        for instrument in instruments:
            piece = pieces.get(instrument)
            if piece is not None:
                piece.state = None
                piece.changed = True

    def ticked(self, feed: str, ticks: Collection[Tick]) -> None:
        """Take ticks of one feed, in the order in which they came. The ticks are ours from now on."""
        pieces = self._pieces.get(feed)
        if pieces is None:
            self.strays += len(ticks)
            return
        now = int(self._seconds() * 1000)
        for tick in ticks:
            piece = pieces.get(tick.instrument)
            if piece is None:
                self.strays += 1
                continue
            ltp = tick.ltp
            if ltp is not None and not isfinite(ltp):
                tick.ltp = None
            old = piece.state
            if old is not None:
                _carry(old, tick, piece.wish.mode)
            piece.state = tick
            record = piece.record
            state = tick if len(record.pieces) == 1 else _joined(record.pieces, tick)
            if state.ltp is None:
                continue
            feed_time = tick.exchange_timestamp
            stamp = now if feed_time is None else feed_time
            if piece.changed:
                if Mark(record.stamp, record.feed_time).after(feed_time, stamp, now):
                    self.outdated += 1
                    continue
                piece.changed = False
            if record.waiting:
                self._arrived(record)
            if record.tags:
                self._publish(record, state, feed_time, stamp, now)

    def _publish(self, record: Record, state: Tick, feed_time: int | None, stamp: int, now: int) -> None:
        tags = record.tags
        if record.floors:
            tags = self._risen(record, feed_time, stamp, now)
            if not tags:
                self.outdated += 1
                return
        record.stamp = stamp
        if feed_time is not None:
            record.feed_time = feed_time
        wish = record.wish
        mode = wish.mode
        if mode is not Mode.LTP and not record.is_index:
            kind = state.kind
            if mode is Mode.DEPTH and state.depth is None and not (record.bookless and kind >= Mode.QUOTE):
                mode = Mode.QUOTE
            if mode is Mode.QUOTE and kind is Mode.LTP:
                mode = Mode.LTP
        body, ltp_end, quote_end, levels = encode(state, mode, stamp, wish.depth)
        instrument = record.instrument
        published = TickRecord(
            instrument.symbol, instrument.exchange, mode, levels, stamp, ltp_end, quote_end, body
        )
        publish = self._sink.publish
        for tag in tags:
            publish(tag, published)

    def _risen(self, record: Record, feed_time: int | None, stamp: int, now: int) -> tuple[str, ...]:
        """The record's tags without those that were further ahead with the source they came from."""
        floors = record.floors
        tags = []
        for tag in record.tags:
            floor = floors.get(tag)
            if floor is None or not floor.after(feed_time, stamp, now):
                floors.pop(tag, None)
                tags.append(tag)
        return tuple(tags)


def _carry(old: Tick, new: Tick, mode: Mode) -> None:
    """Put into a new tick what it leaves out and the last one knew, as far as ``mode`` is fed."""
    if new.ltp is None:
        new.ltp = old.ltp
    if new.ltt is None:
        new.ltt = old.ltt
    if mode is Mode.LTP:
        return
    if mode is Mode.DEPTH and new.depth is None:
        new.depth = old.depth
    if new.kind < old.kind:
        new.kind = old.kind
    if new.open is None:
        new.open = old.open
    if new.high is None:
        new.high = old.high
    if new.low is None:
        new.low = old.low
    if new.close is None:
        new.close = old.close
    if new.volume is None:
        new.volume = old.volume
    if new.last_trade_quantity is None:
        new.last_trade_quantity = old.last_trade_quantity
    if new.avg_trade_price is None:
        new.avg_trade_price = old.avg_trade_price
    if new.total_buy_quantity is None:
        new.total_buy_quantity = old.total_buy_quantity
    if new.total_sell_quantity is None:
        new.total_sell_quantity = old.total_sell_quantity
    if new.oi is None:
        new.oi = old.oi
    if new.upper_circuit is None:
        new.upper_circuit = old.upper_circuit
    if new.lower_circuit is None:
        new.lower_circuit = old.lower_circuit


def _stripped(state: Tick, mode: Mode) -> Tick:
    """The state without what is no longer fed in a poorer mode."""
    if mode is Mode.LTP:
        return Tick(state.instrument, Mode.LTP, ltp=state.ltp, ltt=state.ltt)
    poorer = msgspec.structs.replace(state, depth=None)
    poorer.kind = min(state.kind, mode)
    return poorer


def _joined(pieces: Iterable[Piece], tick: Tick) -> Tick:
    """One state from several feeds': the deepest book there is, every other field from the first
    feed that knows it, the price and its time from the one that spoke last."""
    state = msgspec.structs.replace(tick)
    deepest = -1
    for piece in pieces:
        known = piece.state
        if known is None:
            continue
        if known is not tick:
            depth, kind = state.depth, known.kind
            _carry(known, state, Mode.DEPTH)
            state.depth = depth
            state.kind = max(state.kind, kind)
        if known.depth is not None and piece.wish.mode is Mode.DEPTH and piece.wish.depth > deepest:
            deepest = piece.wish.depth
            state.depth = known.depth
    return state
