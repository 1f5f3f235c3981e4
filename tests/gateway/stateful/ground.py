"""The ground of the gateway's state machine: the bus, time, and what must be true whatever has happened."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.logger import LogEvent, globalLogPublisher

from openalgo_ws.bus.records import TickRecord, pack, topic_for
from openalgo_ws.tick import Mode
from tests.gateway.stateful.model import Client, Model
from tests.gateway.stateful.rig import HIGH_WATER, KEYS, LINGER, WALL_MS, World
from tests.gateway.stateful.terms import EXCHANGES, Published, Request

__all__ = ["MOST_CLIENTS", "SYMBOLS", "TICKING", "Ground", "which"]

MOST_CLIENTS = 6
TICKING = [symbol for symbol in EXCHANGES if symbol != "NOSUCH"]
SYMBOLS = [*TICKING, "A", "U", "NOSUCH"]
#: What feeds put on the bus, most of it where it is wanted.
SOURCES = [
    *[(feed, symbol) for feed in ("toy.alice", "toy.bob") for symbol in ("A", "A", "NIFTY")],
    *[("toy.shared", "S"), ("", "U"), ("", "U"), ("", "X_1"), ("", "A"), ("toy.alice", "U")],
]
NAMES = {1: "LTP", 2: "QUOTE", 3: "DEPTH"}
#: An untagged payload that can't be used: {} is for its number.
MALFORMED = [
    "",
    "[{}]",
    "{",
    '{"ltp":"{}"}',
    '{"ltp":null,"price":{}}',
    '{"ltp":NaN,"price":{}}',
    '{"ltp":1e999}',
    '{"price":{}}',
    '{"ltp":{},"timestamp":1',
    '{"ltp":{}} {"ltp":1}',
    '{"ltp":{},"name":"\\x00"}',
]

which = st.integers(0, MOST_CLIENTS - 1)
ticks = st.lists(
    st.tuples(
        st.sampled_from(SOURCES),
        st.sampled_from([1, 2, 3]),
        st.sampled_from([1, 5, 7, 25]),
        st.sampled_from(["", "", "unstamped", "strange", "beyond ASCII"]),
    ),
    min_size=1,
    max_size=12,
)


class Ground(RuleBasedStateMachine):
    """What happens to clients without their doing."""

    def __init__(self) -> None:
        super().__init__()
        self.failures: list[LogEvent] = []
        globalLogPublisher.addObserver(self._note)
        self.world = World()
        self.clock = self.world.clock
        self.model = Model(self.world)
        self.numbers = count(1)
        self.requests = count(1)
        #: Of clients that have too much already, how many ticks and bytes were written to them.
        self.full: dict[Client, tuple[int, int]] = {}
        #: Whether the model agreed when it was asked last.
        self.judged = True

    def _note(self, event: LogEvent) -> None:
        if "log_failure" in event:
            self.failures.append(event)

    def here(self) -> list[Client]:
        return [one for one in self.model.clients if not one.wire.disconnecting and not one.closed]

    def chosen(self, which: int) -> Client | None:
        here = self.here()
        return here[which % len(here)] if here else None

    def ask(self, client: Client, action: str, **more: Any) -> None:
        number = next(self.requests)
        request = Request(
            number, action, more.get("items", ()), more.get("throttle_ms"), more.get("api_key", "")
        )
        fields = {name: value for name, value in more.items() if name != "items" and value is not None}
        if request.items:
            fields["symbols"] = [
                {"symbol": symbol, "exchange": EXCHANGES[symbol], "depth": levels}
                | ({"mode": mode} if mode else {})
                for symbol, mode, levels in request.items
            ]
        client.asked.append(request)
        client.wire.receive(client.peer.request(action=action, request_id=number, **fields))

    # The bus

    @rule(some=ticks, twice=st.booleans(), read=st.booleans())
    def publish(self, some, twice, read):
        messages: list[tuple[bytes, bytes]] = []
        for (feed, symbol), mode, levels, manner in some * (1 + twice):
            messages.append(self.message(feed, symbol, mode, levels, manner))
        self.world.bus.publish(messages)
        if read:
            self.clock.turn()

    @rule(
        source=st.sampled_from(SOURCES),
        modes=st.lists(st.sampled_from([1, 2, 3]), min_size=1, max_size=8),
        pause=st.sampled_from([0.0, 0.004, 0.03, 0.25]),
        at_once=st.integers(1, 2),
    )
    def ticks_one_by_one(self, source, modes, pause, at_once=1):
        for mode in modes:
            self.world.bus.publish([self.message(*source, mode, 25, "") for _ in range(at_once)])
            self.world.bus.read()
            self.clock.settle()
            self.all_is_as_it_should_be()
            self.clock.pass_time(pause)

    @rule(which=which, rounds=st.integers(1, 3))
    def publish_for(self, which, rounds):
        if client := self.chosen(which):
            self.publish_what_it_holds(client, rounds)

    @rule(which=which, by=which, drag=st.sampled_from([0.0, 0.002]), ends=st.booleans())
    def change_in_the_middle(self, which, by, drag, ends):
        """While clients are written to, one of them asks for something or goes."""
        client, other = self.chosen(which), self.chosen(by)
        if client is not None and other is not None:
            self.clock.drag = drag
            self.publish_what_it_holds(client, 2)
            if ends:
                self.ask(other, "unsubscribe", items=[("S", 0, 0), ("U", 1, 0)])
            else:
                self.ask(other, "subscribe", items=[("S", 1, 5)], throttle_ms=0)

    def publish_what_it_holds(self, client: Client, rounds: int) -> None:
        held = sorted((period.feed, symbol) for (symbol, _), period in client.periods.items())
        for _ in range(rounds):
            self.world.bus.publish([self.message(*source, 3, 25, "") for source in held])
            self.world.bus.read()

    @rule(sources=st.sets(st.sampled_from(SOURCES), min_size=1, max_size=5), rounds=st.integers(2, 5))
    def flood(self, sources, rounds):
        """So much that a client whose socket takes nothing falls behind."""
        for _ in range(rounds):
            for source in sorted(sources):
                self.world.bus.publish([self.message(*source, 3, 25, "")])
            self.clock.turn()

    def message(self, feed: str, symbol: str, mode: int, levels: int, manner: str) -> tuple[bytes, bytes]:
        number = next(self.numbers)
        stamp = WALL_MS + number
        fields: dict[str, Any] = {"ltp": float(number), "timestamp": stamp}
        if mode >= 2:
            fields |= {"open": number + 0.5, "volume": 10 * number}
        if mode == 3:
            row = {"price": number - 0.25, "quantity": number, "orders": 1}
            fields["depth"] = {"buy": [row] * levels, "sell": [row] * (levels - 1)}
        if feed:
            text = json.dumps(fields, separators=(",", ":"))
            ends = [text.find(name) for name in (',"open"', ',"depth"')] + [len(text) - 1]
            ltp_end, quote_end = (next(end for end in ends[at:] if end > 0) for at in (0, 1))
            record = TickRecord(
                symbol,
                EXCHANGES[symbol],
                Mode(mode),
                levels if mode == 3 else 0,
                stamp,
                ltp_end,
                quote_end if mode > 1 else 0,
                text.encode(),
            )
            message = topic_for(feed), pack([record])
        else:
            if manner == "unstamped":
                del fields["timestamp"]
            elif manner == "strange":
                fields |= {"average_price": 1.5, "depth": "none", "x": {"y": [1]}}
            elif manner == "beyond ASCII":
                fields["name"] = "₹"
            text = json.dumps(fields, ensure_ascii=False)
            message = f"{EXCHANGES[symbol]}_{symbol}_{NAMES[mode]}".encode(), text.encode()
        self.model.published[number] = Published(number, feed, symbol, mode, fields)
        return message

    @rule(symbol=st.sampled_from(TICKING), mode=st.sampled_from([1, 2, 3]), text=st.sampled_from(MALFORMED))
    def publish_nonsense(self, symbol, mode, text):
        if self.world.bus.waiting() and text.startswith("{"):
            # Before anything is looked at, the newer of two replaces the older.
            return
        payload = text.replace("{}", str(next(self.numbers))).encode().replace(b"\\x00", b"\xff")
        topic = f"{EXCHANGES[symbol]}_{symbol}_{NAMES[mode]}".encode()
        self.world.bus.publish([(topic, payload)])
        self.clock.turn()

    @rule(user=st.sampled_from([*KEYS.values(), "nobody"]))
    def publish_order(self, user):
        update = {"type": "order_update", "user_id": user, "orderid": str(next(self.numbers))}
        self.world.bus.publish([(f"TOY_{user}_orders".encode(), json.dumps(update).encode())])

    @rule(held=st.booleans())
    def gateway_is_busy(self, held):
        if held:
            self.world.bus.held = True
        else:
            self.world.bus.let_go()

    # Time

    @rule(drag=st.sampled_from([0.0, 0.0002, 0.002]))
    def processor_slows_down(self, drag):
        self.clock.drag = drag

    @rule(turns=st.integers(1, 3))
    def turns(self, turns):
        for _ in range(turns):
            self.clock.turn()

    @rule(seconds=st.sampled_from([0.001, 0.02, 0.05, 0.4, 0.6, 0.6, 1.1, 1.1, 1.1, 16.0, 31.0, 2 * LINGER]))
    def time_passes(self, seconds):
        self.clock.pass_time(seconds)
        self.clock.settle()

    @rule()
    def rest(self):
        self.clock.settle()

    # What must be true

    @invariant()
    def all_is_as_it_should_be(self):
        self.judged = False
        assert self.failures == []
        model = self.model
        model.check()
        for client, (ticks, written) in self.full.items():
            # It has too much already, and what comes is kept: the latest of each.
            assert client.ticks == ticks or len(client.wire.taken) >= written
        for client in [client for client in model.clients if client.wire.disconnected]:
            assert client.wire.written.startswith(client.wire.taken)
            model.clients.remove(client)
        assert self.world.gateway.router.delivery.kept() <= sum(self.world.feeds.held.values())
        self.full = {}
        if not self.clock.due():
            model.at_rest()
            # Over TLS the transport keeps some of it before it says so.
            self.full = {
                client: (client.ticks, len(client.wire.written))
                for client in model.clients
                if client.wire.unsent > HIGH_WATER + client.wire.bufferSize
            }
        self.judged = True

    def bus_lost_nothing(self):
        """The last of every mode was routed, and all were where nothing had to be conflated."""
        last: dict[tuple[str, str, int], int] = {}
        for tick in self.model.published.values():
            last[tick.feed, tick.symbol, tick.mode] = tick.number
        routed = {number for numbers in self.model.routed.values() for number in numbers}
        assert set(last.values()) <= routed
        if not self.world.bus.intake.conflated:
            assert routed == self.model.published.keys()
