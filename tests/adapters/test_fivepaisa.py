"""5paisa: what the vectors do not show."""

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import (
    Accepted,
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Change,
    Close,
    HttpResponse,
    Malformed,
    OrderUpdate,
    Refused,
    Rejected,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance import vectors
from openalgo_ws.conformance.loopback import Loopback, upgrade_for
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, authorise
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

FIVEPAISA = Registry().load("fivepaisa")
FEED = FIVEPAISA.feed("feed")
ITC = Instrument("ITC", "NSE", "1660", "ITC", "NSE")
SBIN = Instrument("SBIN", "BSE", "500112", "SBIN", "BSE")
USDINR = Instrument("USDINR29JAN25FUT", "CDS", "1660", "USDINR 29 JAN 2025", "CDS")
LTP, QUOTE, FIVE, TWENTY = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH), Wish(Mode.DEPTH, 20)
DEEP = FIVEPAISA.feed("depth20")
DEMO = dict(FIVEPAISA.simulator.demo_credentials)
NFO_BOOK = next(
    case
    for case in json.loads((Path(__file__).parent / "vectors" / "fivepaisa.json").read_text())["cases"]
    if case["name"].startswith("MarketDepthService")
)


def codec(*held, wish=QUOTE, **credentials):
    made = FEED.codec(DEMO | credentials, FixedEnvironment())
    made.change([Change(instrument, None, wish) for instrument in held])
    return made


def asked(frame):
    request = json.loads(frame)
    assert list(request) == ["Method", "Operation", "ClientCode", "MarketFeedData"]
    keys = ["{Exch}{ExchType}{ScripCode}".format(**entry) for entry in request["MarketFeedData"]]
    return request["Operation"], request["Method"], keys


def sent(made, *changes):
    return [asked(frame) for frame in made.change([Change(*change) for change in changes])]


def element(**values):
    return {"Exch": "N", "ExchType": "C", "Token": 1660, **values}


def told(made, *elements):
    return made.received(json.dumps(list(elements)))


def jwt(payload):
    text = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return f"e30.{urlsafe_b64encode(text).decode().rstrip('=')}.x"


class TestDial:
    @pytest.mark.parametrize(
        ("token", "base"),
        [
            (jwt({"RedirectServer": "A"}), "wss://aopenfeed.5paisa.com/feeds"),
            (jwt({"RedirectServer": "B"}), "wss://bopenfeed.5paisa.com/feeds"),
            (jwt({"RedirectServer": "C"}), "wss://openfeed.5paisa.com/feeds"),
            (jwt({"RedirectServer": "D"}), "wss://openfeed.5paisa.com/Feeds"),
            (jwt({"RedirectServer": ["A"]}), "wss://openfeed.5paisa.com/Feeds"),
            (jwt(b"[]"), "wss://openfeed.5paisa.com/Feeds"),
            (jwt(b"\xff"), "wss://openfeed.5paisa.com/Feeds"),
            ("x.é!.y", "wss://openfeed.5paisa.com/Feeds"),
            ("x.a.y", "wss://openfeed.5paisa.com/Feeds"),
            ("opaque", "wss://openfeed.5paisa.com/Feeds"),
        ],
    )
    def test_the_token_says_which_server(self, token, base):
        assert codec(access_token=token).dial().url == f"{base}/api/chat?Value1={token}|50000001"

    def test_order_updates_are_asked_for_once(self):
        made = codec()
        assert made.opened() == []
        assert json.loads(made.heartbeat()) == {
            "Method": "OrderTradeConfirmations",
            "Operation": "Subscribe",
            "ClientCode": "50000001",
        }
        assert made.heartbeat() is None

    @pytest.mark.parametrize(("code", "cause"), [(1000, Cause.EVICTED), (1006, Cause.TRANSIENT)])
    def test_ends(self, code, cause):
        assert codec().closed(code, "").cause is cause


