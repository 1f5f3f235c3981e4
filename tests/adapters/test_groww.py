"""Groww: what the vectors and the tests of all adapters do not show."""

import json
from uuid import UUID

import pytest

from openalgo_adapters.groww import feed_pb2
from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Change,
    Disconnect,
    HttpRequest,
    HttpResponse,
    LoggedIn,
    LoginFailed,
    Malformed,
    OrderUpdate,
    Rejected,
    Reply,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

ADAPTER = Registry().load("groww")
(FEED,) = ADAPTER.feeds
SEED = "SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y"
LOGIN = {
    "access_token": "access",
    "nkey_seed": SEED,
    "socket_token": "socket.jwt",
    "subscription_id": "sub1",
}
RELIANCE = Instrument("RELIANCE", "NSE", "2885", "RELIANCE", "NSE")
FUTURE = Instrument("NIFTY27OCT26FUT", "NFO", "52175", "NIFTY26OCTFUT", "NSE")
NEXT50 = Instrument("NIFTYNXT50", "NSE_INDEX", "NIFTYJR", "NIFTYJR", "NSE")
LTP, QUOTE, BOOK = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
INFO = b'INFO {"nonce": "abc"}\r\n'


def codec(*held, wish=LTP, login=False):
    result = FEED.codec(LOGIN, FixedEnvironment())
    if login:
        result.received(INFO)
        result.received(b"PONG\r\n")
    if held:
        result.change([Change(instrument, None, wish) for instrument in held])
    return result


def msg(subject, payload, sid=1):
    return b"MSG %s %d %d\r\n%s\r\n" % (subject.encode(), sid, len(payload), payload)


def price(**fields):
    return feed_pb2.Response(stockLivePrice=feed_pb2.LivePrice(**fields)).SerializeToString()


def book(buy, sell=(), **fields):
    sides = [
        {key: feed_pb2.Level(price=at, qty=quantity) for key, at, quantity in side} for side in (buy, sell)
    ]
    depth = feed_pb2.MarketDepth(buyBook=sides[0], sellBook=sides[1], **fields)
    return feed_pb2.Response(stocksMarketDepth=depth).SerializeToString()


#: By the broker's number; the last one is unknown.
STATES = (
    *("open", "open", "trigger pending", "open", "rejected", "rejected", "complete", "complete"),
    *("cancelled", "open", "open", "complete", "open"),
)
PRICE, BOOKS = "/ld/eq/nse/price.2885", "/ld/eq/nse/book.2885"


