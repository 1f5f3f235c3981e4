"""mStock: what the vectors do not show."""

import json
from pathlib import Path
from struct import pack, pack_into

import pytest

from openalgo_ws.adapter import (
    Accepted,
    Alive,
    AuthRow,
    BadRow,
    Change,
    HttpRequest,
    Malformed,
    OrderUpdate,
    Rejected,
    Reply,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance import rig, vectors
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

MSTOCK = Registry().load("mstock")
FEED = MSTOCK.feed("ticker")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSE")
RELIANCE = Instrument("RELIANCE", "BSE", "3045", "RELIANCE", "BSE")
USDINR = Instrument("USDINR29DEC25FUT", "CDS", "10093", "USDINR25DECFUT", "NSE")
LTP, QUOTE, FIVE = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
DEMO = dict(MSTOCK.simulator.demo_credentials)
CASES = json.loads((Path(__file__).parent / "vectors" / "mstock.json").read_text())["cases"]


class Clock(FixedEnvironment):
    time = 1_795_405_800.0

    def now(self):
        return self.time


def codec(*held, environment=None):
    made = FEED.codec(DEMO, environment or FixedEnvironment())
    made.change([Change(instrument, None, QUOTE) for instrument in held])
    return made


def sent(made, *changes):
    return [asked(frame) for frame in made.change([Change(*change) for change in changes])]


def asked(frame):
    message = json.loads(frame)
    (part,) = message["params"]["tokenList"]
    return message["action"], message["params"]["mode"], part["exchangeType"], part["tokens"]


def packet(mode, kind=1, token=b"3045", **at):
    """Zeros, with values at offsets given as ``o43=…``."""
    data = bytearray({1: 51, 2: 123, 3: 379}[mode])
    data[0], data[1] = mode, kind
    data[2 : 2 + len(token)] = token
    for name, value in at.items():
        pack_into("<d" if isinstance(value, float) else "<Q", data, int(name[1:]), value)
    return bytes(data)


class TestChange:
    def test_a_change_of_mode_gives_up_the_old_one_first(self):
        assert sent(codec(SBIN), (SBIN, QUOTE, FIVE)) == [(0, 2, 1, ["3045"]), (1, 3, 1, ["3045"])]

    def test_nothing_is_sent_for_the_same_mode(self):
        assert sent(codec(SBIN), (SBIN, QUOTE, QUOTE)) == []

    def test_100_tokens_a_request(self):
        many = [Instrument(f"S{n}", "NSE", str(n), "", "NSE") for n in range(101)]
        frames = sent(codec(), *((one, None, LTP) for one in many))
        assert [(mode, len(tokens)) for _, mode, _, tokens in frames] == [(1, 100), (1, 1)]

    def test_currencies_have_a_type_of_their_own_though_their_segment_is_nse(self):
        assert sent(codec(), (USDINR, None, LTP)) == [(1, 1, 13, ["10093"])]

    @pytest.mark.parametrize(
        ("exchange", "token"),
        [("BCD", "1"), ("NCDEX", "1"), ("NSE", ""), ("NSE", "x"), ("NSE", "²"), ("NSE", "9" * 26)],
    )
    def test_what_the_broker_does_not_have_is_refused(self, exchange, token):
        made = codec()
        assert sent(made, (Instrument("ODD", exchange, token, "", exchange), None, LTP)) == []
        assert isinstance(made.received(bytes(4))[0], Rejected)


class TestLogin:
    def test_the_first_text_repeats_what_was_asked_for_before(self):
        made = FEED.codec(DEMO, FixedEnvironment())
        made.opened()
        made.change([Change(SBIN, None, LTP), Change(RELIANCE, None, FIVE)])
        first, *replies = made.received("whatever")
        assert first == Alive()
        assert all(isinstance(reply, Reply) for reply in replies)
        assert [asked(reply.send) for reply in replies] == [(1, 1, 1, ["3045"]), (1, 3, 3, ["3045"])]
        assert made.received("again") == [Alive()]

    @pytest.mark.parametrize(("after", "cause"), [(3, Cause.TOKEN), (60, Cause.TRANSIENT)])
    def test_a_close_right_after_the_login_means_the_token(self, after, cause):
        clock = Clock()
        made = codec(environment=clock)
        made.opened()
        clock.time += after
        assert made.closed(1006, "").cause is cause

    def test_with_data_it_was_not_the_token(self):
        made = codec(SBIN)
        made.opened()
        made.received(packet(1))
        assert made.closed(1006, "").cause is Cause.TRANSIENT


class TestReceived:
    @pytest.mark.parametrize(
        "data",
        [
            bytes(5),
            packet(1)[:-1],
            packet(3) + b"\0",
            packet(1, token=b""),
            packet(1, token=b"30x5"),
            packet(1, token=b"-3045"),
            pack("<HH", 2, 51) + packet(1),
            pack("<HH", 1, 52) + packet(1) + b"\0",
            pack("<HH", 2, 51) + packet(1) + packet(1, token=b"\xff"),
        ],
    )
    def test_one_error_each_and_no_tick(self, data):
        assert [type(event) for event in codec(SBIN).received(data)] == [Malformed]

    @pytest.mark.parametrize("data", [b"", b"\0", bytes(4), "", "hello", "[]", "1", "{}", '{"type":"x"}'])
    def test_signs_of_life(self, data):
        assert codec(SBIN).received(data) == [Alive()]

    def test_the_length_decides_and_not_the_mode(self):
        (tick,) = codec(SBIN).received(bytes([3]) + packet(2)[1:])
        assert tick.kind is Mode.QUOTE

    def test_tokens_are_told_apart_by_their_exchange(self):
        made = codec(SBIN, RELIANCE)
        assert made.received(packet(1, kind=3))[0].instrument is RELIANCE
        assert made.received(packet(1, kind=13)) == []

    def test_junk_after_the_token(self):
        assert codec(SBIN).received(packet(1, token=b"3045\0x", o43=12345))[0].ltp == 123.45

    def test_every_packet_behind_a_header(self):
        ticks = codec(SBIN, RELIANCE).received(
            pack("<HH", 3, 123) + packet(2, o43=1) + packet(2, kind=4) + packet(2, kind=3, o43=2)
        )
        assert [(tick.instrument, tick.ltp) for tick in ticks] == [(SBIN, 0.01), (RELIANCE, 0.02)]

    @pytest.mark.parametrize("raw", [0, 1 << 40, (1 << 64) - 1])
    def test_times_that_are_none(self, raw):
        (tick,) = codec(SBIN).received(packet(3, o35=raw, o123=raw))
        assert (tick.exchange_timestamp, tick.ltt) == (None, None)

    def test_totals_are_cut_and_absent_where_they_are_no_numbers(self):
        (tick,) = codec(SBIN).received(packet(2, o75=75.9, o83=float("nan")))
        assert (tick.total_buy_quantity, tick.total_sell_quantity) == (75, None)

    def test_a_level_without_price_or_quantity_is_none(self):
        data = bytearray(packet(3))
        for n, (quantity, price) in enumerate([(1, 100), (0, 99), (3, 0)]):
            data[147 + 20 * n : 167 + 20 * n] = pack("<HQQH", 7, quantity, price, 1)
        (tick,) = codec(SBIN).received(bytes(data))
        assert [level.price for level in tick.depth.buy] == [1.0]
        assert tick.depth.sell == []
        assert (tick.upper_circuit, tick.lower_circuit, tick.oi) == (None, None, 0)


class TestOrders:
    def told(self, **data):
        (event,) = codec().received(json.dumps({"order_status": "trade", "orderData": data}))
        return event

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            ("Traded", "complete"),
            ("COMPLETE", "complete"),
            ("Rejected By Exchange", "rejected"),
            ("o-cancelled", "cancelled"),
            ("Trigger Pending", "trigger pending"),
            ("", "open"),
            (None, "open"),
        ],
    )
    def test_states(self, said, status):
        assert self.told(orderid="1", orderstatus=said).order.order_status == status

    def test_words(self):
        order = self.told(orderid=7, ordertype="STOPLOSS_MARKET", producttype="MARGIN", text="why").order
        assert (order.orderid, order.pricetype, order.product, order.rejection_reason) == (
            "7",
            "SL-M",
            "MIS",
            "",
        )

    def test_what_can_not_be_read_does_not_hide_the_rest(self):
        event = self.told(orderid="1", quantity="ten", price=[], status="Rejected", text="no margin")
        assert isinstance(event, OrderUpdate)
        assert (event.order.quantity, event.order.price) == (0, 0.0)
        assert event.order.rejection_reason == "no margin"

    @pytest.mark.parametrize("order", [{}, [], None, {"orderid": ""}, {"orderid": {}}])
    def test_no_order(self, order):
        assert codec().received(json.dumps({"order_status": "order", "orderData": order})) == [Alive()]


