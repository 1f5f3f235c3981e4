"""Two feeds for one user: the second takes over, the first takes back, no symbol comes from both."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred

from openalgo_ws.adapter import Limits
from openalgo_ws.bus.demand import Denied, FeedState, Granted
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.tick import Mode, Wish

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)
TAG = "ann>bob"


@pytest.fixture
def rig(world, t):
    class Rig:
        def __init__(self) -> None:
            world.login("bob", "token-b")
            self.manager = world.manager("ann=ann,bob")

        def subscribe(self, *wanted):
            return t.result(self.manager.subscribe("ann", list(wanted)))

        def hold(self, *wanted):
            return t.holds_of(wanted, self.subscribe(*wanted))

        @property
        def first(self):
            [connection] = world.open("ann")
            return connection

        @property
        def second(self):
            [connection] = world.open("bob")
            return connection

        def ltps(self) -> list[float]:
            return [data["ltp"] for _, _, data in world.sink.take(TAG)]

        def fail_over(self, *wanted):
            self.hold(*wanted)
            world.advance(1)
            self.first.drop()
            world.advance(1.1)

    return Rig()


def test_the_reserve_is_connected_and_carries_nothing(rig, world, t) -> None:
    rig.hold(*t.wants(5))
    world.advance(60)
    assert rig.second.state is S.LIVE
    assert rig.second.wanted == {}
    assert len(rig.first.wanted) == 5


def test_the_first_is_kept_open_while_the_reserve_is_being_opened(rig, world, t) -> None:
    world.login("carol", "token-c")
    rig.manager.watch_orders("carol", True)
    world.advance(1)
    rig.manager.watch_orders("carol", False)
    world.advance(59)
    read, slow = world.session, Deferred()

    async def session(user, fresh=False):
        if user == "bob":
            await slow
        return await read(user, fresh)

    world.session = session
    answers = rig.manager.subscribe("ann", t.wants(5))
    # Meanwhile somebody else's session is closed, with all that nobody needs.
    world.advance(2)
    assert world.open("carol") == []
    slow.callback(None)
    assert all(isinstance(answer, Granted) for answer in t.result(answers))
    world.advance(1)
    assert len(rig.first.wanted) == 5
    assert rig.second.wanted == {}


@pytest.mark.parametrize(("state", "within"), [(S.STALE, 0), (S.AUTH_FAILED, 0), (S.FAILED, 0)])
def test_it_takes_over_at_once_when_the_first_is_stale_or_refused(rig, world, t, state, within) -> None:
    rig.hold(*t.wants(3))
    world.advance(1)
    rig.first.to(state)
    world.turn()
    assert rig.second.symbols() == {"S0", "S1", "S2"}
    # Taken over, nothing is refused.
    assert world.listener.refusals == []


def test_it_takes_over_when_the_first_has_been_down_for_a_second(rig, world, t) -> None:
    rig.hold(*t.wants(3))
    world.advance(1)
    rig.first.tick("S1", 1.0)
    rig.first.drop()
    world.advance(0.9)
    assert rig.second.wanted == {}
    world.advance(0.2)
    assert rig.second.symbols() == {"S0", "S1", "S2"}
    assert rig.first.wanted == {}
    rig.second.tick("S1", 2.0)
    assert rig.ltps() == [1.0, 2.0]
    status = world.listener.statuses[-1][1]
    assert (status.state, status.message) == (FeedState.CONNECTED, "the reserve feed serves")


def test_a_short_outage_stays_with_the_first(rig, world, t) -> None:
    rig.hold(*t.wants(3))
    world.advance(1)
    rig.first.drop()
    world.advance(0.8)
    rig.first.live()
    world.advance(5)
    assert rig.second.wanted == {}
    assert len(rig.first.wanted) == 3


def test_one_that_never_comes_up_is_given_more_time(rig, world, t) -> None:
    world.obliging = False
    rig.hold(t.want("S1"))
    rig.second.live()
    world.advance(9.9)
    assert rig.second.wanted == {}
    world.advance(0.2)
    assert rig.second.symbols() == {"S1"}


def test_nobody_to_take_over_then_it_waits_for_somebody(rig, world, t) -> None:
    rig.hold(t.want("S1"))
    world.advance(1)
    rig.second.drop()
    rig.first.to(S.AUTH_FAILED, "token refused")
    world.turn()
    assert world.listener.refused_symbols() == {"S1"}
    assert rig.first.symbols() == {"S1"}
    rig.second.live()
    world.turn()
    assert rig.second.symbols() == {"S1"}


def test_an_older_tick_of_the_other_feed_is_dropped(rig, world, t) -> None:
    rig.hold(t.want("S1"))
    world.advance(1)
    rig.first.tick("S1", 1.0, exchange_timestamp=5000)
    rig.first.to(S.STALE)
    world.turn()
    for ltp, time in ((2.0, 4000), (3.0, 5000), (4.0, 4900)):
        rig.second.tick("S1", ltp, exchange_timestamp=time)
    assert rig.ltps() == [1.0, 3.0, 4.0]


class TestTakingBack:
    def test_after_having_been_live_for_a_while_and_without_a_gap(self, rig, world, t) -> None:
        rig.fail_over(*t.wants(3))
        rig.first.live()
        world.advance(29.5)
        assert rig.first.wanted == {}
        rig.second.tick("S0", 1.0)
        world.advance(0.7)
        # Both are subscribed, the reserve speaks until the first does.
        assert rig.first.symbols() == rig.second.symbols() == {"S0", "S1", "S2"}
        rig.second.tick("S0", 2.0)
        rig.first.tick("S0", 3.0)
        world.turn()
        assert rig.second.symbols() == {"S1", "S2"}
        rig.second.tick("S1", 4.0)
        rig.first.tick("S0", 5.0)
        assert rig.ltps() == [1.0, 2.0, 3.0, 4.0, 5.0]
        # The quiet ones follow; the reserve is a reserve again.
        world.advance(3.1)
        assert rig.second.wanted == {}
        assert rig.second.state is S.LIVE
        rig.first.tick("S2", 6.0)
        assert rig.ltps() == [6.0]
        assert t.result(rig.manager.status("ann")).message != "the reserve feed serves"

    def test_one_that_drops_again_does_not(self, rig, world, t) -> None:
        rig.fail_over(*t.wants(3))
        rig.first.live()
        world.advance(20)
        rig.first.drop()
        world.advance(5)
        rig.first.live()
        world.advance(29)
        assert rig.first.wanted == {}
        assert len(rig.second.wanted) == 3
        world.advance(1.2)
        assert len(rig.first.wanted) == 3

    def test_one_that_is_live_but_mute_is_called_off_and_tried_later(self, rig, world, t) -> None:
        rig.fail_over(*t.wants(3))
        rig.first.live()
        world.advance(34)
        assert rig.first.wanted == {}
        assert len(rig.second.wanted) == 3
        rig.second.tick("S0", 1.0)
        assert rig.ltps() == [1.0]
        # The next attempt after twice the time.
        world.advance(58)
        assert rig.first.wanted == {}
        world.advance(3)
        assert len(rig.first.wanted) == 3
        rig.first.tick("S0", 2.0)
        world.advance(4)
        assert rig.second.wanted == {}

    def test_one_that_falls_while_taking_back_gives_everything_back(self, rig, world, t) -> None:
        rig.fail_over(*t.wants(3))
        rig.first.live()
        world.advance(30.2)
        rig.first.tick("S0", 1.0)
        world.turn()
        assert rig.second.symbols() == {"S1", "S2"}
        rig.first.drop()
        world.turn()
        assert rig.second.symbols() == {"S0", "S1", "S2"}
        assert rig.first.wanted == {}
        rig.second.tick("S0", 2.0)
        assert rig.ltps() == [1.0, 2.0]

    def test_if_the_reserve_falls_the_first_takes_over_at_once(self, rig, world, t) -> None:
        rig.fail_over(*t.wants(3))
        rig.first.live()
        world.advance(5)
        rig.second.drop()
        world.advance(1.2)
        assert len(rig.first.wanted) == 3
        assert rig.second.wanted == {}

    def test_wishes_that_change_meanwhile_reach_both(self, rig, world, t) -> None:
        rig.fail_over(t.want("S0"), t.want("S1"))
        rig.first.live()
        world.advance(30.2)
        holds = rig.hold(t.want("S0", Mode.DEPTH), t.want("S5"))
        assert {i.symbol: w for i, w in rig.first.wanted.items()} == {"S0": DEPTH, "S1": QUOTE}
        assert {i.symbol: w for i, w in rig.second.wanted.items()} == {
            "S0": DEPTH,
            "S1": QUOTE,
            "S5": QUOTE,
        }
        rig.first.tick("S0", 1.0)
        rig.first.tick("S1", 1.0)
        # Back, and what came meanwhile with them.
        world.turn()
        assert rig.first.symbols() == {"S0", "S1", "S5"}
        assert rig.second.wanted == {}
        rig.manager.release(holds)
        world.advance(6)
        assert {i.symbol: w for i, w in rig.first.wanted.items()} == {"S0": QUOTE, "S1": QUOTE}

    def test_what_is_given_up_meanwhile_is_given_up_by_both(self, rig, world, t) -> None:
        holds = rig.hold(*t.wants(2))
        world.advance(1)
        rig.first.to(S.STALE)
        world.turn()
        rig.first.live()
        rig.first.dial()
        rig.first.live()
        world.advance(26)
        rig.manager.release(holds)
        world.advance(4.3)
        assert len(rig.first.wanted) == len(rig.second.wanted) == 2
        world.advance(1)
        assert rig.first.wanted == rig.second.wanted == {}


class TestDifferentBrokers:
    def test_symbols_and_depths_the_reserve_lacks(self, world, t) -> None:
        world.adapters["small"] = t.adapter("small", depth_levels={"": (5,)}, exchanges={"NSE": "NSE"})
        world.login("bob", "token-b", "small")
        manager = world.manager("ann=ann,bob")
        answers = t.result(
            manager.subscribe("ann", [t.want("S1", Mode.DEPTH, 20), t.want("USDINR", exchange="CDS")])
        )
        assert [answer.wish.depth for answer in answers] == [20, 5]
        world.advance(1)
        [first], [second] = world.open("ann"), world.open("bob")
        first.to(S.STALE)
        world.turn()
        assert {i.symbol: w.depth for i, w in second.wanted.items()} == {"S1": 5}
        # What the reserve can't have stays with the first.
        assert first.symbols() == {"USDINR"}
        second.tick("S1", 1.0)
        first.to(S.AUTHORISING)
        first.live()
        first.tick("USDINR", 2.0)
        assert [data["ltp"] for _, _, data in world.sink.take(TAG)] == [1.0, 2.0]

    def test_what_the_first_refuses_the_second_may_have(self, rig, world, t) -> None:
        rig.hold(t.want("S1"), t.want("S2"))
        world.advance(1)
        rig.first.reject("S1")
        assert rig.second.symbols() == {"S1"}
        assert world.listener.refusals == []
        rig.second.tick("S1", 1.0)
        assert rig.ltps() == [1.0]
        rig.second.reject("S1")
        assert world.listener.refused_symbols() == {"S1"}

    def test_capacity_of_both_counts(self, rig, world, t) -> None:
        world.adapters["toy"] = t.adapter()
        answers = rig.subscribe(*[t.want(f"S{n}") for n in range(50)])
        assert all(isinstance(answer, Granted) for answer in answers)
        assert len(world.held("ann")) == 30
        assert len(world.held("bob")) == 20

    def test_only_the_second_has_a_session(self, world, t) -> None:
        world.login("bob", "token-b")
        del world.rows["ann"]
        manager = world.manager("ann=ann,bob")
        [granted] = t.result(manager.subscribe("ann", [t.want("S1")]))
        assert granted.feed == TAG
        world.advance(1)
        world.login("ann", "token-1")
        manager.credentials_changed("ann")
        world.advance(31)
        [first] = world.open("ann")
        first.tick("S1", 1.0)
        world.turn()
        assert world.held("bob") == {}

    def test_none_has(self, world, t) -> None:
        manager = world.manager("ann=bob,carol")
        [denied] = t.result(manager.subscribe("ann", [t.want("S1")]))
        assert isinstance(denied, Denied)
        assert denied.code == "BROKER_ERROR"


def test_two_feeds_over_one_account_hear_the_same_ticks(world, t) -> None:
    world.login("bob", "token-b")
    manager = world.manager("ann=ann,bob")
    t.result(manager.subscribe("ann", [t.want("S1")]))
    t.result(manager.subscribe("bob", [t.want("S1", Mode.DEPTH)]))
    world.advance(1)
    [bob] = world.open("bob")
    bob.tick("S1", 1.0, depth=t.book())
    assert [tag for tag, _ in world.sink.published] == ["bob"]
    world.sink.take()
    [ann] = world.open("ann")
    ann.to(S.STALE)
    world.turn()
    bob.tick("S1", 2.0, depth=t.book())
    assert [tag for tag, _ in world.sink.published] == ["bob", TAG]
    # The account is asked once, for the richest.
    assert [wish for symbol, wish in bob.log if symbol == "S1"] == [DEPTH]


def test_in_the_end_everything_is_closed(rig, world, t) -> None:
    holds = rig.hold(*t.wants(3))
    world.advance(1)
    rig.first.to(S.STALE)
    world.advance(1)
    rig.manager.release(holds)
    world.advance(200)
    assert world.open("ann") == world.open("bob") == []
    assert len(world.clock.getDelayedCalls()) == 1


def test_two_lame_feeds_do_not_pass_the_ball_without_end(rig, world, t) -> None:
    rig.hold(*t.wants(25))
    world.advance(1)
    # Each is refused as soon as it has something to carry, and looks well as soon as it has not.
    moves = []
    for _ in range(600):
        for user in ("ann", "bob"):
            for connection in world.open(user):
                if connection.wanted and connection.state is not S.STALE:
                    connection.to(S.STALE)
                elif not connection.wanted and connection.state is not S.LIVE:
                    connection.to(S.LIVE)
        serving = [user for user in ("ann", "bob") if world.held(user)]
        if moves[-1:] != [serving]:
            moves.append(serving)
        world.advance(0.5)
    assert all(len(serving) == 1 for serving in moves)
    assert len(moves) < 15


def test_thousands_move_in_several_turns_and_none_is_lost_or_doubled(world, t) -> None:
    world.login("bob", "token-b")
    world.adapters["toy"] = t.adapter(limits=Limits(per_connection=1000, connections=2))
    world.masters["toy"] = t.master(450)
    manager = world.manager("ann=ann,bob")
    wanted = t.wants(450)
    answered = manager.subscribe("ann", wanted)
    world.advance(1)
    holds = t.holds_of(wanted, t.result(answered))
    assert [hold.symbol for hold in holds] == [want.symbol for want in wanted]
    [first], [second] = world.open("ann"), world.open("bob")

    def once() -> None:
        for n in range(0, 450, 7):
            for connection in (first, second):
                if f"S{n}" in connection.symbols():
                    connection.tick(f"S{n}", 1.0)
        heard = [symbol for symbol, _, _ in world.sink.take(TAG)]
        assert len(heard) == len(set(heard))
        assert set(heard) == {f"S{n}" for n in range(0, 450, 7)}

    once()
    first.to(S.STALE)
    world.turn()
    once()
    assert first.wanted == {}
    assert first.most_at_once == second.most_at_once == 100
    first.to(S.LIVE)
    world.advance(30)
    assert len(first.wanted) == 450
    # All with one frame.
    first.listener.ticked(first, [t.tick(i, 2.0, Mode.QUOTE) for i in first.wanted])
    assert len(world.sink.take(TAG)) == 450
    once()
    world.turn()
    assert second.wanted == {}
