"""S7, the whole way: simulator → adapter → bus → gateway → 100 clients of 3,000 symbols each."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import figures
import journey
from load import Receiver
from server import Server

from clients import connect_all

CLIENTS, INSTRUMENTS, RATE = 100, 3000, 10_000

#: Bytes of the sampled client's messages that are kept, and seconds that anything may take.
ROOM, PATIENCE = 200_000_000, 60.0

#: Seconds before it counts: every instrument has ticked by then.
WARM = 1.5


def simulator(pipe: Any) -> None:
    """The broker's process. It says where it is and what it trades; its market opens at the first word that
    it is sent and closes at the second; then it says when it sent what."""
    from twisted.internet import reactor

    from openalgo_ws.feeds.environment import make_steady
    from openalgo_ws.registry import Registry
    from openalgo_ws.simulator.environment import SimulatedEnvironment
    from openalgo_ws.simulator.exchange import Exchange
    from openalgo_ws.simulator.server import SimulatedBroker
    from openalgo_ws.simulator.universe import localise, universe

    make_steady(reactor)
    adapter = Registry().load("zerodha")
    assert adapter.simulator is not None
    environment = SimulatedEnvironment(reactor, start=time.time() - reactor.seconds())
    listings = localise(universe(INSTRUMENTS, environment.today(), ["NSE", "NFO"]), adapter)
    exchange = Exchange(listings, environment.now)
    broker = SimulatedBroker(adapter.simulator, exchange, reactor, environment, rate=0.0, interval=0.001)
    notes = journey.Notes()

    def close() -> None:
        broker.rate = 0.0
        reactor.callLater(0.5, finish)

    def finish() -> None:
        pipe.send(notes.sent)
        reactor.stop()

    def obey() -> None:
        # Or whoever tells it is gone, and ends it.
        with suppress(EOFError):
            pipe.recv()
            reactor.callFromThread(setattr, broker, "rate", float(RATE))
            pipe.recv()
            reactor.callFromThread(close)

    broker.observers.append(notes)
    broker.listen()
    pipe.send((broker.url, [listing.row for listing in listings], dict(broker.credentials)))
    reactor.callInThread(obey)
    reactor.run()


def measure(name: str, seconds: float, core: int, throttle: int | None) -> tuple[dict[str, Any], list[float]]:
    """The figures of one run, and the latencies in ms. ``throttle`` None: the server's default."""
    spawn = multiprocessing.get_context("spawn")
    end, pipe = spawn.Pipe()
    broker = spawn.Process(target=simulator, args=(pipe,), daemon=True)
    broker.start()
    try:
        feed = _told(end)
        with Server(core, {}, feed) as server:
            return _run(name, seconds, throttle, server, feed[1], end)
    finally:
        broker.terminate()
        broker.join()


def _told(pipe: Any) -> Any:
    if not pipe.poll(PATIENCE):
        raise RuntimeError("the simulator says nothing")
    return pipe.recv()


def _run(
    name: str, seconds: float, throttle: int | None, server: Server, rows: Sequence[Any], pipe: Any
) -> tuple[dict[str, Any], list[float]]:
    names = [f"{row.exchange}:{row.symbol}" for row in rows]
    options = {} if throttle is None else {"throttle_ms": throttle}
    began = time.monotonic()
    with Receiver(CLIENTS, ROOM) as receiver:
        plans = [names] * CLIENTS
        connect_all(server.port, server.key, plans, "quote", options, done=receiver.add)
        setup = time.monotonic() - began
        pipe.send("open")
        time.sleep(WARM)
        server.forget_peak()
        before, cpu, start = receiver.messages(), server.cpu(), time.monotonic_ns()
        time.sleep(seconds)
        received, used, finish = receiver.messages() - before, server.cpu() - cpu, time.monotonic_ns()
        now, most = server.memory()
        pipe.send("close")
        sent = _told(pipe)
        receiver.settle(None)
        receiver.halt()
        messages = list(journey.messages(receiver))
    took = (finish - start) / 1e9
    ticks = sum(start <= at < finish for times in sent.values() for at in times)
    delays = journey.matched(journey.within(sent, start, finish), messages)
    return {
        "scenario": name,
        "what": f"simulator to {CLIENTS} clients × {INSTRUMENTS} symbols, {RATE} ticks/s, throttle "
        + ("default" if throttle is None else f"{throttle} ms"),
        "ticks_per_second": ticks / took,
        "deliveries_per_second": received / took,
        "server_cpu_seconds": used,
        "server_busy": used / took,
        "cpu_seconds_per_million": used / received * 1e6 if received else None,
        **figures.latencies(delays),
        "conflated": max(0, ticks * CLIENTS - received),
        "lost": journey.lost(sent, messages),
        "setup_seconds": setup,
        "memory_after_mb": now,
        "memory_most_mb": most,
    }, delays
