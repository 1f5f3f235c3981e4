"""The platform's topics on the bus (PROTOCOL section 2), told apart without guessing."""

from __future__ import annotations

from typing import NamedTuple

from openalgo_ws.tick import INDEX_EXCHANGES, Mode

__all__ = ["MarketTopic", "is_invalidation", "is_order_update", "market_topics", "parse_market_topic"]

_MODES = {"LTP": Mode.LTP, "QUOTE": Mode.QUOTE, "DEPTH": Mode.DEPTH}
_INVALIDATE = (b"CACHE_INVALIDATE_AUTH_", b"CACHE_INVALIDATE_FEED_", b"CACHE_INVALIDATE_ALL_")


class MarketTopic(NamedTuple):
    """What ``EXCHANGE_SYMBOL_MODE`` names."""

    exchange: str
    symbol: str
    mode: Mode


def parse_market_topic(topic: bytes) -> MarketTopic | None:
    """Read a market-data topic; None if it is not one.

    The mode is the last ``_`` segment, the exchange the first, or the first two for the index
    exchanges; the symbol is all between and may itself contain ``_``.
    """
    try:
        text = topic.decode()
    except UnicodeDecodeError:
        return None
    rest, _, last = text.rpartition("_")
    mode = _MODES.get(last)
    if mode is None:
        return None
    parts = rest.split("_", 2)
    if len(parts) == 3 and f"{parts[0]}_{parts[1]}" in INDEX_EXCHANGES:
        exchange, symbol = f"{parts[0]}_{parts[1]}", parts[2]
    else:
        exchange, _, symbol = rest.partition("_")
    if not exchange or not symbol:
        return None
    return MarketTopic(exchange, symbol, mode)


def market_topics(exchange: str, symbol: str) -> list[tuple[bytes, Mode]]:
    """The topics under which an instrument's ticks come, poorest mode first."""
    stem = f"{exchange}_{symbol}_"
    return [((stem + name).encode(), mode) for name, mode in _MODES.items()]


def is_invalidation(topic: bytes) -> bool:
    """Whether this says that a user's credentials changed. The user is named by the payload."""
    return topic.startswith(_INVALIDATE)


def is_order_update(topic: bytes) -> bool:
    """Whether this is an order update of a user. The user is named by the payload."""
    return topic.endswith(b"_orders")
