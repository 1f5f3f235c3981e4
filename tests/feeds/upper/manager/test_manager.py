"""The states of a feed, shards, two sockets that make one feed, and the end."""

from __future__ import annotations

import pytest

from openalgo_ws.adapter import Feed, Limits
from openalgo_ws.bus.demand import Denied, FeedState, Granted, Hold, Status
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.tick import Mode, Wish

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)


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
