"""What waits between the bus and a gateway that does not keep up."""

from __future__ import annotations

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from openalgo_ws.bus.intake import Intake, Message
from openalgo_ws.bus.records import TickRecord, pack, tag_of, topic_for, unpack
from openalgo_ws.tick import Mode


class Gateway:
    """Takes batches; busy until it is told to go on."""

    def __init__(self, **bounds: int) -> None:
        self.batches: list[list[Message]] = []
        self.busy: Deferred[None] | None = None
        self.blocks = False
        self.asked = 0
        self.intake = Intake(self, self._again, **bounds)

    def __call__(self, messages: list[Message]) -> Deferred[None] | None:
        self.batches.append(messages)
        self.busy = Deferred() if self.blocks else None
        return self.busy

    def _again(self) -> None:
        self.asked += 1

    def go_on(self) -> None:
        """It has time again, and takes all that waits."""
        self.blocks = False
        if self.busy is not None:
            self.busy.callback(None)
        while self.intake.take([], False):
            pass

    @property
    def messages(self) -> list[Message]:
        return [message for batch in self.batches for message in batch]


def tick(symbol: str, ltp: int, mode: str = "LTP") -> Message:
    return f"NSE_{symbol}_{mode}".encode(), b'{"ltp":%d}' % ltp


def record(symbol: str, ltp: int, mode: Mode = Mode.LTP) -> TickRecord:
    body = b'{"ltp":%d}' % ltp
    return TickRecord(symbol, "NSE", mode, 0, ltp, len(body) - 1, 0, body)


def test_what_the_gateway_keeps_up_with_passes_as_it_came() -> None:
    gateway = Gateway(batch=4)
    batch = [tick("SBIN", ltp) for ltp in range(4)]
    assert gateway.intake.take(batch, False) is False
    assert gateway.batches[0] is batch
    assert (gateway.intake.backlog(), gateway.intake.conflated) == (0, 0)


def test_up_to_the_mark_everything_waits_in_order() -> None:
    gateway = Gateway(batch=4, mark=20)
    gateway.blocks = True
    sent = [tick("SBIN", ltp) for ltp in range(19)]
    assert gateway.intake.take(sent[:4], True)
    assert gateway.intake.take(sent[4:], False) is False, "nothing to do until the gateway has time"
    assert gateway.intake.backlog() == 15
    gateway.go_on()
    assert gateway.asked == 1
    assert gateway.messages == sent
    assert max(map(len, gateway.batches)) == 4
    assert gateway.intake.conflated == 0


def test_beyond_the_mark_the_latest_of_each_instrument_waits() -> None:
    gateway = Gateway(batch=4, mark=20)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    for ltp in range(100):
        gateway.intake.take([tick("SBIN", ltp), tick("INFY", ltp)], True)
    assert gateway.intake.conflating
    assert gateway.intake.backlog() == 2
    gateway.go_on()
    assert gateway.messages == [tick("TCS", 0), tick("SBIN", 99), tick("INFY", 99)]
    assert gateway.intake.conflated == 198
    assert not gateway.intake.conflating


def test_orders_and_invalidations_are_all_kept_in_order() -> None:
    gateway = Gateway(batch=4, mark=20)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    others = [(b"ZERODHA_alice_orders", b'{"n":%d}' % n) for n in range(9)]
    others += [(b"CACHE_INVALIDATE_AUTH_a_LTP", b'{"n":%d}' % n) for n in range(9)]
    for other in others:
        gateway.intake.take([other, tick("SBIN", 1), tick("SBIN", 2)], True)
    gateway.go_on()
    assert [message for message in gateway.messages if message in others] == others
    assert gateway.messages.count(tick("SBIN", 2)) == 1


def test_the_modes_of_an_instrument_keep_their_order() -> None:
    gateway = Gateway(batch=4, mark=2)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    sent = [tick("SBIN", 1, "DEPTH"), tick("SBIN", 2), tick("NIFTY_50", 5), tick("SBIN", 3, "DEPTH")]
    gateway.intake.take(sent, False)
    gateway.go_on()
    assert gateway.messages[1:] == [tick("SBIN", 2), tick("SBIN", 3, "DEPTH"), tick("NIFTY_50", 5)]


def test_our_own_batches_are_conflated_by_feed_instrument_and_mode() -> None:
    gateway = Gateway(batch=4, mark=3)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    for ltp in range(5):
        for feed in ("alice", "bob"):
            records = [record("SBIN", ltp), record("SBIN", ltp, Mode.DEPTH), record("INFY", ltp)]
            gateway.intake.take([(topic_for(feed), pack(records))], True)
    assert gateway.intake.backlog() == 4
    gateway.go_on()
    found = [
        (tag_of(topic), r.symbol, r.mode, r.timestamp) for topic, p in gateway.messages[1:] for r in unpack(p)
    ]
    assert sorted(found) == sorted(
        (feed, symbol, mode, 4)
        for feed in ("alice", "bob")
        for symbol, mode in (("SBIN", Mode.LTP), ("SBIN", Mode.DEPTH), ("INFY", Mode.LTP))
    )


def test_what_cannot_be_a_tick_replaces_none_and_is_not_lost_to_the_counters() -> None:
    gateway = Gateway(batch=9, mark=2)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    odd = [(b"NSE_SBIN_LTP", b""), (topic_for("alice"), b"\xff"), (b"\xff\xfe", b"{}"), (b"hello", b"{}")]
    gateway.intake.take([tick("SBIN", 1), *odd, tick("INFY", 1)], True)
    gateway.go_on()
    assert gateway.messages[1:] == [*odd, tick("SBIN", 1), tick("INFY", 1)]