class TestMaster:
    def rows(self, **values):
        row = {"token": "1", "name": "X", "symbol": "X", "exch_seg": "NSE", "instrumenttype": "EQ"}
        return list(MSTOCK.parse_master("OpenAPIScripMaster.json", json.dumps([row | values]).encode()))

    @pytest.mark.parametrize(
        ("name", "symbol"),
        [("RVNL-EQ", "RVNL"), ("GTL-BZ", "GTL"), ("IRFC-N2", "IRFC-N2"), ("BAJAJ-AUTO-EQ", "BAJAJ-AUTO")],
    )
    def test_series(self, name, symbol):
        assert self.rows(name=name)[0].symbol == symbol

    def test_a_share_whose_name_ends_like_an_option(self):
        (row,) = self.rows(name="RELIANCE", exch_seg="BSE", token="500325")
        assert (row.symbol, row.exchange, row.instrumenttype, row.tick_size) == (
            "RELIANCE",
            "BSE",
            "EQ",
            0.05,
        )

    @pytest.mark.parametrize("expiry", ["29Dec2025", "2025-12-29", "29-DEC-25"])
    def test_currencies_of_bse(self, expiry):
        (row,) = self.rows(
            name="USDINR25DEC90CE",
            symbol="USDINR",
            exch_seg="BSE",
            instrumenttype="OPTCUR",
            expiry=expiry,
            strike="90.25",
        )
        assert (row.exchange, row.brexchange, row.symbol) == ("BCD", "BSE", "USDINR29DEC2590.25CE")

    def test_indices_of_bse_by_name_and_short_token(self):
        (row,) = self.rows(name="SNSX50", symbol="SNSX50", exch_seg="BSE", token="83")
        assert (row.exchange, row.symbol, row.brexchange) == ("BSE_INDEX", "SENSEX50", "BSE")
        (share,) = self.rows(name="POWER", symbol="POWER", exch_seg="BSE", token="533333")
        assert share.exchange == "BSE"

    @pytest.mark.parametrize(
        "values",
        [
            {"token": ""},
            {"exch_seg": "NCDEX"},
            {"instrumenttype": "FUTIDX"},
            {"instrumenttype": "OPTIDX", "expiry": "29Dec2025"},
            {"lotsize": "many"},
        ],
    )
    def test_bad_rows(self, values):
        assert isinstance(self.rows(**values)[0], BadRow)

    def test_the_page_of_indices(self):
        page = b"""<table><tr><th>Code</th></tr><tr><td>1</td><td>nsecm</td></tr></table>
            <TABLE><tr><td>Script</td><td>Token</td><td>Name</td><td>Exchange</td></tr>
            <tr class="x"><td>NIFTYMCAP50</td><td> 26020 </td><td><b>Nifty</b> Mcap&nbsp;50</td><td>NSE</td>
            <tr><td>SENSEX</td><td>51</td><td>SENSEX</td><td>BSE</td></tr></TABLE>"""
        (row,) = MSTOCK.parse_master("Annexure.html", page)
        assert (row.symbol, row.brsymbol, row.name, row.token, row.exchange, row.instrumenttype) == (
            "NIFTYMIDCAP50",
            "Nifty Mcap 50",
            "NIFTYMCAP50",
            "26020",
            "NSE_INDEX",
            "INDEX",
        )

    def test_a_page_without_the_table_leaves_the_best_known_indices(self):
        bad, *rows = MSTOCK.parse_master("Annexure.html", b"<html>moved</html>")
        assert isinstance(bad, BadRow)
        assert {row.symbol: row.token for row in rows}["BANKNIFTY"] == "26009"