class TestSocketToken:
    def ask(self, answer, credentials=None):
        steps = FEED.authorise(credentials or {"access_token": "access"}, FixedEnvironment())
        request = next(steps)
        try:
            steps.send(answer)
        except StopIteration as stop:
            return request, stop.value
        raise AssertionError("one request is enough")

    @pytest.mark.parametrize("wrapped", [False, True])
    def test_the_answer_may_be_wrapped(self, wrapped):
        fields = {"token": "jwt", "subscriptionId": "s"}
        body = {"status": "SUCCESS", "payload": fields} if wrapped else fields
        request, found = self.ask(HttpResponse(200, json.dumps(body).encode()))
        assert (found["socket_token"], found["subscription_id"]) == ("jwt", "s")
        assert found["nkey_seed"].startswith("SU")
        assert request.json["socketKey"].startswith("U")
        assert UUID(request.headers["x-request-id"]).version == 4

    @pytest.mark.parametrize(
        ("status", "cause"),
        [
            (400, Cause.FATAL),
            (401, Cause.TOKEN),
            (403, Cause.PLAN),
            (404, Cause.FATAL),
            (429, Cause.TOO_MANY),
            (500, Cause.TRANSIENT),
            (504, Cause.TRANSIENT),
        ],
    )
    def test_a_refusal_says_what_to_do(self, status, cause):
        with pytest.raises(AuthoriseFailed) as caught:
            self.ask(HttpResponse(status, b"{}"))
        assert caught.value.verdict.cause is cause

    @pytest.mark.parametrize(
        ("code", "cause"),
        [
            ("GA000", Cause.TRANSIENT),
            ("GA001", Cause.FATAL),
            ("GA003", Cause.TRANSIENT),
            ("GA004", Cause.FATAL),
            ("GA005", Cause.TOKEN),
            (None, Cause.TRANSIENT),
        ],
    )
    def test_so_does_a_failure_with_status_200(self, code, cause):
        body = {"status": "FAILURE", "error": {"code": code, "message": "…"}}
        with pytest.raises(AuthoriseFailed) as caught:
            self.ask(HttpResponse(200, json.dumps(body).encode()))
        assert caught.value.verdict.cause is cause

    @pytest.mark.parametrize("body", [None, b"", b"[]", b"{}", b'{"token": 5}', b'{"payload": {}}'])
    def test_an_answer_without_a_token_is_tried_again(self, body):
        with pytest.raises(AuthoriseFailed) as caught:
            self.ask(None if body is None else HttpResponse(200, body))
        assert caught.value.verdict.cause is Cause.TRANSIENT

    def test_a_seed_that_is_none_is_not_shown(self):
        with pytest.raises(AuthoriseFailed) as caught:
            self.ask(None, {"access_token": "a", "nkey_seed": "SUNOTASEED"})
        assert caught.value.verdict.cause is Cause.FATAL
        assert "SUNOTASEED" not in str(caught.value)


class TestLogin:
    def test_the_first_pong_is_the_login_and_is_followed_by_the_orders(self):
        made = codec()
        connect, ping = made.received(INFO)
        assert connect.send.startswith(b'CONNECT {"echo": true,')
        assert ping == Reply(b"PING\r\n")
        logged_in, *orders = made.received(b"PONG\r\n")
        assert logged_in == LoggedIn()
        assert [event.send.split()[1] for event in orders] == [
            b"stocks/order/updates.apex.sub1",
            b"stocks_fo/order/updates.apex.sub1",
        ]
        assert made.received(b"PONG\r\n") == [Alive()]

    def test_later_news_of_the_server_is_no_second_login(self):
        assert codec(login=True).received(b'INFO {"nonce": "x", "ldm": true}\r\n') == [Alive()]

    @pytest.mark.parametrize("identity", ["", "a b", "a>", "é"])
    def test_an_id_that_is_no_word_brings_no_orders(self, identity):
        made = FEED.codec({**LOGIN, "subscription_id": identity}, FixedEnvironment())
        made.received(INFO)
        assert made.received(b"PONG\r\n") == [LoggedIn()]

    def test_without_a_key_there_is_no_login(self):
        made = FEED.codec({"access_token": "a"}, FixedEnvironment())
        (event,) = made.received(INFO)
        assert event.verdict.cause is Cause.FATAL

    @pytest.mark.parametrize(
        ("text", "cause"),
        [
            ("Authorization Violation", Cause.TRANSIENT),
            ("User Authentication Expired", Cause.TRANSIENT),
            ("User Authentication Revoked", Cause.TRANSIENT),
            ("Stale Connection", Cause.TRANSIENT),
            ("maximum connections exceeded", Cause.TOO_MANY),
            ("Maximum Account Active Connections Exceeded", Cause.TOO_MANY),
        ],
    )
    def test_errors_that_end_the_connection(self, text, cause):
        line = f"-ERR '{text}'\r\n".encode()
        for login, kind in ((False, LoginFailed), (True, Disconnect)):
            (event,) = codec(login=login).received(line)
            assert isinstance(event, kind)
            assert event.verdict.cause is cause

    def test_a_forbidden_subject_is_that_of_an_instrument(self):
        made = codec(RELIANCE, FUTURE, login=True)
        (event,) = made.received(
            b"-ERR 'Permissions Violation for Subscription to \"/ld/fo/nse/price.52175\"'\r\n"
        )
        assert isinstance(event, Rejected)
        assert event.instruments == (FUTURE,)

    def test_its_heartbeat_and_the_server_s(self):
        made = codec()
        assert made.heartbeat() == b"PING\r\n"
        assert made.received(b"PING\r\n") == [Reply(b"PONG\r\n")]

    def test_no_secret_is_shown(self):
        shown = repr(codec()) + repr(codec().dial())
        assert not any(value in shown for value in LOGIN.values())


