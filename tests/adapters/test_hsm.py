"""What Fyers and Kotak share: topics, snapshots, updates, acknowledgements."""

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_adapters._common.values import BadValue
from openalgo_adapters._hsm.codec import topics_of
from openalgo_adapters._hsm.wire import control, fields, topic_list
from openalgo_adapters.fyers import adapter as FYERS
from openalgo_adapters.kotak import adapter as KOTAK
from openalgo_ws.adapter import Change, LoggedIn, LoginFailed, Malformed, Rejected, Reply
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, make_codec, receive, subscribe
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

LTP, QUOTE, BOOK = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
BOTH = Wish(Mode.DEPTH, 5, with_quote=True)
NA = -(1 << 31)


class FyersDialect:
    adapter = FYERS
    sbin = Instrument("SBIN", "NSE", "10100000003045", "NSE:SBIN-EQ", "NSE")
    nifty = Instrument("NIFTY", "NSE_INDEX", "101000000026000", "NSE:NIFTY50-INDEX", "NSE")
    skip = 0
    ltp = 0

    @staticmethod
    def snapshot(number, topic, values, scale=(1, 2)):
        record = pack(">BHB", 0x53, number, len(topic)) + topic + pack("B", len(values))
        return record + pack(f">{len(values)}i", *values) + pack(">HHB", 0, *scale) + b"\1x\1y\1z"

    @staticmethod
    def update(number, values):
        return pack(f">BHB{len(values)}i", 0x55, number, len(values), *values)

    @staticmethod
    def data(*records, number=1):
        return pack(">HBIH", 0, 6, number, len(records)) + b"".join(records)


class KotakDialect:
    adapter = KOTAK
    sbin = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "nse_cm")
    nifty = Instrument("NIFTY", "NSE_INDEX", "Nifty 50", "NIFTY", "nse_cm")
    skip = 2
    ltp = 5

    @staticmethod
    def snapshot(number, topic, values, scale=(1, 2)):
        at = {b"sf": 23, b"if": 8, b"dp": 32}[topic[:2]]
        values = [*values, *[NA] * (at - len(values)), *scale]
        record = pack(">BIB", 0x53, number, len(topic)) + topic + pack("B", len(values))
        return pack(">H", 0) + record + pack(f">{len(values)}i", *values) + b"\1\x33\2sf"

    @staticmethod
    def update(number, values):
        return pack(f">HBIB{len(values)}i", 0, 0x55, number, len(values), *values)

    @staticmethod
    def data(*records, number=1):
        return pack(">HBH", 0, 6, len(records)) + b"".join(records)


@pytest.fixture(params=[FyersDialect, KotakDialect], ids=["fyers", "kotak"])
def dialect(request):
    return request.param


def codec_of(dialect, *instruments, wish=QUOTE):
    codec = make_codec(dialect.adapter, dialect.adapter.feed("hsm"), FixedEnvironment())
    codec.opened()
    subscribe(codec, [(instrument, wish) for instrument in instruments])
    return codec


def price(dialect, paise):
    """The values of a quote up to the last price, which is all that is known."""
    return [*[NA] * dialect.ltp, paise]


SF = b"sf|nse_cm|3045"


class TestWire:
    @given(st.dictionaries(st.integers(0, 255), st.binary(max_size=300), max_size=5))
    def test_what_is_written_is_read(self, values):
        frame = control(4, *values.items())
        assert int.from_bytes(frame[:2], "big") == len(frame) - 2
        assert fields(frame, strict=True) == values

    @given(st.binary(max_size=40))
    def test_a_cut_frame(self, data):
        whole = control(51, (1, b"abcd"), (2, data))
        assert fields(whole[:-1] if data else whole[:10], strict=False).keys() <= {1, 2}
        with pytest.raises(BadValue):
            fields(whole[: 4 + 3 + 4 + 2], strict=True)

    def test_a_list(self):
        assert topic_list([b"ab", b"c"]) == b"\0\2\2ab\1c"

    @pytest.mark.parametrize("token", ["", "a|b", "é", "x" * 300, "a\nb"])
    def test_tokens_that_no_topic_can_carry(self, token):
        assert topics_of("nse_cm", token, QUOTE, index=True) == ()


