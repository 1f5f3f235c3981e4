"""Whatever clients, brokers, logins and masters do: nothing lost, nothing doubled, nothing left over."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from openalgo_ws.adapter import Limits
from openalgo_ws.bus.demand import Denied, Granted, Hold, Want
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.wishes import poorer, richest
from openalgo_ws.tick import Instrument, Mode, Wish

SYMBOLS = [f"S{n}" for n in range(12)]
WISHES = [Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5), Wish(Mode.DEPTH, 20)]
MISHAPS = ["drop", "too_many", S.STALE, S.AUTH_FAILED, S.FAILED]


class FeedMachine(RuleBasedStateMachine):
    """Clients of one user who is served by two accounts, each with room for half of the symbols."""

    t = None
    plan = "ann=ann,bob"
    accounts = ("ann", "bob")

    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.world = self.t.World()
        limits = Limits(per_connection=3, connections=2)
        self.world.adapters["toy"] = self.t.adapter(limits=limits)
        for user in self.accounts:
            self.world.login(user, "token-0")
        self.manager = self.world.manager(self.plan)
        self.held: Counter[tuple[str, Wish]] = Counter()
        self.logins = 0
        self.price = 0.0
        #: Symbols of which it has been told that they can't be had.
        self.refused: set[str] = set()

    @initialize()
    def begin(self) -> None:
        self.world.advance(0)

    # Clients

    @rule(
        target=holds,
        wanted=st.lists(
            st.tuples(st.sampled_from(SYMBOLS), st.sampled_from(WISHES)), min_size=1, max_size=12
        ),
    )
    def subscribe(self, wanted):
        wants = [Want(symbol, "NSE", wish) for symbol, wish in wanted]
        answers = self.t.result(self.manager.subscribe("ann", wants))
        assert len(answers) == len(wants)
        granted = []
        for want, answer in zip(wants, answers, strict=True):
            if isinstance(answer, Granted):
                assert answer.wish == want.wish
                self.held[want.symbol, want.wish] += 1
                granted.append(Hold(answer.feed, want.symbol, want.exchange, answer.wish))
            else:
                assert isinstance(answer, Denied)
                assert answer.code in {"CAPACITY_EXCEEDED", "SYMBOL_NOT_FOUND"}
        return multiple(*granted)

    @rule(given=st.lists(consumes(holds), min_size=1, max_size=8))
    def release(self, given):
        for hold in given:
            self.held[hold.symbol, hold.wish] -= 1
        self.held = +self.held
        self.manager.release(given)

    # Brokers

    @rule(which=st.integers(0, 5), mishap=st.sampled_from(MISHAPS))
    def mishap(self, which, mishap):
        connections = [c for user in self.accounts for c in self.world.open(user)]
        if connections:
            connection = connections[which % len(connections)]
            if isinstance(mishap, S):
                connection.to(mishap)
            else:
                connection.drop(mishap)

    @rule(which=st.integers(0, 5))
    def recover(self, which):
        connections = [c for user in self.accounts for c in self.world.open(user)]
        if connections:
            self.revive(connections[which % len(connections)])

    def revive(self, connection) -> None:
        if connection.state not in (S.LIVE, S.STOPPED):
            if connection.state is not S.AUTHORISING:
                connection.dial()
            connection.live()

    @rule(symbol=st.sampled_from(SYMBOLS))
    def reject(self, symbol):
        for user in self.accounts:
            for connection in self.world.open(user):
                if symbol in connection.symbols():
                    connection.reject(symbol)

    # The morning

    @rule(user=st.sampled_from(accounts))
    def new_login(self, user):
        self.logins += 1
        self.world.login(user, f"token-{self.logins}")
        self.manager.credentials_changed(user)

    @rule(offset=st.integers(0, 3), missing=st.sets(st.sampled_from(SYMBOLS), max_size=2))
    def new_master(self, offset, missing):
        old = self.world.masters.get("toy")
        new = self.t.Index(
            [Instrument(s, "NSE", str(n + offset)) for n, s in enumerate(SYMBOLS) if s not in missing]
        )
        self.world.masters["toy"] = new
        self.manager.master_changed("toy", old, new)

    @rule(seconds=st.sampled_from([0.1, 0.6, 1.2, 3.2, 6.0, 35.0, 70.0]))
    def time_passes(self, seconds):
        self.world.advance(seconds)

    # What must be true

    def wanted_of(self, symbol: str) -> Wish | None:
        return richest(wish for held, wish in self.held if held == symbol)

    def carriers(self, symbol: str):
        return [c for user in self.accounts for c in self.world.open(user) if symbol in c.symbols()]

    @invariant()
    def nothing_is_lost(self) -> None:
        """What is held is asked for, as rich as it is held, unless it was said that it can't be."""
        self.refused |= self.world.listener.refused_symbols()
        self.world.listener.refusals.clear()
        asked: dict[str, Wish | None] = {}
        for connection in self.world.connections:
            if connection.state is not S.STOPPED:
                for instrument, wish in connection.wanted.items():
                    asked[instrument.symbol] = richest(filter(None, (asked.get(instrument.symbol), wish)))
        self.refused -= asked.keys()
        for symbol in {symbol for symbol, _ in self.held} - self.refused:
            assert not poorer(asked.get(symbol), self.wanted_of(symbol)), symbol

    @rule()
    def ticks_come_once(self) -> None:
        for symbol in SYMBOLS:
            for again in (False, True):
                count = 0
                for connection in self.carriers(symbol):
                    if connection.state is not S.LIVE or symbol not in connection.symbols():
                        continue
                    self.price += 1.0
                    connection.tick(symbol, self.price)
                    published = self.world.sink.take()
                    assert [(s, d["ltp"]) for s, _, d in published] in ([], [(symbol, self.price)])
                    count += len(published)
                assert count <= 1 or not again, f"{symbol} from two connections"

    @rule()
    def all_is_well_again(self) -> None:
        """When everything is up and has been for a while, what is asked is what is held."""
        self.new_master(0, set())
        for _ in range(3):
            for user in self.accounts:
                for connection in self.world.open(user):
                    self.revive(connection)
            self.world.advance(6)
            self.manager.credentials_changed("ann")
        self.world.advance(60)
        # A feed that is just taking back does so with its first ticks.
        self.ticks_come_once()
        self.world.turn()
        held = {symbol for symbol, _ in self.held}
        for symbol in SYMBOLS:
            carriers = self.carriers(symbol)
            if symbol not in held:
                assert carriers == [], symbol
                continue
            if not carriers:
                # It was refused, and others have come in its place.
                assert symbol in self.refused
                full = 6 * len(self.accounts)
                assert sum(len(c.wanted) for u in self.accounts for c in self.world.open(u)) == full
                continue
            [connection] = carriers
            assert connection.state is S.LIVE
            [wish] = [wish for i, wish in connection.wanted.items() if i.symbol == symbol]
            assert wish == self.wanted_of(symbol)
            self.price += 1.0
            connection.tick(symbol, self.price)
            assert [d["ltp"] for _, _, d in self.world.sink.take()] == [self.price]

    def teardown(self) -> None:
        given = [
            Hold("ann>bob" if len(self.accounts) > 1 else "ann", s, "NSE", w) for s, w in self.held.elements()
        ]
        self.manager.release(given)
        for _ in range(4):
            self.world.advance(70)
        assert [c for user in self.accounts for c in self.world.open(user)] == []
        # The expiry of tokens is all that is waited for.
        assert len(self.world.clock.getDelayedCalls()) == 1
        self.manager.stopService()
        assert self.world.clock.getDelayedCalls() == []


class OneAccountMachine(FeedMachine):
    """The same with a single account."""

    plan = ""
    accounts = ("ann",)


@pytest.mark.parametrize("machine", [FeedMachine, OneAccountMachine])
def test_whatever_happens(t, machine) -> None:
    machine.t = t
    run_state_machine_as_test(machine, settings=settings(max_examples=60, stateful_step_count=30))
