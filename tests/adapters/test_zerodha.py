"""Zerodha: what its vectors and the tests of all adapters do not show."""

import json
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import (
    Alive,
    AuthRow,
    Change,
    HttpRequest,
    Malformed,
    MasterRow,
    OrderUpdate,
    Rejected,
    Verdict,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import ConnectionRefused, Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

ADAPTER = Registry().load("zerodha")
FEED = ADAPTER.feed("ticker")
SBIN = Instrument("SBIN", "NSE", "779521", "SBIN", "NSE")
INFY = Instrument("INFY", "NSE", "408065", "INFY", "NSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "256265", "NIFTY 50", "NSE")
USDINR = Instrument("USDINR29DEC25FUT", "CDS", "317955", "USDINR25DECFUT", "CDS")
LTP, QUOTE, FULL = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)


def codec(*held, wish=LTP):
    result = FEED.codec({"api_key": "k", "access_token": "t"}, FixedEnvironment())
    result.change([Change(instrument, None, wish) for instrument in held])
    return result


def sent(codec, *changes):
    return [json.loads(frame) for frame in codec.change([Change(*change) for change in changes])]


def message(*packets):
    return pack(">H", len(packets)) + b"".join(pack(">H", len(packet)) + packet for packet in packets)


class TestDial:
    def test_credentials_are_quoted_in_the_url(self):
        dial = FEED.codec({"api_key": "a&b", "access_token": "c d"}, FixedEnvironment()).dial()
        assert dial.url == "wss://ws.kite.trade?api_key=a%26b&access_token=c+d"

    def test_nothing_shows_the_credentials(self):
        made = FEED.codec({"api_key": "secretkey", "access_token": "secrettoken"}, FixedEnvironment())
        assert "secret" not in repr(made) + repr(made.dial())

    @pytest.mark.parametrize(
        ("status", "cause"),
        [(403, Cause.TOKEN), (429, Cause.TOO_MANY), (500, Cause.TRANSIENT), (502, Cause.TRANSIENT)],
    )
    def test_refusals(self, status, cause):
        assert codec().refused(status, {}, b"").cause is cause

    def test_too_many_connections_wait_a_minute(self):
        assert codec().refused(429, {}, b"").wait >= 60

    @pytest.mark.parametrize("code", [None, 1000, 1001, 1006])
    def test_a_close_is_the_ordinary_backoff(self, code):
        assert isinstance(codec().closed(code, ""), Verdict)
        assert codec().closed(code, "").cause is Cause.TRANSIENT

    @pytest.mark.parametrize(("code", "said"), [(None, "without a word"), (1011, "with code 1011")])
    def test_a_close_is_told_in_words(self, code, said):
        assert codec().closed(code, "").message == f"closed by the broker {said}"


class TestChange:
    def test_modes_are_grouped(self):
        assert sent(codec(), (SBIN, None, LTP), (NIFTY, None, FULL), (INFY, None, LTP)) == [
            {"a": "subscribe", "v": [779521, 408065]},
            {"a": "mode", "v": ["ltp", [779521, 408065]]},
            {"a": "subscribe", "v": [256265]},
            {"a": "mode", "v": ["full", [256265]]},
        ]

    def test_a_change_of_mode_sends_both_frames(self):
        assert sent(codec(SBIN), (SBIN, LTP, FULL)) == [
            {"a": "subscribe", "v": [779521]},
            {"a": "mode", "v": ["full", [779521]]},
        ]

    def test_fewer_levels_of_the_same_book_send_nothing(self):
        assert sent(codec(SBIN, wish=FULL), (SBIN, FULL, Wish(Mode.DEPTH, 1))) == []

    def test_coming_and_going_in_one_call(self):
        assert sent(codec(SBIN), (SBIN, LTP, None), (INFY, None, LTP)) == [
            {"a": "unsubscribe", "v": [779521]},
            {"a": "subscribe", "v": [408065]},
            {"a": "mode", "v": ["ltp", [408065]]},
        ]

    def test_what_was_never_held_is_not_unsubscribed(self):
        assert sent(codec(), (SBIN, LTP, None)) == []

    def test_a_token_that_is_no_number_is_reported(self):
        odd = Instrument("ODD", "NSE", "12a")
        made = codec(odd)
        assert made.received(b"\0") == [Rejected("the token is not a number", (odd,)), Alive()]
        assert made.received(b"\0") == [Alive()]


class TestPackets:
    @given(
        st.integers(0, 0xFFFF_FFFF),
        st.sampled_from([(1, 100, 2), (3, 10_000_000, 4), (6, 10_000, 4), (12, 10_000, 4)]),
    )
    def test_prices_are_exactly_those_of_the_sheet(self, raw, segment):
        code, divisor, decimals = segment
        token = 1000 * 256 + code
        instrument = Instrument("X", "?", str(token))
        (tick,) = codec(instrument).received(message(pack(">II", token, raw)))
        assert tick.ltp == round(raw / divisor, decimals)

    def test_currency_futures_are_rounded_to_four_decimals(self):
        (tick,) = codec(USDINR).received(message(pack(">II", 317955, 902_875_321)))
        assert tick.ltp == 90.2875

    def test_every_price_of_a_currency_book_is_rounded(self):
        price = 902_875_321
        numbers = [price, 7, price, 9, 1, 2, price, price, price, price, 0, 0, 0, 0, 0]
        levels = pack(">IIHH", 5, price, 1, 0) * 10
        (tick,) = codec(USDINR, wish=FULL).received(message(pack(">16I", 317955, *numbers) + levels))
        assert {tick.ltp, tick.avg_trade_price, tick.open, tick.high, tick.low, tick.close} == {90.2875}
        assert {level.price for level in (*tick.depth.buy, *tick.depth.sell)} == {90.2875}
        assert (tick.last_trade_quantity, tick.volume, tick.total_sell_quantity) == (7, 9, 2)

    def test_volumes_beyond_31_bits_are_positive(self):
        packet = pack(">11I", 779521, 1000, 1, 1000, 0xFFFF_FFF0, 0x8000_0000, 3, 1000, 1000, 1000, 1000)
        (tick,) = codec(SBIN).received(message(packet))
        assert tick.volume == 0xFFFF_FFF0
        assert tick.total_buy_quantity == 0x8000_0000

    def test_the_length_decides_and_not_the_mode(self):
        (tick,) = codec(SBIN, wish=FULL).received(message(pack(">II", 779521, 84235)))
        assert tick == Tick(SBIN, Mode.LTP, ltp=842.35)

    def test_times_of_zero_are_absent(self):
        (tick,) = codec(NIFTY).received(message(pack(">8I", 256265, 100, 104, 96, 98, 97, 3, 0)))
        assert (tick.high, tick.low, tick.open, tick.close) == (1.04, 0.96, 0.98, 0.97)
        assert tick.exchange_timestamp is None

    def test_the_exchange_is_that_of_the_subscription(self):
        sensex = Instrument("SENSEX", "BSE_INDEX", "265", "SENSEX", "BSE")
        (tick,) = codec(sensex).received(message(pack(">II", 265, 8492936)))
        assert tick.instrument is sensex

    def test_fewer_packets_than_declared(self):
        events = codec(SBIN).received(pack(">HHII", 3, 8, 779521, 100))
        assert [type(event) for event in events] == [Tick, Malformed]

    def test_nothing_declared_and_bytes_after_the_last_packet(self):
        assert codec(SBIN).received(b"\0\0") == []
        assert codec(SBIN).received(b"\0\0\1\2\3") == []
        assert len(codec(SBIN).received(message(pack(">II", 779521, 1)) + b"rest")) == 1

    @pytest.mark.parametrize("length", [0, 3, 16, 164, 183, 185])
    def test_a_packet_of_another_length_is_one_error(self, length):
        events = codec(SBIN).received(message(b"\0" * length, pack(">II", 779521, 100)))
        assert [type(event) for event in events] == [Malformed, Tick]


class TestOrders:
    def order(self, **fields):
        data = {
            "order_id": "1",
            "status": "OPEN",
            "exchange": "NSE",
            "tradingsymbol": "SBIN-BE",
            "instrument_token": 779521,
            "order_type": "SL-M",
            "transaction_type": "SELL",
            "product": "MTF",
            "quantity": 10,
            "price": None,
            "trigger_price": 99.5,
            "average_price": None,
            "filled_quantity": 0,
            "pending_quantity": 0,
            "unfilled_quantity": 10,
            "status_message": None,
        }
        return json.dumps({"type": "order", "data": data | fields})

    def received(self, codec, **fields):
        (event,) = codec.received(self.order(**fields))
        return event

    def test_an_instrument_that_is_held_gives_its_symbol(self):
        assert self.received(codec(SBIN)).order.symbol == "SBIN"

    def test_any_other_is_left_to_the_session(self):
        update = self.received(codec())
        assert (update.order.symbol, update.token, update.order.exchange) == ("SBIN-BE", "779521", "NSE")

    def test_nulls_are_zero_and_what_is_pending_is_found(self):
        order = self.received(codec()).order
        assert (order.price, order.average_price, order.trigger_price) == (0.0, 0.0, 99.5)
        assert order.pending_quantity == 10

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("COMPLETE", "complete"),
            ("REJECTED", "rejected"),
            ("CANCELLED", "cancelled"),
            ("TRIGGER PENDING", "trigger pending"),
            ("UPDATE", "open"),
            ("PUT ORDER REQ RECEIVED", "open"),
            ("MODIFY VALIDATION PENDING", "open"),
            ("CANCEL PENDING", "open"),
            ("AMO REQ RECEIVED", "open"),
        ],
    )
    def test_states(self, theirs, ours):
        assert self.received(codec(), status=theirs).order.order_status == ours

    def test_the_reason_belongs_to_a_rejection(self):
        assert self.received(codec(), status="REJECTED", status_message="RMS").order.rejection_reason == "RMS"
        assert self.received(codec(), status="OPEN", status_message="RMS").order.rejection_reason == ""

    @pytest.mark.parametrize(
        "fields",
        [{"order_id": None}, {"status": 7}, {"quantity": "ten"}, {"instrument_token": [1]}, {"price": {}}],
    )
    def test_an_order_that_makes_no_sense_is_malformed(self, fields):
        assert isinstance(self.received(codec(), **fields), Malformed)

    @pytest.mark.parametrize("data", ["null", "[]", '"x"'])
    def test_an_order_that_is_no_object(self, data):
        assert isinstance(codec().received(f'{{"type":"order","data":{data}}}')[0], Malformed)


