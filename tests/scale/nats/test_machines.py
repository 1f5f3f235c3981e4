"""Feeds and gateways on NATS as processes of their own: ticks, orders, and the death of each of them."""

from __future__ import annotations

import pytest
import pytest_twisted

from tests.scale.nats.conftest import Cluster, until

pytestmark = pytest.mark.slow


@pytest_twisted.ensureDeferred
async def test_clients_of_a_gateway_get_the_feeds_ticks(cluster: Cluster) -> None:
    cluster.start("feeds")
    gateway = cluster.start("gateway")
    alice = cluster.holder("alice", gateway)
    await until(lambda: alice.complete)
    await cluster.settled(alice)
    # Who comes later begins with the last values.
    bob = cluster.holder("bob", gateway)
    await until(lambda: bob.complete)
    await cluster.settled(alice, bob)
