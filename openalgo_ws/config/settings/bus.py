"""The bus: how ticks travel from the feeds to the gateway."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from openalgo_ws.config.composite import ListOf
from openalgo_ws.config.declare import setting
from openalgo_ws.config.kinds import Choice, File, Flag, Text, Whole
from openalgo_ws.config.masked import BusText, Url
from openalgo_ws.config.secret import Secret

__all__ = ["BusSettings"]

_BUS = "The bus"


@dataclass(frozen=True, kw_only=True, repr=False)
class BusSettings:
    """What concerns the bus."""

    zmq_host: str = setting(
        "ZMQ_HOST", Text("ADDRESS", "an address"), "127.0.0.1", _BUS, "Address of the bus."
    )
    zmq_port: int = setting("ZMQ_PORT", Whole(1, 65535, "PORT"), 5555, _BUS, "TCP port of the bus.")
    zmq_mode: str = setting(
        "ZMQ_MODE",
        Choice(("bind", "connect")),
        "bind",
        _BUS,
        "Whether publishers connect to us (bind) or we connect to each of ZMQ_ENDPOINTS.",
    )
    zmq_endpoints: tuple[str, ...] = setting(
        "ZMQ_ENDPOINTS",
        ListOf(Url(("tcp", "ipc"))),
        (),
        _BUS,
        "Publishers to connect to when ZMQ_MODE is connect.",
        default_text="none",
    )

    bus: str | tuple[Secret, ...] | None = setting(
        "WS_BUS",
        BusText(("zmq", "shm")),
        None,
        _BUS,
        "How ticks of our own feeds travel to the gateway, and all ticks to worker processes: by ZeroMQ, "
        "through shared memory, or between machines through NATS servers (docs/scaling.md). Publishers "
        "outside always come by ZeroMQ.",
        default_text="zmq; shm with DISRUPTOR_HIGH_PERFORMANCE",
    )
    role: str = setting(
        "WS_ROLE",
        Choice(("all", "feeds", "gateway")),
        "all",
        _BUS,
        "What this process does: everything, or with NATS either the brokers or the clients. Of several "
        "processes with the feeds one serves at a time, another takes over when it dies.",
    )
    nats_credentials: Path | None = setting(
        "WS_NATS_CREDENTIALS",
        File(),
        None,
        _BUS,
        "File of credentials for the NATS servers (a .creds file).",
        default_text="none",
    )
    disruptor_high_performance: bool = setting(
        "DISRUPTOR_HIGH_PERFORMANCE", Flag(), False, _BUS, "Another name of WS_BUS=shm; WS_BUS wins."
    )
    disruptor_buffer_size: int = setting(
        "DISRUPTOR_BUFFER_SIZE",
        Whole(1024, 16_777_216),
        65536,
        _BUS,
        "Slots (256 bytes each) of the shared-memory bus, and again of the way to each worker process; a "
        "power of two.",
    )
    disruptor_wait_strategy: str = setting(
        "DISRUPTOR_WAIT_STRATEGY",
        Choice(("yielding", "busy_spin", "blocking")),
        "yielding",
        _BUS,
        "How readers of the shared-memory bus wait: asleep until they are woken (blocking); the same after "
        "looking for a millisecond (yielding); looking all the time, which takes a core (busy_spin). Worker "
        "processes always sleep.",
    )

    def chosen_bus(self) -> str:
        """``zmq``, ``shm`` or ``nats``."""
        if isinstance(self.bus, tuple):
            return "nats"
        return self.bus or ("shm" if self.disruptor_high_performance else "zmq")

    def nats_servers(self) -> list[str]:
        """The URLs of the NATS servers, secrets included; none without NATS."""
        return [url.reveal() for url in self.bus] if isinstance(self.bus, tuple) else []
