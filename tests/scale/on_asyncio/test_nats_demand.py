"""The demand protocol over a real NATS server: no leader, a new one, holes, and what is given back."""

from __future__ import annotations

import pytest_twisted
from twisted.internet import reactor

from openalgo_ws.bus import subjects
from openalgo_ws.bus.demand import Denied, Granted
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.scale.nats_demand import NatsDemandClient, NatsDemandServer
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.server import Bounds, DemandServer
from tests.bus.contract.receiver import until
from tests.bus.nats.conftest import Links
from tests.scale.support import CountingDemand, Heard, want
from tests.support.nats_server import NatsServer


class Leader:
    """A feed process, with what is held of it."""

    def __init__(self, link: NatsLink, channels: int = 256) -> None:
        self.demand = CountingDemand()
        bounds = Bounds(linger=0.5, channels=channels)
        self.inside = DemandServer(reactor, self.demand, generation="1", bounds=bounds)
        self.server = NatsDemandServer(link, self.inside)
        self.server.start()


class Gateway:
    """A gateway, and what it has heard."""

    def __init__(self, link: NatsLink, name: str = "one") -> None:
        self.demand = RemoteDemand(reactor, gateway=name, generation="1")
        self.heard = Heard()
        self.demand.listen(self.heard)
        self.client = NatsDemandClient(link, self.demand)

    async def up(self) -> None:
        await until(lambda: self.demand.up)


@pytest_twisted.ensureDeferred
async def test_a_gateway_waits_for_a_leader_and_is_served(links: Links) -> None:
    gateway = Gateway(links())
    (answer,) = await gateway.demand.subscribe("alice", [want("SBIN")])
    assert isinstance(answer, Denied)
    leader = Leader(links())
    await gateway.up()
    answers = await gateway.demand.subscribe("alice", [want(f"S{number}") for number in range(2500)])
    assert all(isinstance(answer, Granted) for answer in answers)
    assert len(leader.demand.held) == 2500
    gateway.demand.watch_orders("alice", True)
    await until(lambda: leader.demand.watched() == {"alice"})
    # One that leaves gives everything back, after a while.
    gateway.client.close()
    await until(lambda: not leader.demand.held and not leader.demand.watched())
    await leader.server.stop()


@pytest_twisted.ensureDeferred
async def test_a_new_leader_is_told_what_is_held(links: Links) -> None:
    first = Leader(links())
    gateways = [Gateway(links(), name) for name in ("one", "two")]
    for gateway in gateways:
        await gateway.up()
        await gateway.demand.subscribe("alice", [want("SBIN"), want("INFY")])
    await first.server.stop()
    await until(lambda: not any(gateway.demand.up for gateway in gateways))
    assert not first.demand.held
    second = Leader(links())
    await until(lambda: sorted(second.inside.gateways().items()) == [("one", 2), ("two", 2)])
    # Both gateways hold both of them.
    assert set(second.demand.held.values()) == {2}
    await second.server.stop()


@pytest_twisted.ensureDeferred
async def test_a_hole_ends_the_channel_and_a_new_one_heals_it(links: Links) -> None:
    leader = Leader(links())
    link = links()
    gateway = Gateway(link)
    await gateway.up()
    await gateway.demand.subscribe("alice", [want("SBIN")])
    channel = gateway.client._channel
    assert channel is not None
    # As if a message of the gateway had been lost on its way.
    channel.numbers.numbered(b"")
    gateway.demand.watch_orders("alice", True)
    await until(lambda: gateway.client._channel not in (None, channel) and gateway.demand.up)
    await until(lambda: leader.demand.watched() == {"alice"})
    # And one of the leader's.
    channel = gateway.client._channel
    ((_, numbers),) = leader.server._channels.values()
    numbers.numbered(b"")
    await gateway.demand.status("alice")
    await until(lambda: gateway.client._channel not in (None, channel) and gateway.demand.up)
    await until(lambda: leader.inside.gateways() == {"one": 1} and len(leader.server._channels) == 1)
    await leader.server.stop()


@pytest_twisted.ensureDeferred
async def test_what_is_none_of_the_protocol_is_refused(links: Links) -> None:
    leader = Leader(links(), channels=1)
    gateway = Gateway(links())
    await gateway.up()
    link = links()
    await until(lambda: link.client is not None)
    answers: list[tuple[str, bytes]] = []

    async def heard(message: object) -> None:
        answers.append((message.subject, message.data))  # type: ignore[attr-defined]

    async def provoke() -> None:
        client = link.client
        assert client is not None
        for name, payload in (("a", b"\x00\x00\x00\x07late"), ("b", b"x"), ("c", b"\x00\x00\x00\x00first")):
            await client.subscribe(subjects.GATEWAYS + name, cb=heard)
            await client.publish(subjects.DEMAND, payload, subjects.GATEWAYS + name)
        # No answer goes anywhere else.
        await client.publish(subjects.DEMAND, b"\x00\x00\x00\x00first", "somebody.else")
        await client.publish(subjects.DEMAND, b"\x00\x00\x00\x00first")

    link.run(provoke)
    # The first two begin in the middle; for the third there is no room.
    await until(lambda: sorted(answers) == [(subjects.GATEWAYS + name, b"") for name in "abc"])
    assert gateway.demand.up
    await leader.server.stop()


@pytest_twisted.ensureDeferred
async def test_a_nats_server_that_dies_costs_no_holds(server: NatsServer, links: Links) -> None:
    leader = Leader(links())
    leader.inside._bounds = Bounds(linger=60.0)
    gateway = Gateway(links())
    await gateway.up()
    await gateway.demand.subscribe("alice", [want("SBIN")])
    server.kill()
    await until(lambda: not gateway.demand.up)
    assert gateway.heard.states[-1][1].value == "reconnecting"
    (answer,) = await gateway.demand.subscribe("alice", [want("SBIN")])
    assert isinstance(answer, Granted)
    assert answer.pending
    server.start()
    await gateway.up()
    await until(lambda: leader.inside.gateways() == {"one": 1})
    assert sum(leader.demand.held.values()) == 1
    await leader.server.stop()
