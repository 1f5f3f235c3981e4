"""One run of a fan-out scenario against a running server: set up, publish, drain, count."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import figures
from loadgen import library
from market import Publisher, expected, symbols, tick_order
from scenarios import Scenario
from server import Server

from clients import Client, connect_all

#: Seconds for the first tick to arrive, for what is under way at the end, and of silence that end the wait.
FIRST, DRAIN, QUIET = 15.0, 10.0, 0.5

#: Samples of one run, at most.
SAMPLES = 4_000_000


class Receiver:
    """The C receiving side for ``count`` clients, in threads of its own until the context ends. It closes
    the clients. ``record``: bytes of the sampled client's messages that are kept."""

    def __init__(self, count: int, record: int = 0) -> None:
        self.library = library()
        self.sampled = count // 2
        self.handle = self.library.receiver_new(count, SAMPLES, record)
        self.library.receiver_choose(self.handle, self.sampled)
        self._clients: list[Client] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Receiver:
        self._start(self.library.receiver_run)
        return self

    def _start(self, run: Any) -> None:
        thread = threading.Thread(target=run, args=(self.handle,), daemon=True)
        thread.start()
        self._threads.append(thread)

    def add(self, index: int, one: Client, reads: bool = True) -> None:
        """Read for a client from now on, or never."""
        self._clients.append(one)
        one.socket.setblocking(True)
        self.library.receiver_add(self.handle, index, one.socket.fileno(), reads, one.rest, len(one.rest))
        if index == self.sampled:
            self._start(self.library.receiver_sample)

    def halt(self) -> None:
        self.library.receiver_stop(self.handle)
        for thread in self._threads:
            thread.join()

    def __exit__(self, *_: object) -> None:
        self.halt()
        for one in self._clients:
            one.socket.close()
        self.library.receiver_free(self.handle)

    def messages(self) -> int:
        return int(self.library.receiver_messages(self.handle))

    def settle(self, most: int | None, seconds: float = DRAIN) -> None:
        """Wait until ``most`` messages in all have come, or for silence, or for ``seconds``."""
        end = time.monotonic() + seconds
        seen, since = self.messages(), time.monotonic()
        while (now := time.monotonic()) < end and now - since < QUIET:
            if most is not None and seen >= most:
                return
            time.sleep(0.01)
            count = self.messages()
            if count != seen:
                seen, since = count, now

    def samples(self) -> Iterator[tuple[int, int, int]]:
        """Number, time of sending, time of receipt of the sampled client's messages."""
        found = self.library.receiver_samples(self.handle)
        for index in range(self.library.receiver_taken(self.handle)):
            yield found[index].number, found[index].sent, found[index].received


@contextmanager
def publisher(*arguments: Any) -> Iterator[Publisher]:
    one = Publisher(*arguments)
    try:
        yield one
    finally:
        one.close()


def names_of(listed: Iterable[tuple[str, str]]) -> list[str]:
    """Symbols as a client asks for them."""
    return [f"{exchange}:{symbol}" for symbol, exchange in listed]


def plans(scenario: Scenario) -> list[list[int]]:
    """The symbols of each client."""
    draw = random.Random(7)
    whole = range(scenario.universe)
    if scenario.each == scenario.universe:
        return [list(whole)] * scenario.clients
    return [sorted(draw.sample(whole, scenario.each)) for _ in range(scenario.clients)]


