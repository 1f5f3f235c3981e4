"""Rules of Fyers' sheet that no vector covers."""

import json
from struct import pack

import pytest

from openalgo_adapters._hsm.wire import control
from openalgo_adapters.fyers import adapter as ADAPTER
from openalgo_adapters.fyers.login import claims
from openalgo_adapters.fyers.simulator import token_of
from openalgo_adapters.fyers.tbt_pb2 import MarketFeed, SocketMessage
from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Cause,
    Change,
    HttpRequest,
    HttpResponse,
    LoginFailed,
    Malformed,
    MasterRow,
    Rejected,
)
from openalgo_ws.conformance.loopback import ConnectionRefused, Loopback
from openalgo_ws.conformance.rig import (
    FixedEnvironment,
    StillMarket,
    authorise,
    make_codec,
    receive,
    subscribe,
)
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

SBIN = Instrument("SBIN", "NSE", "10100000003045", "NSE:SBIN-EQ", "NSE")
INFY = Instrument("INFY", "NSE", "10100000001594", "NSE:INFY-EQ", "NSE")
CRUDE = Instrument("CRUDEOIL18DEC26FUT", "MCX", "1120261218472789", "MCX:CRUDEOIL26DECFUT", "MCX")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "101000000026000", "NSE:NIFTY50-INDEX", "NSE")
QUOTE, BOOK, DEEP = Wish(Mode.QUOTE), Wish(Mode.DEPTH), Wish(Mode.DEPTH, 50)


def codec(feed, *instruments, wish=QUOTE):
    made = make_codec(ADAPTER, ADAPTER.feed(feed), FixedEnvironment())
    made.opened()
    subscribe(made, [(instrument, wish) for instrument in instruments])
    return made


class TestRoute:
    def test_a_book_always_comes_with_its_prices(self):
        assert ADAPTER.routes(CRUDE, DEEP) == (("hsm", Wish(Mode.DEPTH, 5, with_quote=True)),)
        assert ADAPTER.routes(SBIN, BOOK) == (("hsm", Wish(Mode.DEPTH, 5, with_quote=True)),)
        assert ADAPTER.routes(SBIN, DEEP) == (("hsm", QUOTE), ("tbt", DEEP))

    def test_an_index_is_on_the_data_socket(self):
        assert ADAPTER.routes(NIFTY, DEEP) == (("hsm", DEEP),)

    def test_a_book_and_its_quote_are_two_of_the_limit(self):
        (route,) = ADAPTER.routes(SBIN, BOOK)
        assert ADAPTER.cost(SBIN, route[1]) == 2
        assert ADAPTER.cost(SBIN, QUOTE) == 1


class TestTopics:
    @pytest.mark.parametrize(
        ("token", "exchange", "topic"),
        [
            ("10122611273456", "CDS", b"sf|cde_fo|3456"),
            ("10202611273456", "NCO", b"sf|nse_com|3456"),
            ("1210000000500112", "BSE", b"sf|bse_cm|500112"),
            ("12112611261100", "BFO", b"sf|bse_fo|1100"),
            ("12122611261100", "BCD", b"sf|bcs_fo|1100"),
            ("3045", "NSE", b"sf|nse_cm|3045"),
        ],
    )
    def test_segments(self, token, exchange, topic):
        (frame,) = subscribe(codec("hsm"), [(Instrument("X", exchange, token, "NSE:X"), QUOTE)])
        assert topic in frame

    @pytest.mark.parametrize(
        ("ticker", "topic"),
        [
            ("NSE:NIFTYBANK-INDEX", b"if|nse_cm|Nifty Bank"),
            ("NSE:BHARATBOND-APR30-INDEX", b"if|nse_cm|BHARATBOND-APR30"),
            ("NSE:NIFTYNEW-INDEX", b"if|nse_cm|NIFTYNEW"),
            ("BSE:CG-INDEX", b"if|bse_cm|BSE CG"),
        ],
    )
    def test_indices_by_name(self, ticker, topic):
        exchange = f"{ticker[:3]}_INDEX"
        token = "101000000026009" if ticker[0] == "N" else "121000000000001"
        (frame,) = subscribe(codec("hsm"), [(Instrument("X", exchange, token, ticker), BOOK)])
        assert topic in frame

    def test_1500_a_frame(self):
        many = [Instrument(f"S{n}", "NSE", f"1010000000{n}", f"NSE:S{n}-EQ") for n in range(1, 1602)]
        frames = subscribe(codec("hsm"), [(one, QUOTE) for one in many])
        assert [int.from_bytes(frame[7:9], "big") for frame in frames] == [1500, 101]


