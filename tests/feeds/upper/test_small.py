"""Plans, wishes, the daily rollover's clock, and order updates once each."""

from __future__ import annotations

from datetime import datetime, time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import OrderUpdate
from openalgo_ws.feeds.orders import OrderStream
from openalgo_ws.feeds.plan import FeedPlan, PlanError, tag_of
from openalgo_ws.feeds.rollover import IST, Rollover
from openalgo_ws.feeds.wishes import decimals, poorer, richest
from openalgo_ws.tick import Instrument, Mode, Wish


class TestPlan:
    def test_everybody_has_their_own_feed(self) -> None:
        assert FeedPlan().accounts("ann") == ("ann",)
        assert FeedPlan.parse("  ").accounts("ann") == ("ann",)

    def test_feeds_are_shared_and_redundant(self) -> None:
        plan = FeedPlan.parse("ann = bob; carol=carol, bob ;*=*,house;")
        assert plan.accounts("ann") == ("bob",)
        assert plan.accounts("carol") == ("carol", "bob")
        assert plan.accounts("dave") == ("dave", "house")
        assert plan.accounts("house") == ("house",)

    @pytest.mark.parametrize("text", ["ann", "ann=", "=bob", "ann=bob,", "ann=bob,bob", "ann=a;ann=b"])
    def test_a_plan_that_is_none_is_refused(self, text: str) -> None:
        with pytest.raises(PlanError):
            FeedPlan.parse(text)

    @given(st.lists(st.lists(st.text("ab>%", min_size=1), min_size=1, max_size=3), min_size=2, max_size=2))
    def test_different_lists_have_different_tags(self, lists) -> None:
        one, other = (tuple(names) for names in lists)
        assert (tag_of(one) == tag_of(other)) == (one == other)
        assert tag_of(one)


wish = st.builds(Wish, st.sampled_from(Mode), st.integers(1, 200))


class TestWishes:
    @given(st.lists(wish, min_size=1))
    def test_the_richest_contains_them_all(self, wishes) -> None:
        best = richest(wishes)
        assert best in wishes
        assert not any(poorer(best, other) for other in wishes)

    def test_levels_matter_for_depth_alone(self) -> None:
        assert not poorer(Wish(Mode.QUOTE, 5), Wish(Mode.QUOTE, 20))
        assert poorer(Wish(Mode.DEPTH, 5), Wish(Mode.DEPTH, 20))
        assert poorer(None, Wish(Mode.LTP))
        assert richest([]) is None

    @pytest.mark.parametrize(
        ("tick_size", "expected"),
        [
            (0.05, 2),
            (0.0025, 4),
            (0.01, 2),
            (1.0, 2),
            (5, 2),
            (0.0, 2),
            (-1.0, 2),
            (1e-07, 7),
            (float("nan"), 2),
            (float("inf"), 2),
            (1e-30, 9),
            (100.0, 2),
            (0.5, 2),
            (0.00025, 5),
        ],
    )
    def test_decimals(self, tick_size, expected) -> None:
        assert decimals(tick_size) == expected


class TestRollover:
    def test_it_looks_after_the_expiry_and_until_nothing_is_old(self, world) -> None:
        looks: list[str] = []
        answers = [True, True, False]

        def look() -> bool:
            looks.append(datetime.fromtimestamp(world.now(), IST).strftime("%d %H:%M:%S"))
            return answers.pop(0) if answers else False

        rollover = Rollover(world.clock, world, expiry=time(3, 0), recheck=300.0, look=look)
        rollover.start()
        assert datetime.fromtimestamp(rollover.last(), IST).strftime("%d %H:%M") == "02 03:00"
        world.clock.advance(17 * 3600 + 4)
        assert looks == []
        world.clock.advance(1)
        world.clock.pump([300, 300, 300])
        assert looks == ["03 03:00:05", "03 03:05:05", "03 03:10:05"]
        assert datetime.fromtimestamp(rollover.last(), IST).strftime("%d %H:%M") == "03 03:00"
        world.clock.advance(24 * 3600 - 900)
        assert looks[3:] == ["04 03:00:05"]
        rollover.stop()
        assert world.clock.getDelayedCalls() == []


