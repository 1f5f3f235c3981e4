"""Order updates: whose, over which connection, and once."""

from __future__ import annotations

from openalgo_ws.adapter import Feed, Limits
from openalgo_ws.bus.demand import FeedState
from openalgo_ws.feeds.connection import ConnectionState as S


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