def test_the_row_of_the_platform():
    row = AuthRow(name="trader", auth="jwt", feed_token="feed")
    assert MSTOCK.from_row(row, {"BROKER_API_KEY": "k"}) == {"api_key": "k", "access_token": "jwt"}


class TestSimulator:
    @pytest.mark.parametrize(
        "case", [c for c in CASES if c.get("ticks") and "header" not in c["name"]], ids=lambda c: c["name"]
    )
    def test_the_packets_of_the_vectors_but_for_what_no_tick_holds(self, case):
        instruments = vectors.instruments(case)
        wishes = [(one, Wish(vectors.case_mode(case["subscribed"]))) for one in instruments]
        loop = Loopback(MSTOCK, FEED, StillMarket(instruments))
        loop.subscribe(wishes)
        reader = rig.make_codec(MSTOCK, FEED, FixedEnvironment())
        rig.subscribe(reader, wishes)
        for frame in map(vectors.frame_data, case["frames"]):
            ticks = [event for event in reader.received(frame) if isinstance(event, Tick)]
            if ticks:
                (made,) = loop.connection.ticks(ticks)
                assert self.masked(made) == self.masked(frame)

    @staticmethod
    def masked(frame):
        data = bytearray(frame)
        # Sequence number, change in open interest, yearly range; levels that hold only orders.
        for start, end in ((27, 35), (139, 147), (363, 379)):
            data[start:end] = bytes(len(data[start:end]))
        return bytes(data)

    def connection(self):
        side = MSTOCK.simulator(StillMarket([SBIN]), dict(DEMO), FixedEnvironment())
        query = {"API_KEY": DEMO["api_key"], "ACCESS_TOKEN": DEMO["access_token"]}
        accepted = side.accept(Upgrade("ws.mstock.trade", "/", query, {}))
        assert isinstance(accepted, Accepted)
        return accepted.connection

    def test_nothing_before_the_login_and_every_form_of_a_request(self):
        connection = self.connection()
        part = {"exchangeType": 1, "tokens": ["3045"]}
        request = json.dumps({"action": 1, "params": {"mode": 3, "tokenList": [part, part]}})
        assert connection.received(request) == []
        assert len(connection.received(f"LOGIN:{DEMO['access_token']}")) == 1
        assert [len(frame) for frame in connection.received(request)] == [379]
        connection.received(json.dumps({"action": 0, "params": {"tokenList": [part]}}))
        assert connection.held() == 0

    def test_the_master_needs_the_login(self):
        side = MSTOCK.simulator(StillMarket([SBIN]), dict(DEMO), FixedEnvironment())
        request = MSTOCK.master_files(DEMO)["OpenAPIScripMaster.json"]
        assert side.http(request).status == 200
        assert side.http(HttpRequest(method="GET", url=request.url)).status == 401