class TestDataSocket:
    SNAPSHOT = pack(">HBIHBHB", 0, 6, 1, 1, 0x53, 7, 14) + b"sf|nse_cm|3045" + pack(">BiHHB", 1, 100, 0, 1, 2)

    def lite(self, number, value):
        return pack(">HBIHBHi", 0, 6, 2, 1, 0x4C, number, value)

    def test_lite_records(self):
        feed = codec("hsm", SBIN)
        (first,) = feed.received(self.SNAPSHOT + b"\0\0\0")
        (tick,) = feed.received(self.lite(7, 105))
        assert (first.ltp, tick.ltp) == (1.0, 1.05)
        assert feed.received(self.lite(7, 105)) == []
        assert feed.received(self.lite(7, -(1 << 31))) == []
        assert [type(event) for event in feed.received(self.lite(8, 1))] == [Malformed]
        assert [type(event) for event in feed.received(self.lite(7, 1)[:-1])] == [Malformed]

    def test_what_follows_the_values_must_be_whole(self):
        feed = codec("hsm", SBIN)
        assert [type(event) for event in feed.received(self.SNAPSHOT + b"\0\0\1")] == [Malformed]

    def message(self, code, text, reference):
        body = b"\x33\3\1\0\4" + pack(">i", code) + b"\2" + pack(">H", len(text)) + text
        return pack(">H", len(body) + 4) + body + b"\3\0\1" + bytes((reference,))

    def test_messages_of_the_server(self):
        feed = codec("hsm", SBIN)
        assert feed.received(self.message(51001, b"Symbol limit", 4)) == [
            Rejected("Symbol limit (code 51001)")
        ]
        (failed,) = feed.received(self.message(-5, b"bad \xff token", 1))
        assert isinstance(failed, LoginFailed)
        assert failed.verdict.cause is Cause.TOKEN
        assert isinstance(feed.received(self.message(1, b"cut", 0)[:-1])[0], Malformed)

    @pytest.mark.parametrize("kind", [11, 13])
    def test_types_to_pass_over(self, kind):
        assert codec("hsm").received(bytes((0, 1, kind, 9, 9))) == [Alive()]

    def test_the_5001st_topic_is_refused_in_words(self):
        loop = Loopback(ADAPTER, ADAPTER.feed("hsm"), StillMarket([SBIN]))
        names = b"".join(b"\5sf|%c%c" % divmod(n, 128) for n in range(5001))
        answers = loop.connection.received(control(4, (1, pack(">H", 5001) + names), (2, b"\x0b")))
        events = receive(loop.codec, answers)
        assert events == [
            Rejected("Symbol limit exceeded (code 51001)"),
            Rejected("the broker refused a subscription"),
        ]
        assert loop.connection.held() == 0