class TestTopics:
    def test_a_quote_is_subscribed_once_and_left_when_nobody_wants_it(self, dialect):
        codec = codec_of(dialect, dialect.sbin, wish=LTP)
        assert codec.change([Change(dialect.sbin, LTP, QUOTE)]) == []
        (frame,) = codec.change([Change(dialect.sbin, QUOTE, None)])
        assert frame[2] == 5
        assert SF in frame

    def test_a_book_with_its_quote_is_two_topics(self, dialect):
        codec = codec_of(dialect)
        sent = b"".join(subscribe(codec, [(dialect.sbin, BOTH)]))
        assert SF in sent
        assert b"dp|nse_cm|3045" in sent
        # The quote stays, the book goes.
        (frame,) = codec.change([Change(dialect.sbin, BOTH, QUOTE)])
        assert frame[2] == 5
        assert SF not in frame

    def test_a_change_of_mode_takes_the_new_topic_first(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        new, old = codec.change([Change(dialect.sbin, QUOTE, BOOK)])
        assert (new[2], old[2]) == (4, 5)

    def test_an_index_has_one_topic_whatever_is_wanted(self, dialect):
        codec = codec_of(dialect, dialect.nifty, wish=BOOK)
        assert codec.change([Change(dialect.nifty, BOOK, LTP)]) == []

    def test_two_instruments_may_be_one_topic(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        twin = Instrument("TWIN", "NSE", dialect.sbin.token, dialect.sbin.brsymbol, "NSE")
        assert codec.change([Change(twin, None, QUOTE)]) == []
        ticks = codec.received(dialect.data(dialect.snapshot(7, SF, price(dialect, 100))))
        assert [tick.instrument for tick in ticks] == [dialect.sbin, twin]
        assert codec.change([Change(dialect.sbin, QUOTE, None)]) == []
        (tick,) = codec.received(dialect.data(dialect.update(7, price(dialect, 101))))
        assert tick.instrument == twin
        assert len(codec.change([Change(twin, QUOTE, None)])) == 1

    def test_what_was_renamed_is_left_and_taken_anew(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        renamed = Instrument("SBI", "NSE", dialect.sbin.token, dialect.sbin.brsymbol, "NSE")
        frames = codec.change([Change(dialect.sbin, QUOTE, None), Change(renamed, None, QUOTE)])
        assert [frame[2] for frame in frames] == [5, 4]
        (tick,) = codec.received(dialect.data(dialect.snapshot(7, SF, price(dialect, 100))))
        assert tick.instrument == renamed

    def test_an_instrument_without_a_name_is_refused(self, dialect):
        odd = Instrument("ODD", "NSE", "x1")
        codec = codec_of(dialect)
        assert subscribe(codec, [(odd, QUOTE)]) == []
        events = codec.received(control(4, (1, b"K")))
        assert [type(event) for event in events] == [Rejected]
        assert events[0].instruments == (odd,)
        assert codec.change([Change(odd, QUOTE, None)]) == []


class TestData:
    def test_an_update_without_a_difference_is_silent(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        codec.received(dialect.data(dialect.snapshot(7, SF, price(dialect, 100))))
        assert codec.received(dialect.data(dialect.update(7, price(dialect, 100)))) == []
        assert codec.received(dialect.data(dialect.update(7, []))) == []
        assert codec.received(dialect.data(dialect.update(7, price(dialect, NA)))) == []

    def test_a_snapshot_forgets_what_was(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        values = [*price(dialect, 100), *[5] * 10]
        codec.received(dialect.data(dialect.snapshot(7, SF, values)))
        (tick,) = codec.received(dialect.data(dialect.snapshot(7, SF, price(dialect, 200))))
        assert tick == Tick(dialect.sbin, Mode.QUOTE, ltp=2.0)

    def test_values_beyond_the_list_are_passed_over(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        codec.received(dialect.data(dialect.snapshot(7, SF, price(dialect, 100))))
        (tick,) = codec.received(dialect.data(dialect.update(7, [*price(dialect, 200), *[NA] * 60, 9, 9])))
        assert tick == Tick(dialect.sbin, Mode.QUOTE, ltp=2.0)

    def test_an_unknown_number_is_one_error_and_the_rest_is_read(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        good = dialect.snapshot(7, SF, price(dialect, 100))
        events = codec.received(dialect.data(dialect.update(8, [1, 2, 3]), good))
        assert [type(event) for event in events] == [Malformed, Tick]

    def test_a_cut_frame_keeps_what_came_before(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        good = dialect.snapshot(7, SF, price(dialect, 100))
        frame = dialect.data(good, good)
        whole = len(frame) - len(good)
        for end in range(whole, len(frame)):
            assert [type(event) for event in codec.received(frame[:end])] == [Tick, Malformed]
        for end in range(3, whole):
            assert [type(event) for event in codec.received(frame[:end])] == [Malformed]

    def test_a_topic_that_was_left_is_silent_and_no_error(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        codec.received(dialect.data(dialect.snapshot(7, SF, price(dialect, 100))))
        codec.change([Change(dialect.sbin, QUOTE, None)])
        assert codec.received(dialect.data(dialect.update(7, price(dialect, 101)))) == []

    def test_a_topic_that_nobody_asked_for(self, dialect):
        codec = codec_of(dialect)
        snapshot = dialect.snapshot(7, SF, price(dialect, 100))
        assert codec.received(dialect.data(snapshot, dialect.update(7, price(dialect, 1)))) == []

    def test_a_number_may_be_bound_anew(self, dialect):
        codec = codec_of(dialect, dialect.sbin, dialect.nifty)
        codec.received(dialect.data(dialect.snapshot(7, SF, price(dialect, 100))))
        index = dialect.snapshot(7, b"if|nse_cm|Nifty 50", [*[NA] * dialect.skip, 2600000])
        (tick,) = codec.received(dialect.data(index))
        assert tick == Tick(dialect.nifty, Mode.QUOTE, ltp=26000.0)

    @pytest.mark.parametrize(
        ("scale", "ltp"),
        [((1, 2), 12345.67), ((1, 4), 123.4567), ((10, 2), 1234.57), ((1, 0), 1234567.0), ((0, 2), 12345.67)],
    )
    def test_the_packet_says_the_scale(self, dialect, scale, ltp):
        codec = codec_of(dialect, dialect.sbin)
        snapshot = dialect.snapshot(7, SF, price(dialect, 1234567), scale)
        (tick,) = codec.received(dialect.data(snapshot))
        assert tick.ltp == ltp

    def test_negative_prices_and_quantities_pass(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        values = {"fyers": [-5, -7], "kotak": [NA, NA, NA, NA, -7, -5]}[dialect.adapter.name]
        (tick,) = codec.received(dialect.data(dialect.snapshot(7, SF, values)))
        assert (tick.ltp, tick.volume) == (-0.05, -7)

    def test_zeros_count_but_not_in_times_and_limits(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        (tick,) = codec.received(dialect.data(dialect.snapshot(7, SF, [0] * 23)))
        assert (tick.ltp, tick.open, tick.volume, tick.oi) == (0.0, 0.0, 0, 0)
        assert (tick.upper_circuit, tick.lower_circuit, tick.ltt, tick.exchange_timestamp) == (None,) * 4

    def test_a_level_without_a_price_is_left_out(self, dialect):
        codec = codec_of(dialect, dialect.sbin, wish=BOOK)
        prices = [100, 0, NA, 97, 96, 101, 102, 103, 104, 105]
        values = [*[NA] * dialect.skip, *prices, 10, 20, 30, NA]
        (tick,) = codec.received(dialect.data(dialect.snapshot(7, b"dp|nse_cm|3045", values)))
        assert tick.ltp is None
        assert tick.depth.buy == [Level(1.0, 10), Level(0.97, 0), Level(0.96, 0)]
        assert tick.depth.sell[0] == Level(1.01, 0)
        assert len(tick.depth.sell) == 5


class TestAnswers:
    def test_login(self, dialect):
        assert codec_of(dialect).received(control(1, (1, b"K"))) == [LoggedIn()]
        assert isinstance(codec_of(dialect).received(control(1, (1, b"X")))[0], LoginFailed)
        assert isinstance(codec_of(dialect).received(control(1))[0], Malformed)

    @pytest.mark.parametrize("kind", [4, 5, 7, 8])
    def test_status(self, dialect, kind):
        codec = codec_of(dialect)
        assert codec.received(control(kind, (1, b"K"))) == []
        assert isinstance(codec.received(control(kind, (1, b"N")))[0], Rejected)
        assert isinstance(codec.received(control(kind))[0], Rejected)

    @pytest.mark.parametrize("data", ["", "text", b"", b"\0\1", b"\0\1\x63", b"\0\1\2"])
    def test_no_frame_of_this_protocol(self, dialect, data):
        assert [type(event) for event in codec_of(dialect).received(data)] == [Malformed]

    def test_every_nth_frame_is_acknowledged_with_its_number(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        codec.received(control(1, (1, b"K"), (2, pack(">I", 3))))
        frames = [pack(">HBIH", 0, 6, number, 0) for number in range(11, 18)]
        replies = [event.send for event in receive(codec, frames) if isinstance(event, Reply)]
        assert replies == [bytes.fromhex("0009030101000400000000")[:7] + pack(">I", n) for n in (13, 16)]

    def test_no_acknowledgements_unless_asked_for(self, dialect):
        codec = codec_of(dialect, dialect.sbin)
        codec.received(control(1, (1, b"K"), (2, pack(">I", 0))))
        assert receive(codec, [dialect.data()] * 5) == []


class TestServer:
    def test_a_book_and_its_quote_come_together(self, dialect):
        loop = Loopback(dialect.adapter, dialect.adapter.feed("hsm"), StillMarket([dialect.sbin]))
        assert loop.subscribe([(dialect.sbin, BOTH)]) == []
        assert loop.connection.held() == 1
        book = Depth([Level(99.95, 10, 1)], [Level(100.05, 20, 2)])
        tick = Tick(dialect.sbin, Mode.DEPTH, ltp=100.0, volume=7, depth=book)
        events = loop.tick([tick])
        assert {event.kind for event in events} == {Mode.QUOTE, Mode.DEPTH}
        assert next(event.ltp for event in events if event.kind is Mode.QUOTE) == 100.0
        assert next(event.depth for event in events if event.kind is Mode.DEPTH) == book

    def test_what_is_known_comes_with_the_subscription(self, dialect):
        market = StillMarket([dialect.sbin])
        market.show(Tick(dialect.sbin, Mode.DEPTH, ltp=100.0, volume=7))
        loop = Loopback(dialect.adapter, dialect.adapter.feed("hsm"), market)
        (tick,) = loop.subscribe([(dialect.sbin, QUOTE)])
        assert (tick.ltp, tick.volume) == (100.0, 7)

    def test_acknowledgements_are_understood(self, dialect):
        class Strict(dialect.adapter.simulator):
            ack_count = 2

        market = StillMarket([dialect.sbin])
        side = Strict(market, dict(Strict.demo_credentials), FixedEnvironment())
        loop = Loopback(dialect.adapter, dialect.adapter.feed("hsm"), market, side=side)
        loop.subscribe([(dialect.sbin, QUOTE)])
        events = [
            event for n in range(1, 5) for event in loop.tick([Tick(dialect.sbin, Mode.QUOTE, ltp=float(n))])
        ]
        assert [event.ltp for event in events if isinstance(event, Tick)] == [1.0, 2.0, 3.0, 4.0]
        assert len([event for event in events if isinstance(event, Reply)]) == 2

    def test_nobody_is_served_without_a_login(self, dialect):
        loop = Loopback(dialect.adapter, dialect.adapter.feed("hsm"), StillMarket([dialect.sbin]))
        assert isinstance(
            loop.codec.received(loop.connection.received(control(1, (1, b"?")))[0])[0], LoginFailed
        )
        assert isinstance(loop.subscribe([(dialect.sbin, QUOTE)])[0], Rejected)
        assert loop.connection.held() == 0
