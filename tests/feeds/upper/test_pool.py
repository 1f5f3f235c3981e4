"""The pool: filling, opening, closing, moving; never a symbol twice, never one lost."""

from __future__ import annotations

from dataclasses import replace
from itertools import count

import pytest

from openalgo_ws.adapter import Feed, Limits, Rejected
from openalgo_ws.feeds.bounds import Bounds
from openalgo_ws.feeds.connection import ConnectionState as S
from openalgo_ws.feeds.interfaces import FeedSettings
from openalgo_ws.feeds.pool import Pool
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

QUOTE, DEPTH = Wish(Mode.QUOTE), Wish(Mode.DEPTH)


def instrument(n: int) -> Instrument:
    return Instrument(f"S{n}", "NSE", str(n))


class Told:
    """The session."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.voided: list[str] = []
        self.announcements: list[str] = []
        self.rejections: list[Rejected] = []
        self.gone: list[int] = []

    def ticked(self, feed, ticks) -> None:
        self.ticks.extend(ticks)

    def source_changed(self, feed, instruments) -> None:
        self.voided.extend(i.symbol for i in instruments)

    def ordered(self, source, update) -> None: ...

    def source_gone(self, source) -> None:
        self.gone.append(source)

    def rejected(self, pool, rejected) -> None:
        self.rejections.append(rejected)

    def pool_changed(self, pool) -> None: ...

    def announced(self, pool, message) -> None:
        self.announcements.append(message)


class Rig:
    def __init__(self, world, t, limits: Limits, cost=None, **settings) -> None:
        self.world = world
        self.told = Told()
        adapter = t.adapter(limits=limits, cost=cost)
        self.pool = Pool(
            feed=Feed(name="main", codec=t.no_codec, limits=limits),
            cost=cost,
            make=world.make(adapter, "ann", lambda: None),
            clock=world.clock,
            settings=replace(FeedSettings(), **settings),
            listener=self.told,
            numbers=count(),
        )

    def want(self, *numbers: int, wish: Wish | None = QUOTE) -> list[str]:
        return [i.symbol for i in self.pool.want([(instrument(n), wish) for n in numbers])]

    def sizes(self) -> list[int]:
        return [len(connection.wanted) for connection in self.world.open()]

    def ltps(self) -> list[float | None]:
        ticks, self.told.ticks = self.told.ticks, []
        return [tick.ltp for tick in ticks]


@pytest.fixture
def rig(world, t):
    def make(per_connection=4, connections=3, cost=None, settings=None, **limits) -> Rig:
        bounds = Limits(per_connection=per_connection, connections=connections, **limits)
        return Rig(world, t, bounds, cost, **(settings or {}))

    return make


def test_one_connection_is_filled_before_the_next_is_opened(rig, world) -> None:
    pool = rig()
    assert pool.want(1, 2, 3) == []
    assert pool.sizes() == [3]
    pool.want(4, 5)
    assert pool.sizes() == [4, 1]
    pool.want(1, 2, 3, 4, 5)
    assert pool.sizes() == [4, 1]
    assert set(world.held()) == {"S1", "S2", "S3", "S4", "S5"}


def test_what_is_beyond_the_limits_is_refused_by_name_and_the_rest_carried(rig, world) -> None:
    pool = rig()
    assert pool.want(*range(14)) == ["S12", "S13"]
    assert pool.sizes() == [4, 4, 4]
    pool.want(3, wish=None)
    assert pool.want(13) == []
    assert "S13" in world.held()


def test_operators_bounds_and_the_accounts_own(world) -> None:
    limits = Limits(per_connection=3000, connections=3)
    settings = FeedSettings()
    assert Bounds.of(limits, settings) == Bounds(3000, 3, 9000)
    assert Bounds.of(limits, replace(settings, max_symbols=100)) == Bounds(100, 3, 300)
    assert Bounds.of(limits, replace(settings, max_symbols=5000, max_connections=9)) == Bounds(3000, 3, 9000)
    assert Bounds.of(limits, replace(settings, max_connections=2)) == Bounds(3000, 2, 6000)
    assert Bounds.of(limits, replace(settings, pooling=False)) == Bounds(3000, 1, 3000)
    assert Bounds.of(replace(limits, per_account=5000), settings) == Bounds(3000, 3, 5000)


def test_the_account_has_a_limit_of_its_own(rig) -> None:
    pool = rig(per_account=6)
    assert pool.want(*range(8)) == ["S6", "S7"]
    assert pool.sizes() == [4, 2]


def test_an_empty_connection_is_closed_after_a_while(rig, world) -> None:
    pool = rig(settings={"retire": 30.0})
    pool.want(*range(5))
    world.advance(1)
    pool.want(4, wish=None)
    world.advance(29)
    assert pool.sizes() == [4, 0]
    pool.want(5)
    world.advance(60)
    assert pool.sizes() == [4, 1]
    pool.want(5, wish=None)
    world.advance(31)
    assert pool.sizes() == [4]
    pool.want(0, 1, 2, 3, wish=None)
    world.advance(31)
    assert pool.sizes() == []
    assert world.clock.getDelayedCalls() == []


def test_one_is_kept_open_if_it_shall_be_warm(rig, world) -> None:
    pool = rig()
    pool.pool.keep_warm(True)
    world.advance(100)
    assert pool.sizes() == [0]
    pool.want(*range(5))
    pool.want(*range(5), wish=None)
    world.advance(100)
    assert pool.sizes() == [0]
    pool.pool.keep_warm(False)
    world.advance(100)
    assert pool.sizes() == []


@pytest.mark.parametrize("state", [S.AUTH_FAILED, S.FAILED])
def test_a_dead_connections_instruments_go_to_siblings_that_have_room(rig, world, state) -> None:
    pool = rig()
    pool.want(*range(9))
    world.advance(1)
    first = world.open()[0]
    pool.want(8, wish=None)
    pool.want(5, 6, wish=None)
    first.to(S.BACKING_OFF)
    assert pool.sizes() == [4, 2, 0]
    first.to(state)
    # Two go beside the others, two to the empty one; nothing is left, nothing is doubled.
    assert pool.sizes() == [0, 4, 2]
    assert len(world.held()) == 6
    assert first.symbols() == set()


def test_what_finds_no_room_waits_for_its_own_connection_or_for_room(rig, world) -> None:
    pool = rig(connections=2)
    pool.want(*range(8))
    world.advance(1)
    first, _second = world.open()
    first.to(S.AUTH_FAILED)
    assert pool.sizes() == [4, 4]
    assert not pool.pool.live(instrument(0))
    pool.want(5, wish=None)
    assert pool.sizes() == [3, 4]
    first.to(S.AUTHORISING)
    first.live()
    assert pool.pool.live(instrument(3))


def test_short_outages_move_nothing_long_ones_do(rig, world) -> None:
    pool = rig(settings={"rescue": 10.0})
    pool.want(*range(5))
    world.advance(1)
    first, _second = world.open()
    first.drop()
    world.advance(9.8)
    assert pool.sizes() == [4, 1]
    world.advance(0.3)
    assert pool.sizes() == [1, 4]
    first.live()
    assert pool.sizes() == [1, 4]


def test_too_many_connections_opens_no_further_one(rig, world) -> None:
    pool = rig()
    pool.want(*range(6))
    world.advance(1)
    _first, second = world.open()
    pool.want(0, wish=None)
    second.drop("too_many")
    assert pool.sizes() == [4, 1]
    # What comes now is put where it may come up later; beyond that there is no room.
    assert pool.want(10, 11, 12, 13) == ["S13"]
    assert pool.sizes() == [4, 4]
    second.live()
    assert pool.want(13) == []
    assert pool.sizes() == [4, 4, 1]


def test_ticks_go_on_and_what_was_known_of_lost_connections_is_void(rig, world) -> None:
    pool = rig()
    pool.want(1, 2)
    world.advance(1)
    [connection] = world.open()
    connection.tick("S1", 5.0)
    assert pool.ltps() == [5.0]
    connection.drop()
    assert sorted(pool.told.voided) == ["S1", "S2"]
    assert pool.told.gone == [0]
    world.clock.advance(2.5)
    connection.live()
    assert pool.told.announcements == ["live again after a gap of 2.5 s"]


def test_rejections_name_only_what_this_connection_serves(rig, world) -> None:
    pool = rig()
    pool.want(1, 2)
    [connection] = world.open()
    connection.reject("S1")
    connection.listener.rejected(connection, Rejected("whatever", (instrument(7),)))
    connection.listener.rejected(connection, Rejected("no names"))
    assert [(r.message, [i.symbol for i in r.instruments]) for r in pool.told.rejections] == [
        ("not allowed", ["S1"]),
        ("no names", []),
    ]


class TestCosts:
    """Each mode costs another share of the limit."""

    @pytest.fixture
    def pool(self, rig):
        return rig(cost=lambda instrument, wish: 3 if wish.mode is Mode.DEPTH else 1)

    def test_weights_count(self, pool) -> None:
        assert pool.want(*range(3), wish=DEPTH) == []
        assert pool.sizes() == [1, 1, 1]
        assert pool.want(4, 5, 6, 7) == ["S7"]

    def test_what_is_dearer_than_a_connection_never_fits(self, rig) -> None:
        pool = rig(cost=lambda instrument, wish: 5)
        assert pool.want(1) == ["S1"]
        assert pool.sizes() == []

    def test_a_dearer_mode_is_placed_in_place_if_it_fits(self, pool, world) -> None:
        pool.want(1, 2)
        pool.want(1, wish=DEPTH)
        assert pool.sizes() == [2]
        assert world.held()["S1"] == DEPTH

    def test_else_it_moves_and_is_served_by_the_old_one_until_the_first_tick(self, pool, world) -> None:
        pool.want(1, 2, 3)
        world.advance(1)
        first = world.open()[0]
        assert pool.want(1, wish=DEPTH) == []
        second = world.open()[1]
        first.tick("S1", 1.0)
        assert pool.ltps() == [1.0]
        world.advance(0.5)
        assert first.wanted[instrument(1)] == QUOTE
        assert second.wanted[instrument(1)] == DEPTH
        # A tick without content of its own does not make the switch.
        second.tick("S1", None, volume=4)
        assert pool.ltps() == []
        second.tick("S1", 2.0)
        assert pool.ltps() == [2.0]
        assert pool.told.voided == ["S1"]
        assert first.symbols() == {"S2", "S3"}
        # One that was still on its way counts no more.
        first.listener.ticked(first, [Tick(instrument(1), Mode.QUOTE, ltp=1.5)])
        first.tick("S2", 9.0)
        assert pool.ltps() == [9.0]

    def test_a_quiet_instrument_moves_without_a_tick(self, pool, world) -> None:
        pool.want(1, 2, 3)
        world.advance(1)
        pool.want(1, wish=DEPTH)
        world.advance(4)
        assert pool.sizes() == [2, 1]

    def test_without_room_the_old_mode_stays(self, pool, world) -> None:
        pool.want(*range(12))
        assert pool.want(1, wish=DEPTH) == ["S1"]
        assert world.held()["S1"] == QUOTE
        assert pool.sizes() == [4, 4, 4]

    def test_given_up_on_its_way_it_is_gone_from_both(self, pool, world) -> None:
        pool.want(1, 2, 3)
        world.advance(1)
        pool.want(1, wish=DEPTH)
        pool.want(1, wish=None)
        assert pool.sizes() == [2, 0]
        world.advance(40)
        assert pool.sizes() == [2]


class TestNewCredentials:
    def renew(self, pool: Rig, token: str = "token-2") -> None:
        pool.world.login("ann", token)
        pool.pool.renew(pool.world.credentials_of("ann"))

    def moving(self, rig, world):
        """A pool between a connection with two instruments and the one that is to replace it."""
        pool = rig()
        pool.want(1, 2)
        world.advance(1)
        [old] = world.open()
        world.obliging = False
        self.renew(pool)
        _, new = world.open()
        return pool, old, new

    def test_make_before_break(self, rig, world) -> None:
        pool, old, new = self.moving(rig, world)
        old.tick("S1", 1.0)
        assert pool.ltps() == [1.0]
        assert not pool.pool.load > 4
        new.live()
        new.tick("S1", 2.0)
        old.tick("S2", 3.0)
        assert pool.ltps() == [2.0, 3.0]
        new.tick("S2", 4.0)
        assert world.open() == [new]
        assert pool.ltps() == [4.0]
        assert pool.told.announcements == ["moved to a connection with the new credentials, without a gap"]
        assert set(world.held()) == {"S1", "S2"}

    def test_quiet_instruments_follow_after_the_overlap(self, rig, world) -> None:
        pool = rig()
        pool.want(1, 2)
        world.advance(1)
        [old] = world.open()
        self.renew(pool)
        world.advance(5)
        [new] = world.open()
        assert new is not old
        assert set(world.held()) == {"S1", "S2"}

    def test_one_after_the_other_through_the_one_free_place(self, rig, world) -> None:
        pool = rig()
        world.slow_to_close = True
        pool.want(*range(8))
        world.advance(1)
        first, second = world.open()
        self.renew(pool)
        world.advance(5)
        assert first.state is S.STOPPED
        assert second.state is S.LIVE
        assert len(world.open()) == 2
        # The next begins when the place at the broker is free.
        first.stopping.callback(None)
        world.advance(5)
        assert second.state is S.STOPPED
        assert len(world.held()) == 8
        assert all(c.credentials == world.credentials_of("ann") for c in world.open())

    @pytest.mark.parametrize("limits", [{"second_socket": False}, {"connections": 1}, {"per_account": 3}])
    def test_break_before_make_where_there_is_no_place_for_two(self, rig, world, limits) -> None:
        pool = rig(**limits)
        pool.want(1, 2)
        world.advance(1)
        [old] = world.open()
        self.renew(pool)
        assert old.renewals == 1
        # What the connection does then, and what is told of it.
        old.dial()
        world.clock.advance(0.7)
        old.live()
        assert pool.told.announcements[-1].startswith("live again after a gap of 0.")
        assert world.open() == [old]

    def test_nothing_happens_if_they_are_the_same(self, rig, world) -> None:
        pool = rig()
        pool.want(1)
        world.advance(1)
        pool.pool.renew(world.credentials_of("ann"))
        assert [c.renewals for c in world.connections] == [0]

    def test_one_that_is_not_live_dials_with_them_at_once(self, rig, world) -> None:
        pool = rig()
        pool.want(1)
        world.advance(1)
        [connection] = world.open()
        connection.to(S.AUTH_FAILED)
        self.renew(pool)
        assert connection.renewals == 1
        assert len(world.connections) == 1

    @pytest.mark.parametrize("how", ["refused", "timeout"])
    def test_if_the_new_one_does_not_come_up_the_old_one_stays(self, rig, world, how) -> None:
        pool, old, new = self.moving(rig, world)
        # What comes meanwhile is put on the new one, and comes back.
        pool.want(3)
        assert "S3" in new.symbols()
        if how == "refused":
            new.to(S.AUTH_FAILED, "token refused")
            assert "token refused" in pool.told.announcements[-1]
        else:
            world.advance(46)
        assert world.open() == [old]
        assert old.symbols() == {"S1", "S2", "S3"}
        old.tick("S1", 1.0)
        assert pool.ltps() == [1.0]

    def test_if_the_old_one_falls_meanwhile_the_new_one_has_everything(self, rig, world) -> None:
        pool, old, new = self.moving(rig, world)
        old.drop()
        assert world.open() == [new]
        assert set(world.held()) == {"S1", "S2"}
        world.clock.advance(1.5)
        new.live()
        assert pool.told.announcements == ["live again after a gap of 1.5 s"]

    def test_changes_during_the_move_reach_both(self, rig, world) -> None:
        pool, old, new = self.moving(rig, world)
        pool.want(1, wish=DEPTH)
        pool.want(2, wish=None)
        assert old.wanted == new.wanted == {instrument(1): DEPTH}

    def test_what_the_new_one_is_refused_is_told(self, rig, world) -> None:
        pool, old, new = self.moving(rig, world)
        new.live()
        new.reject("S1")
        assert [(r.message, [i.symbol for i in r.instruments]) for r in pool.told.rejections] == [
            ("not allowed", ["S1"])
        ]
        pool.want(1, wish=None)
        world.advance(4)
        assert world.open() == [new]
        assert new.symbols() == {"S2"}
        # What the old one was refused before that counts no more.
        assert old.symbols() == set()

    def test_a_warm_one_is_replaced_too(self, rig, world) -> None:
        pool = rig()
        pool.pool.keep_warm(True)
        world.advance(1)
        [old] = world.open()
        self.renew(pool)
        world.advance(1)
        [new] = world.open()
        assert new is not old

    def test_logged_out_every_connection_is_told(self, rig, world) -> None:
        pool = rig()
        pool.want(*range(6))
        world.advance(1)
        pool.pool.renew(None)
        assert [c.renewals for c in world.open()] == [1, 1]


def test_the_next_is_dialled_when_a_closing_one_has_let_go_of_its_place(rig, world) -> None:
    pool = rig(per_connection=1, connections=1)
    world.slow_to_close = True
    pool.want(1)
    world.advance(1)
    pool.want(1, wish=None)
    world.advance(31)
    [old] = world.connections
    assert old.state is S.STOPPED
    assert pool.want(2) == []
    new = world.connections[1]
    assert new.state is S.IDLE
    old.stopping.callback(None)
    world.advance(1)
    assert new.state is S.LIVE


def test_stop_ends_everything(rig, world) -> None:
    pool = rig()
    world.slow_to_close = True
    pool.want(*range(6))
    world.advance(1)
    first, second = world.open()
    done = []
    pool.pool.stop().addCallback(done.append)
    assert world.open() == []
    first.stopping.callback(None)
    assert done == []
    second.stopping.callback(None)
    assert done == [None]
    assert world.clock.getDelayedCalls() == []
