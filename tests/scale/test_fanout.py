"""The ways from the feed process to its workers: real ZeroMQ pipes, and rings in shared memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from secrets import token_hex

import pytest
import pytest_twisted
from twisted.internet import reactor
from twisted.internet.defer import Deferred

from openalgo_ws.bus.records import LAST_VALUES, pack, topic_for, unpack
from openalgo_ws.bus.ring import RingError
from openalgo_ws.bus.segment import folder
from openalgo_ws.scale.fanout import Fanout
from openalgo_ws.scale.pipes import PipeBus, Pipes
from openalgo_ws.scale.rings import RingBus, Rings
from tests.bus.contract.receiver import tick
from tests.scale.test_local import until

#: The least that the settings allow.
SLOTS = 1024


class Worker:
    """A worker's end, which takes everything at once unless it is ``busy``."""

    def __init__(self, end: type[PipeBus] | type[RingBus], address: str) -> None:
        self.got: list[tuple[bytes, bytes]] = []
        self.busy: Deferred[None] | None = None
        self.bus = end(reactor, address, self._take)

    def _take(self, messages: list[tuple[bytes, bytes]]) -> Deferred[None] | None:
        self.got += messages
        return self.busy

    def prices(self) -> dict[bytes, bytes]:
        """The last that came of each topic."""
        return dict(self.got)


class Links:
    """A `Fanout` and the workers at its other ends."""

    def __init__(self, ways: Pipes | Rings, end: type[PipeBus] | type[RingBus]) -> None:
        self.fanout = Fanout(ways)
        self._end = end
        self.workers: list[Worker] = []

    def add(self, name: str) -> None:
        self.fanout.add(name, self.fanout.address(name))

    def join(self, name: str) -> Worker:
        self.workers.append(Worker(self._end, self.fanout.address(name)))
        return self.workers[-1]

    def close(self) -> None:
        for worker in self.workers:
            worker.bus.close()
        self.fanout.shutdown()


@pytest_twisted.async_yield_fixture
async def rings() -> AsyncIterator[Links]:
    family = f"test-{token_hex(8)}"
    made = Links(Rings(reactor, slots=SLOTS, family=family), RingBus)
    yield made
    made.close()
    assert not list(folder().glob(f"*{family}*"))


@pytest_twisted.async_yield_fixture
async def pipes(tmp_path: Path) -> AsyncIterator[Links]:
    made = Links(Pipes(reactor, tmp_path), PipeBus)
    yield made
    made.close()


@pytest.fixture(params=["pipes", "rings"])
def links(request: pytest.FixtureRequest) -> Links:
    return request.getfixturevalue(request.param)


def ticks(count: int, price: int) -> list[tuple[bytes, bytes]]:
    return [(b"NSE_S%d_LTP" % number, b'{"ltp":%d}' % price) for number in range(count)]


@pytest_twisted.ensureDeferred
async def test_everything_arrives_everywhere_in_order(links: Links) -> None:
    for name in ("a", "b"):
        links.add(name)
    first, second = links.join("a"), links.join("b")
    sent = [message for price in range(30) for message in ticks(100, price)]
    for start in range(0, len(sent), 250):
        links.fanout.receive(sent[start : start + 250])
    await until(lambda: len(first.got) == len(second.got) == len(sent))
    assert first.got == second.got == sent


@pytest_twisted.ensureDeferred
async def test_what_was_sent_before_the_worker_came_is_there(links: Links) -> None:
    links.add("a")
    links.fanout.receive(ticks(10, 1))
    worker = links.join("a")
    await until(lambda: len(worker.got) == 10)


@pytest_twisted.ensureDeferred
async def test_one_that_takes_nothing_gets_the_latest_later_and_delays_nobody(links: Links) -> None:
    for name in ("stuck", "quick"):
        links.add(name)
    quick = links.join("quick")
    link = links.fanout.links["stuck"]
    order = (b"ZERODHA_alice_orders", b'{"user_id":"alice"}')
    links.fanout.receive([order])
    rounds = 300
    for price in range(rounds):
        links.fanout.receive(ticks(100, price))
        await until(lambda price=price: len(quick.got) == 100 * (price + 1) + 1)
    assert link.intake.conflated
    # What waits is bounded by the instruments, and by what is waited with before they are conflated.
    assert link.intake.backlog() < 5000
    assert not link.dropped
    stuck = links.join("stuck")
    await until(lambda: stuck.prices().get(b"NSE_S99_LTP") == b'{"ltp":299}')
    await until(lambda: not link.intake.backlog())
    assert stuck.prices() == dict([order, *ticks(100, rounds - 1)])


@pytest_twisted.ensureDeferred
async def test_a_publisher_outside_cannot_send_last_values(links: Links) -> None:
    links.add("a")
    worker = links.join("a")
    links.fanout.receive([(LAST_VALUES, b"\x90"), *ticks(1, 1)])
    await until(lambda: worker.got)
    assert worker.got == ticks(1, 1)


@pytest_twisted.ensureDeferred
async def test_a_worker_that_is_gone_is_sent_nothing(links: Links) -> None:
    links.add("a")
    links.fanout.remove("a")
    links.fanout.remove("a")
    links.fanout.receive(ticks(1, 1))
    assert not links.fanout.links


@pytest_twisted.ensureDeferred
async def test_a_worker_that_stops_reading_is_waited_for(rings: Links) -> None:
    rings.add("a")
    worker = rings.join("a")
    rings.fanout.receive(ticks(1, 0))
    await until(lambda: worker.got)
    link = rings.fanout.links["a"]
    order = (b"ZERODHA_alice_orders", b'{"user_id":"alice"}')
    # The reactor has no turn, so the worker reads nothing: the ring fills, then the link's own queue.
    for price in range(200):
        rings.fanout.receive([order, *ticks(200, price)])
    assert link.intake.conflated
    assert not link.dropped
    await until(lambda: worker.prices().get(b"NSE_S199_LTP") == b'{"ltp":199}')
    await until(lambda: not link.intake.backlog())
    assert worker.prices() == dict([order, *ticks(200, 199)])
    # Order updates are never replaced.
    await until(lambda: worker.got.count(order) == 200)


@pytest_twisted.ensureDeferred
async def test_a_message_longer_than_half_the_ring_is_divided(rings: Links) -> None:
    rings.add("a")
    worker = rings.join("a")
    records = [tick(f"S{number}", number, padding=10_000) for number in range(50)]
    rings.fanout.receive([(topic_for("feed"), pack(records)), *ticks(1, 1)])
    await until(lambda: worker.got and worker.got[-1] == ticks(1, 1)[0])
    assert [record for _, payload in worker.got[:-1] for record in unpack(payload)] == records
    assert not rings.fanout.links["a"].dropped


@pytest_twisted.ensureDeferred
async def test_what_cannot_be_divided_is_counted(rings: Links) -> None:
    rings.add("a")
    worker = rings.join("a")
    size = SLOTS * 256
    long = [
        (topic_for("feed"), pack([tick("S", 1, padding=size)])),
        (topic_for("feed"), b"\xff" * size),
        (b"NSE_S0_LTP", b"{" * size),
    ]
    rings.fanout.receive([*long, *ticks(1, 1)])
    await until(lambda: worker.got)
    assert worker.got == ticks(1, 1)
    assert rings.fanout.links["a"].dropped == len(long)


@pytest_twisted.ensureDeferred
async def test_a_ring_that_cannot_be_had_is_said_to_be(rings: Links) -> None:
    rings.add("a")
    with pytest.raises(RingError, match="has a writer"):
        rings.add("a")
