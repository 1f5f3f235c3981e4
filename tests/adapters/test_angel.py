"""Angel One: what the vectors do not show."""

import json
from struct import pack, pack_into

import pytest

from openalgo_ws.adapter import (
    Alive,
    AuthRow,
    BadRow,
    Change,
    Malformed,
    OrderUpdate,
    Rejected,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Wish

ANGEL = Registry().load("angel")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "99926000", "Nifty 50", "NSE")
USDINR = Instrument("USDINR29DEC25FUT", "CDS", "1242", "USDINR25DECFUT", "CDS")
LTP, QUOTE, FIVE, TWENTY = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH), Wish(Mode.DEPTH, 20)
DEMO = dict(ANGEL.simulator.demo_credentials)


def codec(*held, feed="market"):
    made = ANGEL.feed(feed).codec(DEMO, FixedEnvironment())
    made.change([Change(instrument, None, QUOTE) for instrument in held])
    return made


def sent(made, *changes):
    frames = [json.loads(frame) for frame in made.change([Change(*change) for change in changes])]
    return [(f["action"], f["params"]["mode"], f["params"]["tokenList"]) for f in frames]


def packet(mode, kind=1, token=b"3045", **at):
    """Zeros, with i64 values at offsets given as ``o43=…``."""
    data = bytearray({1: 51, 2: 123, 3: 379, 4: 443}[mode])
    data[0], data[1] = mode, kind
    data[2 : 2 + len(token)] = token
    for name, value in at.items():
        pack_into("<d" if isinstance(value, float) else "<q", data, int(name[1:]), value)
    return bytes(data)


class TestChange:
    def test_a_change_of_mode_gives_up_the_old_one_first(self):
        tokens = [{"exchangeType": 1, "tokens": ["3045"]}]
        assert sent(codec(SBIN), (SBIN, QUOTE, FIVE)) == [(0, 2, tokens), (1, 3, tokens)]

    def test_one_mode_a_message_and_500_tokens(self):
        many = [Instrument(f"S{n}", "NSE", str(n), "", "NSE") for n in range(501)]
        frames = sent(codec(), *((one, None, LTP) for one in many), (SBIN, None, QUOTE))
        assert [(mode, len(lists[0]["tokens"])) for _, mode, lists in frames] == [(1, 500), (1, 1), (2, 1)]

    def test_twenty_levels_elsewhere_are_five(self):
        nfo = Instrument("X", "NFO", "1", "X", "NFO")
        assert sent(codec(), (nfo, None, TWENTY))[0][1] == 3
        assert sent(codec(), (NIFTY, None, TWENTY))[0][1] == 3
        assert ANGEL.grant("NFO", TWENTY) == FIVE

    def test_twenty_levels_come_with_a_quote_beside_them(self):
        assert ANGEL.routes(SBIN, TWENTY) == (("depth20", TWENTY), ("market", QUOTE))

    @pytest.mark.parametrize(
        ("token", "segment"), [("", "NSE"), ("x", "NSE"), ("1", "NCX"), ("9" * 26, "NSE")]
    )
    def test_what_the_broker_does_not_have_is_refused(self, token, segment):
        made = codec()
        assert sent(made, (Instrument("ODD", "NSE", token, "", segment), None, LTP)) == []
        assert isinstance(made.received("pong")[0], Rejected)


class TestReceived:
    @pytest.mark.parametrize(
        "data", [b"", b"\0", b"\5" * 600, b"{}", b"\1", packet(3)[:378], packet(4)[:442]]
    )
    def test_one_error_each(self, data):
        assert [type(event) for event in codec(SBIN).received(data)] == [Malformed]

    @pytest.mark.parametrize("data", ["", "hello", "[]", "1", "PONG"])
    def test_text_that_is_nothing(self, data):
        assert [type(event) for event in codec().received(data)] == [Malformed]

    @pytest.mark.parametrize("data", ["pong", "{}", '{"correlationID":"x"}', '{"errorCode":""}'])
    def test_text_that_is_only_a_sign_of_life(self, data):
        assert codec().received(data) == [Alive()]

    def test_longer_packets_and_tokens_with_a_tail(self):
        made = codec(SBIN)
        (tick,) = made.received(packet(1, token=b"3045\0junk", o43=12345) + b"tail")
        assert (tick.ltp, tick.exchange_timestamp) == (123.45, None)

    def test_negative_prices_and_currencies(self):
        assert codec(SBIN).received(packet(1, o43=-3710))[0].ltp == -37.1
        (tick,) = codec(USDINR).received(packet(3, kind=13, token=b"1242", o43=902_875_000, o347=903_000_001))
        assert (tick.ltp, tick.upper_circuit) == (90.2875, 90.3)

    def test_totals_that_are_no_numbers_are_absent(self):
        (tick,) = codec(SBIN).received(packet(2, o75=float("nan"), o83=float("inf")))
        assert (tick.total_buy_quantity, tick.total_sell_quantity, tick.volume) == (None, None, 0)

    @pytest.mark.parametrize(
        ("raw", "ltt"),
        [(0, None), (1_766_029_503, 1_766_029_503_000), (1_766_029_503_000, 1_766_029_503_000)],
    )
    def test_last_trade_time(self, raw, ltt):
        assert codec(SBIN).received(packet(3, o123=raw))[0].ltt == ltt


