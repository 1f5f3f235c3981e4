"""What `openalgo_ws.bus.interface` promises, for every bus."""

from __future__ import annotations

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.task import deferLater

from openalgo_ws.bus.interface import BusPublisher, BusSubscriber
from openalgo_ws.tick import Mode
from tests.bus.contract.receiver import HELLO, Receiver, tick, turn, until
from tests.bus.contract.rigs import Rig

#: Enough to fill every buffer that a kernel or a library may have on the way.
PADDING = 50_000
#: For subscribers that conflate early.
MARK = 4
#: A bus that never fills up has no bound, and fails.
MOST_TURNS = 5_000
#: So many turns without anything taken: the bus is full, not only slower than a turn.
STILL = 30


async def joined(publisher: BusPublisher, *receivers: Receiver) -> None:
    """Wait until the way is open and empty: everybody has heard a greeting, and then the last one."""
    number = 0

    def heard() -> bool:
        nonlocal number
        number += 1
        publisher.publish_order("x", HELLO, {"n": number})
        return all(one.greeting for one in receivers)

    await until(heard)
    await until(lambda: all(one.greeting == number for one in receivers))


async def fill(publisher: BusPublisher, subscriber: BusSubscriber, symbols: list[str], rig: Rig) -> int:
    """Publish to somebody who takes nothing until the bus has taken none for a while; the last number."""
    unchanged, taken = 0, -1
    for number in range(1, MOST_TURNS):
        if number <= 2 * MARK:
            # What may not be conflated stops the subscriber from reading on.
            publisher.publish_order("x", "somebody", {"n": number})
        for symbol in symbols:
            publisher.publish("feed", tick(symbol, number, padding=PADDING))
        await deferLater(reactor, 0.001)
        before, taken = taken, rig.taken(publisher, subscriber)
        unchanged = unchanged + 1 if taken == before else 0
        if unchanged == STILL:
            return number
    raise AssertionError("nothing was conflated")


