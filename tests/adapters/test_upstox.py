"""Rules of Upstox's sheet that no vector covers."""

import json
from struct import pack

import pytest

from openalgo_adapters.upstox import adapter as ADAPTER
from openalgo_adapters.upstox.feed_pb2 import OHLC, Feed, FeedResponse, Quote
from openalgo_ws.adapter import (
    Accepted,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Cause,
    Change,
    HttpResponse,
    Malformed,
    OrderUpdate,
    Refused,
    Rejected,
    Upgrade,
)
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, make_codec, subscribe
from openalgo_ws.tick import Instrument, Level, Mode, Tick, Wish

SBIN = Instrument("SBIN", "NSE", "NSE_EQ|INE062A01020", "SBIN", "NSE_EQ")
TCS = Instrument("TCS", "NSE", "NSE_EQ|INE467B01029", "TCS", "NSE_EQ")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "NSE_INDEX|Nifty 50", "NIFTY", "NSE_INDEX")
LTP, QUOTE, BOOK, DEEP = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH), Wish(Mode.DEPTH, 30)


def codec(*instruments, wish=BOOK):
    made = make_codec(ADAPTER, ADAPTER.feed("market"), FixedEnvironment())
    subscribe(made, [(instrument, wish) for instrument in instruments])
    return made


def message(kind=1, moment=1_795_405_800_000, **feeds):
    response = FeedResponse(type=kind, currentTs=moment)
    for name, feed in feeds.items():
        response.feeds[{"sbin": SBIN, "tcs": TCS, "nifty": NIFTY}[name].token].CopyFrom(feed)
    return response.SerializeToString()


def full(**fields):
    return Feed(fullFeed={"marketFF": fields}, requestMode=1)


def traded(ltp=800.0, **fields):
    return full(ltpc={"ltp": ltp, "cp": 790.0, "ltt": 1_795_405_799_000, "ltq": 25}, **fields)


def asked(send):
    """Method, mode and keys of a request."""
    assert isinstance(send, bytes)
    request = json.loads(send)
    assert request["guid"]
    return request["method"], request["data"].get("mode"), request["data"]["instrumentKeys"]


class TestRequests:
    def test_one_frame_for_each_method_and_mode(self):
        made = codec()
        sends = made.change([Change(SBIN, None, LTP), Change(NIFTY, None, QUOTE), Change(TCS, None, BOOK)])
        assert [asked(send) for send in sends] == [
            ("sub", "ltpc", [SBIN.token]),
            ("sub", "full", [NIFTY.token, TCS.token]),
        ]
        sends = made.change([Change(SBIN, LTP, DEEP), Change(NIFTY, QUOTE, None), Change(TCS, BOOK, QUOTE)])
        assert [asked(send) for send in sends] == [
            ("unsub", None, [NIFTY.token]),
            ("change_mode", "full_d30", [SBIN.token]),
        ]

    def test_an_index_has_no_deeper_book(self):
        made = codec()
        assert asked(made.change([Change(NIFTY, None, DEEP)])[0])[1] == "full"

    @pytest.mark.parametrize(("wish", "most"), [(LTP, 2000), (QUOTE, 1500), (BOOK, 1500), (DEEP, 50)])
    def test_limits_are_those_of_mixed_modes(self, wish, most):
        limit = ADAPTER.feed("market").limits.per_connection
        assert limit // ADAPTER.cost(SBIN, wish) == most