class TestChange:
    def test_a_book_is_added_and_given_back(self):
        made = codec(RELIANCE, FUTURE)
        assert made.change([Change(RELIANCE, LTP, BOOK)]) == [b"SUB /ld/eq/nse/book.2885 3\r\n"]
        assert made.change([Change(RELIANCE, BOOK, QUOTE)]) == [b"UNSUB 3\r\n"]
        assert made.change([Change(RELIANCE, QUOTE, LTP)]) == []
        assert made.change([Change(RELIANCE, LTP, None)]) == [b"UNSUB 1\r\n"]
        assert made.change([Change(RELIANCE, None, LTP)]) == [b"SUB /ld/eq/nse/price.2885 4\r\n"]

    def test_an_index_is_asked_for_by_its_token_and_has_no_book(self):
        sends = codec().change([Change(NEXT50, None, BOOK)])
        assert sends == [b"SUB /ld/indices/nse/price.NIFTYJR 1\r\n"]
        assert ADAPTER.cost(NEXT50, BOOK) == 1
        assert ADAPTER.cost(RELIANCE, BOOK) == 2

    @pytest.mark.parametrize(
        "strange",
        [
            Instrument("GOLD", "MCX", "1", "GOLD", "MCX"),
            Instrument("X", "NSE", "", "X", "NSE"),
            Instrument("X", "NSE", "1 2", "X", "NSE"),
            Instrument("X", "NSE", "1\r\n", "X", "NSE"),
            Instrument("X", "NSE", ">", "X", "NSE"),
            Instrument("X", "NSE", "*", "X", "NSE"),
            Instrument("X", "NSE", "{kind}", "X", "NSE"),
            Instrument("X", "NSE", "٣", "X", "NSE"),
        ],
    )
    def test_what_makes_no_subject_is_refused_and_the_rest_goes_out(self, strange):
        made = codec()
        assert len(made.change([Change(strange, None, LTP), Change(RELIANCE, None, LTP)])) == 1
        rejected, _ = made.received(b"PING\r\n")
        assert rejected.instruments == (strange,)

    def test_the_second_of_one_subject_is_refused_and_does_not_touch_the_first(self):
        twin = Instrument("TWIN", "NSE", "2885", "TWIN", "NSE")
        made = codec(RELIANCE)
        assert made.change([Change(twin, None, LTP)]) == []
        assert made.change([Change(twin, LTP, None)]) == []
        rejected, tick = made.received(msg(PRICE, price(ltp=5)))
        assert rejected.instruments == (twin,)
        assert tick.instrument == RELIANCE


