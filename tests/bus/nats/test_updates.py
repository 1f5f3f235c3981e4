"""Order updates on NATS: none is missed while a connection or the server is away, and none comes twice."""

from __future__ import annotations

import pytest_twisted

from openalgo_ws.bus.nats import NatsBus, NatsPublisher
from openalgo_ws.bus.nats_link import NatsLink
from tests.bus.contract.receiver import ALICE, Receiver, until
from tests.bus.nats.conftest import Links
from tests.support.nats_server import NatsServer


def order(publisher: NatsPublisher, *numbers: int) -> None:
    for number in numbers:
        publisher.publish_order("zerodha", "alice", {"n": number})


async def gateway(link: NatsLink, publisher: NatsPublisher) -> Receiver:
    """A gateway that has begun to receive."""
    receiver = Receiver()
    NatsBus(link).subscriber(receiver, everything=False)
    # Nothing else tells that its subscription is there; what was sent before that is not for it.
    await until(lambda: publisher.forward(b"hello", b"") or receiver.messages)
    return receiver


@pytest_twisted.ensureDeferred
async def test_what_falls_into_the_hole_before_the_news_of_the_server_s_end(
    server: NatsServer, links: Links
) -> None:
    feeds = links()
    publisher = NatsBus(feeds).publisher()
    receivers = [await gateway(links(), publisher) for _ in range(2)]
    order(publisher, 1)
    await until(lambda: all(receiver.orders() == [1] for receiver in receivers))
    server.kill()
    assert feeds.client is not None
    order(publisher, 2)
    await until(lambda: publisher.backlog() == 0)
    await until(lambda: feeds.client is None)
    order(publisher, 3)
    server.start()
    await until(lambda: all(receiver.orders() == [1, 2, 3] for receiver in receivers))


@pytest_twisted.ensureDeferred
async def test_what_is_sent_while_one_gateway_is_cut_off(links: Links) -> None:
    publisher = NatsBus(links()).publisher()
    link, gate = links.behind_a_gate()
    cut_off = await gateway(link, publisher)
    other = await gateway(links(), publisher)
    order(publisher, 1)
    await until(lambda: cut_off.orders() == other.orders() == [1])
    await gate.shut()
    await until(lambda: link.client is None)
    order(publisher, 2, 3)
    await until(lambda: other.orders() == [1, 2, 3])
    gate.open()
    await until(lambda: cut_off.orders() == [1, 2, 3])
    order(publisher, 4)
    await until(lambda: cut_off.orders() == other.orders() == [1, 2, 3, 4])


@pytest_twisted.ensureDeferred
async def test_what_the_feeds_send_while_they_are_cut_off(links: Links) -> None:
    link, gate = links.behind_a_gate()
    publisher = NatsBus(link).publisher()
    receiver = await gateway(links(), publisher)
    await gate.shut()
    # It does not know yet.
    order(publisher, 1)
    await until(lambda: link.client is None)
    order(publisher, 2)
    gate.open()
    await until(lambda: receiver.orders() == [1, 2])


@pytest_twisted.ensureDeferred
async def test_feeds_that_begin_while_a_gateway_is_cut_off(links: Links) -> None:
    first = NatsBus(links()).publisher()
    link, gate = links.behind_a_gate()
    cut_off = await gateway(link, first)
    other = await gateway(links(), first)
    await gate.shut()
    await until(lambda: link.client is None)
    second = NatsBus(links()).publisher()
    order(second, 1)
    await until(lambda: other.orders() == [1])
    order(first, 2)
    await until(lambda: other.orders() == [1, 2])
    gate.open()
    await until(lambda: sorted(cut_off.orders()) == [1, 2])


@pytest_twisted.ensureDeferred
async def test_who_comes_later_gets_nothing_old(links: Links) -> None:
    publisher = NatsBus(links()).publisher()
    first = await gateway(links(), publisher)
    order(publisher, 1)
    await until(lambda: first.orders() == [1])
    link, gate = links.behind_a_gate()
    late = await gateway(link, publisher)
    await gate.shut()
    await until(lambda: link.client is None)
    order(publisher, 2)
    await until(lambda: first.orders() == [1, 2])
    gate.open()
    await until(lambda: late.orders() == [2])
    order(publisher, 3)
    await until(lambda: late.orders() == [2, 3])


@pytest_twisted.ensureDeferred
async def test_what_nobody_keeps_any_more_is_counted_as_lost(links: Links) -> None:
    publisher = NatsBus(links(), updates=8).publisher()
    link, gate = links.behind_a_gate()
    receiver = Receiver()
    subscriber = NatsBus(link).subscriber(receiver, everything=False)
    await until(lambda: publisher.forward(b"hello", b"") or receiver.messages)
    other = await gateway(links(), publisher)
    await gate.shut()
    await until(lambda: link.client is None)
    for number in range(20):
        order(publisher, number)
        await until(lambda number=number: other.orders()[-1:] == [number])
    gate.open()
    await until(lambda: receiver.orders() == list(range(12, 20)))
    assert subscriber.lost >= 12
    assert subscriber.backlog() == 0


@pytest_twisted.ensureDeferred
async def test_others_messages_have_no_number_and_come_all_the_same(links: Links) -> None:
    link = links()
    receiver = await gateway(links(), NatsBus(link).publisher())

    async def send(reply: str) -> None:
        assert link.client is not None
        await link.client.publish("oa.x.ZERODHA_alice_orders", b'{"n":1}', reply)

    for reply in ("", "elsewhere.1"):
        link.run(lambda reply=reply: send(reply))
    await until(lambda: receiver.messages.count((ALICE, b'{"n":1}')) == 2)
