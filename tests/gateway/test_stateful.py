"""Whatever clients, sockets, feeds and publishers do: everybody is told what the contract says.

The same courses of events each time. OPENALGO_WS_HUNT=5000 looks at so many others instead, for some minutes.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)
from twisted.logger import globalLogPublisher

from openalgo_ws.gateway import delivery, outbox
from tests.gateway.stateful.ground import MOST_CLIENTS, SYMBOLS, Ground, which
from tests.gateway.stateful.model import Client
from tests.gateway.stateful.peer import Peer
from tests.gateway.stateful.rig import KEYS, LINGER

items = st.lists(
    st.tuples(st.sampled_from(SYMBOLS), st.sampled_from([1, 2, 3]), st.sampled_from([1, 5, 20, 50])),
    min_size=1,
    max_size=6,
    unique_by=lambda item: item[:2],
)
throttles = st.sampled_from([0, 0, None, 20, 400, 1000])
sizes = st.sampled_from([1, 50, 700, 3000, 20_000])


class GatewayMachine(Ground):
    """Clients of two users, what they ask for and what they take."""

    # Clients

    @initialize(
        formats=st.lists(st.sampled_from(["openalgo", "openalgo", "flat", "binary"]), max_size=4),
        alike=st.booleans(),
        throttle_ms=throttles,
        levels=st.sampled_from([5, 20]),
    )
    def begin(self, formats, alike, throttle_ms, levels):
        """Most of what happens concerns clients that are there, and many of them hold the same."""
        for number, format in enumerate(formats):
            wanted = [("A", 1 + number % 2, 5), ("U", 3 - number % 3, levels)]
            if alike:
                format, wanted = formats[0], [("A", 3, levels), ("U", 3, levels)]
            self.connect("alice-key", format, number % 2 == 0, None, throttle_ms, wanted)
            if alike:
                self.ticks_one_by_one(("toy.alice", "A"), [3], 0.0)
                self.time_passes(0.6)

    @precondition(lambda self: len(self.model.clients) < MOST_CLIENTS)
    @rule(
        key=st.sampled_from([*KEYS, *KEYS, *KEYS, "wrong"]),
        format=st.sampled_from(["openalgo", "openalgo", "flat", "binary"]),
        plain=st.booleans(),
        room=st.sampled_from([None, None, 5000]),
        throttle_ms=throttles,
        wanted=items,
    )
    def connect(self, key, format, plain, room, throttle_ms, wanted):
        client = Client(Peer(format if key in KEYS else "openalgo"), self.clock.rightNow)
        client.wire = self.world.dial(client, plain=plain)
        self.model.clients.append(client)
        client.wire.receive(Peer.handshake)
        client.wire.room = room
        self.ask(client, "authenticate", api_key=key, format=client.peer.format, throttle_ms=throttle_ms)
        self.ask(client, "subscribe", items=wanted)

    @precondition(lambda self: len(self.model.clients) < MOST_CLIENTS)
    @rule(
        which=which,
        plain=st.booleans(),
        pauses=st.lists(st.sampled_from([0.0, 0.1, 0.6]), max_size=2),
        then=st.sampled_from([0.0, 0.6]),
    )
    def connect_another_like_it(self, which, plain, pauses, then):
        """One who holds the same shares an outbox with it after a while."""
        if other := self.chosen(which):
            self.connect_like(other, plain)
            for pause in pauses:
                self.clock.pass_time(pause)
                self.publish_what_it_holds(other, 1)
                self.clock.turn()
            self.time_passes(then)

    def connect_like(self, other: Client, plain: bool = True) -> None:
        wanted = [(symbol, mode, period.levels or 5) for (symbol, mode), period in other.periods.items()]
        if wanted:
            throttle_ms = 1000 * next(iter(other.periods.values())).interval
            self.connect(f"{other.user}-key", other.peer.format, plain, None, throttle_ms, wanted)

    @precondition(lambda self: len(self.model.clients) < MOST_CLIENTS - 1)
    @rule(which=which, more=items)
    def connect_anew(self, which, more):
        """It goes and comes again, while another holds what it holds and more."""
        client = self.chosen(which)
        if client is None or not client.periods:
            return
        self.connect_like(client)
        other = self.model.clients[-1]
        self.ask(other, "subscribe", items=more)
        self.time_passes(0.6)
        self.all_is_as_it_should_be()
        if not client.wire.disconnecting:
            self.connect_like(client)
            client.wire.lose()
            self.time_passes(0.6)
            self.publish_what_it_holds(other, 1)

    @rule(which=which, wanted=items, throttle_ms=throttles)
    def subscribe(self, which, wanted, throttle_ms):
        if client := self.chosen(which):
            self.ask(client, "subscribe", items=wanted, throttle_ms=throttle_ms)

    @rule(wanted=items, throttle_ms=throttles)
    def all_subscribe_to_the_same(self, wanted, throttle_ms):
        for client in self.here():
            self.ask(client, "subscribe", items=wanted, throttle_ms=throttle_ms)

    @rule(which=which, wanted=items, no_mode=st.booleans())
    def unsubscribe(self, which, wanted, no_mode):
        if client := self.chosen(which):
            some = [(symbol, 0 if no_mode else mode, levels) for symbol, mode, levels in wanted]
            self.ask(client, "unsubscribe", items=some)

    @rule(
        which=which,
        action=st.sampled_from(
            ["unsubscribe_all", "subscriptions", "subscribe_orders", "subscribe_orders", "unsubscribe_orders"]
        ),
    )
    def ask_for_something(self, which, action):
        if client := self.chosen(which):
            self.ask(client, action)

    @rule(which=which, kind=st.sampled_from(["ping", "frame", "garbage"]))
    def say_hello(self, which, kind):
        client = self.chosen(which)
        if client is None:
            return
        if kind == "ping":
            client.pings.append(next(self.requests))
            client.wire.receive(client.peer.request(action="ping", request_id=client.pings[-1]))
        elif kind == "frame":
            client.pongs.append(b"%d" % next(self.requests))
            client.wire.receive(client.peer.ping(client.pongs[-1]))
        else:
            client.garbage += 1
            client.wire.receive(client.peer.text(b"{nonsense"))

    @precondition(lambda self: len(self.model.clients) > 3)
    @rule(which=which, how=st.sampled_from(["lost", "close frame", "broken"]))
    def leave(self, which, how):
        client = self.chosen(which)
        if client is None:
            return
        if how == "close frame":
            client.said_close = True
            client.wire.receive(client.peer.close())
        elif how == "broken":
            client.wire.broken = True
        else:
            client.wire.lose()

    # Their sockets

    @rule(which=which, room=sizes)
    def socket_takes(self, which, room):
        if client := self.chosen(which):
            client.wire.give(room)
            self.clock.turn()

    @rule(which=which)
    def socket_takes_everything(self, which):
        if client := self.chosen(which):
            client.wire.give(None)

    @rule(which=which, room=st.sampled_from([0, 0, 1, 100]))
    def socket_stalls(self, which, room):
        if client := self.chosen(which):
            client.wire.stall()
            client.wire.give(room)

    @rule(which=which, rate=st.sampled_from([40, 300, 800]))
    def socket_is_slow(self, which, rate):
        if client := self.chosen(which):
            client.wire.trickle(rate)

    @rule(which=which, rounds=st.integers(2, 6), rate=st.sampled_from([0, 40, 300, 800]))
    def fall_behind(self, which, rounds, rate):
        """It takes nothing for a while, then little at a time."""
        if client := self.chosen(which):
            client.wire.stall()
            self.publish_what_it_holds(client, rounds)
            self.clock.settle()
            client.wire.trickle(rate)

    # Accounts and feeds

    @rule(slow=st.booleans())
    def accounts_are_slow(self, slow):
        self.world.accounts.slow = slow
        while not slow and self.world.accounts.thinking:
            self.world.accounts.thinking.popleft().callback(None)

    @precondition(lambda self: len(self.model.clients) > 3)
    @rule(user=st.sampled_from(["alice", "bob", "bob", "bob"]))
    def key_is_void(self, user):
        self.world.heard("revoked", user)
        self.world.gateway.keys_changed([user])

    @rule(slow=st.sampled_from([True, True, False]), remote=st.sampled_from([True, True, False]))
    def feeds_are_slow(self, slow, remote):
        self.world.feeds.slow, self.world.feeds.remote = slow, remote

    @precondition(lambda self: self.world.feeds.waiting)
    @rule(refuse=st.sampled_from([False, False, True]))
    def feeds_answer(self, refuse):
        self.world.feeds.answer(refuse=refuse)

    @precondition(lambda self: not any(client.asked for client in self.model.clients))
    @rule(user=st.sampled_from(sorted(KEYS.values())))
    def platform_takes_over(self, user):
        """From now on an instrument is granted under another feed's tag."""
        self.world.feeds.outside[user] ^= {"A"}

    @rule(
        symbol=st.sampled_from(["NIFTY", "A", "NIFTY"]),
        mode=st.sampled_from([1, 2, 3]),
        refuse=st.lists(st.booleans(), min_size=2, max_size=2),
        begin=st.integers(0, 1),
    )
    def ticks_come_before_the_answer(self, symbol, mode, refuse, begin):
        clients = [one for one in self.here() if one.user and not one.asked][:2]
        self.world.feeds.slow = True
        for client in clients:
            self.ask(client, "subscribe", items=[(symbol, mode, 5)], throttle_ms=0)
        self.clock.turn()
        for number, (client, refused) in enumerate(zip(clients, refuse, strict=False)):
            if number >= begin:
                feed = self.world.feeds.feed(client.user, symbol)
                self.ticks_one_by_one((feed, symbol), [3, 1], 0.0)
            if self.world.feeds.waiting:
                self.world.feeds.answer(refuse=refused)
                self.all_is_as_it_should_be()

    @rule()
    def all_is_well_again(self):
        """Everything is answered, taken and sent: the last value of everything is where it should be."""
        world = self.world
        self.full = {}
        self.clock.drag = 0.0
        self.accounts_are_slow(False)
        self.world.feeds.slow = False
        world.bus.let_go()
        while world.feeds.waiting:
            world.feeds.answer()
            self.clock.settle()
        for client in self.model.clients:
            client.wire.give(None)
        for _ in range(3):
            self.clock.settle()
            self.clock.pass_time(1.1)
        self.clock.settle()
        self.all_is_as_it_should_be()
        assert world.bus.waiting() == 0
        self.bus_lost_nothing()
        for client in self.here():
            assert client.wire.taken == client.wire.written
            assert not client.asked
            assert not world.gateway.router.delivery.kept()
            for key, period in client.periods.items():
                assert not period.owed, f"{key} was not told {period.owed[-1]}"

    def teardown(self):
        try:
            # One thing that is not as it should be is enough.
            if self.judged:
                self.all_is_well_again()
                self.end()
        finally:
            self.world.stop()
            globalLogPublisher.removeObserver(self._note)

    def end(self):
        """All go, and nothing remains."""
        world, gateway = self.world, self.world.gateway
        router, context = gateway.router, gateway.context
        self.model.stopping = True
        for client in self.model.clients[::2]:
            client.wire.lose()
        gateway.factory.close_all(1001, "going")
        for _ in range(4):
            self.clock.settle()
            self.clock.pass_time(4.0)
        self.clock.settle()
        self.all_is_as_it_should_be()
        assert self.model.clients == []
        assert +world.feeds.held == {}
        assert world.feeds.orders == set()
        assert (router.delivery.outboxes(), router.delivery.kept(), router.throttled()) == (0, 0, 0)
        assert not any(line for line in router.index.lines())
        self.clock.pass_time(LINGER)
        self.clock.settle()
        assert (router.index.feeds, router.index.untagged) == ({}, {})
        assert world.interests.wanted == set()
        assert (context.sessions, context.order_listeners, len(context.by_user)) == ({}, {}, 0)
        assert +context.tally.subscriptions == {}
        assert self.clock.getDelayedCalls() == []


@pytest.fixture(params=["whole", "in pieces"])
def joined(request: pytest.FixtureRequest) -> Iterator[None]:
    """What gathers for a client is joined as a whole, or in pieces; what was kept for it is given in portions
    of a few messages."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outbox, "_PORTION", 700)
        if request.param == "in pieces":
            patch.setattr(outbox, "_JOINED", 1)
            patch.setattr(delivery, "_STEP", 1)
        yield


@pytest.mark.usefixtures("joined")
def test_whatever_happens() -> None:
    hunted = int(os.environ.get("OPENALGO_WS_HUNT", "0"))
    run_state_machine_as_test(
        GatewayMachine,
        settings=settings(max_examples=hunted or 100, derandomize=not hunted, stateful_step_count=50),
    )