class TestChange:
    def test_a_change_of_mode_is_the_difference_of_the_methods(self):
        made = codec(ITC)
        assert sent(made, (ITC, QUOTE, FIVE)) == [("Subscribe", "MarketDepthService", ["NC1660"])]
        assert sent(made, (ITC, FIVE, LTP)) == [("Unsubscribe", "MarketDepthService", ["NC1660"])]
        assert sent(made, (ITC, LTP, QUOTE)) == []

    def test_50_instruments_a_request(self):
        many = [Instrument(f"S{n}", "NSE", str(n), "", "NSE") for n in range(51)]
        frames = sent(codec(), *((one, None, LTP) for one in many))
        assert [len(keys) for _, _, keys in frames] == [50, 1]

    @pytest.mark.parametrize(
        ("exchange", "token"), [("NCDEX", "1"), ("NSE", ""), ("NSE", "-1"), ("NSE", "²"), ("NSE", "9" * 40)]
    )
    def test_what_the_broker_does_not_have_is_refused(self, exchange, token):
        made = codec()
        assert sent(made, (Instrument("ODD", exchange, token, "", ""), None, LTP)) == []
        assert [type(event) for event in made.received("{}")] == [Rejected, Alive]

    def test_two_instruments_with_one_code(self):
        made = codec(ITC)
        other = Instrument("ODD", "NSE_INDEX", "1660", "", "")
        assert sent(made, (other, None, FIVE)) == []
        assert sent(made, (other, FIVE, None)) == []
        first, tick = told(made, element(LastRate=1))
        assert isinstance(first, Rejected)
        assert tick.instrument is ITC


class TestReceived:
    @pytest.mark.parametrize("data", ["", "{", "[" * 5000, b"\xff", b'[{"x":"\xff"}]', "\ud800", "[1e999]"])
    def test_not_json_is_one_error(self, data):
        assert [type(event) for event in codec(ITC).received(data)] == [Malformed]

    @pytest.mark.parametrize("data", ["1", "null", '"x"', "{}", '[{"Status":"ok"}]'])
    def test_what_is_ignored(self, data):
        assert codec(ITC).received(data) == [Alive()]

    @pytest.mark.parametrize(
        "bad",
        [
            1,
            None,
            [],
            {"Exch": "N", "ExchType": "C", "LastRate": 1},
            {"Exch": "N", "ExchType": "C", "Token": None, "Details": []},
            element(Token="x", LastRate=1),
            element(Token=1.5, LastRate=1),
            element(Exch=[], LastRate=1),
            element(LastRate="x"),
            element(LastRate=True),
            element(LastRate=1, TotalQty="many"),
            element(LastRate=1, TotalQty=1 << 63),
            element(OpenInterest=None),
            element(Details={}),
            element(Details=[5]),
            element(Details=[{"Price": 1, "Quantity": 1}]),
            element(Details=[{"Price": "x", "Quantity": 1, "BbBuySellFlag": 66}]),
            element(Details=[{"Price": 1, "BbBuySellFlag": 66}]),
        ],
    )
    def test_one_bad_element_is_one_error_and_the_others_count(self, bad):
        events = told(codec(ITC), element(LastRate=1), bad, element(LastRate=2))
        assert [type(event).__name__ for event in events] == ["Tick", "Malformed", "Tick"]

    def test_all_three_parts_of_the_key_count(self):
        made = codec(ITC, USDINR)
        ticks = told(
            made,
            element(ExchType="U", LastRate=86.43251),
            element(Exch="B", LastRate=1),
            element(Token="1660", LastRate="434.256"),
            {"Exch": "N", "ExchType": "C", "ScripCode": 1660, "LastRate": 1},
        )
        assert [(tick.instrument, tick.ltp) for tick in ticks] == [
            (USDINR, 86.4325),
            (ITC, 434.26),
            (ITC, 1.0),
        ]

    def test_zero_null_and_absent_prices_keep_the_last_one(self):
        made = codec(ITC)
        told(made, element(LastRate=1.5, High=2))
        for values in ({"LastRate": 0, "High": 0.0}, {"LastRate": None, "High": None}, {"LastRate": "0"}):
            (tick,) = told(made, element(**values))
            assert (tick.ltp, tick.high, tick.low, tick.volume) == (1.5, 2.0, None, None)

    def test_nothing_is_kept_beyond_a_subscription(self):
        made = codec(ITC)
        told(made, element(LastRate=1.5))
        made.change([Change(ITC, QUOTE, None), Change(ITC, None, QUOTE)])
        assert told(made, element(LastRate=0))[0].ltp is None

    @pytest.mark.parametrize(
        ("date", "ms"),
        [
            ("/Date(1640148238196)/", 1_640_148_238_196),
            ("/Date(1640148238196+0530)/", 1_640_148_238_196),
            ("/Date(0)/", None),
            ("/Date(-62135596800000)/", None),
            ("/Date(x)/", None),
            (None, None),
            (1_640_148_238_196, None),
        ],
    )
    def test_dates(self, date, ms):
        (tick,) = told(codec(ITC), element(LastRate=1, TickDt=date))
        assert (tick.ltt, tick.exchange_timestamp) == (ms, ms)

    def test_a_book(self):
        rows = [
            {"Price": 1.005, "Quantity": "3", "NumberOfOrders": 2, "BbBuySellFlag": 66},
            {"Price": 0, "Quantity": 0, "BbBuySellFlag": 66},
            {"Price": 9, "Quantity": 9, "BbBuySellFlag": 7},
            {"Price": 2, "Quantity": 4, "BbBuySellFlag": "83"},
        ]
        (tick,) = told(codec(ITC, wish=FIVE), element(Details=rows, Time="/Date(5)/", LastRate=7))
        assert tick.depth.buy == [Level(1.0, 3, 2), Level(0.0, 0)]
        assert tick.depth.sell == [Level(2.0, 4)]
        assert (tick.kind, tick.ltp, tick.exchange_timestamp, tick.ltt) == (Mode.DEPTH, None, 5, None)

    def test_open_interest(self):
        (tick,) = told(codec(ITC), element(OpenInterest="12", LastRate=9))
        assert (tick.kind, tick.oi, tick.ltp, tick.exchange_timestamp) == (Mode.QUOTE, 12, None, None)


