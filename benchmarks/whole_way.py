"""S7, the whole way: simulator → adapter → bus → gateway → 100 clients of 3,000 symbols each."""

from __future__ import annotations

import ctypes
import multiprocessing
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

import figures
import msgspec
from load import Receiver
from loadgen import library
from server import Server

from clients import connect_all

CLIENTS, INSTRUMENTS, RATE = 100, 3000, 10_000

#: Bytes of the sampled client's messages that are kept, and seconds that anything may take.
ROOM, PATIENCE = 200_000_000, 60.0

#: Seconds before it counts: every instrument has ticked by then.
WARM = 1.5


class _Data(msgspec.Struct):
    volume: int = -1


class _Message(msgspec.Struct):
    type: str = ""
    symbol: str = ""
    snapshot: bool = False
    data: _Data = msgspec.field(default_factory=_Data)


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
    sent: dict[tuple[str, int], list[int]] = {}

    def note(ticks: Any) -> None:
        now = time.monotonic_ns()
        for tick in ticks:
            sent.setdefault((tick.instrument.symbol, tick.volume), []).append(now)

    def close() -> None:
        broker.rate = 0.0
        reactor.callLater(0.5, finish)

    def finish() -> None:
        pipe.send(sent)
        reactor.stop()

    def obey() -> None:
        # Or whoever tells it is gone, and ends it.
        with suppress(EOFError):
            pipe.recv()
            reactor.callFromThread(setattr, broker, "rate", float(RATE))
            pipe.recv()
            reactor.callFromThread(close)

    broker.observers.append(note)
    broker.listen()
    pipe.send((broker.url, [listing.row for listing in listings], dict(broker.credentials)))
    reactor.callInThread(obey)
    reactor.run()


def matched(
    sent: Mapping[tuple[str, int], Sequence[int]], received: Iterable[tuple[str, int, int]]
) -> list[float]:
    """Latencies in ms of the messages that can be told apart: those whose symbol and volume were sent
    once."""
    return [
        (at - sent[symbol, volume][0]) / 1e6
        for symbol, volume, at in received
        if len(sent.get((symbol, volume), ())) == 1
    ]


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
        messages = list(_messages(receiver))
    took = (finish - start) / 1e9
    counted = {key: times for key, times in sent.items() if all(start <= at < finish for at in times)}
    ticks = sum(start <= at < finish for times in sent.values() for at in times)
    delays = matched(counted, messages)
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
        "lost": _lost(sent, messages),
        "setup_seconds": setup,
        "memory_after_mb": now,
        "memory_most_mb": most,
    }, delays


def _messages(receiver: Receiver) -> Iterator[tuple[str, int, int]]:
    """Symbol, volume and time of receipt of what the sampled client got."""
    tools = library()
    size = tools.receiver_recorded(receiver.handle)
    kept = ctypes.string_at(tools.receiver_record(receiver.handle), size)
    decode = msgspec.json.Decoder(_Message).decode
    at = 0
    while at < size:
        received = int.from_bytes(kept[at : at + 8], "little")
        length = int.from_bytes(kept[at + 8 : at + 12], "little")
        at += 12 + length
        message = decode(kept[at - length : at])
        if message.type == "market_data" and not message.snapshot:
            yield message.symbol, message.data.volume, received


def _lost(sent: Mapping[tuple[str, int], Sequence[int]], messages: list[tuple[str, int, int]]) -> int:
    """Symbols whose last volume the sampled client never saw: conflation keeps those."""
    final: dict[str, int] = {}
    for symbol, volume in sent:
        final[symbol] = max(volume, final.get(symbol, -1))
    seen = {symbol: volume for symbol, volume, _ in messages}
    return sum(seen.get(symbol, -1) < volume for symbol, volume in final.items())
