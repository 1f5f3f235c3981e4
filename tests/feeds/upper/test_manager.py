"""Demand over one account: answers, counting, refusals, states, masters, orders."""

from __future__ import annotations

from dataclasses import replace

import pytest
from twisted.internet.defer import Deferred

from openalgo_ws.accounts.service import AccountsUnavailable
from openalgo_ws.adapter import Feed, Limits
from openalgo_ws.bus.demand import Denied, FeedState, Granted, Hold, Status
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.tick import Instrument, Mode, Wish

LTP, QUOTE, DEPTH = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)


@pytest.fixture
def rig(world, t):
    class Rig:
        manager = world.manager()

        def subscribe(self, *wanted, user="ann"):
            return t.result(self.manager.subscribe(user, list(wanted)))

        def hold(self, *wanted, user="ann"):
            return t.holds_of(wanted, self.subscribe(*wanted, user=user))

        def status(self, user="ann") -> Status:
            return t.result(self.manager.status(user))

    return Rig()


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


class TestStates:
    def test_as_the_client_protocol_names_them(self, rig, world, t) -> None:
        world.obliging = False
        assert rig.status() == Status("toy", FeedState.DISCONNECTED, "nothing is subscribed")
        rig.hold(t.want("S1"))
        [connection] = world.open()
        steps = [
            (S.DIALLING, "connecting"),
            (S.LOGGING_IN, "connecting"),
            (S.LIVE, "connected"),
            (S.BACKING_OFF, "reconnecting"),
            (S.AUTHORISING, "reconnecting"),
            (S.LIVE, "connected"),
            # A connection is stale for a moment, its feed until it is live again.
            (S.STALE, "stale"),
            (S.BACKING_OFF, "stale"),
            (S.AUTHORISING, "stale"),
            (S.AUTH_FAILED, "auth_failed"),
            (S.BACKING_OFF, "reconnecting"),
            (S.FAILED, "disconnected"),
        ]
        for state, expected in steps:
            connection.to(state)
            world.turn()
            assert rig.status().state.value == expected
        assert world.listener.states() == [
            "connecting",
            "connected",
            "reconnecting",
            "connected",
            "stale",
            "auth_failed",
            "reconnecting",
            "disconnected",
        ]

    def test_the_worst_connection_decides(self, rig, world, t) -> None:
        rig.hold(*t.wants(15))
        world.advance(1)
        world.open()[1].drop()
        world.turn()
        assert rig.status().state is FeedState.RECONNECTING

    def test_the_steps_of_a_login_are_one_notice(self, rig, world, t) -> None:
        rig.hold(t.want("S1"))
        world.advance(5)
        assert world.listener.states() == ["connecting", "connected"]

    def test_a_gap_is_announced(self, rig, world, t) -> None:
        rig.hold(t.want("S1"))
        world.advance(1)
        [connection] = world.open()
        connection.drop()
        world.advance(0.8)
        connection.live()
        world.turn()
        assert world.listener.statuses[-1][1] == Status(
            "toy", FeedState.CONNECTED, "live again after a gap of 0.8 s"
        )


