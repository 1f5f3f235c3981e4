"""HDFC Sky, and with it the feed of both HDFC brokers: what no vector and no general test shows."""

import json
from pathlib import Path

import pytest

from openalgo_adapters._hdfc.feed_pb2 import Packet, PacketList
from openalgo_ws.adapter import (
    Alive,
    AuthRow,
    Change,
    Close,
    HttpRequest,
    Malformed,
    Order,
    OrderUpdate,
    Rejected,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance import vectors
from openalgo_ws.conformance.loopback import ConnectionRefused, Loopback, upgrade_for
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

ADAPTER = Registry().load("hdfcsky")
FEED = ADAPTER.feed("market")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSE")
TWIN = Instrument("TWIN", "BSE", "3045", "TWIN-A", "BSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "26000", "Nifty 50", "NSE")
USDINR = Instrument("USDINR27NOV26FUT", "CDS", "2011", "USDINR26NOVFUT", "CDS")
OPTION = Instrument("NIFTY03NOV2625500CE", "NFO", "41235", "NIFTY26N0325500CE", "NFO")
LTP, QUOTE, DEPTH = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
STAMP = 1_793_336_400_123


def codec(*held, wish=QUOTE):
    result = FEED.codec({"api_key": "k", "access_token": "t"}, FixedEnvironment())
    result.change([Change(instrument, None, wish) for instrument in held])
    return result


def packet(instrument=OPTION, kind=3, stamp=STAMP, **quote):
    made = Packet(instrument_id=int(instrument.token), packet_type=kind, packet_timestamp=stamp)
    made.quote.SetInParent()
    for name, value in quote.items():
        setattr(made.quote, name, value)
    return made


def message(*packets):
    return PacketList(packets=packets).SerializeToString()


def sent(codec, *changes):
    return [json.loads(frame) for frame in codec.change([Change(*change) for change in changes])]


class TestDial:
    def test_credentials_are_quoted_and_shown_nowhere(self):
        made = FEED.codec({"api_key": "secret&k", "access_token": "secret t"}, FixedEnvironment())
        assert made.dial().url.endswith("?token=secret+t&api_key=secret%26k")
        assert made.dial().headers["Authorization"] == "secret t"
        assert "secret" not in repr(made) + repr(made.dial())

    @pytest.mark.parametrize(("status", "cause"), [(401, "token"), (403, "token"), (429, "too_many")])
    def test_refused(self, status, cause):
        assert codec().refused(status, {}, b"").cause is Cause(cause)

    @pytest.mark.parametrize(
        ("reason", "cause"),
        [("Full Authentication is required", "token"), ("Unauthorized", "token"), ("bye", "transient")],
    )
    def test_a_close_that_speaks_of_the_login_asks_for_another(self, reason, cause):
        assert codec().closed(1008, reason).cause is Cause(cause)


class TestChange:
    def test_a_change_of_type_drops_the_old_before_it_asks_for_the_new(self):
        made = codec(SBIN, wish=LTP)
        scrip = {"scripId": "NSE_3045"}
        assert sent(made, (SBIN, LTP, QUOTE)) == [
            {"heart_beat": False, "unSubscribe": [{**scrip, "type": "LTP"}]},
            {"heart_beat": False, "subscribe": [{**scrip, "type": "ALL"}]},
        ]
        assert sent(made, (SBIN, QUOTE, DEPTH)) == []

    def test_a_frame_holds_a_hundred_scrips(self):
        many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}-EQ", "NSE") for n in range(1, 151)]
        frames = sent(codec(), *((one, None, LTP) for one in many))
        assert [len(frame["subscribe"]) for frame in frames] == [100, 50]

    @pytest.mark.parametrize(
        "strange",
        [
            Instrument("X", "NCDEX", "1", "X", "NCDEX"),
            Instrument("X", "NSE", "X", "X", "NSE"),
            Instrument("X", "NSE", "1" * 30, "X", "NSE"),
        ],
    )
    def test_what_the_broker_does_not_stream_is_rejected(self, strange):
        made = codec()
        assert made.change([Change(strange, None, LTP)]) == []
        (rejected,) = made.received(b"")
        assert rejected.instruments == (strange,)


class TestReceived:
    def test_the_same_number_on_two_exchanges_is_two_instruments(self):
        made = codec(SBIN, TWIN)
        events = made.received(message(*(packet(SBIN, kind, last_traded_price=1.0) for kind in (4, 0, 7))))
        assert [tick.instrument for tick in events] == [TWIN, SBIN]

    def test_open_interest_and_limits_survive_a_full_packet_without_them(self):
        made = codec(OPTION)
        made.received(message(packet(last_traded_price=1.0, oi=75, upper_circuit_limit=9.0)))
        (tick,) = made.received(message(packet(last_traded_price=2.0)))
        assert (tick.ltp, tick.oi, tick.upper_circuit, tick.lower_circuit) == (2.0, 75, 9.0, None)

    def test_what_comes_before_the_first_full_packet_is_remembered(self):
        made = codec(OPTION)
        early = [packet(kind=14, oi=75), packet(kind=13, lower_circuit_limit=0.05)]
        assert made.received(message(*early)) == []
        (tick,) = made.received(message(packet(last_traded_price=2.0)))
        assert (tick.kind, tick.oi, tick.lower_circuit) == (Mode.QUOTE, 75, 0.05)

    def test_a_part_does_not_touch_the_tick_that_went_out(self):
        made = codec(OPTION)
        first, second = made.received(message(packet(last_traded_price=2.0), packet(kind=14, oi=75)))
        assert (first.kind, first.oi) == (Mode.LTP, None)
        assert (second.kind, second.oi, second.ltp) == (Mode.QUOTE, 75, 2.0)

    def test_prices_in_circuit_and_interest_packets_mean_nothing(self):
        made = codec(OPTION)
        made.received(message(packet(last_traded_price=2.0)))
        parts = [packet(kind=13, last_traded_price=7.0, oi=9), packet(kind=14, upper_circuit_limit=9.0)]
        for tick in made.received(message(*parts)):
            assert (tick.ltp, tick.oi, tick.upper_circuit) == (2.0, None, None)

    def test_an_index_merges_what_is_not_zero(self):
        made = codec(NIFTY)
        whole, price = (Packet(instrument_id=26000, packet_type=2, packet_timestamp=STAMP) for _ in "12")
        whole.index.index_value, whole.index.closing_index, whole.index.packet_timestamp = 100.0, 99.0, 5
        price.index.index_value = 101.0
        first, second = made.received(message(whole, price))
        assert (first.ltp, first.close, first.exchange_timestamp) == (100.0, 99.0, 5000)
        assert (second.ltp, second.close, second.exchange_timestamp) == (101.0, 99.0, STAMP)

    @pytest.mark.parametrize(
        ("moment", "expected"),
        [
            (0, None),
            (-1, None),
            (1_793_336_400, 1_793_336_400_000),
            (STAMP, STAMP),
            (STAMP * 1000, STAMP),
            (STAMP * 1_000_000, STAMP),
        ],
    )
    def test_times_are_told_by_their_size(self, moment, expected):
        (tick,) = codec(OPTION).received(message(packet(last_traded_price=1.0, last_trade_time=moment)))
        assert tick.ltt == expected

    def test_levels_keep_their_order_five_a_side_and_empty_ones_go(self):
        full = packet(last_traded_price=1.0)
        for number in range(8):
            full.quote.book.levels.add(price=10.0 - number, quantity=number, buy_flag=True)
        full.quote.book.levels.add(price=0.0, quantity=0, number_of_orders=3)
        full.quote.book.levels.add(price=11.0, quantity=4, number_of_orders=2)
        (tick,) = codec(OPTION).received(message(full))
        assert [level.price for level in tick.depth.buy] == [10.0, 9.0, 8.0, 7.0, 6.0]
        assert [level.orders for level in tick.depth.buy] == [None] * 5
        assert [(level.price, level.orders) for level in tick.depth.sell] == [(11.0, 2)]

    def test_nothing_but_empty_levels_is_no_book(self):
        full = packet(last_traded_price=1.0)
        full.quote.book.levels.add(buy_flag=True)
        (tick,) = codec(OPTION).received(message(full))
        assert (tick.kind, tick.depth) == (Mode.LTP, None)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf")])
    @pytest.mark.parametrize("kind", ["price", "level", "limit", "index"])
    def test_a_price_that_is_no_number_costs_its_packet_alone(self, kind, bad):
        made = codec(OPTION, NIFTY)
        broken = packet()
        if kind == "price":
            broken.quote.average_trade_price = bad
        elif kind == "level":
            broken.quote.book.levels.add(price=bad, quantity=1)
        elif kind == "limit":
            broken = packet(kind=13, upper_circuit_limit=bad)
        else:
            broken = Packet(instrument_id=26000, packet_type=2)
            broken.index.low_index_value = bad
        events = made.received(message(broken, packet(last_traded_price=1.0)))
        assert [type(event) for event in events] == [Malformed, Tick]

    def test_an_unknown_type_costs_its_packet_alone(self):
        events = codec(OPTION).received(message(packet(kind=19), packet(last_traded_price=1.0)))
        assert [type(event) for event in events] == [Malformed, Tick]

    @pytest.mark.parametrize("kind", [3, 2])
    def test_a_packet_without_its_content_is_no_tick(self, kind):
        made = codec(OPTION, Instrument("X", "NSE_INDEX", "41235", "X", "NSE"))
        assert made.received(message(Packet(instrument_id=41235, packet_type=kind))) == []

    @pytest.mark.parametrize(
        ("data", "expected"),
        [
            (b"", []),
            (b"\xff", [Malformed]),
            (b"\xf8\x07\x01", [Malformed]),
            ('{"status":"failure"}', [Rejected]),
            ('{"status":"error","message":5}', [Rejected]),
            ("[]", [Alive]),
            ('{"status":"ok"}', [Alive]),
            ("", [Malformed]),
        ],
    )
    def test_what_is_no_packet(self, data, expected):
        assert [type(event) for event in codec().received(data)] == expected

    def test_a_heartbeat_without_the_list_around_it(self):
        assert [type(event) for event in codec().received(b"\x48\x10")] == [Alive]


class TestOrders:
    """(unconfirmed) They are read if they come."""

    def order(self, **fields):
        made = Packet(packet_type=8)
        made.order.order_id, made.order.token_id = "7", 3045
        made.order.description.trading_symbol = "SBIN-EQ"
        for name, value in fields.items():
            setattr(made.order, name, value)
        return codec().received(message(made))

    @pytest.mark.parametrize(
        ("fields", "status"),
        [
            ({"status": 0}, "open"),
            ({"status": 2}, "rejected"),
            ({"status": 9}, "cancelled"),
            ({"status": 15}, "cancelled"),
            ({"status": 10}, "open"),
            ({"status": 12, "fill_quantity": 1, "type": 2}, "open"),
            ({"status": 14, "type": 3}, "complete"),
            ({"status": 3, "type": 2}, "trigger pending"),
            ({"status": 13, "type": 2}, "open"),
            ({"status": 99}, "open"),
        ],
    )
    def test_states(self, fields, status):
        (update,) = self.order(**fields)
        assert (update.order.order_status, update.token) == (status, "3045")

    @pytest.mark.parametrize(
        ("place", "exchange"), [((0, 1), "NFO"), ((1, 0), "BSE"), ((2, 1), "MCX"), ((4, 0), "")]
    )
    def test_exchanges(self, place, exchange):
        (update,) = self.order(exchange=place[0], segment=place[1])
        assert update.order.exchange == exchange

    def test_a_price_that_is_no_number(self):
        assert [type(event) for event in self.order(price=float("nan"))] == [Malformed]

    def test_the_simulator_s_arrive(self):
        order = Order(
            orderid="1", symbol="SBIN-EQ", exchange="NSE", action="SELL", quantity=10, price=800.15,
            trigger_price=799.0, pricetype="SL", product="MIS", order_status="rejected", filled_quantity=0,
            pending_quantity=10, average_price=0.0, rejection_reason="no margin",
        )  # fmt: skip
        loop = Loopback(ADAPTER, FEED, StillMarket([SBIN]))
        assert loop.order(order, SBIN.token) == [OrderUpdate(order, token=SBIN.token)]


class TestSimulator:
    def loop(self, *instruments):
        return Loopback(ADAPTER, FEED, StillMarket(instruments))

    @pytest.mark.parametrize("start", ["NSE equity", "three packets", "currency", "bare"])
    def test_its_packets_say_what_the_vectors_say(self, start):
        """But for what a tick does not hold and the unit of the last trade time."""
        file = json.loads(Path(__file__).with_name("vectors").joinpath("hdfcsky.json").read_text())
        (case,) = [case for case in file["cases"] if case["name"].startswith(start)]
        instruments = vectors.instruments(case)
        loop = self.loop(*instruments)
        loop.subscribe([(one, DEPTH) for one in instruments])
        frame = vectors.frame_data(case["frames"][0])
        (made,) = loop.connection.ticks(loop.codec.received(frame))
        wanted = PacketList.FromString(frame).packets or [Packet.FromString(frame)]
        got = PacketList.FromString(made).packets
        for one in (*wanted, *got):
            one.quote.ClearField("last_trade_time")
            one.index.ClearField("packet_timestamp")
            one.ClearField("packet_timestamp")
            one.DiscardUnknownFields()
        assert list(got) == list(wanted)

    def upgrade(self, **headers):
        side = ADAPTER.simulator(
            StillMarket([]), dict(ADAPTER.simulator.demo_credentials), FixedEnvironment()
        )
        upgrade = upgrade_for(FEED.codec(side.credentials, FixedEnvironment()).dial())
        upgrade.headers.update(headers)
        return side.accept(upgrade)

    def test_who_is_no_browser_is_refused(self):
        assert self.upgrade(**{"User-Agent": "python"}).status == 403

    def test_there_is_no_bearer_before_the_token(self):
        assert self.upgrade(Authorization="Bearer x").status == 401

    def test_the_fourth_connection_is_refused_until_one_goes(self):
        market = StillMarket([SBIN])
        first = Loopback(ADAPTER, FEED, market)
        for _ in range(2):
            Loopback(ADAPTER, FEED, market, side=first.side)
        with pytest.raises(ConnectionRefused):
            Loopback(ADAPTER, FEED, market, side=first.side)
        first.connection.closed()
        Loopback(ADAPTER, FEED, market, side=first.side)

    def test_a_connection_holds_three_hundred(self):
        many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}-EQ", "NSE") for n in range(1, 302)]
        loop = self.loop(*many)
        events = loop.subscribe([(one, LTP) for one in many])
        assert loop.connection.held() == 300
        assert sum(isinstance(event, Rejected) for event in events) == 1

    def test_who_sends_no_heartbeat_is_dropped(self):
        loop = self.loop(SBIN)
        loop.subscribe([(SBIN, LTP)])
        loop.side.environment.now = lambda: FixedEnvironment().now() + 50.0
        loop.heartbeats()
        loop.side.environment.now = lambda: FixedEnvironment().now() + 100.0
        assert isinstance(loop.connection.ticks([loop.market.last(SBIN)])[0], bytes)
        loop.side.environment.now = lambda: FixedEnvironment().now() + 120.0
        assert isinstance(loop.connection.ticks([loop.market.last(SBIN)])[0], Close)

    def test_what_it_does_not_understand_is_an_error(self):
        loop = self.loop(SBIN)
        frames = ["{", "[]", '{"subscribe":[1]}', '{"subscribe":[{"scripId":"NSE_3045","type":"X"}]}']
        for frame in frames:
            (answer,) = loop.connection.received(frame)
            assert [type(event) for event in loop.codec.received(answer)] == [Rejected]
        assert loop.connection.received('{"subscribe":5}') == []
        assert loop.connection.held() == 0

    def test_its_master_is_at_its_own_address(self):
        side = self.loop().side
        assert side.http(HttpRequest(method="GET", url="https://hdfcsky.com/other")).status == 404


