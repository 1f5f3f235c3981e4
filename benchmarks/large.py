"""One client subscribes to 50,000 instruments, which many connections of several accounts carry.

    python benchmarks/large.py [--instruments 50000] [--accounts 6] [--rate 5000] [--mode quote]
        [--feed-shards 1]

A simulated Zerodha (3,000 instruments on a connection, 3 connections an account), the gateway and the
client run in processes of their own, and one more pings the gateway every few milliseconds: the longest
it has to wait is the longest stall of the reactor. Then the broker drops every connection, and then the
gateway is restarted; each time it is measured how long it takes until everything ticks again.

Exit code 1 unless every instrument has ticked each time, and no connection ever carried more than it may.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import selectors
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from math import ceil
from pathlib import Path
from typing import Any

import figures
import journey
import msgspec
from server import PEPPER, Server, cores

from clients import Client, Refused, split

#: Seconds that anything may take.
PATIENCE = 120.0

#: Seconds between two pings.
PING = 0.003

#: Instruments that are named after each step if they did not tick.
NAMED = 5

FOLDER = Path(__file__).resolve().parents[1] / "build" / "bench"


class _Tick(msgspec.Struct):
    type: str = ""
    symbol: str = ""
    exchange: str = ""


_decode = msgspec.json.Decoder(_Tick).decode


# The broker


def broker(pipe: Any, instruments: int, accounts: int, core: int | None, busy: int) -> None:
    """The broker's process. It says where it is, what it trades and who may come in; then it obeys:
    ``rate`` sets the ticks a second, ``drop`` ends every connection, ``note`` begins to note when it sends
    what; each is answered with what each connection carries. ``noted`` ends that and is answered with
    the notes. It runs on one core, or with None on any; ``busy``: as of an `Exchange`."""
    if core is not None:
        os.sched_setaffinity(0, {core})
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
    listings = localise(universe(instruments, environment.today(), set(adapter.exchanges)), adapter)
    exchange = Exchange(listings, environment.now, busy=busy)
    logins = [{"api_key": f"key-{n}", "access_token": f"token-{n}-" + 20 * "x"} for n in range(accounts)]
    side = _many(adapter.simulator, logins)
    served = SimulatedBroker(side, exchange, reactor, environment, rate=0.0, interval=0.005)

    def obey() -> None:
        # Or whoever tells it is gone, and ends it.
        with suppress(EOFError):
            while True:
                word, value = pipe.recv()
                reactor.callFromThread(carry_out, word, value)

    def carry_out(word: str, value: Any) -> None:
        if word == "rate":
            served.rate = value
        elif word == "drop":
            served.reset()
        elif word == "note":
            served.observers.append(journey.Notes())
        elif word == "noted":
            pipe.send(served.observers.pop().sent)
            return
        pipe.send([one.connection.held() for one in served.connections])

    served.listen()
    pipe.send((served.url, [listing.row for listing in listings], logins))
    reactor.callInThread(obey)
    reactor.run()


def _many(side: Any, logins: Sequence[Mapping[str, str]]) -> Any:
    """A broker's side with an account for each login, every one with limits of its own."""
    from openalgo_ws.adapter.simulate import Refused as TurnedAway

    class Many(side):  # type: ignore[misc]
        def __init__(self, market: Any, credentials: Any, environment: Any) -> None:
            super().__init__(market, credentials, environment)
            self._accounts = [side(market, dict(login), environment) for login in logins]

        def accept(self, upgrade: Any) -> Any:
            answers = [account.accept(upgrade) for account in self._accounts]
            let_in = [a for a in answers if not (isinstance(a, TurnedAway) and a.status == 403)]
            return let_in[0] if let_in else answers[0]

    return Many


class Broker:
    """The broker's process, from here."""

    def __init__(self, instruments: int, accounts: int, core: int | None, busy: int = 0) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        told = (theirs, instruments, accounts, core, busy)
        self._process = spawn.Process(target=broker, args=told, daemon=True)
        self._process.start()
        self.url, self.rows, self.logins = self._told()

    def _told(self) -> Any:
        if not self._pipe.poll(PATIENCE):
            raise RuntimeError("the broker says nothing")
        return self._pipe.recv()

    def tell(self, word: str, value: Any = None) -> list[int]:
        """Let it do something; what each connection carries."""
        self._pipe.send((word, value))
        held: list[int] = self._told()
        return held

    def noted(self) -> journey.Sent:
        """When it has sent what since it was told to note it."""
        self._pipe.send(("noted", None))
        sent: journey.Sent = self._told()
        return sent

    def end(self) -> None:
        # Its thread ends when nobody can tell it anything any more.
        self._pipe.close()
        self._process.terminate()
        self._process.join(PATIENCE)
        if self._process.is_alive():
            self._process.kill()