class TestCredentials:
    def test_new_ones_move_the_feed_without_a_lost_subscription(self, rig, world, t) -> None:
        rig.hold(*t.wants(5))
        world.advance(1)
        world.login("ann", "token-2")
        t.result(rig.manager.credentials_changed("ann"))
        world.advance(10)
        [connection] = world.open()
        assert connection.credentials["access_token"] == "token-2"
        assert len(world.held()) == 5
        assert world.reads[-1] == ("ann", True)

    def test_the_same_ones_disturb_nothing(self, rig, world, t) -> None:
        rig.hold(t.want("S1"))
        world.advance(1)
        t.result(rig.manager.credentials_changed("ann"))
        assert len(world.connections) == 1
        assert world.connections[0].renewals == 0

    def test_what_was_published_before_is_not_overtaken_by_an_old_snapshot(self, rig, world, t) -> None:
        rig.hold(t.want("S1"))
        world.advance(1)
        [old] = world.open()
        old.tick("S1", 5.0, exchange_timestamp=2000)
        world.login("ann", "token-2")
        rig.manager.credentials_changed("ann")
        world.advance(0.2)
        new = world.open()[1]
        new.tick("S1", 4.0, exchange_timestamp=1000)
        new.tick("S1", 6.0, exchange_timestamp=2000)
        assert [d["ltp"] for _, _, d in world.sink.take()] == [5.0, 6.0]

    def test_a_logout_is_passed_on(self, rig, world, t) -> None:
        rig.hold(t.want("S1"))
        world.advance(1)
        del world.rows["ann"]
        rig.manager.credentials_changed("ann")
        assert world.open()[0].renewals == 1

    def test_a_login_at_another_broker_brings_everything_along(self, rig, world, t) -> None:
        world.adapters["other"] = t.adapter("other", exchanges={"NSE": "NSE"})
        rig.hold(*t.wants(3), t.want("USDINR", exchange="CDS"))
        world.advance(1)
        [old] = world.open()
        old.tick("S1", 1.0, exchange_timestamp=2000)
        world.login("ann", "token-2", "other")
        rig.manager.credentials_changed("ann")
        assert old.state is S.STOPPED
        world.advance(1)
        [new] = world.open()
        assert new.adapter.name == "other"
        assert set(world.held()) == {"S0", "S1", "S2"}
        assert world.listener.refused_symbols() == {"USDINR"}
        new.tick("S1", 0.5, exchange_timestamp=1000)
        new.tick("S1", 2.0, exchange_timestamp=2001)
        assert [d["ltp"] for _, _, d in world.sink.take()] == [1.0, 2.0]
        assert rig.status() == Status("other", FeedState.CONNECTED, "")

    def test_a_connection_that_reads_a_row_of_another_broker_says_so(self, rig, world, t) -> None:
        world.adapters["other"] = t.adapter("other")
        rig.hold(t.want("S1"))
        world.advance(1)
        world.login("ann", "token-2", "other")
        assert t.result(Deferred.fromCoroutine(world.read_credentials["ann"]())) is None
        world.advance(1)
        [new] = world.open()
        assert new.adapter.name == "other"

    def test_after_the_expiry_they_are_looked_at_until_they_have_changed(self, rig, world, t) -> None:
        rig.hold(t.want("S1"))
        world.advance(1)
        world.reads.clear()
        world.clock.advance(17 * 3600)
        for _ in range(4):
            world.clock.advance(300)
        assert len(world.reads) == 4
        assert len(world.connections) == 1
        world.login("ann", "token-2")
        world.clock.advance(300)
        world.advance(5)
        [connection] = world.open()
        assert connection.credentials["access_token"] == "token-2"
        world.reads.clear()
        for _ in range(4):
            world.clock.advance(300)
        assert world.reads == []


class TestMasters:
    def test_changed_tokens_are_followed_and_symbols_that_are_gone_reported(self, rig, world, t) -> None:
        old = t.master()
        world.masters["toy"] = old
        rig.hold(t.want("S1"), t.want("S2", Mode.DEPTH), t.want("S3"))
        world.advance(1)
        [connection] = world.open()
        connection.tick("S2", 2.0, depth=t.book(), exchange_timestamp=1000)
        world.sink.take()
        # S1 and S2 change places, S3 is gone, the others stay.
        swapped = {"S1": "3", "S2": "2"}
        new = t.Index(
            [
                Instrument(i.symbol, i.exchange, swapped.get(i.symbol, i.token), tick_size=0.1)
                for i in old.instruments
                if i.symbol != "S3"
            ]
        )
        world.masters["toy"] = new
        connection.log.clear()
        rig.manager.master_changed("other", old, new)
        assert connection.log == []
        rig.manager.master_changed("toy", old, new)
        assert {i.symbol: i.token for i in connection.wanted} == {"S1": "3", "S2": "2"}
        assert world.held() == {"S1": QUOTE, "S2": DEPTH}
        # Given up before asked for: a token may have changed hands.
        removals = [wish is None for _, wish in connection.log]
        assert removals == sorted(removals, reverse=True)
        assert world.listener.refusals == [
            (
                "ann",
                "S3",
                "NSE",
                Denied("SYMBOL_NOT_FOUND", "S3 on NSE: is not in the new instrument master", "toy"),
            )
        ]
        connection.tick("S2", 3.0, exchange_timestamp=1001)
        [(symbol, mode, data)] = world.sink.take()
        assert (symbol, mode, data["ltp"]) == ("S2", Mode.QUOTE, 3.0)

    def test_a_symbol_that_comes_back_is_served_again(self, rig, world, t) -> None:
        rig.hold(t.want("S1"))
        world.advance(1)
        rig.manager.master_changed("toy", None, t.Index([]))
        assert world.held() == {}
        rig.manager.master_changed("toy", None, t.master())
        assert world.held() == {"S1": QUOTE}


