"""The bus in shared memory, where it differs from others: readers that stall, die and come back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from openalgo_ws.bus.ring import RingInUse
from openalgo_ws.bus.segment import folder
from openalgo_ws.bus.shm import ShmBus
from tests.bus.contract.receiver import Receiver, tick, turn, until
from tests.bus.ring.conftest import Child, child

#: Fits into a ring of 1,024 slots five times.
PADDING = 50_000


__all__ = ["child"]


@pytest.fixture
def buses() -> Iterator[Callable[..., ShmBus]]:
    name = f"test-{token_hex(8)}"
    made: list[ShmBus] = []

    def make(**options: object) -> ShmBus:
        made.append(ShmBus(reactor, name, **{"slots": 1024, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for bus in made:
        bus.shutdown()
    assert not list(folder().glob(f"*{name}*"))


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest_twisted.ensureDeferred
async def test_one_who_stalls_is_not_waited_for_and_is_brought_up_to_date(
    buses: Callable[..., ShmBus], receiver: Receiver
) -> None:
    bus = buses(patience=0.2)
    publisher = bus.publisher()
    stalled, lively = receiver, Receiver()
    # It can keep nothing and takes nothing.
    subscriber = bus.subscriber(stalled, batch=1, mark=1)
    bus.subscriber(lively)
    stalled.hold()
    for number in range(2):
        publisher.publish_order("x", "somebody", {"n": number})
        await turn()
    await until(lambda: stalled.messages)
    publisher.publish("feed", tick("EARLY", 1))
    publisher.publish_order("zerodha", "alice", {"n": 1})
    number = 0

    def dropped() -> int:
        nonlocal number
        number += 1
        publisher.publish("feed", tick("SBIN", number, padding=PADDING))
        return publisher.dropped

    await until(dropped)
    # From now on the other one gets everything.
    before = publisher.conflated
    await until(lambda: not publisher.backlog())
    for _ in range(30):
        number += 1
        publisher.publish("feed", tick("SBIN", number, padding=PADDING))
        await until(lambda number=number: lively.latest("feed")["SBIN"] == number)
    assert publisher.conflated == before
    publisher.publish("feed", tick("LATE", 1))
    publisher.publish_order("zerodha", "alice", {"n": 2})
    await until(lambda: lively.latest("feed").get("LATE"))

    stalled.release()
    latest = {"EARLY": 1, "LATE": 1, "SBIN": number}
    await until(lambda: stalled.latest("feed") == latest)
    await until(lambda: stalled.orders()[-1:] == [2])
    assert {1, 2} <= set(stalled.orders())
    assert subscriber.lost > 0
    await until(lambda: not publisher.backlog())
    for one in (stalled, lively):
        numbers = [value for symbol, value in one.ticks("feed") if symbol == "SBIN"]
        assert numbers == sorted(numbers), "an older value after a newer one"
    # It is waited for again.
    number += 1
    publisher.publish("feed", tick("SBIN", number))
    await until(lambda: stalled.latest("feed")["SBIN"] == number)
    assert publisher.dropped == 1


@pytest.mark.slow
@pytest_twisted.ensureDeferred
async def test_one_who_was_killed_holds_up_nobody(
    buses: Callable[..., ShmBus], receiver: Receiver, child: Callable[..., Child]
) -> None:
    bus = buses(patience=3600.0)
    publisher = bus.publisher()
    bus.subscriber(receiver)
    other = child("sit", publisher.name)
    other.kill()
    for number in range(1, 31):
        publisher.publish("feed", tick("SBIN", number, padding=PADDING))
        await turn()
    await until(lambda: receiver.latest("feed") == {"SBIN": 30})
    await until(lambda: not publisher.backlog())
    assert publisher.dropped == 0


@pytest_twisted.ensureDeferred
async def test_there_is_one_publisher(buses: Callable[..., ShmBus]) -> None:
    first = buses().publisher()
    with pytest.raises(RingInUse):
        buses().publisher()
    first.close()
    buses().publisher()
    await turn()


@pytest_twisted.ensureDeferred
async def test_what_was_published_before_anybody_came_is_there(
    buses: Callable[..., ShmBus], receiver: Receiver
) -> None:
    publisher = buses().publisher()
    publisher.publish("feed", tick("SBIN", 1))
    await deferLater(reactor, 0)
    buses().subscriber(receiver)
    await until(lambda: receiver.latest("feed") == {"SBIN": 1})


@pytest_twisted.ensureDeferred
async def test_a_batch_that_is_too_long_for_the_ring_is_divided(
    buses: Callable[..., ShmBus], receiver: Receiver
) -> None:
    bus = buses()
    publisher = bus.publisher()
    bus.subscriber(receiver)
    # All in one turn: five times what the ring holds, and one that it can't hold.
    for number in range(1, 26):
        publisher.publish("feed", tick(f"S{number}", number, padding=PADDING))
    publisher.publish("feed", tick("GIANT", 1, padding=200_000))
    await until(lambda: receiver.latest("feed") == {f"S{number}": number for number in range(1, 26)})
    assert (publisher.lost, publisher.conflated, publisher.backlog()) == (1, 0, 0)
