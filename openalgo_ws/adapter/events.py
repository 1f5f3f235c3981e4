"""What a codec reports: events, verdicts and normalised order updates."""

from __future__ import annotations

from enum import Enum
from typing import Any

import msgspec

from openalgo_ws.adapter.wire import Send
from openalgo_ws.tick import Instrument, Tick

__all__ = [
    "Alive",
    "Cause",
    "Disconnect",
    "Event",
    "LoggedIn",
    "LoginFailed",
    "Malformed",
    "Order",
    "OrderUpdate",
    "Pace",
    "Rejected",
    "Reply",
    "Verdict",
]


class Cause(Enum):
    """Why a connection ended or could not be made; it decides what happens next."""

    #: The token is bad or expired: read the credentials afresh, dial again only if they changed.
    TOKEN = "token"
    #: The account has no right to this data: do not dial until the credentials change.
    PLAN = "plan"
    #: Too many connections or requests: a long backoff, and no further sockets meanwhile.
    TOO_MANY = "too_many"
    #: Another login or connection pushed ours out: backoff, never a fight.
    EVICTED = "evicted"
    #: The network or the server: the ordinary backoff.
    TRANSIENT = "transient"
    #: A mistake of ours or of the configuration: stop and say so.
    FATAL = "fatal"


class Verdict(msgspec.Struct, frozen=True):
    """What to make of an ended connection. ``wait`` is a least pause in seconds, if the broker names one.

    ``message`` is for people and never holds a secret.
    """

    cause: Cause
    message: str = ""
    wait: float | None = None


class LoggedIn(msgspec.Struct, frozen=True):
    """The broker accepted the login; subscriptions may be sent."""


class LoginFailed(msgspec.Struct, frozen=True):
    """The broker refused the login."""

    verdict: Verdict


class Reply(msgspec.Struct, frozen=True):
    """Send this back: an acknowledgement or a pong that the protocol demands."""

    send: Send


class Rejected(msgspec.Struct, frozen=True):
    """The broker refused something that was asked. The connection lives on.

    ``instruments`` are those concerned, empty if the broker does not say.
    """

    message: str
    instruments: tuple[Instrument, ...] = ()


class Alive(msgspec.Struct, frozen=True):
    """The peer gave a sign of life that carries no data (a heartbeat or its answer)."""


class Pace(msgspec.Struct, frozen=True):
    """The server has told its heartbeat interval and how long it may take to answer (seconds)."""

    heartbeat_interval: float
    dead_after: float


class Disconnect(msgspec.Struct, frozen=True):
    """The broker said, inside the protocol, that this connection is over."""

    verdict: Verdict


class Malformed(msgspec.Struct, frozen=True):
    """Input that does not follow the protocol. Counted and logged; ``reason`` holds none of its bytes."""

    reason: str


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """An order update in OpenAlgo's words.

    ``order_status`` is ``open``, ``complete``, ``cancelled``, ``rejected`` or
    ``trigger pending``; ``pricetype`` MARKET, LIMIT, SL or SL-M.
    """

    orderid: str
    symbol: str
    exchange: str
    action: str
    quantity: int | float
    price: float
    trigger_price: float
    pricetype: str
    product: str
    order_status: str
    filled_quantity: int | float
    pending_quantity: int | float
    average_price: float
    rejection_reason: str = ""


class OrderUpdate(msgspec.Struct, frozen=True):
    """One order changed.

    The codec names the instrument as well as it can; where it only knows a key, it gives
    ``token`` and ``brexchange`` (or ``exchange`` in the order) and the session puts in the
    symbol from the instrument master if it is there.
    """

    order: Order
    token: str = ""
    extra: Any = None


#: Everything `FeedCodec.received` and `FeedCodec.answered` may return.
Event = Tick | LoggedIn | LoginFailed | Reply | Rejected | OrderUpdate | Alive | Pace | Disconnect | Malformed