class TestText:
    @pytest.mark.parametrize("text", ["", "nonsense", "[1]", "7", "{", "[" * 100_000])
    def test_what_is_no_json_object_is_one_error(self, text):
        assert [type(event) for event in codec().received(text)] == [Malformed]

    @pytest.mark.parametrize("text", ['{"type":"instruments_meta","data":{"count":1}}', '{"type":7}', "{}"])
    def test_unknown_types_are_signs_of_life(self, text):
        assert codec().received(text) == [Alive()]

    def test_an_error_keeps_its_words(self):
        assert codec().received('{"type":"error","data":"Too many"}') == [Rejected("Too many")]
        assert codec().received('{"type":"error","data":{"no":"string"}}') == [
            Rejected("the broker reports an error")
        ]


class TestRow:
    def of(self, auth, env=None):
        return ADAPTER.from_row(AuthRow(name="u", auth=auth), env or {})

    def test_both_parts(self):
        assert self.of("key:to:ken") == {"api_key": "key", "access_token": "to:ken"}

    def test_a_token_alone(self):
        assert self.of("token", {"BROKER_API_KEY": "key"}) == {"api_key": "key", "access_token": "token"}
        assert self.of("token") == {"access_token": "token"}
        assert ADAPTER.missing(self.of("token")) == ["api_key"]

    @pytest.mark.parametrize("token", ["779521", "779521::::3045", "779521:3045"])
    def test_compound_tokens_of_the_platform(self, token):
        row = MasterRow(
            symbol="SBIN",
            brsymbol="SBIN",
            name="",
            exchange="NSE",
            brexchange="NSE",
            token=token,
            strike=-0.01,
        )
        assert ADAPTER.instrument(row) == Instrument("SBIN", "NSE", "779521", "SBIN", "NSE")