def deep(*held):
    made = DEEP.codec(DEMO | {"depth_token": "one.time"}, FixedEnvironment())
    made.change([Change(instrument, None, TWENTY) for instrument in held])
    return made


def deep_frame(rows, **values):
    return json.dumps({"Exch": "N", "ExchType": "C", "ScripCode": 1660, "Details": rows} | values)


levels = st.builds(
    Level,
    st.integers(0, 10_000_000).map(lambda paise: paise / 100),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 20),
)


class TestTwentyLevels:
    def test_who_serves_what(self):
        assert FIVEPAISA.routes(ITC, TWENTY) == (("depth20", TWENTY), ("feed", FIVE))
        assert FIVEPAISA.routes(ITC, FIVE) == (("feed", FIVE),)
        assert FIVEPAISA.grant("NSE", Wish(Mode.DEPTH, 200)) == TWENTY
        assert FIVEPAISA.grant("BSE", TWENTY) == FIVE
        assert FIVEPAISA.routes(SBIN, FIVE) == (("feed", FIVE),)

    def test_requests(self):
        made = deep()
        assert made.opened() == []
        assert made.heartbeat() is None
        assert made.change([Change(ITC, None, TWENTY)]) == [
            '{"method":"subscribe","operation":"20depth","instruments":["NC1660"]}'
        ]
        assert made.change([Change(ITC, TWENTY, None)]) == [
            '{"method":"unsubscribe","operation":"20depth","instruments":["NC1660"]}'
        ]

    def test_50_instruments_a_request(self):
        many = [Instrument(f"S{n}", "NFO", str(n), "", "NFO") for n in range(51)]
        frames = deep().change([Change(one, None, TWENTY) for one in many])
        assert [len(json.loads(frame)["instruments"]) for frame in frames] == [50, 1]

    def test_a_close_is_no_eviction(self):
        assert deep().closed(1000, "").cause is Cause.TRANSIENT

    def test_bytes(self):
        frame = (
            b'{"Exch":"N","ExchType":"C","ScripCode":1660,"TBidQ":7,"TOffQ":"9","TimeStamp":1234567,'
            b'"Details":[{"Quantity":5,"Price":434.2,"NumberOfOrders":2,"BbBuySellFlag":66},'
            b'{"Quantity":6,"Price":434.25,"NumberOfOrders":3,"BbBuySellFlag":83}]}'
        )
        (tick,) = deep(ITC).received(frame)
        assert tick == Tick(
            ITC,
            Mode.DEPTH,
            total_buy_quantity=7,
            total_sell_quantity=9,
            depth=Depth([Level(434.2, 5, 2)], [Level(434.25, 6, 3)]),
        )

    @given(buy=st.lists(levels, max_size=20), sell=st.lists(levels, max_size=20))
    def test_any_book(self, buy, sell):
        rows = [
            {
                "Price": one.price,
                "Quantity": one.quantity,
                "NumberOfOrders": one.orders,
                "BbBuySellFlag": flag,
            }
            for side, flag in ((buy, 66), (sell, 83))
            for one in side
        ]
        (tick,) = deep(ITC).received(deep_frame(rows))
        assert (tick.depth.buy, tick.depth.sell) == (buy, sell)

    @given(junk=st.recursive(st.none() | st.integers() | st.text() | st.booleans(), st.lists, max_leaves=9))
    def test_any_rows_give_a_tick_or_an_error(self, junk):
        (event,) = deep(ITC).received(deep_frame(junk))
        assert isinstance(event, (Tick, Malformed))

    @pytest.mark.parametrize(
        ("answer", "cause"),
        [
            (None, Cause.TRANSIENT),
            (HttpResponse(500), Cause.TRANSIENT),
            (HttpResponse(200, b"{"), Cause.TRANSIENT),
            (HttpResponse(200, b"[]"), Cause.TRANSIENT),
            (HttpResponse(200, b'{"access_token":null}'), Cause.TRANSIENT),
            (HttpResponse(401), Cause.TOKEN),
            (HttpResponse(403), Cause.TOKEN),
            (HttpResponse(429), Cause.TOO_MANY),
        ],
    )
    def test_without_a_token_of_its_own(self, answer, cause):
        with pytest.raises(AuthoriseFailed) as failed:
            authorise(DEEP.authorise, DEMO, FixedEnvironment(), lambda request: answer)
        assert failed.value.verdict.cause is cause

    def test_the_token_is_asked_for_with_the_users_and_is_in_the_address(self):
        asked = []

        def answer(request):
            asked.append(request)
            return HttpResponse(200, b'{"access_token":"one.time"}')

        given_back = authorise(DEEP.authorise, DEMO, FixedEnvironment(), answer)
        assert asked[0].method == "POST"
        assert asked[0].headers["Authorization"] == f"Bearer {DEMO['access_token']}"
        key = asked[0].headers["Ocp-Apim-Subscription-Key"]
        dial = DEEP.codec(given_back, FixedEnvironment()).dial()
        assert dial.url == f"wss://gateway.5paisa.com/ws?subscription-key={key}&access_token=one.time"

    def test_the_simulator_tells_twenty_levels(self):
        loop = Loopback(FIVEPAISA, DEEP, StillMarket([ITC]))
        loop.subscribe([(ITC, TWENTY)])
        book = Depth(
            [Level(100 - n / 20, n + 1, 1) for n in range(30)],
            [Level(101 + n / 20, n + 1, 1) for n in range(30)],
        )
        (tick,) = loop.tick([Tick(ITC, Mode.DEPTH, ltp=100.0, depth=book)])
        assert (tick.depth.buy, tick.depth.sell) == (book.buy[:20], book.sell[:20])
        loop.change([Change(ITC, TWENTY, None)])
        assert loop.connection.held() == 0

    def test_a_token_of_the_simulator_opens_one_socket(self):
        loop = Loopback(FIVEPAISA, DEEP, StillMarket([ITC]))
        again = upgrade_for(loop.codec.dial())
        assert loop.side.accept(again) == Refused(401)


