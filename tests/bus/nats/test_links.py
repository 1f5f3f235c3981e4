"""What NATS adds to the contract of a bus: interest, last ticks on request, a server that goes away."""

from __future__ import annotations

import asyncio

import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from openalgo_ws.bus.demand import UNTAGGED
from openalgo_ws.bus.nats import NatsBus
from openalgo_ws.bus.nats_link import NatsLink
from tests.bus.contract.receiver import Receiver, tick, until
from tests.bus.nats.conftest import Links
from tests.support.nats_server import NatsServer


async def up(*links: NatsLink) -> None:
    await until(lambda: all(link.client is not None for link in links))


@pytest_twisted.ensureDeferred
async def test_only_what_is_wanted_comes_beginning_with_the_last_tick(links: Links) -> None:
    feeds, gateway = links(), links()
    receiver = Receiver()
    publisher = NatsBus(feeds).publisher()
    subscriber = NatsBus(gateway).subscriber(receiver, everything=False)
    await up(feeds, gateway)
    for symbol in ("SBIN", "INFY", "M&M.2 *>"):
        publisher.publish("alice.zerodha", tick(symbol, 1))
    subscriber.want("alice.zerodha", "SBIN", "NSE")
    subscriber.want("alice.zerodha", "M&M.2 *>", "NSE")
    await until(lambda: receiver.latest("alice.zerodha") == {"SBIN": 1, "M&M.2 *>": 1})
    publisher.publish("alice.zerodha", tick("INFY", 2))
    publisher.publish("bob.zerodha", tick("SBIN", 3))
    publisher.publish("alice.zerodha", tick("SBIN", 4))
    await until(lambda: receiver.latest("alice.zerodha")["SBIN"] == 4)
    assert receiver.latest("bob.zerodha") == {}
    assert receiver.latest("alice.zerodha") == {"SBIN": 4, "M&M.2 *>": 1}
    subscriber.unwant("alice.zerodha", "SBIN", "NSE")
    subscriber.want("alice.zerodha", "INFY", "NSE")
    await until(lambda: receiver.latest("alice.zerodha").get("INFY") == 2)
    publisher.publish("alice.zerodha", tick("SBIN", 5))
    publisher.publish("alice.zerodha", tick("INFY", 6))
    await until(lambda: receiver.latest("alice.zerodha")["INFY"] == 6)
    assert receiver.latest("alice.zerodha")["SBIN"] == 4


@pytest_twisted.ensureDeferred
async def test_messages_of_the_platform_are_forwarded(links: Links) -> None:
    feeds, gateway = links(), links()
    receiver = Receiver()
    publisher = NatsBus(feeds).publisher()
    subscriber = NatsBus(gateway).subscriber(receiver, everything=False)
    await up(feeds, gateway)
    subscriber.want(UNTAGGED, "NIFTY", "NSE_INDEX")
    came = receiver.messages
    # Whether the subscriptions are there is only known when something has come.
    await until(lambda: publisher.forward(b"NSE_INDEX_NIFTY_LTP", b'{"ltp":1}') or receiver.messages)
    publisher.forward(b"NSE_SBIN_LTP", b'{"ltp":2}')
    publisher.forward(b"CACHE_INVALIDATE_ALL_alice", b'{"user_id":"alice"}')
    publisher.publish_order("zerodha", "alice", {"n": 1})
    await until(lambda: receiver.orders())
    came = [message for message in receiver.messages if message[1] != b'{"ltp":1}']
    assert came == [
        (b"CACHE_INVALIDATE_ALL_alice", b'{"user_id":"alice"}'),
        (b"ZERODHA_alice_orders", b'{"n":1}'),
    ]


@pytest_twisted.ensureDeferred
async def test_a_server_that_dies_costs_nothing_but_time(server: NatsServer, links: Links) -> None:
    feeds, gateway = links(), links()
    receiver = Receiver()
    publisher = NatsBus(feeds).publisher()
    subscriber = NatsBus(gateway).subscriber(receiver, everything=False)
    symbols = [f"S{number}" for number in range(50)]
    for symbol in symbols:
        subscriber.want("feed", symbol, "NSE")
        publisher.publish("feed", tick(symbol, 1))
    await until(lambda: receiver.latest("feed") == dict.fromkeys(symbols, 1))
    server.kill()
    # Some of this falls into the hole between the server's end and the news of it.
    for symbol in symbols[:40]:
        publisher.publish("feed", tick(symbol, 2))
    await until(lambda: feeds.client is None and gateway.client is None)
    for symbol in symbols[20:]:
        publisher.publish("feed", tick(symbol, 3))
    server.start()
    expected = {symbol: 3 if index >= 20 else 2 for index, symbol in enumerate(symbols)}
    await until(lambda: receiver.latest("feed") == expected)
    for symbol in symbols:
        numbers = [number for name, number in receiver.ticks("feed") if name == symbol]
        assert numbers == sorted(numbers)
    await until(lambda: publisher.backlog() == 0)