# The gateway


class Gateway(Server):
    """The server, with a user for every account of the broker; all of them serve the first user."""

    def __init__(self, core: int | None, broker: Broker, settings: Mapping[str, str]) -> None:
        users = ["bench", *(f"account{n}" for n in range(1, len(broker.logins)))]
        self._logins = dict(zip(users, broker.logins, strict=True))
        plan = f"bench={','.join(users)}"
        super().__init__(
            core, {"WS_FEED_PLAN": plan, **settings}, (broker.url, broker.rows, broker.logins[0])
        )

    def _prepare(self) -> str:
        from openalgo_ws.accounts.crypto import Vault
        from openalgo_ws.accounts.database import Database
        from openalgo_ws.accounts.store import add_user, login
        from openalgo_ws.registry import Registry

        key = super()._prepare()
        database = Database(self._settings["DATABASE_URL"])
        vault = Vault(PEPPER)
        adapter = Registry().load("zerodha")
        for user, credentials in list(self._logins.items())[1:]:
            database.call(lambda c, user=user: add_user(c, vault, user, "zerodha"))
            columns = adapter.row_for(credentials)
            database.call(lambda c, user=user, columns=columns: login(c, vault, user, "zerodha", columns))
        database.stop()
        return key

    def restart(self) -> None:
        """Stop the process and start another, on the same database."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(PATIENCE)
        self._start()


def pings(port: int, key: str, pipe: Any, core: int) -> None:
    """Ping the gateway until told to stop; how long each answer took (ms)."""
    os.sched_setaffinity(0, {core})
    one = Client(port, key, [], "ltp", {}, False)
    one.socket.settimeout(PATIENCE)
    while not one.read():
        pass
    pipe.send(None)
    took = []
    while not pipe.poll(PING):
        sent = time.monotonic()
        one.socket.sendall(b"\x89\x80" + bytes(4))
        while not any(opcode == 10 for opcode, _ in split(one.socket.recv(4096))[0]):
            pass
        took.append((time.monotonic() - sent) * 1000)
    pipe.send(took)


class Pings:
    """Pings while the context lasts; then `took`."""

    def __init__(self, port: int, key: str, core: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pipe, theirs = spawn.Pipe()
        self._process = spawn.Process(target=pings, args=(port, key, theirs, core), daemon=True)
        self.took: list[float] = []

    def __enter__(self) -> Pings:
        self._process.start()
        if not self._pipe.poll(PATIENCE):
            raise RuntimeError("nobody pings")
        self._pipe.recv()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError, EOFError):
            self._pipe.send(None)
            if self._pipe.poll(PATIENCE):
                self.took = self._pipe.recv()
        self._process.terminate()
        self._process.join()


# The client


class Subscriber(Client):
    """A client that holds everything, and the instruments that have ticked since `forget`."""

    def __init__(self, port: int, key: str, names: Sequence[str], mode: str) -> None:
        super().__init__(port, key, names, mode, {}, False)
        self._names = set(names)
        self._seen: set[str] = set()
        self.ticks = 0
        began = time.monotonic()
        while not self.read():
            if time.monotonic() > began + PATIENCE:
                raise Refused(f"it is not done with the subscriptions after {PATIENCE:g} s")
        #: Seconds until the last subscription was answered.
        self.took = time.monotonic() - began

    def ticked(self, payload: bytes) -> None:
        tick = _decode(payload)
        self._seen.add(f"{tick.exchange}:{tick.symbol}")
        self.ticks += 1

    def forget(self) -> None:
        """Begin anew to look who ticks."""
        self._seen.clear()

    def cover(self) -> float:
        """Read until everything has ticked; how many seconds that took."""
        began = time.monotonic()
        self._watch(began + PATIENCE, lambda: len(self._seen) >= len(self._names))
        return time.monotonic() - began

    def watch(self, seconds: float) -> None:
        """Read for a while."""
        self._watch(time.monotonic() + seconds, lambda: False)

    def missing(self) -> list[str]:
        """What has not ticked since `forget`."""
        return sorted(self._names - self._seen)

    def _watch(self, end: float, enough: Callable[[], bool]) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self.socket, selectors.EVENT_READ)
            while not enough() and (left := end - time.monotonic()) > 0:
                if selector.select(left):
                    self.read()

    def close(self) -> None:
        self.socket.close()


def allowed(instruments: int, accounts: int) -> float:
    """Seconds that the broker's limits ask for: the frames of the fullest connection, and its pauses."""
    from openalgo_ws.registry import Registry

    limits = Registry().load("zerodha").feeds[0].limits
    per_connection = min(limits.per_connection, ceil(instruments / accounts))
    frames = ceil(per_connection / limits.per_change)
    return (frames - 1) * limits.change_interval