class TestReceived:
    @pytest.mark.parametrize("value", [1.005, 434.255, 2.675, 1.115, 0.285, 99999.995, 12345.678])
    def test_prices_are_rounded_as_python_rounds(self, value):
        (tick,) = codec(RELIANCE).received(msg(PRICE, price(ltp=value, avgPrice=-value)))
        assert (tick.ltp, tick.avg_trade_price) == (round(value, 2), round(-value, 2))

    def test_a_book_is_forgotten_with_its_subscription(self):
        made = codec(RELIANCE, wish=BOOK)
        (tick,) = made.received(msg(BOOKS, book([(1, 10.05, 5)])))
        assert (tick.kind, tick.ltp) == (Mode.DEPTH, None)
        made.change([Change(RELIANCE, BOOK, LTP)])
        (tick,) = made.received(msg(PRICE, price(ltp=10.1)))
        assert (tick.kind, tick.depth) == (Mode.LTP, None)
        assert made.received(msg(BOOKS, book([(1, 10.05, 5)]))) == []

    def test_a_book_takes_the_place_of_the_one_before(self):
        made = codec(RELIANCE, wish=BOOK)
        (first,) = made.received(msg(BOOKS, book([(2, 9.0, 1), (1, 10.0, 5)], [(1, 11.0, 7)])))
        assert [level.price for level in first.depth.buy] == [10.0, 9.0]
        (second,) = made.received(msg(BOOKS, book([], [(1, 12.0, 1), (2, 0.0, 0)])))
        assert (second.depth.buy, [level.price for level in second.depth.sell]) == ([], [12.0])
        assert [level.price for level in first.depth.buy] == [10.0, 9.0]

    def test_what_is_zero_was_not_sent(self):
        made = codec(RELIANCE)
        made.received(msg(PRICE, price(ltp=100.5, volume=7, openInterest=3, tsInMillis=1.8e12)))
        (tick,) = made.received(msg(PRICE, price(ltp=100.6, volume=0)))
        assert (tick.ltp, tick.volume, tick.oi) == (100.6, 7, 3)
        assert tick.exchange_timestamp == 1_800_000_000_000

    def test_the_detailed_subject_is_read_as_well(self):
        (tick,) = codec(RELIANCE).received(msg("/ld/eq/nse/price_detailed.2885", price(ltp=1.0)))
        assert tick.ltp == 1.0

    def test_a_time_below_is_seconds(self):
        (tick,) = codec(RELIANCE).received(msg(PRICE, price(ltp=1, tsInMillis=1746156600.25)))
        assert tick.exchange_timestamp == 1_746_156_600_250

    def test_a_time_alone_is_no_tick(self):
        assert codec(RELIANCE).received(msg(PRICE, price(tsInMillis=1.8e12))) == []

    @pytest.mark.parametrize(
        "payload",
        [
            price(ltp=float("nan")),
            price(ltp=1, volume=float("inf")),
            price(ltp=1, volume=1e300),
            price(ltp=1e300),
            price(ltp=1, tsInMillis=float("nan")),
            book([(1, float("nan"), 1)]),
            book([(1, 1.0, float("-inf"))]),
            book([(1, 1.0, 1)], tsInMillis=float("inf")),
            b"\x22\x05",
        ],
    )
    def test_a_number_that_is_none_costs_its_message_alone(self, payload):
        made = codec(RELIANCE, wish=BOOK)
        frame = msg(PRICE, payload) + msg(PRICE, price(ltp=2.0))
        bad, tick = made.received(frame)
        assert isinstance(bad, Malformed)
        assert (tick.kind, tick.ltp) == (Mode.LTP, 2.0)

    def test_what_is_not_held_is_passed_over(self):
        assert codec(FUTURE).received(msg(PRICE, price(ltp=1.0))) == []