class TestMaster:
    HEADER = (
        "exchange_token,trading_symbol,company_name,expiry,strike,tick_size,lot_size,option_type,"
        "segment,exchange\n"
    )

    def parse(self, *lines):
        return list(ADAPTER.parse_master("CompactScrip.csv", (self.HEADER + "\n".join(lines)).encode()))

    @pytest.mark.parametrize(
        ("brsymbol", "right", "strike", "symbol"),
        [
            ("NIFTY2650725500CE", "CE", "25500", "NIFTY07MAY2625500CE"),
            ("NIFTYNXT502650768000PE", "PE", "68000", "NIFTYNXT5007MAY2668000PE"),
            ("SENSEX5026MAY27000CE", "CE", "27000", "SENSEX5007MAY2627000CE"),
            ("M&M26MAY2950.5PE", "PE", "2950.5", "M&M07MAY262950.5PE"),
            ("360ONE26MAYFUT", "XX", "-0.01", "360ONE07MAY26FUT"),
            ("ODDFUT", "XX", "0", "COMPANY07MAY26FUT"),
        ],
    )
    def test_underlyings(self, brsymbol, right, strike, symbol):
        (row,) = self.parse(f"1,{brsymbol},COMPANY,07-May-2026,{strike},0.05,75,{right},FO,NFO")
        assert (row.symbol, row.strike, row.expiry) == (symbol, max(0.0, float(strike)), "07-MAY-26")

    @pytest.mark.parametrize(
        ("brsymbol", "strike", "symbol"),
        [
            ("CRUDEOIL26D185300CE", 5300, "CRUDEOIL18DEC265300CE"),
            # Called after another expiry than the one they have.
            ("NIFTY26N0325500CE", 25500, "NIFTY18DEC2625500CE"),
            ("NIFTY26NOV25500CE", 25500, "NIFTY18DEC2625500CE"),
        ],
    )
    def test_the_expiry_tells_where_the_underlying_ends(self, brsymbol, strike, symbol):
        (row,) = self.parse(f"1,{brsymbol},X,18-Dec-2026,{strike},0.05,75,CE,FO,NFO")
        assert row.symbol == symbol

    @pytest.mark.parametrize(
        ("line", "symbol", "exchange"),
        [
            ("1,BAJAJ-AUTO-T0,B,01-Jan-0001,0,,,,T0,NSE", "BAJAJ-AUTO-T0", "NSE"),
            ("1,ABC-XT,B,01-Jan-0001,0,,,,XT,BSE", "ABC", "BSE"),
            ("1,Nifty Mid Select,B,01-Jan-0001,0,,,,INDICES,NSE", "MIDCPNIFTY", "NSE_INDEX"),
            ("1,INDIA VIX,B,01-Jan-0001,0,,,,INDICES,NSE", "INDIAVIX", "NSE_INDEX"),
            ("1,OILGAS,B,01-Jan-0001,0,,,,IDX,BSE", "BSEOIL&GAS", "BSE_INDEX"),
        ],
    )
    def test_cash_and_indices(self, line, symbol, exchange):
        (row,) = self.parse(line)
        assert (row.symbol, row.exchange, row.lotsize, row.tick_size) == (symbol, exchange, 0, 0.0)
        assert row.instrumenttype == "EQ"

    def test_what_is_dropped(self):
        assert [row.token for row in self.parse(
            "1,A-EQ,A,01-Jan-0001,0,0.05,1,,EQ,NSE",
            "2,A,A,01-Jan-0001,0,0.05,1,,BE,NSE",
            ",B-EQ,B,01-Jan-0001,0,0.05,1,,EQ,NSE",
            "4,,B,01-Jan-0001,0,0.05,1,,EQ,NSE",
            "5,GOLD,,01-Jan-0001,0,0.05,1,,COM,MCX",
            "6,X,X,01-Jan-0001,0,0.05,1,,EQ,XYZ",
        )] == ["1"]  # fmt: skip

    def test_what_is_reported(self):
        lines = ["x,A-EQ,A,01-Jan-0001,0,0.05,1,,EQ,NSE", "2,A26MAY5CE,A,01-Jan-0001,5,0.05,1,CE,FO,NFO"]
        assert [row.line for row in self.parse(*lines)] == [2, 3]


def test_the_key_is_in_the_environment():
    row = AuthRow(name="u", auth="token")
    assert ADAPTER.from_row(row, {"BROKER_API_KEY": "key"}) == {"api_key": "key", "access_token": "token"}
    assert ADAPTER.missing(ADAPTER.from_row(row, {})) == ["api_key"]
