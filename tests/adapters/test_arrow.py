"""Arrow: what its vectors and the tests of all adapters do not show."""

import json
from struct import pack

import pytest

from openalgo_ws.adapter import (
    Accepted,
    Alive,
    AuthRow,
    BadRow,
    Change,
    Disconnect,
    Malformed,
    MasterRow,
    Rejected,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

ADAPTER = Registry().load("arrow")
MARKET, ORDERS = ADAPTER.feed("market"), ADAPTER.feed("orders")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSECM")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "26000", "Nifty 50", "NSEIDX")
LTP, QUOTE, FULL = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
LOGIN = {"app_id": "APP", "access_token": "a.b.c"}


def codec(*held, wish=LTP, feed=MARKET):
    result = feed.codec(LOGIN, FixedEnvironment())
    if held:
        result.change([Change(instrument, None, wish) for instrument in held])
    return result


def requests(sends):
    return [(one["code"], one["mode"], one[one["mode"]]) for one in map(json.loads, sends)]


class TestDial:
    @pytest.mark.parametrize(("feed", "host"), [(MARKET, "ds"), (ORDERS, "order-updates")])
    def test_the_login_is_in_the_address_and_shown_nowhere_else(self, feed, host):
        made = feed.codec({"app_id": "APP", "access_token": "secret&t"}, FixedEnvironment())
        assert made.dial().url == f"wss://{host}.arrow.trade?appID=APP&token=secret%26t"
        assert "secret" not in repr(made) + repr(made.dial())

    @pytest.mark.parametrize("feed", [MARKET, ORDERS])
    def test_the_heartbeat_is_a_word(self, feed):
        assert codec(feed=feed).heartbeat() == "PONG"

    @pytest.mark.parametrize("feed", [MARKET, ORDERS])
    def test_a_close_that_speaks_of_the_login_is_a_refused_token(self, feed):
        assert codec(feed=feed).closed(1008, "Token expired").cause is Cause.TOKEN
        assert codec(feed=feed).closed(1006, "").cause is Cause.TRANSIENT


class TestChange:
    def test_a_richer_mode_takes_the_place_of_the_poorer(self):
        sends = codec(SBIN).change([Change(SBIN, LTP, FULL)])
        assert requests(sends) == [("sub", "full", [3045])]

    def test_a_poorer_mode_comes_after_the_richer_is_given_up(self):
        sends = codec(SBIN, wish=FULL).change([Change(SBIN, FULL, LTP)])
        assert requests(sends) == [("unsub", "full", [3045]), ("sub", "ltpc", [3045])]

    def test_another_depth_of_the_same_book_changes_nothing(self):
        assert codec(SBIN, wish=FULL).change([Change(SBIN, FULL, Wish(Mode.DEPTH, 3))]) == []

    def test_a_frame_holds_a_hundred_tokens_of_one_mode(self):
        many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}", "NSECM") for n in range(150)]
        changes = [Change(one, None, LTP) for one in many] + [Change(NIFTY, None, QUOTE)]
        sends = requests(codec().change(changes))
        assert [(mode, len(tokens)) for _, mode, tokens in sends] == [
            ("ltpc", 100),
            ("ltpc", 50),
            ("quote", 1),
        ]

    @pytest.mark.parametrize("token", ["SBIN", "", "4294967296", "-1", "٣"])
    def test_what_has_no_number_is_refused_and_the_rest_goes_out(self, token):
        strange = Instrument("X", "NSE", token, "X", "NSECM")
        made = codec()
        assert requests(made.change([Change(strange, None, LTP), Change(SBIN, None, LTP)]))
        (rejected,) = [event for event in made.received("PING") if isinstance(event, Rejected)]
        assert rejected.instruments == (strange,)

    def test_the_second_of_one_number_is_refused_and_does_not_touch_the_first(self):
        twin = Instrument("TWIN", "BSE", "3045", "TWIN", "BSECM")
        made = codec(SBIN)
        assert made.change([Change(twin, None, LTP)]) == []
        assert made.change([Change(twin, LTP, None)]) == []
        # Once, when it is wished for.
        refused, tick = made.received(pack(">II5x", 3045, 10_000))
        assert refused == Rejected("another instrument with this token is subscribed", (twin,))
        assert tick.instrument == SBIN


