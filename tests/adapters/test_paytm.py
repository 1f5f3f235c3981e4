"""Paytm Money: what its vectors and the tests of all adapters do not show."""

import json
from pathlib import Path
from struct import pack, pack_into

import pytest

from openalgo_ws.adapter import AuthRow, Change, HttpRequest, Malformed, MasterRow, Rejected
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance import vectors
from openalgo_ws.conformance.loopback import ConnectionRefused, Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

ADAPTER = Registry().load("paytm")
FEED = ADAPTER.feed("broadcast")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN", "NSE")
TCS = Instrument("TCS", "BSE", "532540", "TCS", "BSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "13", "NIFTY50", "NSE")
ABB = Instrument("ABB", "NSE", "13", "ABB", "NSE")
OPTION = Instrument("NIFTY30DEC2526000CE", "NFO", "48203", "NIFTY30DEC26000CE", "NSE")
LTP, QUOTE, FULL = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
HEADER = "security_id,symbol,name,tick_size,lot_size,instrument_type,expiry_date,strike_price,exchange\n"


def codec(*held, wish=LTP):
    result = FEED.codec({"public_access_token": "t"}, FixedEnvironment())
    result.change([Change(instrument, None, wish) for instrument in held])
    return result


def ltp_packet(number, ltp=967.35, ltt=1_449_735_472, code=61):
    return pack("<BfIIBBff", code, ltp, ltt, number, 1, code, 0, 0)


def full_packet(ltp=100.0, average=100.0):
    packet = bytearray(175)
    pack_into("<B", packet, 0, 63)
    pack_into("<f4xI", packet, 101, ltp, 48203)
    pack_into("<f", packet, 119, average)
    return packet


class TestDial:
    def test_the_token_is_quoted_in_the_url_and_shown_nowhere_else(self):
        made = FEED.codec({"public_access_token": "secret&t"}, FixedEnvironment())
        assert made.dial().url.endswith("/data?x_jwt_token=secret%26t")
        assert "secret" not in repr(made) + repr(made.dial())

    @pytest.mark.parametrize(
        ("status", "cause"),
        [(400, "token"), (401, "token"), (404, "token"), (429, "too_many"), (500, "transient")],
    )
    def test_any_4xx_asks_for_a_fresh_login(self, status, cause):
        assert codec().refused(status, {}, b"").cause is Cause(cause)

    def test_a_normal_close_is_followed_by_another_dial(self):
        assert codec().closed(1000, "").cause is Cause.TRANSIENT


class TestChange:
    def test_a_change_of_mode_removes_the_old_and_adds_the_new(self):
        (frame,) = codec(SBIN).change([Change(SBIN, LTP, FULL)])
        assert [(entry["actionType"], entry["modeType"]) for entry in json.loads(frame)] == [
            ("REMOVE", "LTP"),
            ("ADD", "FULL"),
        ]

    def test_another_depth_of_the_same_book_changes_nothing(self):
        assert codec(SBIN, wish=FULL).change([Change(SBIN, FULL, Wish(Mode.DEPTH, 3))]) == []

    def test_a_frame_holds_a_hundred_entries(self):
        many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}", "NSE") for n in range(1, 151)]
        frames = codec().change([Change(one, None, LTP) for one in many])
        assert [len(json.loads(frame)) for frame in frames] == [100, 50]

    @pytest.mark.parametrize(
        "strange",
        [
            Instrument("GOLD", "MCX", "1", "GOLD", "MCX"),
            Instrument("SBIN", "NSE", "SBIN", "SBIN", "NSE"),
            Instrument("SBIN", "NSE", "4294967296", "SBIN", "NSE"),
            Instrument("SBIN", "NSE", "٣", "SBIN", "NSE"),
        ],
    )
    def test_what_the_broker_does_not_stream_is_rejected_and_the_rest_goes_out(self, strange):
        made = codec()
        (frame,) = made.change([Change(strange, None, LTP), Change(SBIN, None, LTP)])
        assert [entry["scripId"] for entry in json.loads(frame)] == ["3045"]
        (rejected,) = made.received(b"")
        assert rejected.instruments == (strange,)
        assert made.received(b"") == []


