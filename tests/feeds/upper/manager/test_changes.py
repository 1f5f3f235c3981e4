"""New credentials and new masters, under subscriptions that stay."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from openalgo_ws.bus.demand import Denied, FeedState, Status
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.tick import Instrument, Mode, Wish

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)


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

    def test_however_many_connections_read_it_there_is_one_new_session(self, rig, world, t) -> None:
        world.adapters["other"] = t.adapter("other")
        rig.hold(*t.wants(5))
        world.advance(1)
        world.login("ann", "token-2", "other")
        loading: list[Deferred] = []

        def index(broker):
            loading.append(Deferred())
            return loading[-1]

        world.index = index
        for _ in range(3):
            Deferred.fromCoroutine(world.read_credentials["ann"]())
        for one in loading:
            one.callback(t.master())
        world.advance(1)
        others = [connection for connection in world.connections if connection.adapter.name == "other"]
        assert others == world.open()
        assert len(world.held()) == 5

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