class TestOrders:
    def order(self, made=None, **values):
        order = {"ReqType": "P", "Exch": "N", "ExchType": "C", "ScripCode": 1660, "BrokerOrderID": 77}
        (event,) = told(made or codec(), order | values)
        return event

    def test_fields(self):
        update = self.order(
            Symbol="ITC",
            BuySell="S",
            Qty=10,
            Price=434.2,
            SLTriggerRate=0,
            AtMarket="N",
            Product="I",
            TradedQty=4,
            PendingQty=6,
            Status="Pending",
        )
        order = update.order
        assert update.token == "1660"
        assert (order.orderid, order.symbol, order.exchange, order.action) == ("77", "ITC", "NSE", "SELL")
        assert (order.quantity, order.filled_quantity, order.pending_quantity) == (10, 4, 6)
        assert (order.price, order.average_price, order.pricetype) == (434.2, 0.0, "LIMIT")
        assert (order.product, order.order_status) == ("MIS", "open")

    @pytest.mark.parametrize(
        ("market", "trigger", "kind"),
        [("Y", 0, "MARKET"), ("N", 1, "SL"), ("Y", 1, "SL-M"), ("N", 0, "LIMIT")],
    )
    def test_kinds(self, market, trigger, kind):
        assert self.order(AtMarket=market, SLTriggerRate=trigger).order.pricetype == kind

    @pytest.mark.parametrize(
        ("letter", "exchange_type", "product"),
        [("D", "C", "CNC"), ("I", "C", "MIS"), ("D", "D", "NRML"), ("I", "U", "MIS"), ("", "C", "")],
    )
    def test_products(self, letter, exchange_type, product):
        assert self.order(DelvIntra=letter, ExchType=exchange_type).order.product == product

    @pytest.mark.parametrize(
        ("said", "status"),
        [
            ("Fully Executed", "complete"),
            ("AH Cancelled", "cancelled"),
            ("Rejected By 5P", "rejected"),
            ("Rejected by Exch", "rejected"),
            ("Xmitted", "open"),
            ("SL Triggered", "open"),
            (None, "open"),
        ],
    )
    def test_states(self, said, status):
        order = self.order(Status=said, Reason="why").order
        assert order.order_status == status
        assert order.rejection_reason == ("why" if status == "rejected" else "")

    def test_a_trade_is_found_by_the_number_of_the_exchange(self):
        made = codec()
        self.order(made, ExchOrderID="1100")
        trade = {"ReqType": "T", "BrokerOrderID": "", "OrderQty": 10, "Qty": 4, "OrderPrice": 5, "Price": 4.5}
        order = self.order(made, **trade, ExchangeOrderID="1100", TotalTradedQty=4, TradedQty=9).order
        assert (order.orderid, order.quantity, order.price) == ("77", 10, 5.0)
        assert (order.average_price, order.filled_quantity) == (4.5, 4)
        assert self.order(made, **trade, ExchOrderID="2200").order.orderid == "2200"

    def test_orders_that_no_exchange_has_are_not_mixed_up(self):
        made = codec()
        self.order(made, ExchOrderID="0")
        assert self.order(made, ReqType="T", BrokerOrderID=None, ExchOrderID="0").order.orderid == "0"

    @pytest.mark.parametrize("values", [{"BrokerOrderID": None}, {"Qty": "ten"}, {"Price": []}])
    def test_what_can_not_be_read(self, values):
        assert isinstance(self.order(**values), Malformed)

    def test_an_order_among_ticks(self):
        events = told(codec(ITC), element(LastRate=1), {"ReqType": "C", "BrokerOrderId": "5", "LastRate": 2})
        assert [type(event).__name__ for event in events] == ["Tick", "OrderUpdate"]
        assert isinstance(events[1], OrderUpdate)


