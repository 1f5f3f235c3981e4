"""Partitions of the accounts: no account is in two, all agree on them, demand goes to the right one."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import succeed

from openalgo_ws.bus.demand import Granted, Hold, Want
from openalgo_ws.feeds.plan import FeedPlan, preferred_of, tag_of
from openalgo_ws.scale.partitions import PartitionedDemand, Partitions, dealt
from openalgo_ws.tick import Mode, Wish
from tests.scale.test_sharded import CONNECTED, Shard

LTP = Wish(Mode.LTP, 0)

people = st.sampled_from("abcdefgh")
plans = st.dictionaries(
    st.sampled_from("abcdef*"),
    st.lists(st.sampled_from("abcdefgh*"), min_size=1, max_size=3, unique=True).map(tuple),
)


@given(plans, people)
def test_accounts_that_serve_a_user_together_are_in_one_place(plan: dict, user: str) -> None:
    feed = FeedPlan(plan)
    accounts = feed.accounts(user)
    assert {feed.together(account) for account in accounts} == {feed.together(accounts[0])}
    partitions = Partitions(7, plan)
    assert {partitions.of_account(account) for account in accounts} == {partitions.of_user(user)}
    assert partitions.of_feed(tag_of(accounts)) == partitions.of_user(user)


@given(plans, people)
def test_the_order_of_the_plan_does_not_matter(plan: dict, account: str) -> None:
    other = dict(reversed(plan.items()))
    assert FeedPlan(plan).together(account) == FeedPlan(other).together(account)
    assert Partitions(5, plan).layout == Partitions(5, other).layout


def test_accounts_that_nobody_joins_are_apart() -> None:
    plan = FeedPlan.parse("alice=bob; carol=carol,dave; erin=dave,frank")
    groups = [plan.together(name) for name in ("alice", "bob", "carol", "dave", "erin", "frank", "grace")]
    assert groups == ["alice", "bob", "carol", "carol", "erin", "carol", "grace"]
    # One for everybody: users' own accounts, which tell of orders, are apart from it ...
    house = FeedPlan.parse("*=house,spare")
    assert [house.together(name) for name in ("alice", "house", "spare")] == ["alice", "house", "house"]
    # ... unless they serve as well; only who is named may be without.
    mixed = FeedPlan.parse("*=*,house; alice=alice; bob=carol")
    groups = [mixed.together(name) for name in ("alice", "bob", "carol", "dave", "house")]
    assert groups == ["alice", "bob", "carol", "carol", "carol"]


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3, unique=True))
def test_a_tag_names_its_first_account(names: list[str]) -> None:
    assert preferred_of(tag_of(tuple(names))) == names[0]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ((2, {}), (2, {}), True),
        ((2, {}), (3, {}), False),
        ((2, {}), (2, {"alice": ("bob",)}), False),
        # Where there is one partition it has all accounts, whatever the plan.
        ((1, {}), (1, {"alice": ("bob",)}), True),
    ],
)
def test_a_layout_is_named_by_what_makes_it(one: tuple, other: tuple, same: bool) -> None:
    assert (Partitions(*one).layout == Partitions(*other).layout) is same


@given(st.integers(1, 64), st.sets(st.text(min_size=1), min_size=1, max_size=8))
def test_partitions_are_dealt_evenly_and_each_once(count: int, members: set[str]) -> None:
    shares = dealt(count, members)
    assert sorted(one for share in shares.values() for one in share) == list(range(count))
    assert max(map(len, shares.values())) <= -(-count // len(members))
    assert dealt(count, sorted(members, reverse=True)) == shares


def test_a_process_that_goes_leaves_most_where_they_are() -> None:
    before = dealt(16, ["a", "b", "c", "d"])
    after = dealt(16, ["a", "b", "c"])
    moved = [one for name in "abc" for one in after[name] - before[name]]
    assert len(moved) <= 8
    assert set(moved) >= before["d"]


class TaggedShard(Shard):
    """Grants under tags as the feeds' side makes them."""

    plan = FeedPlan({"carol": ("dave",)})

    def subscribe(self, user, wants):
        tag = tag_of(self.plan.accounts(user))
        answers = [Granted(tag, "toy", want.wish) for want in wants]
        self.held.update(Hold(tag, want.symbol, want.exchange, want.wish) for want in wants)
        return succeed(answers)


def test_demand_goes_to_the_partition_of_the_user() -> None:
    partitions = Partitions(4, {"carol": ("dave",)})
    shards = [TaggedShard() for _ in range(4)]
    demand = PartitionedDemand(partitions, shards)
    users = [f"user{number}" for number in range(40)] + ["carol"]
    holds = []
    for user in users:
        (granted,) = demand.subscribe(user, [Want("SBIN", "NSE", LTP)]).result
        holds.append(Hold(granted.feed, "SBIN", "NSE", LTP))
        demand.watch_orders(user, True)
        assert demand.status(user).result == CONNECTED
    assert Counter(partitions.of_user(user) for user in users) == Counter(
        {number: shard.held.total() for number, shard in enumerate(shards)}
    )
    # Orders are of the user's own account, wherever the user's prices are from.
    for number, shard in enumerate(shards):
        assert set(shard.watched) == {user for user in users if partitions.of_account(user) == number}
    demand.release(holds)
    assert [shard.held.total() for shard in shards] == [0] * 4
    shards[2].brokers = []
    assert demand.supported_brokers() == ["toy", "zoo"]