def test_an_instrument_that_ticks_often_does_not_starve() -> None:
    gateway = Gateway(batch=2, mark=2)
    gateway.blocks = True
    names = [f"S{n}" for n in range(10)]
    gateway.intake.take([tick(name, 0) for name in names], True)
    gateway.intake.take([tick(name, 0) for name in names], True)
    told = set()
    for turn in range(1, 6):
        # In every turn each of them ticks before two of them have their turn.
        gateway.blocks = False
        if gateway.busy is not None:
            gateway.busy.callback(None)
            gateway.busy = None
        gateway.intake.take([tick(name, turn) for name in names], True)
        told |= {topic for topic, _ in gateway.batches[-1]}
    assert len(told) == 10


def test_it_reads_more_the_longer_there_is_more_and_less_when_there_is_not() -> None:
    gateway = Gateway(batch=1024, most=8192, mark=10_000)
    sizes = []
    for _ in range(70):
        sizes.append(gateway.intake.size)
        gateway.intake.take([tick("SBIN", 1)], True)
    assert sizes == [256, 512] + [1024] * 65 + [2048, 4096, 8192]
    gateway.intake.take([], False)
    assert gateway.intake.size == 256


def test_while_it_conflates_it_hands_on_more_where_all_was_read() -> None:
    gateway = Gateway(batch=4, most=64, mark=20)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    gateway.intake.take([tick(f"S{n}", n) for n in range(40)], True)
    gateway.blocks = False
    assert gateway.busy is not None
    gateway.busy.callback(None)
    gateway.intake.take([], True)
    gateway.intake.take([], False)
    gateway.intake.take([], True)
    assert [len(batch) for batch in gateway.batches] == [1, 4, 32, 4]
    gateway.go_on()
    assert gateway.messages[1:] == [tick(f"S{n}", n) for n in range(40)]


def test_while_it_conflates_it_reads_as_much_in_the_next_turn() -> None:
    gateway = Gateway(batch=1024, mark=20)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    gateway.intake.take([tick(f"S{n}", n) for n in range(40)], True)
    gateway.intake.take([tick("S1", 1)], False)
    assert (gateway.intake.conflating, gateway.intake.size) == (True, 1024)
    gateway.go_on()
    assert (gateway.intake.conflating, gateway.intake.size) == (False, 256)


def test_large_batches_pass_as_they_came_too() -> None:
    gateway = Gateway(batch=1024)
    batch = [tick("SBIN", ltp) for ltp in range(1024)]
    gateway.intake.take(batch, True)
    assert gateway.batches == [batch]
    assert gateway.intake.backlog() == 0


@pytest.mark.parametrize("kind", ["instruments", "orders", "bytes"])
def test_what_cannot_be_bounded_by_conflation_is_read_no_further(kind: str) -> None:
    gateway = Gateway(batch=4, mark=20, limit=50)
    gateway.blocks = True
    gateway.intake.take([tick("TCS", 0)], True)
    read = 0
    while gateway.intake.size:
        assert read < 1000, "no bound"
        if kind == "instruments":
            some = [tick(f"S{read + n}", 1) for n in range(4)]
        elif kind == "orders":
            some = [(b"ZERODHA_alice_orders", b"{}")] * 4
        else:
            some = [(b"ZERODHA_alice_orders", b"x" * 2000)] * 4
        more = gateway.intake.take(some, True)
        read += 4
    assert more is False
    assert gateway.intake.backlog() <= 54
    gateway.go_on()
    assert len(gateway.messages) == read + 1
    assert gateway.intake.size > 0


@given(
    sent=st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["LTP", "QUOTE", "DEPTH"]), st.integers(0, 3)),
        max_size=200,
    ),
    busy=st.sets(st.integers(0, 50)),
    tagged=st.booleans(),
)
def test_the_last_of_each_instrument_arrives_and_its_order_is_kept(
    sent: list[tuple[str, str, int]], busy: set[int], tagged: bool
) -> None:
    gateway = Gateway(batch=3, mark=7)
    for number in range(0, len(sent), 3):
        gateway.blocks = number in busy
        some = [
            (topic_for("alice"), pack([record(symbol, number + index, Mode[mode])]))
            if tagged
            else tick(symbol, number + index, mode)
            for index, (symbol, mode, _) in enumerate(sent[number : number + 3])
        ]
        if gateway.busy is not None and gateway.busy.called is False and number not in busy:
            gateway.busy.callback(None)
            gateway.busy = None
        gateway.intake.take(some, True)
    if gateway.busy is not None and gateway.busy.called:
        gateway.busy = None
    gateway.go_on()
    arrived: dict[str, list[int]] = defaultdict(list)
    for topic, payload in gateway.messages:
        if tagged:
            for one in unpack(payload):
                arrived[one.symbol].append(one.timestamp)
        else:
            arrived[topic.decode().split("_")[1]].append(int(payload[7:-1]))
    for symbol, numbers in arrived.items():
        assert numbers == sorted(numbers), "an older value after a newer one"
        assert numbers[-1] == max(n for n, one in enumerate(sent) if one[0] == symbol)
    assert set(arrived) == {symbol for symbol, _, _ in sent}