def measure(
    instruments: int, accounts: int, rate: float, mode: str, more: Mapping[str, str]
) -> tuple[dict[str, Any], bool]:
    """The figures, and whether everything was as it has to be."""
    own, other = cores()
    os.sched_setaffinity(0, {other})
    served = Broker(instruments, accounts, other)
    try:
        settings = {
            "WS_MAX_SUBSCRIPTIONS": str(instruments),
            "WS_FEED_TAKE_BACK_SECONDS": "3600",
            **more,
        }
        with Gateway(own, served, settings) as gateway:
            return _run(gateway, served, instruments, accounts, rate, mode, other)
    finally:
        served.end()


def _run(
    gateway: Gateway, served: Broker, instruments: int, accounts: int, rate: float, mode: str, core: int
) -> tuple[dict[str, Any], bool]:
    names = [f"{row.exchange}:{row.symbol}" for row in served.rows]
    Subscriber(gateway.port, gateway.key, names[:1], mode).close()
    empty, cpu = gateway.memory()[0], gateway.cpu()
    with Pings(gateway.port, gateway.key, core) as pinged:
        client = Subscriber(gateway.port, gateway.key, names, mode)
        answered, first = client.took, client.cover()
    used, full = gateway.cpu() - cpu, gateway.memory()[0]
    missing = [client.missing()]
    most = held = served.tell("rate", rate)
    client.ticks = 0
    client.watch(5.0)
    flowing = client.ticks / 5.0
    client.forget()
    began = time.monotonic()
    served.tell("drop")
    client.cover()
    dropped = time.monotonic() - began
    missing.append(client.missing())
    most = [*most, *served.tell("rate", rate)]
    began = time.monotonic()
    gateway.restart()
    ready = time.monotonic() - began
    client.close()
    client = Subscriber(gateway.port, gateway.key, names, mode)
    again = client.took + client.cover()
    missing.append(client.missing())
    most = [*most, *served.tell("rate", 0.0)]
    client.close()
    result = {
        "scenario": "large",
        "what": f"{instruments} instruments, {accounts} accounts, {len(held)} connections, {mode}",
        "subscribe_answered_seconds": answered,
        "subscribed_and_ticked_seconds": answered + first,
        "the_limits_ask_for_seconds": allowed(instruments, accounts),
        "ticked_at_first": f"{instruments - len(missing[0]):,} of {instruments:,}",
        "fullest_connection": max(most),
        "server_cpu_seconds": used,
        "cpu_microseconds_per_subscription": used / instruments * 1e6,
        "memory_before_mb": empty,
        "memory_after_mb": full,
        "bytes_per_subscription": (full - empty) * 1024 * 1024 / instruments,
        "ticks_per_second": flowing,
        "ping_p50_ms": figures.percentile(sorted(pinged.took), 0.5),
        "ping_p99_ms": figures.percentile(sorted(pinged.took), 0.99),
        "longest_stall_ms": max(pinged.took),
        "all_tick_after_a_drop_seconds": dropped,
        "restart_seconds": ready,
        "all_tick_after_a_restart_seconds": again,
        "ticked_after_drop_and_restart": ", ".join(f"{instruments - len(one):,}" for one in missing[1:]),
        "not_ticked": ", ".join(dict.fromkeys(name for one in missing for name in one[:NAMED])) or "none",
    }
    return result, not any(missing) and max(most) <= 3000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--instruments", type=int, default=50_000)
    parser.add_argument("--accounts", type=int, default=6)
    parser.add_argument("--rate", type=float, default=5_000.0, help="ticks a second of the broker")
    parser.add_argument("--mode", choices=("ltp", "quote", "depth"), default="quote")
    parser.add_argument("--feed-shards", type=int, default=1, help="processes that speak to the broker")
    asked = parser.parse_args()
    machine = figures.machine()
    result, right = measure(
        asked.instruments,
        asked.accounts,
        asked.rate,
        asked.mode,
        {"WS_FEED_SHARDS": str(asked.feed_shards)},
    )
    print(machine)
    print(figures.lines("large", result))
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / "large.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