class TestMerging:
    def test_what_is_zero_or_absent_in_a_trade_stays(self):
        made = codec(SBIN)
        made.received(message(sbin=traded()))
        (tick,) = made.received(message(sbin=full(ltpc={"ltp": 801.0})))
        assert (tick.ltp, tick.close, tick.last_trade_quantity) == (801.0, 790.0, 25)

    def test_a_quote_until_a_book_has_come_and_never_less_after_it(self):
        made = codec(SBIN)
        (tick,) = made.received(message(sbin=traded()))
        assert tick.kind is Mode.QUOTE
        book = {"bidAskQuote": [Quote(bidQ=5, bidP=799.9), Quote(askQ=7, askP=800.1)]}
        (tick,) = made.received(message(sbin=full(marketLevel=book)))
        assert tick.kind is Mode.DEPTH
        # A side without a price is none.
        assert (tick.depth.buy, tick.depth.sell) == ([Level(799.9, 5)], [Level(800.1, 7)])
        (tick,) = made.received(message(sbin=Feed(ltpc={"ltp": 805.0})))
        assert (tick.kind, tick.ltp) == (Mode.DEPTH, 805.0)
        (tick,) = made.received(message(sbin=full(marketLevel={})))
        assert (tick.depth.buy, tick.depth.sell) == ([], [])

    def test_totals_are_taken_together_or_not_at_all(self):
        made = codec(SBIN)
        (tick,) = made.received(message(sbin=traded()))
        assert (tick.volume, tick.oi, tick.avg_trade_price) == (None, None, None)
        made.received(message(sbin=full(atp=1.5, vtt=2, oi=3.0, tbq=4.0, tsq=5.0)))
        (tick,) = made.received(message(sbin=full()))
        assert (tick.volume, tick.oi, tick.total_buy_quantity, tick.total_sell_quantity) == (2, 3, 4, 5)
        (tick,) = made.received(message(sbin=full(iv=0.2)))
        assert (tick.volume, tick.oi, tick.avg_trade_price, tick.total_sell_quantity) == (0, 0, 0.0, 0)

    def test_only_the_candle_of_the_day_counts(self):
        made = codec(SBIN)
        minute, day = OHLC(interval="I1", open=1, high=1, low=1), OHLC(interval="1d", open=2, high=4, low=1)
        (tick,) = made.received(message(sbin=traded(marketOHLC={"ohlc": [minute, day]})))
        assert (tick.open, tick.high, tick.low, tick.close) == (2.0, 4.0, 1.0, 790.0)
        (tick,) = made.received(message(sbin=full(marketOHLC={"ohlc": [minute]})))
        assert (tick.open, tick.high, tick.low) == (2.0, 4.0, 1.0)

    def test_the_first_level_is_a_quote(self):
        made = codec(SBIN)
        first = {"ltpc": {"ltp": 10.0}, "firstDepth": {"bidQ": 1, "bidP": 9.0}, "vtt": 7, "oi": 8.0}
        (tick,) = made.received(message(sbin=Feed(firstLevelWithGreeks=first, requestMode=2)))
        assert (tick.kind, tick.ltp, tick.volume, tick.oi, tick.depth) == (Mode.QUOTE, 10.0, 7, 8, None)

    def test_without_a_price_there_is_no_tick(self):
        made = codec(SBIN)
        assert made.received(message(sbin=full(vtt=5))) == []
        (tick,) = made.received(message(sbin=Feed(ltpc={"ltp": 3.0})))
        assert (tick.volume, tick.kind) == (5, Mode.QUOTE)

    def test_what_is_not_held_is_passed_over(self):
        made = codec(SBIN)
        made.change([Change(SBIN, BOOK, None)])
        assert made.received(message(sbin=traded(), tcs=traded())) == []

    def test_a_snapshot_may_be_of_either_type_and_a_notice_of_markets_tells_nothing(self):
        made = codec(SBIN)
        assert [len(made.received(message(kind, sbin=traded()))) for kind in (0, 1)] == [1, 1]
        assert not any(isinstance(event, Tick) for event in made.received(message(2, sbin=traded())))

    def test_going_down_to_the_price_forgets_what_is_no_longer_told(self):
        made = codec(SBIN)
        made.received(message(sbin=traded(vtt=5, marketLevel={"bidAskQuote": [Quote(bidQ=5, bidP=1.0)]})))
        made.change([Change(SBIN, BOOK, LTP)])
        (tick,) = made.received(message(sbin=Feed(ltpc={"ltp": 3.0})))
        assert (tick.kind, tick.volume, tick.depth, tick.close) == (Mode.LTP, None, None, 790.0)


class TestDamage:
    @pytest.mark.parametrize(
        "feed",
        [
            Feed(ltpc={"ltp": float("nan")}),
            Feed(ltpc={"ltp": 1.0, "cp": float("inf")}),
            full(oi=float("inf")),
            full(tbq=1e300),
            full(atp=float("nan")),
            full(marketOHLC={"ohlc": [OHLC(interval="1d", open=float("nan"))]}),
            full(marketLevel={"bidAskQuote": [Quote(askP=float("inf"))]}),
        ],
    )
    def test_a_number_that_is_none_costs_that_instrument_alone(self, feed):
        made = codec(SBIN, TCS)
        bad, good = made.received(message(sbin=feed, tcs=traded()))
        assert isinstance(bad, Malformed)
        assert good.instrument == TCS

    def test_text(self):
        made = codec()
        assert made.received('{"status":"failed","error":"no such key"}') == [Rejected("no such key")]
        assert isinstance(made.received('{"status":"failed","error":{}}')[0], Rejected)
        assert isinstance(made.received("<html>")[0], Malformed)
        for text in ('{"status":"success"}', "[]", "7"):
            (event,) = made.received(text)
            assert not isinstance(event, (Malformed, Rejected))