class TestMaster:
    HEADER = (
        "Exch,ExchType,ScripCode,Name,Expiry,ScripType,StrikeRate,FullName,TickSize,LotSize,QtyLimit,"
        "Multiplier,SymbolRoot,BOCOAllowed,ISIN,ScripData,Series"
    )

    def rows(self, *lines):
        return list(FIVEPAISA.parse_master("ScripMaster.csv", "\n".join([self.HEADER, *lines]).encode()))

    def line(self, segment="N,C", code=1, name="X", kind="EQ", root="X", series="EQ"):
        return f"{segment},{code},{name},2025-01-30 14:30:00,{kind},90.2500,,0.0500,1,0,1,{root},N,,,{series}"

    @pytest.mark.parametrize(
        ("series", "kept"), [("EQ", 1), ("BE", 1), ("  ", 1), ("XX", 1), ("", 0), ("A", 0)]
    )
    def test_series(self, series, kept):
        assert len(self.rows(self.line(series=series))) == kept

    def test_a_share_in_its_own_series(self):
        (row,) = self.rows(self.line(series="BE", root=" GTL "))
        assert (row.symbol, row.instrumenttype, row.expiry, row.strike) == ("GTL", "BE", "", 0.0)

    @pytest.mark.parametrize(
        ("segment", "kind", "exchange", "symbol"),
        [
            ("N,U", "CE", "CDS", "X30JAN2590.25CE"),
            ("B,U", "XX", "BCD", "X30JAN25FUT"),
            ("B,D", "PE", "BFO", "X30JAN2590.25PE"),
        ],
    )
    def test_contracts(self, segment, kind, exchange, symbol):
        (row,) = self.rows(self.line(segment, kind=kind, series="  "))
        assert (row.exchange, row.symbol, row.expiry) == (exchange, symbol, "30-JAN-25")

    def test_indices_are_renamed_and_the_first_of_a_name_counts(self):
        rows = self.rows(
            self.line(code=999920000, root="Nifty 50"),
            self.line(code=999920099, root="NIFTY50"),
            self.line("B,C", code=999902, root="bse-it"),
            self.line("B,C", code=999900, root="LAST"),
        )
        assert [(row.exchange, row.symbol, row.token) for row in rows] == [
            ("NSE_INDEX", "NIFTY", "999920000"),
            ("BSE_INDEX", "BSEINFORMATIONTECHNOLOGY", "999902"),
            ("BSE", "LAST", "999900"),
        ]

    @pytest.mark.parametrize(
        "line", [{"code": "x"}, {"code": -1}, {"root": ""}, {"name": " "}, {"segment": "N,D", "kind": "EQ"}]
    )
    def test_bad_rows(self, line):
        assert isinstance(self.rows(self.line(**line))[0], BadRow)

    def test_segments_of_others(self):
        assert self.rows(self.line("M,C")) == []


