"""What is answered to those who ask, how it is counted, and what is refused."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.defer import Deferred

from openalgo_ws.accounts.service import AccountsUnavailable
from openalgo_ws.bus.demand import Denied, FeedState, Granted, Hold, Status
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.tick import Mode, Wish

LTP, QUOTE, DEPTH = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)


class TestAnswers:
    def test_granted_pending_until_the_connection_is_up(self, rig, world, t) -> None:
        assert rig.subscribe(t.want("S1")) == [Granted("ann", "toy", QUOTE, True, 2, 0)]
        world.advance(1)
        assert rig.subscribe(t.want("S1"), t.want("S2", Mode.LTP)) == [
            Granted("ann", "toy", QUOTE, False, 2, 0),
            Granted("ann", "toy", LTP, False, 2, 0),
        ]

    def test_levels_are_granted_as_the_broker_has_them(self, rig, world, t) -> None:
        granted = rig.subscribe(
            t.want("S1", Mode.DEPTH, 12), t.want("S2", Mode.DEPTH, 3), t.want("S3", Mode.DEPTH, 50)
        )
        assert [answer.wish.depth for answer in granted] == [5, 3, 20]
        assert [wish.depth for wish in world.held().values()] == [5, 5, 20]

    def test_scales_come_from_the_tick_size(self, rig, t) -> None:
        [usd] = rig.subscribe(t.want("USDINR", exchange="CDS"))
        assert (usd.price_scale, usd.qty_scale) == (4, 0)

    def test_one_answer_each_in_order(self, rig, world, t) -> None:
        answers = rig.subscribe(
            t.want("S1"), t.want("NOPE"), t.want("S2"), t.want("S1", Mode.DEPTH), t.want("S1", exchange="MCX")
        )
        assert [getattr(answer, "code", "granted") for answer in answers] == [
            "granted",
            "SYMBOL_NOT_FOUND",
            "granted",
            "granted",
            "SYMBOL_NOT_FOUND",
        ]
        assert world.held() == {"S1": DEPTH, "S2": QUOTE}
        assert rig.subscribe() == []

    def test_beyond_the_limits(self, rig, world, t) -> None:
        answers = rig.subscribe(*t.wants(32))
        assert [a.code for a in answers if isinstance(a, Denied)] == ["CAPACITY_EXCEEDED"] * 2
        assert len(world.held()) == 30
        # What was refused is not held: the first room goes to whoever asks next.
        assert "S30" not in world.held()

    def test_no_session(self, rig, world, t) -> None:
        assert rig.status("bob") == Status(
            None, FeedState.DISCONNECTED, "No broker session is configured: a login is needed"
        )
        [denied] = rig.subscribe(t.want("S1"), user="bob")
        assert denied.code == "BROKER_ERROR"
        world.login("bob", "token", "unheard-of")
        [denied] = rig.subscribe(t.want("S1"), user="bob")
        assert denied == Denied("BROKER_ERROR", "This server has no adapter for unheard-of")

    def test_incomplete_credentials_name_the_fields_not_the_values(self, rig, world, t, secret) -> None:
        world.login("bob", "")
        world.rows["bob"] = replace(world.rows["bob"], user_id=secret("key-that-is-secret"))
        [denied] = rig.subscribe(t.want("S1"), user="bob")
        assert denied == Denied("BROKER_INIT_ERROR", "The broker session is incomplete: access_token missing")
        world.login("bob", "token")
        [granted] = rig.subscribe(t.want("S1"), user="bob")
        assert isinstance(granted, Granted)

    def test_a_database_that_is_away(self, rig, world, t) -> None:
        async def away(user, fresh=False):
            raise AccountsUnavailable

        rig.hold(t.want("S1"))
        world.session = away
        [denied] = rig.subscribe(t.want("S1"), user="bob")
        assert denied.code == "SERVER_ERROR"
        # Known sessions go on.
        [granted] = rig.subscribe(t.want("S2"))
        assert isinstance(granted, Granted)

    def test_a_master_that_breaks_is_answered_not_raised(self, rig, world, t) -> None:
        async def broken(broker):
            raise RuntimeError("no such table")

        world.index = broken
        [denied] = rig.subscribe(t.want("S1"))
        assert denied.code == "SERVER_ERROR"
        assert "table" not in denied.message

    def test_those_who_ask_at_the_same_time_share_one_session(self, rig, world, t) -> None:
        waiting: list[Deferred] = []

        async def slowly(broker):
            waiting.append(Deferred())
            await waiting[-1]
            return t.master()

        world.index = slowly
        answers = [rig.manager.subscribe("ann", [t.want(f"S{n}")]) for n in range(3)]
        [one] = waiting
        one.callback(None)
        assert [t.result(answer)[0].feed for answer in answers] == ["ann"] * 3
        assert len(world.open()) == 1
        assert len(world.held()) == 3


class TestCounting:
    def test_the_broker_is_asked_for_the_richest_and_once(self, rig, world, t) -> None:
        first = rig.hold(t.want("S1", Mode.LTP))
        rig.hold(t.want("S1"))
        third = rig.hold(t.want("S1", Mode.DEPTH))
        [connection] = world.open()
        assert connection.log == [("S1", LTP), ("S1", QUOTE), ("S1", DEPTH)]
        rig.manager.release(third)
        world.advance(4.8)
        assert world.held() == {"S1": DEPTH}
        world.advance(0.3)
        assert world.held() == {"S1": QUOTE}
        rig.manager.release(first)
        world.advance(10)
        assert world.held() == {"S1": QUOTE}
        assert connection.log[3:] == [("S1", QUOTE)]

    def test_a_page_reload_does_not_reach_the_broker(self, rig, world, t) -> None:
        holds = rig.hold(*t.wants(5))
        world.advance(1)
        [connection] = world.open()
        before = list(connection.log)
        rig.manager.release(holds)
        world.advance(3)
        rig.hold(*t.wants(5))
        world.advance(30)
        assert connection.log == before

    def test_in_the_end_nothing_is_left(self, rig, world, t) -> None:
        holds = rig.hold(*t.wants(25), *t.wants(3, Mode.DEPTH))
        world.advance(1)
        rig.manager.release(holds)
        world.advance(5.1)
        assert world.held() == {}
        world.advance(200)
        assert world.open() == []
        # The expiry of tokens is all that is waited for.
        assert len(world.clock.getDelayedCalls()) == 1

    def test_what_was_not_held_is_not_given_back(self, rig, world, t) -> None:
        [hold] = rig.hold(t.want("S1"))
        rig.manager.release([Hold("ann", "S1", "NSE", DEPTH), Hold("ann", "S2", "NSE", QUOTE)])
        rig.manager.release([Hold("nobody", "S1", "NSE", QUOTE)])
        world.advance(10)
        assert world.held() == {"S1": QUOTE}
        rig.manager.release([hold, hold])
        world.advance(10)
        assert world.held() == {}

    def test_ticks_come_under_the_tag_while_they_are_wanted(self, rig, world, t) -> None:
        holds = rig.hold(t.want("S1"))
        world.advance(1)
        [connection] = world.open()
        connection.tick("S1", 5.0)
        assert [tag for tag, _ in world.sink.published] == ["ann"]
        assert [(s, m, d["ltp"]) for s, m, d in world.sink.take()] == [("S1", Mode.QUOTE, 5.0)]
        rig.manager.release(holds)
        connection.tick("S1", 6.0)
        assert len(world.sink.take()) == 1

    def test_users_that_share_a_feed_share_its_subscriptions(self, world, t) -> None:
        manager = world.manager("bob=ann;carol=ann")
        for user in ("ann", "bob", "carol"):
            [granted] = t.result(manager.subscribe(user, [t.want("S1")]))
            assert granted.feed == "ann"
        [connection] = world.open()
        assert connection.log == [("S1", QUOTE)]
        world.advance(1)
        assert world.listener.statuses[-1] == (
            frozenset({"ann", "bob", "carol"}),
            Status("toy", FeedState.CONNECTED, ""),
        )


class TestRefusals:
    def test_a_refused_symbol_is_reported_and_can_be_asked_for_again(self, rig, world, t) -> None:
        rig.hold(t.want("S1"), t.want("S2"))
        world.advance(1)
        [connection] = world.open()
        connection.reject("S1")
        assert world.listener.refusals == [
            ("ann", "S1", "NSE", Denied("BROKER_ERROR", "S1 on NSE: not allowed", "toy"))
        ]
        assert world.held() == {"S2": QUOTE}
        [granted] = rig.subscribe(t.want("S1"))
        assert granted == Granted("ann", "toy", QUOTE, False, 2, 0)
        assert set(world.held()) == {"S1", "S2"}

    def test_its_holds_stay_until_they_are_given_back(self, rig, world, t) -> None:
        holds = rig.hold(t.want("S1"))
        world.advance(1)
        world.open()[0].reject("S1")
        world.advance(500)
        assert rig.status().broker == "toy"
        rig.manager.release(holds)
        world.advance(500)
        assert world.open() == []

    def test_a_refused_login_is_reported_for_every_symbol_once(self, rig, world, t) -> None:
        world.obliging = False
        rig.hold(*t.wants(3))
        [connection] = world.open()
        connection.to(S.AUTH_FAILED, "token refused")
        world.turn()
        assert world.listener.refused_symbols() == {"S0", "S1", "S2"}
        assert {d for *_, d in world.listener.refusals} == {
            Denied("BROKER_CONNECTION_ERROR", "token refused", "toy")
        }
        world.advance(100)
        assert len(world.listener.refusals) == 3
        assert rig.status() == Status("toy", FeedState.AUTH_FAILED, "token refused")
        # Nothing was given up: with new credentials it goes on.
        connection.to(S.AUTHORISING)
        connection.live()
        connection.tick("S1", 1.0)
        assert len(world.sink.take()) == 1

    def test_one_who_comes_then_is_granted_pending_and_told(self, rig, world, t) -> None:
        world.obliging = False
        rig.hold(t.want("S1"))
        world.open()[0].to(S.AUTH_FAILED, "token refused")
        world.turn()
        world.listener.refusals.clear()
        [granted] = rig.subscribe(t.want("S2"))
        assert granted.pending
        assert world.listener.refusals == []
        world.turn()
        assert world.listener.refused_symbols() == {"S2"}