class TestTickByTick:
    def message(self, *feeds, **fields):
        message = SocketMessage(**fields)
        for feed in feeds:
            message.feeds[feed.token or feed.ticker].CopyFrom(feed)
        return message.SerializeToString()

    def feed(self, ticker="NSE:SBIN-EQ", token=SBIN.token, bids=(), asks=(), **fields):
        feed = MarketFeed(ticker=ticker, token=token, **fields)
        feed.depth.SetInParent()
        for side, levels in ((feed.depth.bids, bids), (feed.depth.asks, asks)):
            for level in levels:
                made = side.add()
                for name, value in level.items():
                    getattr(made, name).value = value
        return feed

    def test_levels_by_number_and_only_what_is_there(self):
        made = codec("tbt", SBIN, wish=DEEP)
        first = self.feed(bids=[{"price": 10005, "qty": 5, "nord": 1, "num": 1}, {"price": 7, "qty": 1}])
        (tick,) = made.received(self.message(first))
        assert tick == Tick(SBIN, Mode.DEPTH, depth=Depth([Level(100.05, 5, 1)], []))
        again = self.feed(bids=[{"qty": 0, "num": 1}, {"price": 10010, "num": 0}, {"price": 1, "num": 50}])
        (tick,) = made.received(self.message(again))
        assert tick.depth.buy == [Level(100.1, 0), Level(100.05, 0, 1)]

    @pytest.mark.parametrize("where", ["message", "feed"])
    def test_a_snapshot_clears_the_book(self, where):
        made = codec("tbt", SBIN, wish=DEEP)
        made.received(self.message(self.feed(asks=[{"price": 100, "num": 3}])))
        whole = self.feed(asks=[{"price": 200, "num": 0}], snapshot=where == "feed")
        (tick,) = made.received(self.message(whole, snapshot=where == "message"))
        assert tick.depth.sell == [Level(2.0, 0)]

    def test_several_symbols_in_the_order_of_their_tokens(self):
        made = codec("tbt", SBIN, INFY, wish=DEEP)
        other = self.feed(ticker="NSE:INFY-EQ", token=INFY.token)
        unknown = self.feed(ticker="NSE:X-EQ", token="1")
        bookless = MarketFeed(ticker="NSE:SBIN-EQ", token="2")
        ticks = made.received(self.message(self.feed(), other, unknown, bookless))
        assert [tick.instrument for tick in ticks] == [INFY, SBIN]

    def test_without_a_ticker_the_token_counts(self):
        made = codec("tbt", SBIN, wish=DEEP)
        assert len(made.received(self.message(self.feed(ticker="")))) == 1
        message = SocketMessage()
        message.feeds["NSE:SBIN-EQ"].CopyFrom(self.feed(ticker="", token=""))
        assert len(made.received(message.SerializeToString())) == 1

    @pytest.mark.parametrize(
        ("moment", "milliseconds"),
        [
            (0, None),
            (1_795_405_800, 1_795_405_800_000),
            (1_795_405_800_123, 1_795_405_800_123),
            (1_795_405_800_123_456, 1_795_405_800_123),
            (1_795_405_800_123_456_789, 1_795_405_800_123),
        ],
    )
    def test_times_by_their_size(self, moment, milliseconds):
        feed = self.feed()
        feed.feed_time.value = moment
        (tick,) = codec("tbt", SBIN, wish=DEEP).received(self.message(feed))
        assert tick.exchange_timestamp == milliseconds

    def test_the_channel_is_resumed_once(self):
        made = codec("tbt", SBIN, wish=DEEP)
        assert len(subscribe(made, [(INFY, DEEP)])) == 1
        (frame,) = made.change([Change(SBIN, DEEP, None)])
        assert json.loads(frame)["data"]["subs"] == -1
        assert made.received(self.message(self.feed())) == []

    def test_errors(self):
        made = codec("tbt", SBIN, wish=DEEP)
        assert made.received(self.message(self.feed(), error=True, msg="no")) == [Rejected("no")]
        assert [type(event) for event in made.received("ping?")] == [Malformed]
        assert made.received("pong") == [Alive()]

    def test_what_the_broker_leaves_to_a_sixth_symbol(self):
        shares = [Instrument(f"S{n}", "NSE", f"101000000000{n}", f"NSE:S{n}-EQ", "NSE") for n in range(6)]
        loop = Loopback(ADAPTER, ADAPTER.feed("tbt"), StillMarket([*shares, CRUDE]))
        events = loop.subscribe([(share, DEEP) for share in shares])
        assert events == [Rejected("symbol limit exceeded")]
        loop.change([Change(shares[0], DEEP, None)])
        assert loop.subscribe([(CRUDE, DEEP)]) == [Rejected("invalid symbol")]

    def test_the_answer_says_where_the_socket_is(self):
        step, environment = ADAPTER.feed("tbt").authorise, FixedEnvironment()
        credentials = dict(ADAPTER.simulator.demo_credentials)

        def url(answer):
            found = authorise(step, credentials, environment, lambda request: answer)
            return ADAPTER.feed("tbt").codec(found, environment).dial().url

        ours = b'{"data":{"socket_url":"wss://elsewhere/versova"}}'
        default = "wss://rtsocket-api.fyers.in/versova"
        assert url(HttpResponse(200, ours)) == "wss://elsewhere/versova"
        for answer in (None, HttpResponse(403, ours), HttpResponse(200, b"[]"), HttpResponse(200, b"\xff")):
            assert url(answer) == default

    def test_three_connections(self):
        market = StillMarket([SBIN])
        side = ADAPTER.simulator(market, dict(ADAPTER.simulator.demo_credentials), FixedEnvironment())
        loops = [Loopback(ADAPTER, ADAPTER.feed("tbt"), market, side=side) for _ in range(3)]
        with pytest.raises(ConnectionRefused):
            Loopback(ADAPTER, ADAPTER.feed("tbt"), market, side=side)
        loops[0].connection.closed()
        Loopback(ADAPTER, ADAPTER.feed("tbt"), market, side=side)