class TestOrders:
    def order(self, subject="stocks", **fields):
        given = {"growwOrderId": "G1", "qty": 10, "price": 97010, "contractId": "INE002A01018"}
        detail = feed_pb2.OrderDetail(**given | fields)
        payload = feed_pb2.OrderBroadcast(orderDetailUpdateDto=detail).SerializeToString()
        (event,) = codec(login=True).received(msg(f"{subject}/order/updates.apex.sub1", payload, 900_001))
        return event

    @pytest.mark.parametrize(
        ("number", "status"),
        list(enumerate(STATES)),
    )
    def test_states(self, number, status):
        assert self.order(orderStatus=number).order.order_status == status

    @pytest.mark.parametrize(
        ("exchange", "segment", "ours"),
        [(0, 0, "BSE"), (1, 0, "NSE"), (0, 1, "BFO"), (1, 1, "NFO"), (2, 3, "MCX"), (5, 0, "")],
    )
    def test_exchanges(self, exchange, segment, ours):
        assert self.order("stocks_fo", exchange=exchange, segment=segment).order.exchange == ours

    def test_prices_are_paise_and_words_are_numbers(self):
        order = self.order(buySell=1, orderType=3, product=6, triggerPrice=96505, remark="x").order
        assert (order.price, order.trigger_price) == (970.1, 965.05)
        assert (order.action, order.pricetype, order.product) == ("SELL", "SL-M", "MTF")
        assert order.rejection_reason == ""
        assert self.order(orderStatus=4, remark="no margin").order.rejection_reason == "no margin"

    def test_an_order_without_an_id_is_reported(self):
        assert isinstance(self.order(growwOrderId=""), Malformed)

    def test_a_message_without_an_order_says_nothing(self):
        made = codec(login=True)
        subject = "stocks/order/updates.apex.sub1"
        assert made.received(msg(subject, b"")) == []
        assert [type(event) for event in made.received(msg(subject, b"\x12\x05"))] == [Malformed]

    def test_positions_are_nobody_s_business(self):
        assert codec(login=True).received(msg("stocks_fo/position/updates.apex.sub1", b"\xff")) == []


class TestSimulator:
    def test_the_form_of_the_sdk_is_understood(self):
        loop = Loopback(ADAPTER, FEED, StillMarket([RELIANCE]))
        loop.connection.received(b"PING\r\nSUB /ld/eq/nse/price.2885  5\r\nPI")
        assert loop.connection.received(b"NG\r\n") == [b"PONG\r\n"]
        assert loop.connection.held() == 1
        (frame,) = loop.connection.ticks([Tick(RELIANCE, Mode.LTP, 5.0)])
        assert frame.startswith(b"MSG /ld/eq/nse/price.2885 5 ")
        loop.connection.received(b"UNSUB 5 \r\n")
        assert loop.connection.held() == 0

    @pytest.mark.parametrize(
        "line",
        [b"SUB a 1", b"PING", b"CONNECT {}", b'CONNECT {"jwt": "x", "sig": "y"}', b"CONNECT " + b"[" * 9999],
    )
    def test_without_a_signed_login_the_connection_ends(self, line):
        loop = Loopback(ADAPTER, FEED, StillMarket([RELIANCE]))
        stranger = type(loop.connection)(loop.side)
        error, _ = stranger.received(line + b"\r\n")
        assert error == b"-ERR 'Authorization Violation'\r\n"
        assert stranger.received(b"PING\r\n") == []

    def test_a_token_made_for_another_key_is_refused(self):
        loop = Loopback(ADAPTER, FEED, StillMarket([RELIANCE]))
        (token,) = loop.side.keys
        stranger = type(loop.connection)(loop.side)
        (info,) = stranger.opened()
        thief = FEED.codec({"nkey_seed": SEED, "socket_token": token}, FixedEnvironment())
        connect, _ = thief.received(info)
        error, _ = stranger.received(connect.send)
        (event,) = thief.received(error)
        assert isinstance(event, LoginFailed)

    def test_a_client_that_does_not_answer_is_stale(self):
        loop = Loopback(ADAPTER, FEED, StillMarket([RELIANCE]))
        assert loop.connection.heartbeat() == b"PING\r\n"
        loop.connection.received(b"PONG\r\n")
        assert loop.connection.heartbeat() == b"PING\r\n"
        assert loop.connection.heartbeat() == b"-ERR 'Stale Connection'\r\n"

    def test_a_subject_of_another_kind_is_not_allowed(self):
        loop = Loopback(ADAPTER, FEED, StillMarket([RELIANCE]))
        (frame,) = loop.connection.received(b"SUB secrets.* 1\r\n")
        assert [type(event) for event in loop.codec.received(frame)] == [Rejected]

    @pytest.mark.parametrize("key", ["", "U", SEED, 5, None])
    def test_a_key_that_is_none_gets_no_token(self, key):
        loop = Loopback(ADAPTER, FEED, StillMarket([RELIANCE]))
        request = HttpRequest(
            method="POST",
            url="https://api.groww.in/v1/api/apex/v1/socket/token/create/",
            headers={"Authorization": f"Bearer {loop.side.credentials['access_token']}"},
            json={"socketKey": key},
        )
        assert loop.side.http(request).status == 400