class TestRow:
    @pytest.mark.parametrize(
        ("key", "token", "client"),
        [
            ("app:::user:::50000001", "opaque", "50000001"),
            ("app:::50000001", "opaque", "50000001"),
            ("app", jwt({"unique_name": "50000002"}), "50000002"),
            ("50000003", "opaque", "50000003"),
        ],
    )
    def test_the_client_code(self, key, token, client):
        found = FIVEPAISA.from_row(AuthRow(name="x", auth=token), {"BROKER_API_KEY": key})
        assert found == {"access_token": token, "client_code": client}


class TestSimulator:
    def server(self, *instruments):
        return FIVEPAISA.simulator(StillMarket(instruments), dict(DEMO), FixedEnvironment())

    def dialled(self, side, client=DEMO["client_code"], path="/feeds/api/chat"):
        return side.accept(
            Upgrade("openfeed.5paisa.com", path, {"Value1": f"{DEMO['access_token']}|{client}"}, {})
        )

    def test_the_newest_connection_stays(self):
        side = self.server()
        first = self.dialled(side)
        assert isinstance(first, Accepted)
        assert side.push() == []
        second = self.dialled(side, path="/Feeds/api/chat")
        assert isinstance(second, Accepted)
        assert side.push() == [(first.connection, [Close(1000)])]
        second.connection.closed()
        self.dialled(side)
        assert side.push() == []

    def test_another_client_is_refused(self):
        assert self.dialled(self.server(), "50000009") == Refused(401)

    def test_the_book_of_the_vectors(self):
        (instrument,) = vectors.instruments(NFO_BOOK)
        made = codec(instrument, wish=FIVE)
        (frame,) = NFO_BOOK["frames"]
        connection = self.dialled(self.server(instrument)).connection
        for request in codec().change([Change(instrument, None, FIVE)]):
            connection.received(request)
        book, prices = connection.ticks(made.received(frame["text"]))
        assert json.loads(book) == json.loads(frame["text"])
        assert isinstance(json.loads(prices), list)

    def test_an_entry_that_makes_no_sense_never_ticks(self):
        connection = self.dialled(self.server(ITC)).connection
        data = [{"Exch": "N", "ExchType": "X", "ScripCode": 1660}]
        request = {"Method": "MarketFeedV3", "Operation": "Subscribe", "MarketFeedData": data}
        assert connection.received(json.dumps(request)) == []
        assert connection.held() == 0