class TestLogin:
    def check(self, token, feed="hsm"):
        credentials = {"api_key": "K-100", "access_token": token}
        return authorise(ADAPTER.feed(feed).authorise, credentials, FixedEnvironment(), lambda request: None)

    @pytest.mark.parametrize("feed", ["hsm", "tbt", "orders"])
    def test_an_expired_token_is_not_dialled_with(self, feed):
        with pytest.raises(AuthoriseFailed, match="expired") as caught:
            self.check(token_of("key", 1_795_405_800), feed)
        assert caught.value.verdict.cause is Cause.TOKEN
        self.check(token_of("key", 1_795_405_801), feed)

    @pytest.mark.parametrize("token", ["", "a.b.c", "a", "x.e30.y", token_of("", 4_000_000_000), "x.é.y"])
    def test_a_token_without_a_key_is_of_no_use_to_the_data_socket(self, token):
        with pytest.raises(AuthoriseFailed, match="no key"):
            self.check(token)
        assert isinstance(
            ADAPTER.feed("hsm").codec({"access_token": token}, FixedEnvironment()).opened(), list
        )

    def test_an_app_id_before_the_token(self):
        token = token_of("key", 4_000_000_000)
        made = ADAPTER.feed("orders").codec({"access_token": f"K-100:{token}"}, FixedEnvironment())
        assert made.dial().headers["Authorization"] == f"K-100:{token}"
        assert claims(token)["hsm_key"] == "key"

    def test_rows(self):
        env = {"BROKER_API_KEY": "K-100"}
        both = {"api_key": "K-100", "access_token": "a.b.c"}
        assert ADAPTER.from_row(AuthRow(name="u", auth="a.b.c"), env) == both
        assert ADAPTER.from_row(AuthRow(name="u", auth="K-100:a.b.c"), {}) == both
        assert ADAPTER.missing(ADAPTER.from_row(AuthRow(name="u", auth="a.b.c"), {})) == ["api_key"]


