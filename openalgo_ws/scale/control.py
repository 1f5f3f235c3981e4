"""What the supervisor and a worker say to each other, over the stream that the worker is born with.

Messages are framed as on the demand's socket (`openalgo_ws.scale.local`). When the stream ends, whichever
way the supervisor has ended, the worker ends too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping
from typing import Any

import msgspec

from openalgo_ws.ops.reports import Report

__all__ = [
    "CONTROL_FD",
    "WORKER_VARIABLE",
    "Boot",
    "Counted",
    "Drain",
    "Forget",
    "FromSupervisor",
    "FromWorker",
    "Invalidate",
    "Listen",
    "Listener",
    "Notice",
    "Ready",
    "Reported",
    "boot_variables",
    "decode_from_supervisor",
    "decode_from_worker",
    "encode",
    "read_boot",
]

#: The descriptor of the stream in the worker; the listening sockets follow it.
CONTROL_FD = 3
#: The environment variable that makes a server a worker. For the supervisor alone to set.
WORKER_VARIABLE = "OPENALGO_WS_WORKER"


class Listener(msgspec.Struct, frozen=True):
    """A listening socket that a worker was given: its slot, descriptor and endpoint string."""

    slot: int
    fd: int
    endpoint: str


class Boot(msgspec.Struct, frozen=True):
    """What a worker needs to begin. ``database`` is given where it is not the settings' own.

    A feed process begins with the same: ``shard`` is its number (from 1) of so many ``shards``, whatever the
    settings say by now; ``demand`` is where it listens.
    """

    name: str
    generation: str
    demand: str
    bus: str
    listeners: list[Listener]
    database: str | None = None
    shard: int | None = None
    shards: int = 1


class _Message(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Ready(_Message, frozen=True):
    """The worker can serve clients."""


class Reported(_Message, frozen=True):
    """What the worker has counted, once a second: the sign of life, too."""

    report: Report


class Counted(_Message, frozen=True):
    """From a worker: so many it has of something that is limited for all together (0: none any more).
    From the supervisor: so many another worker, ``name``, has."""

    kind: str
    key: str
    count: int
    name: str = ""


class Listen(_Message, frozen=True):
    """Accept connections on the sockets of these slots, and no others."""

    slots: list[int]


class Drain(_Message, frozen=True):
    """Accept no more, send the clients away, and end."""


class Forget(_Message, frozen=True):
    """A worker is gone: what was counted of it counts no more."""

    name: str


class Notice(_Message, frozen=True):
    """Send a notice (a JSON object) to those clients of these users that asked for notices."""

    users: list[str]
    notice: dict[str, Any]


class Invalidate(_Message, frozen=True):
    """To a feed process: a user's credentials may have changed."""

    user: str


FromWorker = Ready | Reported | Counted
FromSupervisor = Listen | Drain | Counted | Forget | Notice | Invalidate


def _counter(kind: Any, value: dict[str, int]) -> Counter[str]:
    """The only type in a report that msgspec does not know."""
    return Counter(value)


_encoder = msgspec.msgpack.Encoder()
decode_from_worker = msgspec.msgpack.Decoder(FromWorker, dec_hook=_counter).decode
decode_from_supervisor = msgspec.msgpack.Decoder(FromSupervisor).decode


def encode(message: FromWorker | FromSupervisor) -> bytes:
    """A message as it travels."""
    return _encoder.encode(message)


def read_boot(environ: Mapping[str, str] = os.environ) -> Boot | None:
    """What the supervisor left for this process; None if it is no worker."""
    text = environ.get(WORKER_VARIABLE)
    return None if text is None else msgspec.json.decode(text, type=Boot)


def boot_variables(boot: Boot, environ: Mapping[str, str]) -> dict[str, Any]:
    """The environment of a worker: systemd watches over the supervisor alone."""
    kept = {name: value for name, value in environ.items() if name not in _SYSTEMD}
    return {**kept, WORKER_VARIABLE: msgspec.json.encode(boot).decode()}


_SYSTEMD = frozenset(
    {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"}
)