class TestMaster:
    HEADER = (
        "exchange,exchange_token,trading_symbol,name,instrument_type,segment,underlying_symbol,"
        "expiry_date,strike_price,lot_size,tick_size\n"
    )

    def parse(self, *lines):
        return list(ADAPTER.parse_master("instrument.csv", (self.HEADER + "\n".join(lines)).encode()))

    def test_other_segments_are_dropped_and_bad_rows_reported(self):
        rows = self.parse(
            "MCX,1,GOLD,,FUT,COMMODITY,GOLD,2026-12-04,,1,1",
            "NSE,,X,,EQ,CASH,,,,1,1",
            "NSE,1,X,,XX,FNO,X,2026-12-04,,1,1",
            "NSE,1,X,,CE,FNO,,2026-12-04,5,1,1",
            "NSE,1,X,,CE,FNO,X,,5,1,1",
        )
        assert [type(row) for row in rows] == [BadRow] * 4
        assert [row.line for row in rows] == [3, 4, 5, 6]

    def test_options_of_bse_have_the_platform_s_names_too(self):
        (row,) = self.parse("BSE,9,SENSEX26N2684000.5PE,,PE,FNO,SENSEX,2026-11-26,84000.50,20,0.05")
        assert (row.symbol, row.exchange) == ("SENSEX26NOV2684000.5PE", "BFO")

    @pytest.mark.parametrize(
        ("exchange", "name", "symbol"),
        [
            ("NSE", "NIFTYMIDSELECT", "MIDCPNIFTY"),
            ("NSE", "NIFTYMIDCAP", "NIFTYMIDCAP100"),
            ("NSE", "BANKNIFTY", "BANKNIFTY"),
            ("BSE", "BSESMLCAP", "BSESMALLCAP"),
        ],
    )
    def test_indices_have_the_names_of_the_platform(self, exchange, name, symbol):
        (row,) = self.parse(f"{exchange},{name},{name},,IDX,CASH,,,,,")
        assert (row.symbol, row.brsymbol, row.token) == (symbol, name, name)

    def test_a_file_may_begin_with_a_mark(self):
        data = b"\xef\xbb\xbf" + (self.HEADER + "NSE,1,X,,EQ,CASH,,,,,").encode()
        (row,) = ADAPTER.parse_master("instrument.csv", data)
        assert (row.symbol, row.lotsize, row.tick_size) == ("X", 1, 0.05)


def test_the_access_token_is_all_the_platform_holds():
    row = AuthRow(name="u", auth="token")
    assert ADAPTER.from_row(row, {}) == {"access_token": "token"}
    assert ADAPTER.to_row({"access_token": "token"}) == {"auth": "token"}
    # A seed would be lost there.
    assert ADAPTER.to_row({"access_token": "token", "nkey_seed": SEED}) is None


def test_an_order_of_a_derivative_is_named_by_its_contract():
    loop = Loopback(ADAPTER, FEED, StillMarket([FUTURE]))
    payload = feed_pb2.OrderDetail(growwOrderId="G", contractId="NIFTY26OCTFUT", exchange=1, segment=1)
    body = feed_pb2.OrderBroadcast(orderDetailUpdateDto=payload).SerializeToString()
    subject = f"stocks_fo/order/updates.apex.{loop.side.subscription_id}"
    (update,) = loop.codec.received(msg(subject, body))
    assert isinstance(update, OrderUpdate)
    assert (update.order.symbol, update.order.exchange) == ("NIFTY26OCTFUT", "NFO")
