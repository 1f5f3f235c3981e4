"""Rings between processes, and what becomes of them when one is killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from secrets import token_hex

import pytest

from openalgo_ws.bus.ring import RingBuffer, RingReader, Wait
from openalgo_ws.bus.segment import folder
from tests.bus.ring.child import message, number_of
from tests.bus.ring.conftest import PATIENCE, Child

pytestmark = pytest.mark.slow

Start = Callable[..., Child]


@pytest.fixture
def name() -> Iterator[str]:
    name = f"test-{token_hex(8)}"
    yield name
    assert not list(folder().glob(f"*{name}*")), "left behind"


@pytest.mark.parametrize("checked", ["checked", "ordered"])
def test_a_reader_that_is_overtaken_all_the_time(child: Start, name: str, checked: str) -> None:
    """The writer does not wait, the ring is short, and every message says whether it is whole."""
    many = 100_000
    writer = child("write", name, str(many), checked)
    with RingReader(name, wait=Wait.YIELDING) as reader:
        writer.go_on()
        expected = 0
        while reader.received + reader.lost < many:
            lost = reader.lost
            found = reader.read(1 + expected % 29)
            expected += reader.lost - lost
            for data in found:
                assert number_of(data) == expected
                expected += 1
            if not found and reader.lost == lost:
                assert reader.wait(PATIENCE)
        assert expected == many
        assert reader.received > 0
    assert writer.line() == "done"
    writer.go_on()
    assert writer.end() == 0


@pytest.mark.parametrize("wait", [one.value for one in Wait])
def test_nobody_sleeps_through_a_message(child: Start, name: str, wait: str) -> None:
    """Each message is sent when the last one has come back, so a lost wake would end it."""
    with RingBuffer(name, slots=64) as ring:
        other = child("echo", name, f"{name}.back", wait)
        with RingReader(f"{name}.back", wait=Wait(wait)) as reader:
            for number in range(2000):
                ring.publish(b"%d" % number)
                assert reader.wait(PATIENCE)
                assert reader.read() == [b"%d" % number]
    other.kill()
    RingBuffer(f"{name}.back", slots=64).close()


@pytest.mark.parametrize("wait", [one.value for one in Wait])
def test_a_reader_is_killed(child: Start, name: str, wait: str) -> None:
    with RingBuffer(name, slots=64) as ring:
        reader, other = child("read", name, wait), child("sit", name)
        assert len(ring.cursors()) == 2
        reader.kill()
        other.kill()
        for number in range(64):
            ring.publish(message(number)[:20])
        ring.drop_dead()
        assert ring.cursors() == {}
        assert ring.room(64)
        with RingReader(name) as another:
            ring.publish(b"for the living")
            assert another.read() == [b"for the living"]


def test_one_that_reads_nothing_makes_no_room_until_it_is_dropped(child: Start, name: str) -> None:
    with RingBuffer(name, slots=64) as ring:
        child("sit", name)
        assert ring.room(64)
        ring.publish_many([b"x"] * 60)
        assert ring.room(4)
        assert not ring.room(5)
        (token,) = ring.cursors()
        assert ring.unread(token) == [b"x"] * 60
        ring.drop(token)
        assert ring.room(64)


def test_a_reader_that_ends_leaves_the_ring_where_it_is(child: Start, name: str) -> None:
    with RingBuffer(name, slots=64) as ring:
        reader = child("sit", name)
        reader.go_on()
        assert reader.end() == 0
        assert ring.cursors() == {}
        with RingReader(name) as another:
            ring.publish(b"still here")
            assert another.read() == [b"still here"]


def test_a_writer_is_killed_and_replaced(child: Start, name: str) -> None:
    writer = child("write_and_wait", name, "5")
    with RingReader(name, oldest=True) as reader:
        assert [number_of(data) for data in reader.read(3)] == [0, 1, 2]
        writer.kill()
        assert reader.gone
        assert [number_of(data) for data in reader.read()] == [3, 4]
        assert not reader.wait(0.0)
        with RingBuffer(name, slots=64) as ring, RingReader(name) as another:
            ring.publish(b"from another")
            assert another.read() == [b"from another"]
            assert not reader.ready()


def test_one_who_sleeps_is_told_that_the_writer_was_killed(child: Start, name: str) -> None:
    writer = child("write_for_ever", name)
    with RingReader(name) as reader:
        writer.go_on()
        assert reader.wait(PATIENCE)
        # The writer has noticed this reader now, as it would before it wakes it.
        while reader.lag() < 200:
            assert reader.wait(PATIENCE)
        writer.kill()
        before = time.monotonic()
        while reader.ready():
            reader.read()
        reader.wait(PATIENCE)
        assert time.monotonic() - before < PATIENCE, "it would have slept for ever"
        assert reader.gone
    RingBuffer(name, slots=64).close()


def test_a_writer_killed_in_the_middle_of_a_message(child: Start, name: str) -> None:
    """Wherever it was, what a reader gets is whole, and a reader that joins is refused."""
    for _ in range(5):
        writer = child("write_for_ever", name)
        with RingReader(name, wait=Wait.BUSY_SPIN) as reader:
            writer.go_on()
            assert reader.wait(PATIENCE)
            writer.kill()
            last = -1
            while reader.ready():
                for data in reader.read():
                    assert number_of(data) > last
                    last = number_of(data)
            assert reader.gone
    RingBuffer(name, slots=64).close()