class TestReceived:
    @pytest.mark.parametrize("length", range(13))
    def test_what_is_shorter_than_a_packet_is_a_heartbeat(self, length):
        assert codec(SBIN).received(bytes(length)) == [Alive()]

    @pytest.mark.parametrize("length", [14, 16, 18, 92, 94, 229, 240, 242, 257, 266, 500])
    def test_no_other_length_is_read_as_a_smaller_packet(self, length):
        packet = pack(">I", 3045) + bytes(length - 4)
        assert [type(event) for event in codec(SBIN).received(packet)] == [Malformed]

    @pytest.mark.parametrize(("length", "kind"), [(33, Mode.LTP), (109, Mode.QUOTE), (265, Mode.DEPTH)])
    def test_the_closing_auction_makes_every_packet_longer(self, length, kind):
        (tick,) = codec(SBIN).received(pack(">II", 3045, 12345) + bytes(length - 8))
        assert (tick.kind, tick.ltp) == (kind, 123.45)

    def test_no_time_is_no_time_and_an_empty_book_has_five_levels(self):
        (tick,) = codec(SBIN).received(pack(">II", 3045, 0) + bytes(241))
        assert (tick.ltt, tick.exchange_timestamp, tick.ltp) == (None, None, 0.0)
        assert len(tick.depth.buy) == len(tick.depth.sell) == 5

    def test_an_error_about_the_login_ends_the_connection(self):
        (event,) = codec().received('{"status":"Failure","message":"Session expired"}')
        assert event == Disconnect(event.verdict)
        assert event.verdict.cause is Cause.TOKEN

    def test_any_other_error_does_not(self):
        assert codec().received('{"status":"error","message":"slow down"}') == [Rejected("slow down")]
        # What it says need not be text.
        (event,) = codec().received('{"status":"error","message":{"code":1.5}}')
        assert isinstance(event, Rejected)

    @pytest.mark.parametrize("said", ["", "[]", '{"status":"ok"}', '{"status":1.5}', "{" * 9999])
    def test_other_text_says_nothing(self, said):
        assert codec().received(said) == [Alive()]


class TestOrders:
    EVENT = {
        "id": "1", "symbol": "SBIN-EQ", "exchange": "NSE", "token": "3045", "transactionType": "S",
        "quantity": "10", "price": "970.10", "order": "LMT", "product": "I", "orderStatus": "OPEN",
        "cumulativeFillQty": "4", "averagePrice": "970.05",
    }  # fmt: skip

    def order(self, **fields):
        (update,) = codec(feed=ORDERS).received(json.dumps(self.EVENT | fields))
        return update.order

    def test_numbers_are_text_and_what_is_left_is_counted(self):
        order = self.order()
        assert (order.action, order.pricetype, order.product) == ("SELL", "LIMIT", "MIS")
        assert (order.quantity, order.filled_quantity, order.pending_quantity) == (10, 4, 6)
        assert (order.price, order.average_price, order.trigger_price) == (970.1, 970.05, 0.0)

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("PENDING", "open"),
            ("PARTIALLY_FILLED", "open"),
            ("AFTER_MARKET_ORDER_REQ_RECEIVED", "open"),
            ("TRIGGER_PENDING", "trigger pending"),
            ("COMPLETE", "complete"),
            ("CANCELLED", "cancelled"),
            ("EXPIRED", "cancelled"),
            ("REJECTED", "rejected"),
        ],
    )
    def test_states(self, theirs, ours):
        assert self.order(orderStatus=theirs).order_status == ours

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [("MKT", "MARKET"), ("SL-LMT", "SL"), ("SL", "SL"), ("SL-MKT", "SL-M"), ("SL-M", "SL-M")],
    )
    def test_types(self, theirs, ours):
        assert self.order(order=theirs).pricetype == ours

    @pytest.mark.parametrize("name", ["rejectReason", "rejectionReason"])
    def test_the_reason_has_two_names_and_is_for_rejected_orders(self, name):
        assert self.order(orderStatus="REJECTED", **{name: "no margin"}).rejection_reason == "no margin"
        assert self.order(**{name: "no margin"}).rejection_reason == ""

    def test_exchanges_and_products_of_their_own(self):
        assert self.order(exchange="MCXFO").exchange == "MCX"
        assert [self.order(product=one).product for one in "CM"] == ["CNC", "NRML"]

    def test_nuls_before_it_are_dropped(self):
        made = codec(feed=ORDERS)
        text = "\0\0" + json.dumps(self.EVENT)
        assert made.received(text) == made.received(text.encode())
        assert made.received(text)[0].order.orderid == "1"

    @pytest.mark.parametrize("said", ["PING", b"\0", '{"status":"ok"}', "[1]"])
    def test_what_is_no_order_is_a_sign_of_life(self, said):
        assert codec(feed=ORDERS).received(said) == [Alive()]

    @pytest.mark.parametrize("fields", [{"id": ""}, {"quantity": "x"}, {"orderStatus": 1}])
    def test_an_order_that_cannot_be_read_is_reported(self, fields):
        events = codec(feed=ORDERS).received(json.dumps(self.EVENT | fields))
        assert [type(event) for event in events] == [Malformed]