class TestReceived:
    def test_of_two_with_one_id_the_first_has_the_packets_until_it_goes(self):
        twin = Instrument("TWIN", "BSE", "3045", "TWIN", "BSE")
        made = codec(SBIN, twin)
        assert [tick.instrument for tick in made.received(ltp_packet(3045))] == [SBIN]
        made.change([Change(SBIN, LTP, None)])
        assert [tick.instrument for tick in made.received(ltp_packet(3045))] == [twin]

    def test_a_share_and_an_index_of_one_id_are_two(self):
        made = codec(ABB, NIFTY)
        frame = ltp_packet(13) + ltp_packet(13, code=64)
        assert [tick.instrument for tick in made.received(frame)] == [ABB, NIFTY]
        made.change([Change(ABB, LTP, None)])
        assert [tick.instrument for tick in made.received(frame)] == [NIFTY]

    def test_no_time_is_no_time(self):
        (tick,) = codec(SBIN).received(ltp_packet(3045, ltt=0))
        assert tick.ltt is None

    def test_a_price_that_is_no_number_costs_its_packet_alone(self):
        made = codec(SBIN)
        events = made.received(ltp_packet(3045, float("nan")) + ltp_packet(3045))
        assert [type(event) for event in events] == [Malformed, Tick]

    @pytest.mark.parametrize("prices", [{"ltp": float("inf")}, {"average": float("nan")}])
    def test_so_it_does_in_a_full_packet(self, prices):
        made = codec(OPTION, wish=FULL)
        assert [type(event) for event in made.received(bytes(full_packet(**prices)))] == [Malformed]

    def test_a_level_is_dropped_on_its_own_side_and_no_open_interest_is_zero(self):
        packet = full_packet()
        pack_into("<IIhhff", packet, 1, 0, 75, 0, 2, 0.0, 100.05)
        pack_into("<IIhhff", packet, 21, 150, 0, 3, 0, 99.9, 0.0)
        (tick,) = codec(OPTION, wish=FULL).received(bytes(packet))
        assert [(one.price, one.quantity, one.orders) for one in tick.depth.buy] == [(99.9, 150, 3)]
        assert [(one.price, one.quantity, one.orders) for one in tick.depth.sell] == [(100.05, 75, 2)]
        assert tick.oi == 0


class TestSimulator:
    #: Offsets of what a tick does not hold, by code: the 52 weeks' range, the change of oi.
    UNKNOWN = {62: range(59, 67), 63: [*range(159, 167), *range(171, 175)]}

    @pytest.mark.parametrize("start", ["quote packet (62)", "full packet (63)", "full packet with empty"])
    def test_packets_of_shares_are_those_of_the_sdk_but_for_what_a_tick_lacks(self, start):
        file = json.loads(Path(__file__).with_name("vectors").joinpath("paytm.json").read_text())
        (case,) = [case for case in file["cases"] if case["name"].startswith(start)]
        (instrument,) = vectors.instruments(case)
        mode = vectors.case_mode(case["subscribed"])
        frame = vectors.frame_data(case["frames"][0])
        loop = Loopback(ADAPTER, FEED, StillMarket([instrument]))
        loop.subscribe([(instrument, Wish(mode))])
        (made,) = loop.connection.ticks(loop.codec.received(frame))
        unknown = set(self.UNKNOWN[frame[0]])
        assert {at for at in range(len(frame)) if made[at] != frame[at]} <= unknown

    def test_the_second_connection_of_a_key_is_refused(self):
        market = StillMarket([SBIN])
        first = Loopback(ADAPTER, FEED, market)
        with pytest.raises(ConnectionRefused) as caught:
            Loopback(ADAPTER, FEED, market, side=first.side)
        assert caught.value.refused.status == 429
        first.connection.closed()
        assert Loopback(ADAPTER, FEED, market, side=first.side).login == []

    @pytest.mark.parametrize(
        "frame",
        ["{", "{}", "[1]", '[{"actionType":"ADD"}]', b"\0", "[" * 5000],
    )
    def test_what_it_does_not_understand_is_answered_in_text_and_changes_nothing(self, frame):
        loop = Loopback(ADAPTER, FEED, StillMarket([SBIN]))
        (answer,) = loop.connection.received(frame)
        assert isinstance(answer, str)
        assert [type(event) for event in loop.codec.received(answer)] == [Rejected]
        assert loop.connection.held() == 0

    def test_a_connection_holds_two_hundred(self):
        many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}", "NSE") for n in range(1, 202)]
        loop = Loopback(ADAPTER, FEED, StillMarket(many))
        events = loop.subscribe([(one, LTP) for one in many])
        assert loop.connection.held() == 200
        assert sum(isinstance(event, Rejected) for event in events) == 1

    def test_its_master_is_read_as_it_was_made(self):
        rows = [
            MasterRow(symbol="SBIN", brsymbol="SBIN", name="SBI", exchange="NSE", brexchange="NSE",
                      token="779521", instrumenttype="EQ", tick_size=0.05),
            MasterRow(symbol="SENSEX50", brsymbol="SNSX50", name="SNSX50", exchange="BSE_INDEX",
                      brexchange="BSE", token="268041", instrumenttype="EQ", tick_size=0.05),
            MasterRow(symbol="FINNIFTY", brsymbol="NIFTY FIN SERVICE", name="NIFTY FIN SERVICE",
                      exchange="NSE_INDEX", brexchange="NSE", token="257801", instrumenttype="EQ",
                      tick_size=0.05),
            MasterRow(symbol="ITC30DEC25402.5PE", brsymbol="ITC30DEC25402.5PE", name="ITC", exchange="NFO",
                      brexchange="NSE", token="8960002", expiry="30-DEC-25", strike=402.5, lotsize=1600,
                      instrumenttype="PE", tick_size=0.05),
            MasterRow(symbol="SENSEX24DEC25FUT", brsymbol="SENSEX24DEC25FUT", name="SENSEX", exchange="BFO",
                      brexchange="BSE", token="209920005", expiry="24-DEC-25", lotsize=20,
                      instrumenttype="FUT", tick_size=0.05),
        ]  # fmt: skip
        local = [ADAPTER.simulator.localise(row) for row in rows]
        market = StillMarket([])
        market.rows = lambda: local
        side = ADAPTER.simulator(market, dict(ADAPTER.simulator.demo_credentials), FixedEnvironment())
        ((name, request),) = ADAPTER.master_files({}).items()
        assert list(ADAPTER.parse_master(name, side.http(request).body)) == local
        assert side.http(HttpRequest(method="POST", url=request.url)).status == 404


