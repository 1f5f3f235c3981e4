"""Clients that hold the same share an outbox; one that is slow or goes costs the others nothing."""

from __future__ import annotations

from openalgo_ws.bus.records import pack, topic_for
from tests.gateway.support import Rig, record


def test_clients_that_hold_the_same_come_to_share_an_outbox(rig: Rig) -> None:
    writers = [rig.writer() for _ in range(10)]
    for writer in writers:
        for symbol in ("SBIN", "INFY"):
            rig.hold(writer, symbol)
    rig.clock.pump([0.6] * 30)
    assert rig.router.delivery.outboxes() == 1
    rig.publish(1.0)
    rig.publish(2.0, "INFY")
    assert all(writer.ltps() == [1.0, 2.0] for writer in writers)

    # One of them wants something else: it alone gets it, and the others don't notice.
    rig.hold(writers[0], "TCS")
    rig.publish(3.0, "TCS")
    rig.publish(4.0)
    assert writers[0].ltps() == [1.0, 2.0, 3.0, 4.0]
    assert all(writer.ltps() == [1.0, 2.0, 4.0] for writer in writers[1:])
    assert rig.router.delivery.outboxes() == 2


def test_a_slow_client_leaves_the_others_alone_and_gets_the_latest(rig: Rig) -> None:
    writers = [rig.writer() for _ in range(3)]
    for writer in writers:
        rig.hold(writer)
        rig.hold(writer, "INFY")
    rig.clock.pump([0.6] * 10)
    slow = writers[0]
    slow.paused = True
    rig.router.delivery.overflowed(slow)
    for i in range(1, 101):
        rig.publish(float(i))
        rig.publish(float(-i), "INFY")
    assert slow.received == []
    assert all(len(writer.received) == 200 for writer in writers[1:])

    slow.paused = False
    rig.router.delivery.drained(slow)
    assert sorted(slow.ltps()) == [-100.0, 100.0]
    rig.publish(101.0)
    assert slow.ltps()[-1] == 101.0
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 1


def test_a_client_that_overflows_in_the_middle_of_a_flush_costs_nobody_a_tick(rig: Rig) -> None:
    writers = [rig.writer() for _ in range(4)]
    for writer in writers:
        rig.hold(writer)
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 1
    writers[1].on_write = lambda: rig.router.delivery.overflowed(writers[1])
    for i in range(3):
        rig.publish(float(i))
    for writer in (writers[0], writers[2], writers[3]):
        assert writer.ltps() == [0.0, 1.0, 2.0]
    assert writers[1].ltps() == [0.0]


def test_a_client_that_overflows_in_the_middle_of_many_ticks_is_owed_the_rest(rig: Rig) -> None:
    alone, *several = [rig.writer() for _ in range(4)]
    rig.hold(alone, throttle=0.0)
    rig.hold(alone, "TCS")
    for writer in several:
        rig.hold(writer)
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 2
    for writer in (alone, several[1]):
        writer.on_write = lambda writer=writer: rig.router.delivery.overflowed(writer)
    ltps = [1.0, 2.0, 3.0, 4.0]
    rig.router.receive([(topic_for("f"), pack([record(ltp) for ltp in ltps]))])
    assert [writer.ltps() for writer in (alone, *several)] == [ltps] * 4
    assert rig.router.stats.deliveries == 16


def test_a_client_that_goes_takes_nothing_with_it(rig: Rig) -> None:
    first, second = rig.writer(), rig.writer()
    for writer in (first, second):
        rig.hold(writer)
    rig.clock.pump([0.6] * 5)
    rig.router.delivery.detach(first)
    rig.publish(1.0)
    assert second.ltps() == [1.0]
    rig.router.delivery.detach(second)
    rig.publish(2.0)
    assert rig.router.delivery.outboxes() == 0


def test_a_client_that_overflows_as_it_joins_others_stays_alone_and_they_go_on(rig: Rig) -> None:
    first, second = [rig.writer() for _ in range(2)]
    for writer in (first, second):
        rig.hold(writer)
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 1
    joining = rig.writer()
    rig.hold(joining)
    rig.clock.advance(0.499)
    # The two take so long to write to that it has still to be written to when it is to join them.
    first.cost = 0.01
    rig.publish(1.0)
    assert joining.received == []
    first.cost = 0.0
    joining.paused = True
    joining.on_write = lambda: rig.router.delivery.overflowed(joining)
    rig.clock.advance(0)
    assert joining.ltps() == [1.0]
    assert rig.router.delivery.behind(joining)
    rig.publish(2.0)
    rig.clock.pump([0.6] * 10)
    rig.publish(3.0)
    assert first.ltps() == second.ltps() == [1.0, 2.0, 3.0]
    assert joining.ltps() == [1.0]
    joining.paused = False
    rig.router.delivery.drained(joining)
    assert joining.ltps() == [1.0, 3.0]
    rig.clock.pump([0.6] * 10)
    assert rig.router.delivery.outboxes() == 1
    rig.publish(4.0)
    assert all(writer.ltps()[-2:] == [3.0, 4.0] for writer in (first, second, joining))
