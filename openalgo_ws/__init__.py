"""openalgo-ws: a market-data gateway between brokers' feeds and OpenAlgo clients.

The names below are for programs that exchange data with a server or divide its work; see
``docs/names.md``. Each is imported when it is first asked for, so that ``import openalgo_ws`` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openalgo_ws.bus.records import TickRecord as MarketDataMessage
    from openalgo_ws.bus.ring import RingBuffer, RingBufferPool
    from openalgo_ws.encoding.binary import BinaryMarketData, BinaryMarketDataBatch
    from openalgo_ws.scale.partitioner import SymbolPartitioner

__all__ = [
    "BinaryMarketData",
    "BinaryMarketDataBatch",
    "MarketDataMessage",
    "RingBuffer",
    "RingBufferPool",
    "SymbolPartitioner",
    "__version__",
]

__version__ = "0.1.0"

#: Name → the module it is in, and what it is called there.
_PLACES = {
    "BinaryMarketData": ("openalgo_ws.encoding.binary", "BinaryMarketData"),
    "BinaryMarketDataBatch": ("openalgo_ws.encoding.binary", "BinaryMarketDataBatch"),
    "MarketDataMessage": ("openalgo_ws.bus.records", "TickRecord"),
    "RingBuffer": ("openalgo_ws.bus.ring", "RingBuffer"),
    "RingBufferPool": ("openalgo_ws.bus.ring", "RingBufferPool"),
    "SymbolPartitioner": ("openalgo_ws.scale.partitioner", "SymbolPartitioner"),
}


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = place
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_PLACES})