class TestMaster:
    HEADER = (
        "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,"
        "instrument_type,segment,exchange\n"
    )

    def rows(self, *lines):
        return list(ADAPTER.parse_master("instruments.csv", (self.HEADER + "\n".join(lines)).encode()))

    def test_a_quoted_name_with_a_comma(self):
        (row,) = self.rows('1,0,ABC,"A, B & C",0,,0,0.05,1,EQ,NSE,NSE')
        assert (row.name, row.symbol) == ("A, B & C", "ABC")

    @pytest.mark.parametrize(
        ("segment", "exchange", "ours"),
        [
            ("INDICES", "MCX", "MCX_INDEX"),
            ("INDICES", "CDS", "CDS_INDEX"),
            ("INDICES", "GLOBAL", "GLOBAL_INDEX"),
            ("INDICES", "NSEIX", "GLOBAL_INDEX"),
            ("NCO-FUT", "NCO", "NCO"),
            ("BCD-FUT", "BCD", "BCD"),
        ],
    )
    def test_exchanges(self, segment, exchange, ours):
        (row,) = self.rows(f"9,0,X,X,0,,0,0.05,1,EQ,{segment},{exchange}")
        assert (row.exchange, row.brexchange) == (ours, exchange)

    @pytest.mark.parametrize(
        ("exchange", "theirs", "ours"),
        [
            ("NSE", "NIFTY MIDCAP 150", "NIFTYMIDCAP150"),
            ("NSE", "NIFTY TATA 25 CAP", "NIFTY TATA 25 CAP"),
            ("BSE", "OILGAS", "BSEOIL&GAS"),
            ("BSE", "BANKEX", "BANKEX"),
            ("NSEIX", "GIFT NIFTY", "GIFTNIFTY"),
        ],
    )
    def test_index_names(self, exchange, theirs, ours):
        (row,) = self.rows(f"9,0,{theirs},{theirs},0,,0,0,0,EQ,INDICES,{exchange}")
        assert row.symbol == ours

    def test_a_share_that_is_called_like_an_index_keeps_its_name(self):
        (row,) = self.rows("1,0,METAL,METAL,0,,0,0.05,1,EQ,BSE,BSE")
        assert row.symbol == "METAL"

    def test_broken_rows_are_counted_and_the_rest_loads(self):
        good = "1,0,ABC,ABC,0,,0,0.05,1,EQ,NSE,NSE"
        broken = [
            "x,0,ABC,ABC,0,,0,0.05,1,EQ,NSE,NSE",
            "4294967296,0,ABC,ABC,0,,0,0.05,1,EQ,NSE,NSE",
            "1,0,,ABC,0,,0,0.05,1,EQ,NSE,NSE",
            "1,0,ABC,ABC,0,2025-13-01,0,0.05,1,FUT,NFO-FUT,NFO",
            "1,0,ABC,ABC,0,,0,0.05,1,FUT,NFO-FUT,NFO",
            "1,0,ABC,ABC,0,2025-12-30,NaN,0.05,1,CE,NFO-OPT,NFO",
            "1,0,ABC,ABC,0,,0,0.05,1.5,EQ,NSE,NSE",
            "1,0,ABC,ABC,0,,0,0.05,1,EQ,INDICES,NFO",
            "1,0,ABC,ABC,0,,0,0.05,1,EQ,NYSE,NYSE",
            '1,0,ABC,"ABC,0,,0,0.05,1,EQ,NSE,NSE',
            "1,0,ABC",
        ]
        rows = self.rows(good, *broken, good)
        assert [row.line for row in rows if not isinstance(row, MasterRow)] == list(range(3, 3 + len(broken)))
        assert [row.symbol for row in rows if isinstance(row, MasterRow)] == ["ABC", "ABC"]

    def test_the_file_is_asked_for_with_the_login_where_there_is_one(self):
        (with_login,) = ADAPTER.master_files({"api_key": "k", "access_token": "t"}).values()
        (without,) = ADAPTER.master_files({}).values()
        assert with_login.headers["Authorization"] == "token k:t"
        assert "Authorization" not in without.headers