class TestRows:
    def book(self, flags, prices=range(1, 11)):
        data = bytearray(packet(3))
        for n, (flag, price) in enumerate(zip(flags, prices, strict=True)):
            data[147 + 20 * n : 167 + 20 * n] = pack("<HqqH", flag, price, price * 100, 1 if price else 0)
        (tick,) = codec(SBIN).received(bytes(data))
        return [level.price for level in tick.depth.buy], [level.price for level in tick.depth.sell]

    FIRST, SECOND = [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 10.0]

    def test_by_flag(self):
        assert self.book([1] * 5 + [0] * 5) == (self.FIRST, self.SECOND)
        assert self.book([0] * 5 + [1] * 5) == (self.SECOND, self.FIRST)
        assert self.book([1, 0] * 5) == ([1.0, 3.0, 5.0, 7.0, 9.0], [2.0, 4.0, 6.0, 8.0, 10.0])

    @pytest.mark.parametrize("flag", [0, 1, 7])
    def test_by_place_if_all_flags_are_equal(self, flag):
        assert self.book([flag] * 10) == (self.FIRST, self.SECOND)

    def test_an_empty_bid_without_a_flag_is_no_ask(self):
        bids, asks = self.book([1, 1, 1, 0, 0] + [0] * 5, [1, 2, 3, 0, 0, 6, 7, 8, 9, 10])
        assert (bids, asks) == ([1.0, 2.0, 3.0, 0.0, 0.0], self.SECOND)


class TestOrders:
    def told(self, code, message="", **data):
        made = ANGEL.feed("orders").codec(DEMO, FixedEnvironment())
        frame = {"status-code": "200", "order-status": code, "error-message": message, "orderData": data}
        return made.received(json.dumps(frame))[0]

    def test_the_first_message_is_empty(self):
        assert self.told("AB00", orderid="", price=0) == Alive()
        assert isinstance(self.told("AB00", "Invalid Token"), Rejected)

    def test_states_types_and_products(self):
        update = self.told(
            "AB10",
            orderid="1",
            ordertype="STOPLOSS_MARKET",
            producttype="CARRYFORWARD",
            quantity="",
            filledshares="",
            unfilledshares="5",
            text="ignored",
        )
        assert isinstance(update, OrderUpdate)
        order = update.order
        assert (order.pricetype, order.product, order.order_status) == ("SL-M", "NRML", "trigger pending")
        assert (order.quantity, order.filled_quantity, order.pending_quantity) == (5, 0, 5)
        assert order.rejection_reason == ""
        assert self.told("AB77", orderid="1", orderstatus="Frozen").order.order_status == "frozen"
        assert self.told("AB03", orderid="1", text="no margin").order.rejection_reason == "no margin"

    def test_an_order_without_its_id(self):
        assert isinstance(self.told("AB01", price=1), Malformed)