class TestShards:
    def test_a_shard_keeps_to_its_part_of_the_connections(self, world, t) -> None:
        manager = world.manager(shards=3)
        answers = t.result(manager.subscribe("ann", t.wants(12)))
        assert [a.code for a in answers if isinstance(a, Denied)] == ["CAPACITY_EXCEEDED"] * 2
        assert len(world.open()) == 1

    def test_a_broker_with_fewer_connections_than_shards_is_refused(self, world, t) -> None:
        answers = t.result(world.manager(shards=4).subscribe("ann", t.wants(2)))
        assert [(a.code, a.message) for a in answers] == [
            ("BROKER_INIT_ERROR", "4 feed shards can't share the 3 connections that Toy allows")
        ] * 2
        assert world.open() == []


class TestOrders:
    def test_a_connection_is_opened_for_orders_alone(self, rig, world, t) -> None:
        rig.manager.watch_orders("ann", True)
        world.advance(1)
        [connection] = world.open()
        connection.order(orderid="9")
        [(broker, user, update)] = world.sink.orders
        assert (broker, user, update["orderid"], update["type"]) == ("toy", "ann", "9", "order_update")
        world.advance(500)
        assert world.open() == [connection]
        rig.manager.watch_orders("ann", False)
        world.advance(30)
        rig.manager.watch_orders("ann", True)
        world.advance(100)
        assert world.open() == [connection]
        rig.manager.watch_orders("ann", False)
        world.advance(200)
        assert world.open() == []

    def test_they_come_once_however_many_connections_tell_them(self, rig, world, t) -> None:
        rig.hold(*t.wants(25))
        world.advance(1)
        for connection in world.open():
            connection.order(orderid="9", order_status="complete", filled_quantity=10)
        assert len(world.sink.orders) == 1

    def test_of_several_shards_the_one_that_watches_tells_them(self, world, t) -> None:
        manager = world.manager(shards=2)
        manager.subscribe("ann", t.wants(5))
        world.advance(1)
        [connection] = world.open()
        connection.order(orderid="9")
        assert world.sink.orders == []
        manager.watch_orders("ann", True)
        world.advance(1)
        connection.order(orderid="10")
        assert [update["orderid"] for _, _, update in world.sink.orders] == ["10"]

    def test_a_stream_for_orders_alone_is_preferred(self, world, t) -> None:
        limits = Limits(per_connection=10, connections=2)
        world.adapters["toy"] = t.adapter(
            feeds=(
                Feed(name="main", codec=t.no_codec, limits=limits, orders=True),
                Feed(name="orders", codec=t.no_codec, limits=limits, market=False, orders=True),
            )
        )
        manager = world.manager()
        manager.watch_orders("ann", True)
        world.advance(1)
        assert [c.feed.name for c in world.open()] == ["orders"]
        t.result(manager.subscribe("ann", [t.want("S1")]))
        world.advance(1)
        # Trouble of the order stream is not trouble of the market feed.
        world.open(feed="orders")[0].to(S.STALE)
        world.turn()
        assert t.result(manager.status("ann")).state is FeedState.CONNECTED

    def test_their_stream_opens_beside_a_market_feed_that_is_open_already(self, world, t) -> None:
        limits = Limits(per_connection=10, connections=2)
        world.adapters["toy"] = t.adapter(
            feeds=(
                Feed(name="main", codec=t.no_codec, limits=limits),
                Feed(name="orders", codec=t.no_codec, limits=limits, market=False, orders=True),
            )
        )
        manager = world.manager()
        t.result(manager.subscribe("ann", [t.want("S1")]))
        world.advance(1)
        assert [c.feed.name for c in world.open()] == ["main"]
        manager.watch_orders("ann", True)
        world.advance(1)
        assert sorted(c.feed.name for c in world.open()) == ["main", "orders"]

    def test_they_come_from_the_users_own_account_whoever_serves_the_ticks(self, world, t) -> None:
        manager = world.manager("bob=ann")
        world.login("bob", "token-b")
        manager.watch_orders("bob", True)
        t.result(manager.subscribe("bob", [t.want("S1")]))
        world.advance(1)
        [market], [orders] = world.open("ann"), world.open("bob")
        assert market.symbols() == {"S1"}
        assert orders.symbols() == set()
        orders.order()
        market.order(orderid="2")
        assert [user for _, user, _ in world.sink.orders] == ["bob", "ann"]

    def test_without_a_session_they_begin_with_the_login(self, rig, world, t) -> None:
        rig.manager.watch_orders("bob", True)
        world.advance(1)
        assert world.open("bob") == []
        world.login("bob", "token")
        rig.manager.credentials_changed("bob")
        world.advance(1)
        assert len(world.open("bob")) == 1