class TestOrders:
    @pytest.fixture
    def rig(self, t):
        sink = t.Sink()
        stream = OrderStream(sink, "toy", "ann", capacity=3)
        index = t.Index([Instrument("SBIN", "NSE", "42", "STATE BANK EQ")])

        def ordered(source=0, token="", **fields):
            stream.ordered(source, OrderUpdate(t.order(**fields), token), index)
            taken, sink.orders = sink.orders, []
            return [update for _, _, update in taken]

        ordered.stream = stream
        return ordered

    def test_in_the_platforms_form_for_its_user(self, rig) -> None:
        [update] = rig(orderid="7", order_status="complete", filled_quantity=10)
        assert update["type"] == "order_update"
        assert (update["user_id"], update["broker"], update["orderid"]) == ("ann", "toy", "7")
        assert (update["order_status"], update["filled_quantity"]) == ("complete", 10)

    def test_named_from_the_master(self, rig) -> None:
        assert rig(token="42", symbol="")[0]["symbol"] == "SBIN"
        assert rig(orderid="2", token="43", symbol="SBIN-EQ")[0]["symbol"] == "SBIN-EQ"

    def test_named_after_the_brokers_own_name(self, rig) -> None:
        assert rig(symbol="STATE BANK EQ")[0]["symbol"] == "SBIN"
        assert rig(orderid="2", symbol="STATE BANK BE")[0]["symbol"] == "STATE BANK BE"

    def test_named_where_the_broker_does_not_say_the_exchange(self, t) -> None:
        sink = t.Sink()
        stream = OrderStream(sink, "toy", "ann")
        shares = [Instrument("SBIN", "NSE", "42", "SBIN-EQ"), Instrument("TCS", "BSE", "7", "TCS")]
        index = t.Index([*shares, Instrument("ITC", "NSE", "7", "ITC-EQ")])
        for number, (token, symbol) in enumerate(
            [("42", ""), ("7", "TCS"), ("7", "ITC-EQ"), ("7", "X"), ("8", "X"), ("", "X")]
        ):
            order = t.order(orderid=f"{number}", symbol=symbol, exchange="")
            stream.ordered(0, OrderUpdate(order, token), index)
        named = [(update["symbol"], update["exchange"]) for _, _, update in sink.orders]
        assert named == [("SBIN", "NSE"), ("TCS", "BSE"), ("ITC", "NSE"), ("X", ""), ("X", ""), ("X", "")]

    def test_told_by_two_connections_it_is_published_once(self, rig) -> None:
        assert len(rig(source=0)) == 1
        # Not every connection tells it with the same fields.
        assert rig(source=1, average_price=3.0) == []
        assert len(rig(source=1, filled_quantity=5)) == 1
        assert rig(source=0, filled_quantity=5) == []
        assert len(rig(source=0, order_status="cancelled")) == 1

    def test_an_order_that_was_modified_is_another_update(self, rig) -> None:
        rig(source=0, price=100.0)
        assert len(rig(source=0, price=101.0)) == 1
        assert rig(source=1, price=101.0) == []
        assert rig(source=0, price=101.0) == []

    def test_when_a_connection_is_gone_another_speaks_for_it(self, rig) -> None:
        rig(source=0, price=100.0)
        rig.stream.source_gone(0)
        assert rig(source=1, price=100.0) == []
        assert len(rig(source=1, price=102.0)) == 1

    def test_what_is_remembered_is_bounded(self, rig) -> None:
        for number in range(4):
            rig(orderid=str(number))
        assert len(rig(orderid="0")) == 1
        assert rig(orderid="3") == []
