"""Feed processes on NATS that share the accounts: each partition has one at a time, whoever dies."""

from __future__ import annotations

import os
import re
import signal
from itertools import accumulate

import pytest
import pytest_twisted

from openalgo_ws.simulator.journal import Outcome
from tests.scale.nats.conftest import Cluster, until
from tests.scale.nats.test_machines import Machines
from tests.support.process import ServerProcess

pytestmark = pytest.mark.slow

#: Alice is in the one, bob in the other.
TWO = {"WS_FEED_PARTITIONS": "2"}

SERVES = re.compile(r"this process serves the feeds of partition (\d) of 2( no more)?")


def served(process: ServerProcess) -> set[str]:
    """The partitions that a process serves, as it says."""
    now: set[str] = set()
    for number, over in SERVES.findall(process.output()):
        now ^= {number}
        assert (number in now) == (not over)
    return now


def most_connections(cluster: Cluster) -> int:
    """How many connections the broker had at the same time at most: each account has one."""
    attempts = [one for one in cluster.broker.journal.attempts if one.outcome is Outcome.ACCEPTED]
    changes = [(one.at, 1) for one in attempts] + [
        (one.ended, -1) for one in attempts if one.ended is not None
    ]
    return max(accumulate(change for _, change in sorted(changes)))


def divided(machines: Machines) -> bool:
    """Whether both processes serve one partition."""
    return [served(process) for process in machines.feeds] in ([{"1"}, {"2"}], [{"2"}, {"1"}])


async def shared(machines: Machines) -> None:
    """Both processes serve one partition, and everybody has everything."""
    await until(lambda: divided(machines))
    await machines.settled()
    await machines.ordered()


@pytest_twisted.ensureDeferred
async def test_each_process_takes_over_from_the_other(cluster: Cluster) -> None:
    machines = await Machines(cluster, **TWO).connect()
    await shared(machines)
    for _ in range(2):
        # The older one dies. The other goes on with what it serves, and takes the rest.
        machines.feeds.pop(0).kill()
        (left,) = machines.feeds
        await until(lambda left=left: served(left) == {"1", "2"})
        await machines.settled()
        await machines.ordered()
        # A new one takes its share, of which the old one lets go.
        machines.feeds.append(cluster.start("feeds", **TWO))
        await shared(machines)
    assert most_connections(cluster) == 2
    # No client has noticed more than pauses.
    assert {client.connections for client in machines.clients} == {1}


@pytest_twisted.ensureDeferred
async def test_a_process_that_ends_hands_over_its_partition(cluster: Cluster) -> None:
    machines = await Machines(cluster, **TWO).connect()
    await shared(machines)
    assert await cluster.stopped(machines.feeds.pop()) == 0
    await until(lambda: served(machines.feeds[0]) == {"1", "2"})
    await machines.settled()
    await machines.ordered()
    assert most_connections(cluster) == 2
    for process in (*machines.feeds, *machines.gateways):
        assert await cluster.stopped(process) == 0


@pytest_twisted.ensureDeferred
async def test_a_process_that_was_halted_finds_its_partition_taken(cluster: Cluster) -> None:
    machines = await Machines(cluster, **TWO).connect()
    await shared(machines)
    halted, other = machines.feeds
    os.kill(halted.pid, signal.SIGSTOP)
    await until(lambda: served(other) == {"1", "2"})
    await machines.settled()
    # What waits for it at its broker's socket is old by now, and must not come after what clients have.
    rate, cluster.broker.rate = cluster.broker.rate, 0.0
    await machines.settled()
    for client in machines.clients:
        client.standing = cluster.prices()
    os.kill(halted.pid, signal.SIGCONT)
    await until(lambda: len(cluster.broker.connections) == 2 and divided(machines))
    await machines.settled()
    for client in machines.clients:
        client.standing = None
    assert [client.wrong for client in machines.clients] == [[]] * 4
    cluster.broker.rate = rate
    await shared(machines)
    assert {client.connections for client in machines.clients} == {1}


@pytest_twisted.ensureDeferred
async def test_nobody_serves_while_another_division_does(cluster: Cluster) -> None:
    one = cluster.start("feeds")
    await until(lambda: "this process serves the feeds" in one.output())
    two = cluster.start("feeds", **TWO)
    await until(lambda: "feed processes that are set otherwise are there" in two.output())
    assert served(two) == set()
    assert await cluster.stopped(one) == 0
    await until(lambda: served(two) == {"1", "2"})
    # And the other way round.
    three = cluster.start("feeds")
    await until(lambda: "feed processes that are set otherwise are there" in three.output())
    two.kill()
    await until(lambda: "this process serves the feeds" in three.output())


@pytest_twisted.ensureDeferred
async def test_the_nats_server_is_away_for_longer_than_leases_live(cluster: Cluster) -> None:
    machines = await Machines(cluster, **TWO).connect()
    await shared(machines)
    cluster.nats.kill()
    await until(lambda: not any(served(process) for process in machines.feeds))
    cluster.nats.start()
    await shared(machines)
    assert most_connections(cluster) == 2
    assert {client.connections for client in machines.clients} == {1}