class TestMaster:
    def parse(self, *lines):
        return list(ADAPTER.parse_master("security_master.csv", (HEADER + "\n".join(lines)).encode()))

    def test_unknown_types_are_skipped_and_bad_rows_reported(self):
        rows = self.parse(
            "1,X,X,0.05,1,XYZ,,,NSE",
            "1,X,X,0.05,1,ES,,,MCX",
            "1,X,X Y,0.05,1,OPTIDX,2025-12-30,100,NSE",
            "1,X,X CALL,0.05,1,OPTIDX,,100,NSE",
            "a,X,X,0.05,1,ES,,,NSE",
        )
        assert [row.line for row in rows] == [3, 4, 5, 6]

    def test_the_last_word_names_the_right_where_no_other_does(self):
        (row,) = self.parse("9,B,BANKEX 30 DEC 62000 CE,0.05,30,OPTIDX,2025-12-30,62000.0,BSE")
        assert (row.symbol, row.exchange, row.brexchange) == ("BANKEX30DEC2562000CE", "BFO", "BSE")

    @pytest.mark.parametrize(
        ("name", "exchange", "symbol"),
        [
            ("Nifty 50", "NSE", "NIFTY"),
            ("NIFTY", "NSE", "NIFTY"),
            ("Nifty Bank", "NSE", "BANKNIFTY"),
            ("Nifty Mid Select", "NSE", "MIDCPNIFTY"),
            ("India VIX", "NSE", "INDIAVIX"),
            ("SNSX50", "BSE", "SENSEX50"),
            ("OILGAS", "BSE", "BSEOIL&GAS"),
            ("AUTO", "NSE", "AUTO"),
        ],
    )
    def test_indices_have_the_names_of_the_platform(self, name, exchange, symbol):
        (row,) = self.parse(f"13,X,{name},0.05,1,I,,,{exchange}")
        assert (row.symbol, row.exchange, row.brexchange) == (symbol, f"{exchange}_INDEX", exchange)


class TestRow:
    def test_the_public_token_is_the_feed_token(self):
        row = AuthRow(name="u", auth="trading", feed_token="public")
        assert ADAPTER.from_row(row, {}) == {"public_access_token": "public", "access_token": "trading"}
        assert ADAPTER.to_row(ADAPTER.from_row(row, {})) == {"auth": "trading", "feed_token": "public"}

    def test_the_trading_token_alone_does_not_do(self):
        found = ADAPTER.from_row(AuthRow(name="u", auth="trading"), {})
        assert ADAPTER.missing(found) == ["public_access_token"]