@pytest_twisted.ensureDeferred
async def test_it_waits_for_a_server_that_is_not_there_yet(server: NatsServer) -> None:
    server.kill()
    link = NatsLink(reactor, [server.url])
    receiver = Receiver()
    bus = NatsBus(link)
    bus.subscriber(receiver)
    publisher = bus.publisher()
    publisher.publish("feed", tick("SBIN", 1))
    publisher.publish_order("zerodha", "alice", {"n": 1})
    assert publisher.backlog() == 2
    server.start()
    await until(lambda: receiver.latest("feed") == {"SBIN": 1} and receiver.orders() == [1])
    await link.stop()


@pytest_twisted.ensureDeferred
async def test_ticks_of_publishers_outside_are_conflated_while_the_server_is_away(
    server: NatsServer, links: Links
) -> None:
    server.kill()
    receiver = Receiver()
    # On one link, so that it is subscribed before anything is sent.
    bus = NatsBus(links(), bound=4)
    bus.subscriber(receiver)
    publisher = bus.publisher()
    for number in range(100):
        publisher.forward(b"NSE_SBIN_LTP", b'{"ltp":%d}' % number)
        publisher.forward(b"NSE_SBIN_QUOTE", b'{"ltp":%d,"volume":1}' % number)
        publisher.forward(b"NSE_INFY_LTP", b'{"ltp":%d}' % number)
    publisher.publish_order("zerodha", "alice", {"n": 1})
    assert publisher.backlog() < 10
    assert publisher.conflated > 290
    server.start()
    await until(lambda: receiver.orders() == [1] and dict(receiver.messages).get(b"NSE_INFY_LTP"))
    latest = dict(receiver.messages)
    assert latest[b"NSE_SBIN_LTP"] == latest[b"NSE_INFY_LTP"] == b'{"ltp":99}'
    assert latest[b"NSE_SBIN_QUOTE"] == b'{"ltp":99,"volume":1}'
    assert publisher.lost == 0


@pytest_twisted.ensureDeferred
async def test_a_publisher_that_is_closed_answers_no_more(links: Links) -> None:
    feeds, others, gateway = links(), links(), links()
    receiver = Receiver()
    old, new = NatsBus(feeds).publisher(), NatsBus(others).publisher()
    subscriber = NatsBus(gateway).subscriber(receiver, everything=False)
    await up(feeds, others, gateway)
    subscriber.want("feed", "SBIN", "NSE")
    old.publish("feed", tick("SBIN", 1))
    await until(lambda: receiver.latest("feed") == {"SBIN": 1})
    old.close()
    old.publish("feed", tick("SBIN", 2))
    new.publish("feed", tick("SBIN", 3))
    await until(lambda: receiver.latest("feed") == {"SBIN": 3})
    subscriber.up()
    new.publish("feed", tick("SBIN", 4))
    await until(lambda: receiver.latest("feed") == {"SBIN": 4})
    assert {number for _, number in receiver.ticks("feed")} == {1, 3, 4}


@pytest_twisted.ensureDeferred
async def test_what_a_halted_process_had_on_its_way_comes_too_late(links: Links) -> None:
    before, after, gateway = links(), links(), links()
    receiver = Receiver()
    # They publish under a lease, which the second has got after the first.
    halted, successor = NatsBus(before, term=17).publisher(), NatsBus(after, term=23).publisher()
    subscriber = NatsBus(gateway).subscriber(receiver, everything=False)
    await up(before, after, gateway)
    for symbol in ("SBIN", "INFY"):
        subscriber.want("alice.zerodha", symbol, "NSE")
        halted.publish("alice.zerodha", tick(symbol, 1))
    await until(lambda: receiver.latest("alice.zerodha") == {"SBIN": 1, "INFY": 1})
    successor.publish("alice.zerodha", tick("SBIN", 3))
    await until(lambda: receiver.latest("alice.zerodha")["SBIN"] == 3)
    halted.publish("alice.zerodha", tick("SBIN", 2))
    halted.publish("alice.zerodha", tick("INFY", 2))
    # Another feed's ticks say when these have come.
    halted.publish("bob.zerodha", tick("SBIN", 1))
    subscriber.want("bob.zerodha", "SBIN", "NSE")
    await until(lambda: receiver.latest("bob.zerodha") == {"SBIN": 1})
    assert receiver.latest("alice.zerodha") == {"SBIN": 3, "INFY": 1}
    assert subscriber.past >= 2
    assert subscriber.malformed == 0


@pytest_twisted.ensureDeferred
async def test_a_reply_that_names_no_term_is_malformed(links: Links) -> None:
    feeds, gateway = links(), links()
    receiver = Receiver()
    publisher = NatsBus(feeds).publisher()
    subscriber = NatsBus(gateway).subscriber(receiver)
    await up(feeds, gateway)
    await until(lambda: publisher.publish("feed", tick("SBIN", 1)) or receiver.latest("feed"))
    client = feeds.client
    assert client is not None
    await Deferred.fromFuture(asyncio.ensure_future(client.publish("oa.t.feed.NSE.SBIN.LTP", b"", "oa.l.x")))
    await until(lambda: subscriber.malformed == 1)