class TestMaster:
    def row(self, **fields):
        row = {
            "token": "1",
            "symbol": "X-EQ",
            "name": "X",
            "expiry": "",
            "strike": "-1.000000",
            "lotsize": "1",
            "instrumenttype": "",
            "exch_seg": "NSE",
            "tick_size": "5.000000",
        }
        (parsed,) = ANGEL.parse_master("x", json.dumps([row | fields]).encode())
        return parsed

    @pytest.mark.parametrize(
        ("symbol", "ours"), [("A-EQ-B", "A-EQ-B"), ("A-BE", "A"), ("A-SG", "A"), ("A-N1", "A-N1")]
    )
    def test_suffixes_of_shares(self, symbol, ours):
        assert self.row(symbol=symbol).symbol == ours

    @pytest.mark.parametrize(
        ("segment", "symbol", "ours"),
        [
            ("NSE", "NIFTY MID SELECT", "MIDCPNIFTY"),
            ("NSE", "India VIX", "INDIAVIX"),
            ("BSE", "S&P SNSX50", "SENSEX50"),
            ("MCX", "MCX iCOMDEX", "MCX iCOMDEX"),
        ],
    )
    def test_indices(self, segment, symbol, ours):
        row = self.row(exch_seg=segment, symbol=symbol, instrumenttype="AMXIDX")
        assert (row.symbol, row.exchange) == (ours, f"{segment}_INDEX")

    def test_currencies(self):
        row = self.row(
            exch_seg="CDS",
            symbol="USDINR29DEC90.25CE",
            name="USDINR",
            instrumenttype="OPTCUR",
            expiry="29DEC2025",
            strike="902500000.000000",
            tick_size="0.250000",
        )
        assert (row.symbol, row.strike, row.tick_size) == ("USDINR29DEC2590.25CE", 90.25, 0.0025)

    @pytest.mark.parametrize("fields", [{"token": ""}, {"instrumenttype": "FUTIDX"}, {"lotsize": "x"}])
    def test_bad_rows(self, fields):
        assert isinstance(self.row(**fields), BadRow)


class TestConnection:
    def test_the_prefix_of_the_token_is_not_doubled(self):
        made = ANGEL.feed("market").codec(DEMO | {"auth_token": "Bearer x"}, FixedEnvironment())
        assert made.dial().headers["Authorization"] == "Bearer x"

    def test_refusals(self):
        verdict = codec().refused(401, {"X-Error-Message": f"Invalid Feed Token {DEMO['feed_token']}"}, b"")
        assert verdict.cause is Cause.TOKEN
        assert "feed token" in verdict.message
        assert DEMO["feed_token"] not in verdict.message
        assert codec().refused(403, {}, b"").cause is Cause.TOO_MANY
        assert codec(feed="orders").refused(403, {}, b"").cause is Cause.TOKEN

    def test_the_row_of_the_platform(self):
        row = AuthRow(name="A1", auth="jwt", feed_token="feed")
        assert ANGEL.credentials_from(row, {"BROKER_API_KEY": "key"}) == {
            "api_key": "key",
            "client_code": "A1",
            "auth_token": "jwt",
            "feed_token": "feed",
        }


class TestSimulator:
    def connection(self):
        side = ANGEL.simulator(StillMarket([SBIN, NIFTY]), DEMO, FixedEnvironment())
        query = {
            "clientCode": DEMO["client_code"],
            "feedToken": DEMO["feed_token"],
            "apiKey": DEMO["api_key"],
        }
        return side.accept(Upgrade("h", "/smart-stream", query, {})).connection

    def ask(self, connection, mode, tokens, kind=1, action=1):
        params = {"mode": mode, "tokenList": [{"exchangeType": kind, "tokens": tokens}]}
        return connection.received(json.dumps({"action": action, "params": params}))

    def test_the_browser_is_let_in_and_refusals_name_their_code(self):
        connection = self.connection()
        assert json.loads(self.ask(connection, 4, ["1"], kind=2)[0])["errorCode"] == "E1001"
        assert json.loads(connection.received("x")[0])["errorCode"] == "E1001"
        many = [str(n) for n in range(1001)]
        assert json.loads(self.ask(connection, 1, many)[0])["errorCode"] == "E1002"

    def test_every_mode_is_told_by_itself(self):
        connection = self.connection()
        assert [data[0] for data in self.ask(connection, 1, ["3045"])] == [1]
        assert [data[0] for data in self.ask(connection, 3, ["3045", "99926000"])] == [3, 3]
        assert connection.held() == 2
        self.ask(connection, 1, ["3045"], action=0)
        assert connection.held() == 2


def test_rows_of_other_exchanges_are_passed_over() -> None:
    row = {"token": "3045", "symbol": "SBIN-EQ", "name": "SBIN", "exch_seg": "NSE", "lotsize": "1"}
    rows = [row, row | {"exch_seg": ",NSE"}, row | {"exch_seg": "NCO"}]
    (parsed,) = ANGEL.parse_master("x", json.dumps(rows).encode())
    assert parsed.exchange == "NSE"