class TestLogin:
    def verdict(self, answer, feed="market"):
        steps = ADAPTER.feed(feed).authorise({"access_token": "t"}, FixedEnvironment())
        next(steps)
        with pytest.raises(AuthoriseFailed) as failed:
            steps.send(answer)
        return failed.value.verdict.cause

    @pytest.mark.parametrize(
        ("answer", "cause"),
        [
            (None, Cause.TRANSIENT),
            (HttpResponse(401), Cause.TOKEN),
            (HttpResponse(403), Cause.PLAN),
            (HttpResponse(429), Cause.TOO_MANY),
            (HttpResponse(503), Cause.TRANSIENT),
            (HttpResponse(200, b"<html>"), Cause.TRANSIENT),
            (HttpResponse(200, b'{"data":[]}'), Cause.TRANSIENT),
            (HttpResponse(200, b'{"data":{"authorized_redirect_uri":"http://x"}}'), Cause.TRANSIENT),
        ],
    )
    def test_without_an_address(self, answer, cause):
        assert self.verdict(answer) is cause
        assert self.verdict(answer, "orders") is cause

    def test_the_older_spelling(self):
        steps = ADAPTER.feed("orders").authorise({"access_token": "t"}, FixedEnvironment())
        request = next(steps)
        assert request.url.endswith("/v2/feed/portfolio-stream-feed/authorize?update_types=order")
        with pytest.raises(StopIteration) as done:
            steps.send(HttpResponse(200, b'{"data":{"authorizedRedirectUri":"wss://x/y?code=1"}}'))
        made = ADAPTER.feed("orders").codec(done.value.value, FixedEnvironment())
        assert made.dial().url == "wss://x/y?code=1"
        assert dict(made.dial().headers) == {}

    def test_a_used_up_address_is_asked_for_again(self):
        assert codec().refused(403, {}, b"").cause is Cause.TRANSIENT
        assert codec().refused(401, {}, b"").cause is Cause.TOKEN

    def test_the_platform_s_row(self):
        assert ADAPTER.from_row(AuthRow(name="n", auth="jwt"), {"BROKER_API_KEY": "k"}) == {
            "access_token": "jwt"
        }
        assert ADAPTER.from_row(AuthRow(name="n"), {}) == {}


class TestOrders:
    def order(self, **fields):
        made = make_codec(ADAPTER, ADAPTER.feed("orders"), FixedEnvironment())
        base = {"update_type": "order", "order_id": "1", "status": "open", "instrument_token": SBIN.token}
        (event,) = made.received(json.dumps({**base, **fields}))
        return event

    @pytest.mark.parametrize(
        ("status", "ours"),
        [
            ("cancelled after market order", "cancelled"),
            ("put order req received", "open"),
            ("Modify Pending", "open"),
            ("rejected", "rejected"),
        ],
    )
    def test_states(self, status, ours):
        event = self.order(status=status, status_message="no margin")
        assert event.order.order_status == ours
        assert event.order.rejection_reason == ("no margin" if ours == "rejected" else "")

    @pytest.mark.parametrize(
        ("key", "product", "exchange", "ours"),
        [
            (SBIN.token, "D", "NSE", "CNC"),
            ("BSE_EQ|X", "D", "BSE", "CNC"),
            ("MCX_FO|7", "D", "MCX", "NRML"),
            ("NSE_COM|7", "D", "NCO", "NRML"),
            (SBIN.token, "I", "NSE", "MIS"),
            (SBIN.token, "MTF", "NSE", "MTF"),
        ],
    )
    def test_products(self, key, product, exchange, ours):
        event = self.order(instrument_token=key, product=product)
        assert (event.order.exchange, event.order.product, event.token) == (exchange, ours, key)

    def test_what_is_no_order(self):
        assert not isinstance(self.order(update_type="position"), (OrderUpdate, Malformed))
        assert isinstance(self.order(order_id=""), Malformed)
        assert isinstance(self.order(quantity="many"), Malformed)