class TestOrders:
    def order(self, **fields):
        data = {"id": "1", "symbol": "NSE:X-EQ", "exchange": 10, "segment": 10, "tran_side": -1, "qty": 10}
        (event,) = codec("orders").received(json.dumps({"s": "ok", "orders": data | fields}))
        return event

    @pytest.mark.parametrize(
        ("fields", "state"),
        [
            ({"org_ord_status": 1, "ord_status": 90}, "cancelled"),
            ({"org_ord_status": 4}, "open"),
            ({"org_ord_status": 6}, "open"),
            ({"org_ord_status": 7}, "cancelled"),
            ({"ord_status": 90}, "complete"),
            ({"ord_status": 73}, "cancelled"),
            ({"ord_status": 94}, "rejected"),
            ({"ord_status": 20}, "open"),
            ({"ord_status": 777}, "open"),
            ({}, "open"),
        ],
    )
    def test_states(self, fields, state):
        assert self.order(**fields).order.order_status == state

    @pytest.mark.parametrize(
        ("exchange", "segment", "ours"),
        [(10, 12, "CDS"), (10, 20, "NCO"), (11, 20, "MCX"), (12, 11, "BFO"), (12, 12, "BCD"), (9, 9, "")],
    )
    def test_exchanges(self, exchange, segment, ours):
        assert self.order(exchange=exchange, segment=segment).order.exchange == ours

    def test_what_is_missing_is_zero(self):
        order = self.order(qty_filled=4).order
        assert (order.price, order.average_price, order.pending_quantity, order.action) == (
            0.0,
            0.0,
            6,
            "SELL",
        )

    @pytest.mark.parametrize(("theirs", "ours"), [("MARGIN", "NRML"), ("INTRADAY", "MIS"), ("MTF", "MTF")])
    def test_products(self, theirs, ours):
        assert self.order(product_type=theirs).order.product == ours

    @pytest.mark.parametrize("fields", [{"id": None}, {"qty": "ten"}, {"price_limit": {}}])
    def test_orders_that_make_no_sense(self, fields):
        assert isinstance(self.order(**fields), Malformed)

    @pytest.mark.parametrize("text", ['{"s":"ok","trades":{}}', '{"s":"ok","code":1605}', "pong"])
    def test_other_messages(self, text):
        assert codec("orders").received(text) == [Alive()]

    @pytest.mark.parametrize("text", ["ping", "[]", '{"orders":[]}'])
    def test_nonsense(self, text):
        assert isinstance(codec("orders").received(text)[0], Malformed)