@pytest_twisted.ensureDeferred
async def test_ticks_arrive_as_they_were_published(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    for number in range(1, 2001):
        publisher.publish("feed", tick("SBIN", number))
        publisher.publish("feed", tick("INFY", number))
        if not number % 100:
            await turn()
    await until(lambda: receiver.latest("feed") == {"SBIN": 2000, "INFY": 2000})
    for symbol in ("SBIN", "INFY"):
        numbers = [number for name, number in receiver.ticks("feed") if name == symbol]
        assert numbers == sorted(set(numbers))
    replaced = publisher.conflated + subscriber.conflated
    assert len(receiver.ticks("feed")) + replaced == 4000


@pytest_twisted.ensureDeferred
async def test_nothing_is_lost_or_conflated_below_the_bound(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    receiver.hold()
    for number in range(rig.bound):
        publisher.publish("feed", tick("SBIN", number))
        await turn()
    receiver.release()
    await until(lambda: receiver.latest("feed") == {"SBIN": rig.bound - 1})
    assert receiver.ticks("feed") == [("SBIN", number) for number in range(rig.bound)]
    assert (publisher.conflated, publisher.lost) == (0, 0)
    assert (subscriber.conflated, subscriber.lost, subscriber.malformed) == (0, 0, 0)


@pytest_twisted.ensureDeferred
async def test_one_who_is_too_slow_gets_the_latest_of_each_instrument(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver, batch=1, mark=MARK)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    receiver.hold()
    symbols = ["SBIN", "INFY", "TCS"]
    # Published once, before the bus is full and after it.
    publisher.publish("feed", tick("EARLY", 1))
    last = await fill(publisher, subscriber, symbols, rig)
    publisher.publish("feed", tick("LATE", 1))
    await turn()
    assert publisher.backlog() <= len(symbols) + 1
    receiver.release()
    await until(lambda: receiver.latest("feed") == {"EARLY": 1, "LATE": 1, **dict.fromkeys(symbols, last)})
    for symbol in symbols:
        numbers = [number for name, number in receiver.ticks("feed") if name == symbol]
        assert numbers == sorted(set(numbers))
    await until(lambda: not publisher.backlog())
    arrived = len(receiver.ticks("feed"))
    assert publisher.conflated + subscriber.conflated > 0
    assert arrived + publisher.conflated + subscriber.conflated == last * len(symbols) + 2


@pytest_twisted.ensureDeferred
async def test_order_updates_are_not_conflated(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver, batch=1, mark=MARK)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    receiver.hold()
    last = await fill(publisher, subscriber, ["SBIN"], rig)
    for number in range(rig.bound):
        # Equal but for the number, and some not even that.
        publisher.publish_order("zerodha", "alice", {"n": number // 2, "pad": "x" * PADDING})
    assert publisher.backlog() >= rig.bound
    receiver.release()
    await until(lambda: len(receiver.orders()) == rig.bound)
    assert receiver.orders() == [number // 2 for number in range(rig.bound)]
    assert publisher.lost == 0
    await until(lambda: receiver.latest("feed") == {"SBIN": last})


@pytest_twisted.ensureDeferred
async def test_order_updates_beyond_the_bound_are_counted(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver, batch=1, mark=MARK)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    receiver.hold()
    await fill(publisher, subscriber, ["SBIN"], rig)
    count = 3 * rig.orders
    for number in range(count):
        publisher.publish_order("zerodha", "alice", {"n": number, "pad": "x" * PADDING})
    assert publisher.lost > 0
    assert publisher.backlog() <= rig.orders + 1
    receiver.release()
    await until(lambda: receiver.orders() and receiver.orders()[-1] == count - 1)
    assert receiver.orders() == list(range(publisher.lost, count))


@pytest_twisted.ensureDeferred
async def test_feeds_are_kept_apart(rig: Rig, receiver: Receiver) -> None:
    rig.bus.subscriber(receiver)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    for number in range(1, 11):
        publisher.publish("alice.zerodha", tick("SBIN", number))
        publisher.publish("bob.zerodha", tick("SBIN", 100 + number))
    await until(lambda: receiver.latest("bob.zerodha") and receiver.latest("alice.zerodha"))
    assert receiver.ticks("alice.zerodha") == [("SBIN", number) for number in range(1, 11)]
    assert receiver.ticks("bob.zerodha") == [("SBIN", number) for number in range(101, 111)]


@pytest_twisted.ensureDeferred
async def test_every_subscriber_gets_everything(rig: Rig) -> None:
    receivers = [Receiver(), Receiver(), Receiver()]
    for one in receivers:
        rig.bus.subscriber(one)
    publisher = rig.bus.publisher()
    await joined(publisher, *receivers)
    for number in range(1, rig.bound + 1):
        publisher.publish("feed", tick("SBIN", number))
        await turn()
    for one in receivers:
        await until(lambda one=one: one.latest("feed") == {"SBIN": rig.bound})
        assert one.ticks("feed") == [("SBIN", number) for number in range(1, rig.bound + 1)]


@pytest_twisted.ensureDeferred
async def test_a_long_record_arrives_whole(rig: Rig, receiver: Receiver) -> None:
    rig.bus.subscriber(receiver)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    record = tick("DEEP", 7, padding=200_000)
    publisher.publish("feed", record)
    await until(lambda: receiver.messages)
    _, payload = receiver.messages[0]
    assert record.body in payload
    assert record.mode is Mode.LTP


@pytest_twisted.ensureDeferred
async def test_batches_are_as_long_as_was_asked(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver, batch=3)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    receiver.hold()
    for number in range(rig.bound):
        publisher.publish_order("zerodha", "alice", {"n": number})
    await until(lambda: subscriber.backlog())
    receiver.release()
    await until(lambda: len(receiver.orders()) == rig.bound)
    assert max(map(len, receiver.batches)) <= 3
    assert subscriber.received == sum(map(len, receiver.batches))
    assert subscriber.backlog() == 0


@pytest_twisted.ensureDeferred
async def test_closing_with_things_pending(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver, batch=1, mark=MARK)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    receiver.hold()
    last = await fill(publisher, subscriber, ["SBIN"], rig)
    publisher.publish("feed", tick("SBIN", last + 1))
    publisher.close()
    publisher.close()
    publisher.publish("feed", tick("SBIN", last + 2))
    publisher.publish_order("zerodha", "alice", {"n": 1})
    assert publisher.backlog() == 0
    subscriber.close()
    subscriber.close()
    came = len(receiver.batches)
    receiver.release()
    for _ in range(20):
        await turn()
    assert len(receiver.batches) == came


@pytest_twisted.ensureDeferred
async def test_rubbish_costs_only_itself_and_is_counted(rig: Rig, receiver: Receiver) -> None:
    subscriber = rig.bus.subscriber(receiver)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    rubbish = await rig.send_rubbish(publisher)
    await until(lambda: subscriber.malformed == rubbish)
    publisher.publish("feed", tick("SBIN", 1))
    await until(lambda: receiver.latest("feed") == {"SBIN": 1})
    assert subscriber.malformed == rubbish


@pytest_twisted.ensureDeferred
async def test_a_new_publisher_is_heard_by_those_who_were_there(rig: Rig, receiver: Receiver) -> None:
    rig.bus.subscriber(receiver)
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    publisher.publish("feed", tick("SBIN", 1))
    await until(lambda: receiver.latest("feed") == {"SBIN": 1})
    publisher = rig.replace_publisher(publisher)
    receiver.batches.clear()
    await joined(publisher, receiver)
    publisher.publish("feed", tick("SBIN", 2))
    await until(lambda: receiver.latest("feed") == {"SBIN": 2})


@pytest_twisted.ensureDeferred
async def test_one_who_was_there_first_is_joined_by_the_publisher(rig: Rig, receiver: Receiver) -> None:
    rig.bus.subscriber(receiver)
    for _ in range(5):
        await turn()
    publisher = rig.bus.publisher()
    await joined(publisher, receiver)
    assert receiver.greeting