class TestTwoSockets:
    """A deep book on a socket of its own."""

    @pytest.fixture
    def manager(self, world, t):
        def route(instrument, wish):
            if wish.mode is Mode.DEPTH and wish.depth > 5:
                return (("main", QUOTE), ("deep", wish))
            return (("main", wish),)

        world.adapters["toy"] = t.adapter(
            feeds=(
                Feed(name="main", codec=t.no_codec, limits=Limits(per_connection=10, connections=1)),
                Feed(name="deep", codec=t.no_codec, limits=Limits(per_connection=2, connections=1)),
            ),
            route=route,
        )
        return world.manager()

    def test_both_are_joined(self, manager, world, t) -> None:
        [granted] = t.result(manager.subscribe("ann", [t.want("S1", Mode.DEPTH, 20)]))
        assert granted == Granted("ann", "toy", Wish(Mode.DEPTH, 20), True, 2, 0)
        world.advance(1)
        [main], [deep] = world.open(feed="main"), world.open(feed="deep")
        deep.tick("S1", depth=t.book(levels=20))
        main.tick("S1", 7.0)
        [(_, mode, data)] = world.sink.take()
        assert (mode, data["ltp"], len(data["depth"]["buy"])) == (Mode.DEPTH, 7.0, 20)

    def test_an_upgrade_leaves_no_gap_for_those_who_had_a_book(self, manager, world, t) -> None:
        t.result(manager.subscribe("ann", [t.want("S1", Mode.DEPTH, 5)]))
        world.advance(1)
        [main] = world.open(feed="main")
        main.tick("S1", 7.0, depth=t.book())
        wanted = [t.want("S1", Mode.DEPTH, 20)]
        holds = t.holds_of(wanted, t.result(manager.subscribe("ann", wanted)))
        main.tick("S1", 8.0, depth=t.book())
        assert [len(d["depth"]["buy"]) for _, _, d in world.sink.take()] == [1, 1]
        world.advance(4)
        [deep] = world.open(feed="deep")
        deep.tick("S1", depth=t.book(levels=20))
        assert main.wanted == {next(iter(main.wanted)): QUOTE}
        manager.release(holds)
        world.advance(6)
        assert set(main.wanted.values()) == {DEPTH}
        # The deep one goes on until the other has taken over.
        assert deep.symbols() == {"S1"}
        world.advance(4)
        assert deep.symbols() == set()

    def test_no_room_on_one_of_them_takes_the_other_back(self, manager, world, t) -> None:
        t.result(manager.subscribe("ann", [t.want(f"S{n}", Mode.DEPTH, 20) for n in range(2)]))
        answers = t.result(manager.subscribe("ann", [t.want("S7", Mode.DEPTH, 20), t.want("S8")]))
        assert [type(answer) for answer in answers] == [Denied, Granted]
        [main], [deep] = world.open(feed="main"), world.open(feed="deep")
        assert main.symbols() == {"S0", "S1", "S8"}
        assert deep.symbols() == {"S0", "S1"}
        # One who holds it already keeps what there was.
        [denied] = t.result(manager.subscribe("ann", [t.want("S8", Mode.DEPTH, 20)]))
        assert denied.code == "CAPACITY_EXCEEDED"
        assert main.wanted[next(i for i in main.wanted if i.symbol == "S8")] == QUOTE

    def test_pending_until_both_are_up(self, manager, world, t) -> None:
        world.obliging = False
        t.result(manager.subscribe("ann", [t.want("S1", Mode.DEPTH, 20)]))
        world.open(feed="main")[0].live()
        [granted] = t.result(manager.subscribe("ann", [t.want("S1", Mode.DEPTH, 20)]))
        assert granted.pending
        world.open(feed="deep")[0].live()
        [granted] = t.result(manager.subscribe("ann", [t.want("S1", Mode.DEPTH, 20)]))
        assert not granted.pending


def test_stopping_ends_everything(rig, world, t) -> None:
    rig.hold(*t.wants(15))
    rig.manager.watch_orders("ann", True)
    world.advance(1)
    world.slow_to_close = True
    stopped = []
    rig.manager.stopService().addCallback(stopped.append)
    assert stopped == []
    for connection in world.connections:
        connection.stopping.callback(None)
    assert stopped
    assert world.clock.getDelayedCalls() == []
    rig.manager.release([Hold("ann", "S1", "NSE", QUOTE)])


def test_supported_brokers(rig) -> None:
    assert rig.manager.supported_brokers() == ["toy"]
