"""Feeds and gateways on NATS as processes of their own: ticks, orders, and the death of each of them."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.scale.nats.conftest import Cluster, until
from tests.scale.nats.holder import Holder
from tests.support.postgres import POSTGRES
from tests.support.process import ServerProcess

pytestmark = pytest.mark.slow

LEADS = "this process serves the feeds"


class Machines:
    """Two feeds, of which one leads, two gateways, and clients of both that have everything."""

    def __init__(self, cluster: Cluster, **environ: str) -> None:
        self.cluster = cluster
        self.feeds = [cluster.start("feeds", **environ) for _ in range(2)]
        self.gateways = [cluster.start("gateway", **environ) for _ in range(2)]
        self.clients: list[Holder] = []
        self._orders = 0

    async def connect(self) -> Machines:
        """Two clients of each user, one at each gateway; if that is gone, they take the other."""
        for gateway in self.gateways:
            await until(lambda gateway=gateway: "listening on" in gateway.output())
        first, second = self.gateways
        for user in ("alice", "bob"):
            self.clients += [
                self.cluster.holder(user, first, second),
                self.cluster.holder(user, second, first),
            ]
        await self.settled()
        return self

    async def settled(self) -> None:
        """Everybody has the last value of everything, and then something new."""
        await self.cluster.settled(*self.clients)

    async def ordered(self) -> None:
        """An order of both users, which have a feed each, reaches every client of its own user once."""
        self._orders += 1
        before = [list(client.orders) for client in self.clients]
        one = self.cluster.order(f"{self._orders}")
        await until(
            lambda: all(
                client.orders[len(old) :] == [one] for client, old in zip(self.clients, before, strict=True)
            )
        )

    async def leader(self) -> ServerProcess:
        """The process that serves the feeds."""
        await until(lambda: any(LEADS in process.output() for process in self.feeds))
        (one,) = [process for process in self.feeds if LEADS in process.output()]
        return one


@pytest_twisted.ensureDeferred
async def test_clients_of_all_gateways_get_ticks_and_their_own_orders(cluster: Cluster) -> None:
    machines = await Machines(cluster).connect()
    await machines.ordered()
    # One process serves, and the broker has each account once.
    await machines.leader()
    assert len(cluster.broker.connections) == 2
    # Who comes later begins with the last values, though nothing ticks.
    cluster.broker.rate = 0.0
    late = cluster.holder("alice", machines.gateways[0])
    await cluster.settled(*machines.clients, late)


@pytest_twisted.ensureDeferred
async def test_a_gateway_is_killed(cluster: Cluster) -> None:
    machines = await Machines(cluster).connect()
    machines.gateways[0].kill()
    await until(lambda: [client.connections for client in machines.clients] == [2, 1, 2, 1])
    await machines.settled()
    await machines.ordered()


@pytest_twisted.ensureDeferred
async def test_the_leader_is_killed(cluster: Cluster) -> None:
    machines = await Machines(cluster).connect()
    old = await machines.leader()
    old.kill()
    machines.feeds.remove(old)
    assert await machines.leader() is not old
    await machines.settled()
    await machines.ordered()
    # No client has noticed more than a pause.
    assert {client.connections for client in machines.clients} == {1}
    # And the next one takes over from this one.
    machines.feeds.append(cluster.start("feeds"))
    machines.feeds.pop(0).kill()
    await machines.leader()
    await machines.settled()


@pytest_twisted.ensureDeferred
@pytest.mark.parametrize("away", [0.0, 6.0])
async def test_the_nats_server_is_killed(cluster: Cluster, away: float) -> None:
    machines = await Machines(cluster).connect()
    cluster.nats.kill()
    # The market goes on for a while; after the longer one the lease is lost, and taken again.
    await cluster.later(away)
    # What it did meanwhile has to be told without another tick.
    rate, cluster.broker.rate = cluster.broker.rate, 0.0
    cluster.nats.start()
    await machines.settled()
    cluster.broker.rate = rate
    await machines.settled()
    await machines.ordered()
    assert {client.connections for client in machines.clients} == {1}


@pytest.mark.skipif(POSTGRES is None, reason="there is no PostgreSQL")
@pytest_twisted.ensureDeferred
async def test_accounts_of_all_machines_are_in_one_postgresql(cluster: Cluster) -> None:
    cluster.add("carol")
    machines = await Machines(cluster).connect()
    carols = [cluster.holder("carol", gateway) for gateway in machines.gateways]
    await cluster.settled(*machines.clients, *carols)
    # A key that is void is so everywhere.
    cluster.renew("carol")
    await until(lambda: all(client.codes == [4401] for client in carols))
    assert [client.codes for client in machines.clients] == [[]] * 4


@pytest_twisted.ensureDeferred
async def test_a_leader_that_ends_hands_over_at_once(cluster: Cluster) -> None:
    machines = await Machines(cluster).connect()
    old = await machines.leader()
    assert await cluster.stopped(old) == 0
    machines.feeds.remove(old)
    await machines.leader()
    await machines.settled()
    for process in (*machines.feeds, *machines.gateways):
        assert await cluster.stopped(process) == 0
