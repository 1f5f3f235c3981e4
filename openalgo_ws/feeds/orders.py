"""Order updates of one account: named in OpenAlgo's words, published once each."""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from openalgo_ws.adapter import Order, OrderUpdate
from openalgo_ws.bus.records import TickSink
from openalgo_ws.feeds.interfaces import Index
from openalgo_ws.tick import Instrument

__all__ = ["OrderStream"]

#: Where an order may be, for brokers that don't say.
_EXCHANGES = ("NSE", "BSE", "NFO", "BFO", "CDS", "BCD", "MCX", "NCO", "NCDEX", "CRYPTO")


class _Seen(msgspec.Struct):
    source: int
    order: Order


class OrderStream:
    """What an account's connections tell of its orders, once each.

    Several connections tell the same: one (orderid, status, filled quantity) from two of them is
    one update. From the same connection it is another one if anything else in it changed (a new
    price, say), and so it is from another once the first is gone. ``capacity`` orders' states are
    remembered.
    """

    def __init__(self, sink: TickSink, broker: str, user: str, capacity: int = 10_000) -> None:
        self._sink = sink
        self._broker = broker
        self._user = user
        self._capacity = capacity
        self._seen: OrderedDict[tuple[str, str, float], _Seen] = OrderedDict()

    def source_gone(self, source: int) -> None:
        """A connection ended: others may tell what only it told so far."""
        for seen in self._seen.values():
            if seen.source == source:
                seen.source = -1

    def ordered(self, source: int, update: OrderUpdate, index: Index) -> None:
        """An update came on the connection with the number ``source`` (≥ 0)."""
        order = _named(update, index)
        key = (order.orderid, order.order_status, float(order.filled_quantity))
        seen = self._seen.get(key)
        if seen is None:
            self._seen[key] = _Seen(source, order)
            if len(self._seen) > self._capacity:
                self._seen.popitem(last=False)
        else:
            self._seen.move_to_end(key)
            if seen.source == -1:
                seen.source = source
            if seen.source != source or seen.order == order:
                return
            seen.order = order
        self._sink.publish_order(
            self._broker,
            self._user,
            {
                "type": "order_update",
                "user_id": self._user,
                **msgspec.structs.asdict(order),
                "broker": self._broker,
            },
        )


def _named(update: OrderUpdate, index: Index) -> Order:
    """The order under OpenAlgo's symbol, where the broker gave a token or its own name for it."""
    order = update.order
    if not order.exchange:
        instrument = _anywhere(update, index)
    elif update.token:
        instrument = index.by_token(update.token, order.exchange)
    elif index.lookup(order.symbol, order.exchange) is not None:
        return order
    else:
        instrument = index.by_brsymbol(order.symbol, order.exchange)
    if instrument is None:
        return order
    return msgspec.structs.replace(order, symbol=instrument.symbol, exchange=instrument.exchange)


def _anywhere(update: OrderUpdate, index: Index) -> Instrument | None:
    """The one instrument with that token and, if several have it, that broker's name; None if in doubt."""
    found = [index.by_token(update.token, exchange) for exchange in _EXCHANGES if update.token]
    instruments = [instrument for instrument in found if instrument is not None]
    if len(instruments) > 1:
        instruments = [one for one in instruments if one.brsymbol == update.order.symbol]
    return instruments[0] if len(instruments) == 1 else None
