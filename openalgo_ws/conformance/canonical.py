"""Events, orders and master rows in the words of the vectors: dictionaries without absent fields."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from openalgo_ws.adapter import MasterRow, Order, OrderUpdate
from openalgo_ws.tick import Depth, Instrument, Tick

__all__ = ["broken_types", "order_dict", "resolve", "row_dict", "tick_dict"]

_PRICES = (
    "ltp",
    "open",
    "high",
    "low",
    "close",
    "avg_trade_price",
    "upper_circuit",
    "lower_circuit",
)
_QUANTITIES = ("volume", "last_trade_quantity", "total_buy_quantity", "total_sell_quantity", "oi")
_TIMES = ("ltt", "exchange_timestamp")


def tick_dict(tick: Tick) -> dict[str, Any]:
    """A tick in the canonical form: fields that it doesn't carry are absent."""
    result: dict[str, Any] = {
        "exchange": tick.instrument.exchange,
        "token": tick.instrument.token,
        "kind": tick.kind.name.lower(),
    }
    for name in (*_PRICES, *_QUANTITIES, *_TIMES):
        value = getattr(tick, name)
        if value is not None:
            result[name] = value
    if tick.depth is not None:
        result["depth"] = {"buy": _levels(tick.depth, "buy"), "sell": _levels(tick.depth, "sell")}
    return result


def broken_types(tick: Tick, where: str) -> Iterator[str]:
    """Where a tick breaks its own contract: prices are floats, quantities and times ints.

    Quantities may be floats where fractions are traded, on a crypto exchange.
    """
    fractions = tick.instrument.exchange == "CRYPTO"
    fields = [(name, getattr(tick, name)) for name in (*_PRICES, *_QUANTITIES, *_TIMES)]
    if tick.depth is not None:
        for side in ("buy", "sell"):
            for index, level in enumerate(getattr(tick.depth, side)):
                fields.append((f"depth.{side}[{index}].price", level.price))
                fields.append((f"depth.{side}[{index}].quantity", level.quantity))
                fields.append((f"depth.{side}[{index}].orders", level.orders))
    for name, value in fields:
        if value is None:
            continue
        last = name.rpartition(".")[2]
        if last == "price" or last in _PRICES:
            fits = type(value) is float
        else:
            fits = type(value) is int or (fractions and type(value) is float and last not in _TIMES)
        if not fits:
            yield f"{where}.{name}: a {type(value).__name__}"


def order_dict(order: Order) -> dict[str, Any]:
    """An order update with all its fields."""
    return msgspec.structs.asdict(order)


def row_dict(row: MasterRow) -> dict[str, Any]:
    """A master row; ``contract_value`` only where there is one."""
    fields = msgspec.structs.asdict(row)
    if fields["contract_value"] is None:
        del fields["contract_value"]
    return fields


def resolve(update: OrderUpdate, instruments: Sequence[Instrument]) -> Order:
    """Put in the symbol, as the session does from the instrument master."""
    order = update.order
    named = [
        instrument
        for instrument in instruments
        if (instrument.token == update.token if update.token else instrument.brsymbol == order.symbol)
    ]
    for instrument in named:
        if order.exchange in (instrument.exchange, instrument.brexchange):
            return msgspec.structs.replace(order, symbol=instrument.symbol, exchange=instrument.exchange)
    if len(named) == 1 and not order.exchange:
        return msgspec.structs.replace(order, symbol=named[0].symbol, exchange=named[0].exchange)
    return order


def _levels(depth: Depth, side: str) -> list[dict[str, Any]]:
    return [
        {"price": level.price, "quantity": level.quantity}
        | ({} if level.orders is None else {"orders": level.orders})
        for level in getattr(depth, side)
    ]