class TestMaster:
    FUTURE = (
        "101126112453001,{},11,65,0.1,,,2026-11-20,1795514400,NSE:F,10,11,1,NIFTY,26000,{},{},1,None,0,0.0"
    )

    def rows(self, file, *lines):
        return list(ADAPTER.parse_master(file, "\n".join(lines).encode()))

    @pytest.mark.parametrize(
        ("details", "strike", "right", "symbol"),
        [
            ("NIFTY 24 Nov 26 FUT", -1.0, "XX", "NIFTY24NOV26FUT"),
            ("NIFTY 26 Nov 24 FUT", -1.0, "XX", "NIFTY24NOV26FUT"),
            ("24 Nov 26 FUT", -1.0, "", "NIFTY24NOV26FUT"),
            ("NIFTY 26 Nov 24 26000 CE", 26000.0, "CE", "NIFTY24NOV2626000CE"),
            ("NIFTY 24 Nov 26 26000.0 CE", 26000.0, "CE", "NIFTY24NOV2626000CE"),
            ("whatever", 402.5, "PE", "NIFTY24NOV26402.5PE"),
        ],
    )
    def test_contracts(self, details, strike, right, symbol):
        (row,) = self.rows("NSE_FO.csv", self.FUTURE.format(details, strike, right))
        assert (row.symbol, row.expiry) == (symbol, "24-NOV-26")
        assert row.strike == (strike if right in ("CE", "PE") else 0.0)

    @pytest.mark.parametrize(
        ("kind", "ticker", "short", "exchange", "instrumenttype", "symbol"),
        [
            (2, "NSE:SGB-GB", "SGBAUG28V", "NSE", "GB", "SGBAUG28V"),
            (10, "NSE:NIFTYMID50-INDEX", "NIFTY MID-50", "NSE_INDEX", "INDEX", "NIFTYMIDCAP50"),
        ],
    )
    def test_cash(self, kind, ticker, short, exchange, instrumenttype, symbol):
        line = f"10100000001,N,{kind},1,0.01,,,,,{ticker},10,10,1,{short},1,-1.0,XX,1,None,1,0"
        (row,) = self.rows("NSE_CM.csv", line)
        assert (row.exchange, row.instrumenttype, row.symbol) == (exchange, instrumenttype, symbol)

    @pytest.mark.parametrize(
        ("kind", "short", "exchange", "symbol"),
        [(4, "REIT", "BSE", "REIT"), (50, "X", "BSE", "X"), (10, "SME IPO", "BSE_INDEX", "BSESMEIPO"),
         (10, "SENSEX", "BSE_INDEX", "SENSEX"), (10, "New One", "BSE_INDEX", "NEWONE")],
    )  # fmt: skip
    def test_bse(self, kind, short, exchange, symbol):
        line = f"12100000001,N,{kind},1,0.01,,,,,BSE:T,12,10,1,{short},1,-1.0,XX,1,None,1,0"
        (row,) = self.rows("BSE_CM.csv", line)
        assert (row.exchange, row.brexchange, row.symbol) == (exchange, "BSE", symbol)

    def test_kinds_that_are_dropped(self):
        line = "10100000001,N,{},1,0.01,,,,,NSE:T-N1,10,10,1,T,1,-1.0,XX,1,None,1,0"
        assert self.rows("NSE_CM.csv", *(line.format(kind) for kind in (1, 2, 3, 4, 8, 50))) == []

    def test_json_has_the_true_lot(self):
        item = {
            "fyToken": "1120261218472789",
            "symTicker": "MCX:CRUDEOIL26DECFUT",
            "symDetails": "CRUDEOIL 18 Dec 26 FUT",
            "expiryDate": "1797609600",
            "strikePrice": -1.0,
            "qtyMultiplier": 100,
            "tickSize": 1,
            "optType": "XX",
        }
        file = {"MCX:CRUDEOIL26DECFUT": item, "bad": {**item, "expiryDate": "soon"}, "worse": 7}
        row, *bad = self.rows("MCX_COM_sym_master.json", json.dumps(file))
        assert (row.symbol, row.exchange, row.lotsize, row.tick_size) == (
            "CRUDEOIL18DEC26FUT",
            "MCX",
            100,
            1.0,
        )
        assert [type(one) for one in bad] == [BadRow, BadRow]

    def test_files_that_are_none(self):
        assert [type(row) for row in self.rows("NSE_XX.csv", "1")] == [BadRow]
        assert [type(row) for row in self.rows("NSE_CD_sym_master.json", "[")] == [BadRow]

    def test_rows_that_are_broken(self):
        good = "10100000001,N,0,1,0.01,,,,,NSE:T-EQ,10,10,1,T,1,-1.0,XX,1,None,1,0"
        broken = [
            "x" + good,
            good.replace(",0,1,", ",x,1,", 1),
            good.replace(",T,", ",,"),
            "1,2",
            ",".join("a" * 21),
        ]
        rows = self.rows("NSE_CM.csv", good, *broken, good)
        assert [row.line for row in rows if isinstance(row, BadRow)] == [2, 3, 4, 5, 6]
        assert len([row for row in rows if isinstance(row, MasterRow)]) == 2


class TestServer:
    def side(self):
        market = StillMarket([SBIN])
        return ADAPTER.simulator(market, dict(ADAPTER.simulator.demo_credentials), FixedEnvironment())

    def test_tickers_to_tokens(self):
        side = self.side()
        credentials = side.credentials
        request = HttpRequest(
            method="POST",
            url="https://api-t1.fyers.in/data/symbol-token",
            headers={"Authorization": credentials["access_token"]},
            text='{"symbols":["NSE:SBIN-EQ","NSE:NONE-EQ"]}',
        )
        answer = side.http(request).json()
        assert answer["validSymbol"] == {"NSE:SBIN-EQ": SBIN.token}
        assert answer["invalidSymbol"] == ["NSE:NONE-EQ"]

    @pytest.mark.parametrize("feed", ["tbt", "orders"])
    def test_a_wrong_header(self, feed):
        side = self.side()
        wrong = side.credentials | {"api_key": "OTHER-100"}
        with pytest.raises(ConnectionRefused) as caught:
            Loopback(ADAPTER, ADAPTER.feed(feed), side.market, side=side, credentials=wrong)
        assert caught.value.refused.status == 401