class TestSimulator:
    def test_a_client_without_heartbeat_gets_nothing_more(self):
        environment = FixedEnvironment()
        side = ADAPTER.simulator(StillMarket([SBIN]), dict(LOGIN), environment)
        query = {"appID": "APP", "token": "a.b.c"}
        accepted = side.accept(Upgrade("ds.arrow.trade", "/", query, {}))
        assert isinstance(accepted, Accepted)
        connection = accepted.connection
        assert len(connection.received('{"code":"sub","mode":"ltpc","ltpc":[3045]}')) == 1
        now = environment.now()
        environment.now = lambda: now + 10.5
        assert connection.heartbeat() is None
        assert connection.ticks([Tick(SBIN, Mode.LTP, 1.0)]) == []
        assert connection.received("PONG") == []
        assert connection.heartbeat() == b"\0"
        assert len(connection.ticks([Tick(SBIN, Mode.LTP, 1.0)])) == 1

    @pytest.mark.parametrize(
        "frame", ["{", "[]", b"\xff", '{"code":"sub","mode":"ltp","full":[1]}', "[" * 9999,
                  '{"code":"sub","mode":"ltp","ltp":["3045", 9]}', '{"code":"x","mode":"ltp","ltp":[3045]}']
    )  # fmt: skip
    def test_what_it_does_not_understand_it_passes_over(self, frame):
        loop = Loopback(ADAPTER, MARKET, StillMarket([SBIN]))
        assert loop.connection.received(frame) == []
        assert loop.connection.held() == 0

    def test_its_files_are_read_as_they_were_made(self):
        rows = [
            MasterRow(symbol=symbol, brsymbol=brsymbol, name=name, exchange=exchange, brexchange=segment,
                      token=str(number), expiry=expiry, strike=strike, lotsize=lot, instrumenttype=kind,
                      tick_size=0.05)
            for number, (symbol, brsymbol, name, exchange, segment, expiry, strike, lot, kind) in enumerate([
                ("SBIN", "SBIN", "SBI", "NSE", "NSECM", "", 0.0, 1, "EQ"),
                ("NIFTY", "NIFTY 50", "NIFTY 50", "NSE_INDEX", "NSEIDX", "", 0.0, 1, "EQ"),
                ("NIFTYIT", "NIFTY IT", "NIFTY IT", "NSE_INDEX", "NSEIDX", "", 0.0, 1, "EQ"),
                ("SENSEX50", "SNSX50", "SNSX50", "BSE_INDEX", "BSEIDX", "", 0.0, 1, "EQ"),
                ("MCXBULLDEX", "MCXBULLDEX", "MCXBULLDEX", "MCX_INDEX", "MCXIDX", "", 0.0, 1, "EQ"),
                ("ITC29DEC26402.5PE", "", "ITC", "NFO", "NSEFO", "29-DEC-26", 402.5, 1600, "PE"),
                ("USDINR29DEC2688.25CE", "", "USDINR", "CDS", "NSECD", "29-DEC-26", 88.25, 1000, "CE"),
                ("GOLD04DEC26FUT", "", "GOLD", "MCX", "MCXFO", "04-DEC-26", 0.0, 100, "FUT"),
            ], 1)
        ]  # fmt: skip
        local = [ADAPTER.simulator.localise(row) for row in rows]
        market = StillMarket([], local)
        side = ADAPTER.simulator(market, dict(LOGIN), FixedEnvironment())
        parsed = []
        for name, request in ADAPTER.master_files(LOGIN).items():
            parsed += ADAPTER.parse_master(name, side.http(request).body)
        assert sorted(parsed, key=lambda row: int(row.token)) == local

    def test_its_files_want_the_login(self):
        side = ADAPTER.simulator(StillMarket([]), dict(LOGIN), FixedEnvironment())
        for request in ADAPTER.master_files({}).values():
            assert side.http(request).status == 401