def window(scenario: Scenario, subscribers: float) -> int:
    """Ticks under way at most, flat out: enough that the server never waits, and no more than the sockets
    hold. The sampled client sees its share only."""
    ahead = int(min(800, max(50, 80_000 / max(1.0, subscribers))))
    return max(ahead, 20 * scenario.universe // scenario.each)


def run(name: str, scenario: Scenario, server: Server, seconds: float) -> tuple[dict[str, Any], list[float]]:
    """The figures of one run, and the latencies in ms of the sampled client."""
    listed = symbols(scenario.universe)
    chosen = plans(scenario)
    live = scenario.clients - scenario.stalled
    subscribers = [0] * scenario.universe
    for client in chosen[:live]:
        for symbol in client:
            subscribers[symbol] += 1
    order = tick_order(scenario.universe)
    mine = set(chosen[scenario.clients // 2])
    if scenario.unwanted:
        other = [symbol for symbol in range(scenario.universe) if not subscribers[symbol]]
        order = [other[symbol % len(other)] for symbol in order]
        # One in a whole round is wanted: it marks that all before it have been dropped.
        order[0] = chosen[0][0]
    began = time.monotonic()
    names = [names_of([listed[symbol] for symbol in client]) for client in chosen]
    with (
        Receiver(scenario.clients) as receiver,
        publisher(server.bus, listed, scenario.mode, order) as source,
    ):
        connect_all(
            server.port,
            server.key,
            names,
            scenario.mode,
            {"throttle_ms": 0},
            scenario.stalled,
            done=lambda index, one: receiver.add(index, one, index < live),
        )
        setup = time.monotonic() - began
        await_first(source, receiver, order, mine)
        ahead = window(scenario, sum(subscribers) / scenario.universe)
        # A moment of it beforehand, so that caches are warm and buffers have their sizes.
        source.run(receiver.handle, scenario.rate, ahead, 0.3)
        receiver.settle(None)
        receiver.library.receiver_forget(receiver.handle)
        before, cpu, own = receiver.messages(), server.cpu(), time.process_time()
        server.forget_peak()
        calm, _ = server.memory()
        first, sent = source.run(receiver.handle, scenario.rate, ahead, max(seconds, scenario.seconds))
        due = expected(order, subscribers, first, sent)
        if scenario.unwanted:
            source.one(0)
            due += 1
        receiver.settle(before + due)
        cpu, own = server.cpu() - cpu, time.process_time() - own
        received = receiver.messages() - before
        now, most = server.memory()
        start = source.library.publisher_first(source.handle)
        end = max(
            source.library.publisher_last(source.handle), receiver.library.receiver_last(receiver.handle)
        )
        took = (end - start) / 1e9
        late = source.library.publisher_late(source.handle) / 1e6
        receiver.halt()
        taken = [one for one in receiver.samples() if one[0] >= first]
        delays = [(at - was) / 1e6 for _, was, at in taken]
        found: dict[str, Any] = {
            "scenario": name,
            "what": scenario.text,
            "ticks": sent,
            "ticks_per_second": sent / took,
            "deliveries_per_second": received / took,
            "server_cpu_seconds": cpu,
            "server_busy": cpu / took,
            "load_busy": own / took,
            "cpu_seconds_per_million": cpu / received * 1e6 if received else None,
            **figures.latencies(delays),
            "conflated": due - received,
            "lost": _lost(taken, order, mine, first, sent),
            "out_of_order": _disorder(taken, order),
            "publisher_late_ms": late,
            "setup_seconds": setup,
            "memory_before_mb": calm,
            "memory_after_mb": now,
            "memory_most_mb": most,
        }
        if scenario.unwanted:
            found["cpu_seconds_per_million"] = None
            found["microseconds_per_tick"] = cpu / sent * 1e6
        if scenario.stalled:
            found["stalled_closed_with"] = _stalled(receiver, live, scenario.clients)
    return found, delays


def await_first(source: Publisher, receiver: Receiver, order: list[int], mine: set[int]) -> None:
    """Publish a tick now and again until the sampled client has it: then the bus is connected."""
    number = next(index for index, symbol in enumerate(order) if symbol in mine)
    end = time.monotonic() + FIRST
    while not receiver.library.receiver_taken(receiver.handle):
        if time.monotonic() > end:
            raise RuntimeError("no tick arrives")
        source.one(number)
        time.sleep(0.05)


def _lost(taken: list[tuple[int, int, int]], order: list[int], mine: set[int], first: int, sent: int) -> int:
    """Symbols of the sampled client whose last value it never got: conflation keeps those."""
    last: dict[int, int] = {}
    for number in range(first, first + sent):
        last[order[number % len(order)]] = number
    has = {number for number, _, _ in taken}
    return sum(number not in has for symbol, number in last.items() if symbol in mine)


def _disorder(taken: list[tuple[int, int, int]], order: list[int]) -> int:
    """Ticks of the sampled client that came after a newer one of their symbol."""
    newest: dict[int, int] = {}
    count = 0
    for number, _, _ in taken:
        symbol = order[number % len(order)]
        count += number < newest.get(symbol, 0)
        newest[symbol] = max(number, newest.get(symbol, 0))
    return count


def _stalled(receiver: Receiver, first: int, end: int) -> str:
    """What stalled clients find when they read at last."""
    codes = []
    for index in range(first, end):
        receiver.library.receiver_drain(receiver.handle, index, 1_000_000_000)
        code = receiver.library.client_close_code(receiver.handle, index)
        ended = receiver.library.client_ended(receiver.handle, index)
        codes.append(str(code) if code else "aborted" if ended else "open")
    return ", ".join(codes)