class TestServer:
    def side(self, market):
        return ADAPTER.simulator(market, dict(ADAPTER.simulator.demo_credentials), FixedEnvironment())

    def test_a_fourth_connection_is_one_too_many_until_one_goes(self):
        market = StillMarket([SBIN])
        side = self.side(market)
        loops = [Loopback(ADAPTER, FEED, market, side=side) for _ in range(3)]
        with pytest.raises(ConnectionRefused) as caught:
            Loopback(ADAPTER, FEED, market, side=side)
        assert caught.value.refused.status == 429
        loops[0].connection.closed()
        Loopback(ADAPTER, FEED, market, side=side)

    def test_a_token_that_has_expired(self):
        market = StillMarket()
        side = self.side(market)
        before = dict(side.credentials)
        side.credentials["access_token"] = "tomorrow"
        with pytest.raises(ConnectionRefused) as caught:
            Loopback(ADAPTER, FEED, market, side=side, credentials=before)
        assert caught.value.refused.status == 403

    def test_unknown_tokens_are_ignored(self):
        loop = Loopback(ADAPTER, FEED, StillMarket([SBIN]))
        events = loop.subscribe([(SBIN, LTP), (INFY, LTP)])
        assert {event.instrument for event in events} == {SBIN}
        assert loop.connection.held() == 1

    def test_one_message_a_cycle(self):
        loop = Loopback(ADAPTER, FEED, StillMarket([SBIN, INFY]))
        loop.subscribe([(SBIN, LTP), (INFY, FULL)])
        loop.frames.clear()
        loop.tick([loop.market.last(SBIN), loop.market.last(INFY)])
        (frame,) = loop.frames
        assert len(frame) == 2 + 2 + 8 + 2 + 184

    def test_packets_are_as_long_as_mode_and_kind_say(self):
        for wish, share, index in ((LTP, 8, 8), (QUOTE, 44, 28), (FULL, 184, 32)):
            loop = Loopback(ADAPTER, FEED, StillMarket([SBIN, NIFTY]))
            loop.subscribe([(SBIN, wish), (NIFTY, wish)])
            loop.frames.clear()
            loop.tick([loop.market.last(SBIN)])
            loop.tick([loop.market.last(NIFTY)])
            assert [len(frame) - 4 for frame in loop.frames] == [share, index]

    def test_it_serves_the_instrument_dump(self):
        (request,) = ADAPTER.master_files({}).values()
        answer = self.side(StillMarket([SBIN, NIFTY])).http(request)
        rows = list(ADAPTER.parse_master("instruments.csv", answer.body))
        assert [(row.symbol, row.exchange, row.token) for row in rows] == [
            ("SBIN", "NSE", "779521"),
            ("NIFTY", "NSE_INDEX", "256265"),
        ]
        assert (
            self.side(StillMarket())
            .http(HttpRequest(method="GET", url="https://api.kite.trade/orders"))
            .status
            == 404
        )

    def test_the_heartbeat_is_one_byte_a_second(self):
        connection = Loopback(ADAPTER, FEED, StillMarket()).connection
        assert connection.heartbeat_interval == 1.0
        assert len(connection.heartbeat()) == 1

    def test_nonsense_is_answered_with_an_error_frame(self):
        loop = Loopback(ADAPTER, FEED, StillMarket([SBIN]))
        for frame in (
            "nonsense",
            "{}",
            '{"a":"mode","v":["deep",[1]]}',
            '{"a":"buy","v":[1]}',
            '{"a":"mode","v":1}',
        ):
            (answer,) = loop.connection.received(frame)
            assert json.loads(answer)["type"] == "error"
        assert isinstance(loop.codec.received(answer)[0], Rejected)

    def test_an_order_without_a_number_for_its_instrument(self):
        loop = Loopback(ADAPTER, FEED, StillMarket())
        (update,) = codec().received(TestOrders().order())
        (event,) = loop.order(update.order, "")
        assert isinstance(event, OrderUpdate)
        assert event.token == ""
