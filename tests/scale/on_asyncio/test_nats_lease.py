"""The lease in JetStream's key-value store of a real NATS server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import DeferredList

from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.scale.lease import LeaseStoreAway
from openalgo_ws.scale.nats_lease import NatsLeaseStore, NatsMarkStore
from tests.bus.contract.receiver import until
from tests.bus.nats.conftest import Links
from tests.support.nats_server import NatsServer

#: Bounds every wait here (seconds).
PATIENCE = 20.0

#: Seconds; the store rounds nothing up.
TTL = 1.0


async def store(link: NatsLink, owner: str, ttl: float = TTL) -> NatsLeaseStore:
    await until(lambda: link.client is not None)
    return NatsLeaseStore(link, "feeds", owner=owner, ttl=ttl)


async def takes(one: NatsLeaseStore) -> None:
    """Ask for it, within a while, until it is there."""
    end = reactor.seconds() + PATIENCE
    while not await one.take():
        assert reactor.seconds() < end, "it was never free"


@pytest_twisted.ensureDeferred
async def test_one_has_it_until_it_gives_it_back(links: Links) -> None:
    one, two = await store(links(), "one"), await store(links(), "two")
    first = await one.take()
    assert first
    assert not await two.take()
    renewed = await one.take()
    assert renewed
    await one.give_back()
    second = await two.take()
    assert second
    # Who takes it later has a larger number, also after it was given back.
    assert first < renewed < second
    assert not await one.take()
    # What is not one's own is not given back.
    await one.give_back()
    assert await two.take()


@pytest_twisted.ensureDeferred
async def test_who_does_not_renew_it_loses_it(links: Links) -> None:
    one, two = await store(links(), "one"), await store(links(), "two")
    assert await one.take()
    await takes(two)
    assert not await one.take()


@pytest_twisted.ensureDeferred
async def test_an_answer_that_did_not_come_is_no_loss(links: Links) -> None:
    one = await store(links(), "one")
    assert await one.take()
    # A renewal that was made, but not heard of.
    again = await store(links(), "one")
    assert await again.take()
    assert await one.take()


@pytest_twisted.ensureDeferred
async def test_it_outlives_the_server(server: NatsServer, links: Links) -> None:
    link = links()
    one, two = await store(link, "one", ttl=30.0), await store(links(), "two", ttl=30.0)
    assert await one.take()
    server.kill()
    await until(lambda: link.client is None)
    with pytest.raises(LeaseStoreAway):
        await one.take()
    server.start()
    await until(lambda: link.client is not None)
    assert await one.take()
    assert not await two.take()


@pytest_twisted.ensureDeferred
async def test_a_bucket_of_another_kind_is_refused(links: Links) -> None:
    one = await store(links(), "one", ttl=30.0)
    assert await one.take()
    two = await store(links(), "two", ttl=5.0)
    with pytest.raises(LeaseStoreAway, match="must keep its entries for 5 s"):
        await two.take()


@pytest_twisted.ensureDeferred
async def test_a_store_that_was_lost_is_made_again(server: NatsServer, links: Links, tmp_path: Path) -> None:
    link = links()
    one = await store(link, "one")
    assert await one.take()
    server.kill()
    shutil.rmtree(tmp_path / "jetstream")
    await until(lambda: link.client is None)
    server.start()
    await until(lambda: link.client is not None)
    with pytest.raises(LeaseStoreAway):
        await one.take()
    await takes(one)


async def mark(link: NatsLink, text: str) -> NatsMarkStore:
    await until(lambda: link.client is not None)
    return NatsMarkStore(link, "layout", owner=text, ttl=TTL)


@pytest_twisted.ensureDeferred
async def test_a_mark_is_of_all_who_write_the_same(links: Links) -> None:
    marks = [await mark(links(), "two") for _ in range(8)]
    # They renew it in the same moment, and none of them ever loses it.
    for _ in range(20):
        answers = await DeferredList([one.take() for one in marks])
        assert all(result for ok, result in answers if ok)
        assert all(failure.check(LeaseStoreAway) for ok, failure in answers if not ok)
        assert any(ok for ok, _ in answers)
    other = await mark(links(), "three")
    assert not await other.take()
    # Who goes takes it from nobody.
    await marks[0].give_back()
    assert not await other.take()
    assert await marks[1].take()
    # When all are gone it is free.
    await takes(other)
    assert not await marks[1].take()