class TestMaster:
    def rows(self, *objects):
        return list(ADAPTER.parse_master("complete.json.gz", json.dumps(objects).encode()))

    def row(self, segment, symbol, **fields):
        base = {"segment": segment, "instrument_key": f"{segment}|7", "trading_symbol": symbol}
        (row,) = self.rows({**base, **fields})
        return row

    @pytest.mark.parametrize(
        ("segment", "name", "symbol"),
        [
            ("NSE_INDEX", "NIFTY 50", "NIFTY"),
            ("NSE_INDEX", "BANKNIFTY", "BANKNIFTY"),
            ("NSE_INDEX", "NIFTY100 EQL WGT", "NIFTY100EQLWGT"),
            ("BSE_INDEX", "OILGAS", "BSEOIL&GAS"),
            ("BSE_INDEX", "BSEPSU", "BSEPSU"),
            ("GLOBAL_INDEX", "GIFT NIFTY", "GIFTNIFTY"),
            ("GLOBAL_INDICATOR", "BZUSD", "BRENTOIL"),
        ],
    )
    def test_indices(self, segment, name, symbol):
        row = self.row(segment, name)
        assert (row.symbol, row.instrumenttype, row.brexchange) == (symbol, "INDEX", segment)

    def test_a_currency_s_tick_is_in_paise_too(self):
        row = self.row(
            "NCD_FO", "USDINR 88.25 CE 27 NOV 26", expiry=1795804199000, strike_price=88.25, tick_size=0.25,
            instrument_type="CE", lot_size=1,
        )  # fmt: skip
        assert (row.symbol, row.exchange, row.tick_size) == ("USDINR27NOV2688.25CE", "CDS", 0.0025)
        assert (row.expiry, row.strike) == ("27-NOV-26", 88.25)

    def test_every_share_is_an_equity(self):
        assert self.row("BSE_EQ", "TCS", instrument_type="A").instrumenttype == "EQ"

    def test_what_is_no_row(self):
        assert self.rows({"segment": "NSE_COM"}) == []
        assert isinstance(self.row("NSE_FO", "NIFTY SPREAD", expiry=1795544999000), BadRow)
        assert isinstance(self.row("NSE_FO", "NIFTY FUT 24 NOV 26", expiry=10**20), BadRow)
        assert [type(row) for row in ADAPTER.parse_master("x", b"{}")] == [BadRow]


class TestServer:
    def side(self, *instruments):
        credentials = dict(ADAPTER.simulator.demo_credentials)
        return ADAPTER.simulator(StillMarket(instruments), credentials, FixedEnvironment())

    def upgrade(self, path, query=None, headers=None, host="api.upstox.com"):
        return Upgrade(host=host, path=path, query=query or {}, headers=headers or {})

    def test_a_direct_client_is_sent_to_an_address_that_works_once(self):
        side = self.side()
        bearer = {"Authorization": "Bearer demo0.access0.token0"}
        path = "/v3/feed/market-data-feed"
        assert side.accept(self.upgrade(path)) == Refused(401)
        refused = side.accept(self.upgrade(path, headers={**bearer, "Host": "127.0.0.1:9"}, host="127.0.0.1"))
        assert refused.status == 302
        location, _, query = refused.headers["Location"].partition("?")
        assert location.startswith("ws://127.0.0.1:9/")
        again = self.upgrade(
            location.removeprefix("ws://127.0.0.1:9"), dict(part.split("=") for part in query.split("&"))
        )
        assert isinstance(side.accept(again), Accepted)
        assert side.accept(again) == Refused(403)

    def test_text_is_passed_over_and_a_notice_of_markets_comes_first(self):
        loop = Loopback(ADAPTER, ADAPTER.feed("market"), StillMarket([SBIN]))
        (notice,) = loop.connection.opened()
        assert FeedResponse.FromString(notice).marketInfo.segmentStatus["NSE_EQ"] == 2
        request = json.dumps({"method": "sub", "data": {"mode": "full", "instrumentKeys": [SBIN.token]}})
        assert loop.connection.received(request) == []
        assert loop.connection.held() == 0
        loop.connection.received(request.encode())
        assert loop.connection.held() == 1

    def test_more_than_the_plan_allows_is_not_taken(self):
        loop = Loopback(ADAPTER, ADAPTER.feed("market"), StillMarket([SBIN]))
        keys = [f"NSE_EQ|{n}" for n in range(51)]
        request = {"method": "sub", "data": {"mode": "full_d30", "instrumentKeys": keys}}
        loop.connection.received(json.dumps(request).encode())
        assert loop.connection.held() == 0

    @pytest.mark.parametrize("frame", [b"", b"7", b"[]", b'{"method":"sub"}', pack("<d", 1.5), b"{" * 9000])
    def test_nonsense_is_passed_over(self, frame):
        loop = Loopback(ADAPTER, ADAPTER.feed("market"), StillMarket([SBIN]))
        assert loop.connection.received(frame) == []
