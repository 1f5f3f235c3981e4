"""A client of the gateway: a core without I/O, and a Twisted service around it. For asyncio there is
`openalgo_ws.client.aio`, around the same core.

    client = Client(reactor, "ws://127.0.0.1:8765", api_key, handler)
    client.core.subscribe(["NSE:RELIANCE"], Mode.DEPTH)
    client.startService()

``handler`` is called with every event. A lost connection is made again, and what was subscribed is
subscribed again. ``binary=True`` takes market data in the binary format: fewer bytes, the same events.
"""

from openalgo_ws.client.core import (
    Authenticated,
    AuthenticationFailed,
    Batch,
    ClientCore,
    Event,
    Malformed,
    MarketData,
    Named,
    Notice,
    ServerError,
    Subscribed,
    SubscriptionFailed,
    parse_symbol,
)
from openalgo_ws.client.service import Client, Connected, Disconnected

__all__ = [
    "Authenticated",
    "AuthenticationFailed",
    "Batch",
    "Client",
    "ClientCore",
    "Connected",
    "Disconnected",
    "Event",
    "Malformed",
    "MarketData",
    "Named",
    "Notice",
    "ServerError",
    "Subscribed",
    "SubscriptionFailed",
    "parse_symbol",
]