class TestMaster:
    HEADER = (
        "ExchSeg,Token,FullName,Symbol,TradingSymbol,LotSize,TickSize,OptionType,Underlying,"
        "StrikePrice,Expiry\n"
    )

    def parse(self, *lines):
        return list(ADAPTER.parse_master("instruments.csv", (self.HEADER + "\n".join(lines)).encode()))

    def test_unknown_segments_are_dropped_and_bad_rows_reported(self):
        rows = self.parse(
            "NCDEX,1,X,X,X,1,1,,,0,",
            "NSECM,x,X,X,X,1,1,,,0,",
            "NSEFO,1,X,X,X,1,1,CE,X,100,",
            "NSECM,4294967296,X,X,X,1,1,,,0,",
            "NSEIDX,1,,,,,1,,,,",
        )
        assert [type(row) for row in rows] == [BadRow] * 4
        assert [row.line for row in rows] == [3, 4, 5, 6]

    def test_a_derivative_with_an_expiry_alone_is_a_future(self):
        (row,) = self.parse("MCXFO,9,GOLD,GOLD,GOLD04DEC26F,100,1.00,,,-0.01,04-Dec-2026")
        assert (row.symbol, row.instrumenttype, row.name, row.strike) == (
            "GOLD04DEC26FUT",
            "FUT",
            "GOLD",
            0.0,
        )

    def test_currencies_have_scales_of_their_own(self):
        (row,) = self.parse("NSECD,9,X,USDINR,U,1000,0.25,CE,USDINR,8825000,29-Dec-2026")
        assert (row.symbol, row.strike, row.tick_size) == ("USDINR29DEC2688.25CE", 88.25, 0.0025)

    @pytest.mark.parametrize(
        ("segment", "name", "symbol"),
        [
            ("NSEIDX", "Nifty Next 50", "NIFTYNXT50"),
            ("NSEIDX", "India VIX", "INDIAVIX"),
            ("NSEIDX", "HangSeng BeES-NAV", "HANGSENGBEESNAV"),
            ("BSEIDX", "OILGAS", "BSEOIL&GAS"),
            ("BSEIDX", "SENSEX", "SENSEX"),
            ("MCXIDX", "CRUDEOIL", "MCXCRUDEX"),
        ],
    )
    def test_indices_have_the_names_of_the_platform(self, segment, name, symbol):
        (row,) = self.parse(f"{segment},1,,{name},,,1,,,,")
        assert (row.symbol, row.brsymbol, row.name) == (symbol, name, name)

    def test_the_list_tells_the_exchange_by_the_name(self):
        listed = [{"name": "Nifty IT", "token": "1"}, {"name": "BANKEX", "token": 2}, {"name": ""}, 3]
        body = json.dumps({"status": "success", "data": listed}).encode()
        first, second, *bad = ADAPTER.parse_master("index-list.json", body)
        assert (first.symbol, first.exchange, first.brexchange) == ("NIFTYIT", "NSE_INDEX", "INDEX")
        assert (second.symbol, second.exchange, second.token) == ("BANKEX", "BSE_INDEX", "2")
        assert [type(row) for row in bad] == [BadRow, BadRow]

    @pytest.mark.parametrize("body", [b"", b"[]", b'{"data":1}'])
    def test_a_list_that_is_none_is_reported(self, body):
        assert [type(row) for row in ADAPTER.parse_master("index-list.json", body)] == [BadRow]


def test_the_key_of_the_environment_is_the_application():
    found = ADAPTER.from_row(AuthRow(name="u", auth="token"), {"BROKER_API_KEY": "APP"})
    assert found == {"app_id": "APP", "access_token": "token"}
    assert ADAPTER.missing(ADAPTER.from_row(AuthRow(name="u", auth="token"), {})) == ["app_id"]
