"""A flood on the bus: how long do others wait for their answers, and do newcomers hold up the ticks?"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import figures
from load import Receiver, await_first, names_of, publisher
from market import symbols, tick_order
from server import Server

from clients import Client, connect_all, frame, split

#: Clients and symbols of the flood, and ticks under way at most.
CLIENTS, UNIVERSE, AHEAD = 100, 100, 800

#: Symbols of the client that wants many, and clients that come at once.
MANY, CROWD = 3000, 200

#: Seconds between two questions.
PAUSE = 0.005


def measure(server: Server, seconds: float) -> tuple[dict[str, Any], list[float]]:
    """The figures, and the times of pings under the flood in ms."""
    listed = symbols(MANY)
    order = tick_order(UNIVERSE)
    flood_names = names_of(listed[:UNIVERSE])
    options = {"throttle_ms": 0}
    with (
        Receiver(CLIENTS) as receiver,
        publisher(server.bus, listed[:UNIVERSE], "quote", order) as source,
        _asking(server) as ping,
    ):
        connect_all(server.port, server.key, [flood_names] * CLIENTS, "quote", options, done=receiver.add)
        await_first(source, receiver, order, set(range(UNIVERSE)))
        calm = _repeat(ping, seconds / 2)

        steps: list[list[float]] = []

        def come() -> None:
            (one,) = connect_all(server.port, server.key, [names_of(listed[-1:])], "quote", options)
            steps.append([(later - earlier) * 1e3 for earlier, later in pairwise(one.times)])
            one.socket.close()

        # Ends by itself when it is not told to.
        most = 10 * seconds + 30
        flood = threading.Thread(target=source.run, args=(receiver.handle, 0.0, AHEAD, most), daemon=True)
        before, cpu, start = receiver.messages(), server.cpu(), time.monotonic()
        flood.start()
        try:
            pings = _repeat(ping, seconds)
            newcomers = _repeat(come, seconds)
            one = _while(
                lambda: connect_all(server.port, server.key, [names_of(listed)], "quote", options), seconds
            )
            crowd = _while(
                lambda: connect_all(
                    server.port, server.key, [flood_names] * CROWD, "ltp", options, abreast=CROWD
                ),
                seconds,
            )
        finally:
            took = time.monotonic() - start
            used, received = server.cpu() - cpu, receiver.messages() - before
            source.library.publisher_stop(source.handle)
            flood.join()
            receiver.halt()
        receipts = [at for _, _, at in receiver.samples()]
        connects, authentications, subscribes = map(list, zip(*steps, strict=True))
    return {
        "scenario": "fairness",
        "what": f"{CLIENTS} clients flat out; others ask meanwhile",
        "deliveries_per_second": received / took,
        "server_busy": used / took,
        **_named("ping_without_flood", calm),
        **_named("ping", pings),
        **_named("connect", connects),
        **_named("authenticate", authentications),
        **_named("subscribe", subscribes),
        **_named("all_three", newcomers),
        f"client_of_{MANY}_symbols_took_ms": one[2],
        f"ticks_paused_by_{MANY}_symbols_ms": pause(receipts, *one[:2]),
        f"{CROWD}_clients_at_once_took_ms": crowd[2],
        f"ticks_paused_by_{CROWD}_clients_ms": pause(receipts, *crowd[:2]),
    }, pings


def pause(receipts: list[int], begin: int, end: int) -> float:
    """The longest time in ms between two receipts of which one is between ``begin`` and ``end``, in ns."""
    gaps = [later - earlier for earlier, later in pairwise(receipts) if later >= begin and earlier <= end]
    return max(gaps, default=0) / 1e6


def _named(name: str, values: list[float]) -> dict[str, Any]:
    found = figures.latencies(values)
    return {f"{name}_{share}": found[share] for share in ("p50_ms", "p99_ms", "worst_ms")}


def _repeat(question: Callable[[], object], seconds: float) -> list[float]:
    """How long each of many questions took, in ms."""
    took = []
    end = time.monotonic() + seconds
    while (start := time.monotonic()) < end:
        question()
        took.append((time.monotonic() - start) * 1e3)
        time.sleep(PAUSE)
    return took


def _while(come: Callable[[], list[Client]], seconds: float) -> tuple[int, int, float]:
    """When clients began to come and the ticks had had time to pause for it, and how long they took in ms."""
    begin = time.monotonic_ns()
    clients = come()
    took = (time.monotonic_ns() - begin) / 1e6
    for one in clients:
        one.socket.close()
    time.sleep(min(seconds, 0.3))
    return begin, time.monotonic_ns(), took


@contextmanager
def _asking(server: Server) -> Iterator[Callable[[], None]]:
    """A client that holds nothing, and asks for a pong."""
    (one,) = connect_all(server.port, server.key, [()], "quote", {})
    one.socket.setblocking(True)
    question = frame({"action": "ping"})

    def ping() -> None:
        one.socket.sendall(question)
        while True:
            data = one.socket.recv(1 << 16)
            if not data:
                raise RuntimeError("the server has closed the connection")
            frames, one.rest = split(one.rest + data)
            if any(json.loads(payload).get("type") == "pong" for code, payload in frames if code == 1):
                return

    try:
        yield ping
    finally:
        one.socket.close()
