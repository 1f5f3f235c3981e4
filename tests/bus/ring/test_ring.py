"""A ring against a model: whatever is written, read, overtaken, joined and left, in any order."""

from __future__ import annotations

from secrets import token_hex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from openalgo_ws.bus import ring_reader
from openalgo_ws.bus.ring import RingBuffer, RingBufferPool, RingInUse, RingMissing, RingReader, Wait
from openalgo_ws.bus.segment import folder

SLOTS = 16
SLOT_BYTES = 32
#: Header and content of a slot of 32 bytes.
IN_SLOT = 8

contents = st.integers(0, (SLOTS // 2) * SLOT_BYTES - 24).flatmap(
    lambda length: st.binary(min_size=length, max_size=length)
)
batches = st.lists(st.one_of(st.binary(max_size=IN_SLOT), contents), max_size=12)


def fresh() -> str:
    return f"test-{token_hex(8)}"


class Model:
    """Everything that was written, and the position at which each message begins."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.starts = [0]

    def write(self, message: bytes) -> None:
        self.messages.append(message)
        self.starts.append(self.starts[-1] - (-(24 + len(message)) // SLOT_BYTES))

    def held(self, number: int) -> bool:
        """Whether the ring still holds this message and all after it."""
        return self.starts[-1] - self.starts[number] <= SLOTS


class RingMachine(RuleBasedStateMachine):
    """One writer; readers know how many messages they have been past."""

    readers = Bundle("readers")

    @initialize(checked=st.booleans())
    def begin(self, checked: bool) -> None:
        self.ring = RingBuffer(fresh(), slots=SLOTS, slot_bytes=SLOT_BYTES, checked=checked)
        self.model = Model()
        self.past: dict[RingReader, int] = {}

    @rule(messages=batches)
    def publish_many(self, messages: list[bytes]) -> None:
        self.ring.publish_many(messages)
        for message in messages:
            self.model.write(message)

    @rule(message=contents)
    def publish(self, message: bytes) -> None:
        self.ring.publish(message)
        self.model.write(message)

    @rule(message=contents)
    def publish_if_there_is_room(self, message: bytes) -> None:
        behind = [self.model.starts[number] for number in self.past.values()]
        end = self.model.starts[-1] + self.ring.needs(len(message))
        dropped = [reader for reader in self.past if reader.dropped]
        room = self.ring.room(self.ring.needs(len(message)))
        if not dropped:
            assert room == (end - min(behind, default=end) <= SLOTS)
        if room:
            self.publish(message)

    @rule(target=readers, oldest=st.booleans(), wait=st.sampled_from(Wait))
    def join(self, oldest: bool, wait: Wait) -> RingReader:
        reader = RingReader(self.ring.name, oldest=oldest, wait=wait)
        everything = oldest and self.model.starts[-1] <= SLOTS
        self.past[reader] = 0 if everything else len(self.model.messages)
        return reader

    @rule(reader=readers, most=st.integers(1, 20))
    def read(self, reader: RingReader, most: int) -> None:
        past = self.past[reader]
        lost = reader.lost
        found = reader.read(most)
        if not self.model.held(past):
            assert found == []
            newest = len(self.model.messages) - 1
            assert reader.lost - lost == newest - past
            self.past[reader] = newest
            found = reader.read(most)
            assert found == [self.model.messages[newest]]
        assert found == self.model.messages[self.past[reader] :][: len(found)]
        assert bool(found) == (self.past[reader] < len(self.model.messages))
        assert len(found) <= most
        self.past[reader] += len(found)

    @rule(reader=readers)
    def drop(self, reader: RingReader) -> None:
        for token in self.ring.cursors():
            if token == reader._token:
                self.ring.drop(token)
                assert reader.dropped

    @rule(reader=readers)
    def come_back(self, reader: RingReader) -> None:
        if reader.dropped:
            reader.rejoin()
        assert not reader.dropped

    @rule(reader=consumes(readers))
    def leave(self, reader: RingReader) -> None:
        reader.close()
        del self.past[reader]

    @invariant()
    def counts_agree(self) -> None:
        if not hasattr(self, "model"):
            return
        assert self.ring.published == len(self.model.messages)
        for reader, past in self.past.items():
            assert reader.lag() == self.model.starts[-1] - self.model.starts[past]
            assert reader.ready() == (past < len(self.model.messages))
            assert reader.wait(0.0 if not reader.ready() else 1.0) == reader.ready()

    def teardown(self) -> None:
        if not hasattr(self, "ring"):
            return
        for reader in self.past:
            reader.close()
        self.ring.close()
        assert not list(folder().glob(f"*{self.ring.name}*"))


TestRing = RingMachine.TestCase
TestRing.settings = settings(max_examples=40, stateful_step_count=30)


@given(
    first=st.lists(st.binary(max_size=40), min_size=1, max_size=6),
    meanwhile=st.lists(st.binary(max_size=100), max_size=8),
    checked=st.booleans(),
)
@settings(max_examples=100)
def test_what_is_overwritten_while_it_is_copied_is_not_believed(
    first: list[bytes], meanwhile: list[bytes], checked: bool
) -> None:
    """The writer goes on in the middle of a read, after the copy and before it is checked."""
    with (
        RingBuffer(fresh(), slots=8, slot_bytes=32, checked=checked) as ring,
        RingReader(ring.name) as reader,
    ):
        first, meanwhile = [one[:40] for one in first], [one[:100] for one in meanwhile]
        ring.publish_many(first)
        copy, waiting = reader._copy, list(meanwhile)

        def interrupted(position: int, count: int) -> bytes:
            middle = count // 2
            half = copy(position, middle)
            while waiting:
                ring.publish(waiting.pop(0))
            return half + copy(position + middle, count - middle)

        reader._copy = interrupted  # type: ignore[method-assign]
        everything = first + meanwhile
        past = 0
        for _ in range(2 * len(everything) + 4):
            before = reader.lost
            found = reader.read()
            past += reader.lost - before
            assert found == everything[past : past + len(found)]
            past += len(found)
        assert past == len(everything)
        assert reader.received + reader.lost == len(everything)


@given(message=st.binary(min_size=1, max_size=100), at=st.integers(0, 1000), flip=st.integers(1, 255))
@settings(max_examples=100)
def test_a_checksum_finds_what_is_not_yet_visible(message: bytes, at: int, flip: int) -> None:
    """As on a machine that shows stores out of order: some of a message is still missing."""
    with (
        RingBuffer(fresh(), slots=16, slot_bytes=32, checked=True) as ring,
        RingReader(ring.name) as reader,
    ):
        ring.publish(b"before")
        assert reader.read() == [b"before"]
        ring.publish(message)
        body = reader._body
        start = SLOT_BYTES + at % (24 + len(message))
        body[start] ^= flip
        assert reader.read() == []
        body[start] ^= flip
        assert reader.read() == [message]
        assert reader.lost == 0


def test_what_never_becomes_right_is_passed_over() -> None:
    with (
        RingBuffer(fresh(), slots=16, slot_bytes=32, checked=True) as ring,
        RingReader(ring.name) as reader,
    ):
        ring.publish_many([b"one", b"two", b"three"])
        reader._body[25] ^= 1
        for _ in range(ring_reader._PATIENCE + 1):
            assert reader.read() == []
        assert reader.lost == 2
        assert reader.read() == [b"three"]


@pytest.mark.parametrize(
    ("slots", "slot_bytes"), [(0, 64), (4, 64), (1000, 64), (-8, 64), (8, 24), (8, 60), (8, 0)]
)
def test_sizes_that_make_no_ring(slots: int, slot_bytes: int) -> None:
    with pytest.raises(ValueError, match="not"):
        RingBuffer(fresh(), slots=slots, slot_bytes=slot_bytes)


@pytest.mark.parametrize("name", ["", "../passwd", "a/b", ".hidden", "x" * 101, "sp ace"])
def test_names_that_are_no_file_of_the_folder(name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        RingBuffer(name)


def test_the_longest_message_and_one_that_is_longer() -> None:
    with RingBuffer(fresh(), slots=16, slot_bytes=64) as ring, RingReader(ring.name) as reader:
        longest = bytes(ring.most_bytes)
        for _ in range(5):
            ring.publish(longest)
            assert reader.read() == [longest]
        with pytest.raises(ValueError, match="longer than half"):
            ring.publish(longest + b"x")
        with pytest.raises(ValueError, match="longer than half"):
            ring.publish_many([b"short", longest + b"x"])
        assert reader.read() == [b"short"]


def test_a_ring_has_one_writer_and_a_file_of_its_own() -> None:
    with RingBuffer(fresh(), slots=16) as ring:
        with pytest.raises(RingInUse, match="process"):
            RingBuffer(ring.name)
        with RingReader(ring.name):
            files = sorted(folder().glob(f"{ring.name}*"))
            assert len(files) == 3
            assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert not list(folder().glob(f"*{ring.name}*"))
    with pytest.raises(RingMissing):
        RingReader(ring.name)


def test_a_file_that_is_no_ring_is_left_alone() -> None:
    path = folder() / fresh()
    path.write_bytes(b"something else" * 1000)
    try:
        for end in (RingBuffer, RingReader):
            with pytest.raises(Exception, match="not a ring"):
                end(path.name)
        assert path.read_bytes() == b"something else" * 1000
    finally:
        path.unlink()


def test_readers_of_a_ring_that_was_closed_read_what_is_left() -> None:
    with RingBuffer(fresh(), slots=16) as ring:
        reader = RingReader(ring.name)
        ring.publish(b"last")
    assert reader.gone
    assert reader.read() == [b"last"]
    assert not reader.wait(0.0)
    reader.close()


def test_a_pool_names_the_rings_of_its_family() -> None:
    family = fresh()
    with RingBufferPool(family, slots=16) as pool, RingBufferPool(family) as other:
        first, second = pool.create("first"), pool.create("second")
        assert other.names() == ["first", "second"]
        with pytest.raises(RingInUse):
            other.create("first")
        with pytest.raises(RingMissing):
            other.attach("third")
        reader = other.attach("second", wait=Wait.YIELDING)
        second.publish(b"hello")
        assert reader.read() == [b"hello"]
        first.close()
        assert other.names() == ["second"]
    assert second.closed
    assert reader.closed
    assert not list(folder().glob(f"*{family}*"))
