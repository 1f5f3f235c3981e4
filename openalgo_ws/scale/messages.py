"""The demand protocol: what gateways and the feed process say to each other. Sans-I/O.

Every message is one MessagePack array that begins with its name. A channel is any ordered, reliable
two-way way for messages of up to a megabyte (`MESSAGE_BYTES`). On a new channel

- the gateway says `Hello`: its name, and a generation that it has chosen at its start;
- the feed process answers `Welcome` with its own generation and the brokers it knows;
- the gateway tells all it holds (`Restore`, `WatchOrders`, `Know`) and ends that with `Restored`.

From then on the gateway asks (`Subscribe`, `AskStatus`) under ids, which `Answers` and `StatusAnswer`
repeat, and tells (`Release`, `WatchOrders`); the feed process reports (`StatusChanged`, `Refused`).
Each `Granted` in `Answers` counts one, each hold in a `Release` takes one away. `Beat` is sent by the
gateway and returned by the feed process; whoever has heard nothing for a while gives the channel up.

When a channel ends, what was asked on it and not answered counts as not asked. The feed process keeps
what a gateway holds for a short while, so that one that comes back in the same generation finds
everything as it was; what differs is then granted or given back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from openalgo_ws.bus.demand import Denied, Granted, Hold, Status, Want

__all__ = [
    "MESSAGE_BYTES",
    "PORTION",
    "VERSION",
    "Answers",
    "AskStatus",
    "Beat",
    "FromFeed",
    "FromGateway",
    "Hello",
    "Know",
    "Refused",
    "Release",
    "Restore",
    "Restored",
    "StatusAnswer",
    "StatusChanged",
    "Subscribe",
    "WatchOrders",
    "Welcome",
    "decode_from_feed",
    "decode_from_gateway",
    "encode",
    "portions",
]

VERSION = 1
#: The longest message (bytes).
MESSAGE_BYTES = 1024 * 1024
#: Instruments or users that one message names at most: longer lists take several messages.
PORTION = 1000

_T = TypeVar("_T")


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Hello(_Message, frozen=True):
    """A gateway is there."""

    version: int
    gateway: str
    generation: str


class Restore(_Message, frozen=True):
    """Holds that the gateway has, each with how many grants it stands for; ``user`` asked for them."""

    user: str
    holds: list[tuple[Hold, int]]


class Know(_Message, frozen=True):
    """The gateway wants to hear of the state of these users' feeds."""

    users: list[str]


class Restored(_Message, frozen=True):
    """That was all the gateway has."""


class Subscribe(_Message, frozen=True):
    """`openalgo_ws.bus.demand.Demand.subscribe`; `Answers` of the same id follows."""

    id: int
    user: str
    wants: list[Want]


class Release(_Message, frozen=True):
    """Granted wants are given back."""

    holds: list[Hold]


class AskStatus(_Message, frozen=True):
    """`StatusAnswer` of the same id follows."""

    id: int
    user: str


class WatchOrders(_Message, frozen=True):
    """A user's order updates are wanted by the gateway, or not any more."""

    user: str
    wanted: bool


class Beat(_Message, frozen=True):
    """A sign of life, and its answer."""


class Welcome(_Message, frozen=True):
    """The answer to `Hello`."""

    version: int
    generation: str
    brokers: list[str]


class Answers(_Message, frozen=True):
    """One answer for each want, in order."""

    id: int
    answers: list[Granted | Denied]


class StatusAnswer(_Message, frozen=True):
    """The state of the feed that was asked for."""

    id: int
    status: Status


class StatusChanged(_Message, frozen=True):
    """The feed of these users changed its state."""

    users: list[str]
    status: Status


class Refused(_Message, frozen=True):
    """A subscription that had been granted was turned down."""

    feed: str
    symbol: str
    exchange: str
    denied: Denied


FromGateway = Hello | Restore | Know | Restored | Subscribe | Release | AskStatus | WatchOrders | Beat
FromFeed = Welcome | Answers | StatusAnswer | StatusChanged | Refused | Beat

_encoder = msgspec.msgpack.Encoder()
#: Both raise msgspec.MsgspecError for what is not such a message.
decode_from_gateway = msgspec.msgpack.Decoder(FromGateway).decode
decode_from_feed = msgspec.msgpack.Decoder(FromFeed).decode


def encode(message: FromGateway | FromFeed) -> bytes:
    """A message as it travels."""
    return _encoder.encode(message)


def portions(things: Sequence[_T]) -> Iterator[list[_T]]:
    """A list in parts that fit a message; nothing for an empty one."""
    for start in range(0, len(things), PORTION):
        yield list(things[start : start + PORTION])
