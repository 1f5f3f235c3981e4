"""Dhan: what the vectors do not show."""

import json
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import (
    Alive,
    AuthRow,
    BadRow,
    Change,
    Close,
    Disconnect,
    Malformed,
    Rejected,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

REGISTRY = Registry()
DHAN, SANDBOX = REGISTRY.load("dhan"), REGISTRY.load("dhan_sandbox")
DEMO = dict(DHAN.simulator.demo_credentials)
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN", "NSE_EQ")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "13", "NIFTY", "IDX_I")
CALL = Instrument("NIFTY30DEC2526000CE", "NFO", "41870", "NIFTY-Dec2025-26000-CE", "NSE_FNO")
USDINR = Instrument("USDINR29DEC25FUT", "BCD", "1242", "USDINR-Dec2025-FUT", "BSE_CURRENCY")
LTP, QUOTE, FULL = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
NUMBERS = {"NSE_INDEX": 0, "NSE": 1, "NFO": 2, "BCD": 7}


def codec(*held, wish=QUOTE, feed="market"):
    made = DHAN.feed(feed).codec(DEMO, FixedEnvironment())
    made.change([Change(instrument, None, wish) for instrument in held])
    return made


def sent(made, *changes):
    return [json.loads(frame) for frame in made.change([Change(*change) for change in changes])]


def live(code, body, instrument=SBIN):
    return pack("<BHBI", code, 8 + len(body), NUMBERS[instrument.exchange], int(instrument.token)) + body


def ticker(ltp=100.0, ltt=19_801, instrument=SBIN):
    return live(2, pack("<fI", ltp, ltt), instrument)


def quote(ltp=100.0, close=0.0, instrument=SBIN):
    return live(4, pack("<fHIf3I4f", ltp, 1, 0, 99.5, 2, 3, 4, 5.0, close, 7.0, 8.0), instrument)


def full(oi=9, close=0.0, rows=(), instrument=SBIN):
    book = b"".join(pack("<IIHHff", *row) for row in rows).ljust(100, b"\0")
    return live(
        8, pack("<fHIf3I3I4f", 100.0, 1, 0, 99.5, 2, 3, 4, oi, 0, 0, 5, close, 7, 8) + book, instrument
    )


def previous(close, instrument=SBIN):
    return live(6, pack("<fI", close, 77), instrument)


def interest(oi, instrument=SBIN):
    return live(5, pack("<I", oi), instrument)


class TestRequests:
    def test_a_hundred_a_frame(self):
        many = [Instrument(f"S{n}", "NSE", str(n + 1)) for n in range(250)]
        frames = sent(codec(), *((one, None, LTP) for one in many))
        assert [frame["InstrumentCount"] for frame in frames] == [100, 100, 50]
        assert all(frame["InstrumentCount"] == len(frame["InstrumentList"]) for frame in frames)

    def test_a_change_of_mode_gives_up_the_old_code_first(self):
        assert [frame["RequestCode"] for frame in sent(codec(SBIN), (SBIN, QUOTE, FULL))] == [18, 21]

    def test_depth_is_given_up_with_25(self):
        twenty = codec(SBIN, wish=Wish(Mode.DEPTH, 20), feed="depth20")
        assert sent(twenty, (SBIN, Wish(Mode.DEPTH, 20), None))[0]["RequestCode"] == 25
        deep = codec(SBIN, wish=Wish(Mode.DEPTH, 200), feed="depth200")
        assert sent(deep, (SBIN, Wish(Mode.DEPTH, 200), None)) == [
            {"RequestCode": 25, "ExchangeSegment": "NSE_EQ", "SecurityId": "3045"}
        ]

    def test_fifty_deep_books_a_frame(self):
        many = [Instrument(f"S{n}", "NSE", str(n + 1)) for n in range(51)]
        frames = sent(codec(feed="depth20"), *((one, None, Wish(Mode.DEPTH, 20)) for one in many))
        assert [frame["InstrumentCount"] for frame in frames] == [50, 1]

    @pytest.mark.parametrize("feed", ["market", "depth20", "depth200"])
    @pytest.mark.parametrize(("exchange", "token"), [("NSE", "4294967296"), ("NSE", "x"), ("NCDEX", "1")])
    def test_what_the_broker_does_not_have_is_refused(self, feed, exchange, token):
        made = codec(feed=feed)
        assert sent(made, (Instrument("ODD", exchange, token), None, Wish(Mode.DEPTH, 20))) == []
        assert isinstance(made.received("")[0], Rejected)

    def test_routes(self):
        assert DHAN.routes(CALL, Wish(Mode.DEPTH, 200)) == (
            ("depth200", Wish(Mode.DEPTH, 200)),
            ("market", QUOTE),
        )
        assert DHAN.grant("NSE", Wish(Mode.DEPTH, 50)) == Wish(Mode.DEPTH, 20)
        assert DHAN.grant("MCX", Wish(Mode.DEPTH, 200)) == FULL
        assert DHAN.routes(NIFTY, Wish(Mode.DEPTH, 20)) == (("market", Wish(Mode.DEPTH, 20)),)


class TestMemory:
    def test_news_before_the_first_packet_waits_for_it(self):
        made = codec(SBIN)
        assert made.received(previous(95.5) + interest(12)) == []
        (tick,) = made.received(quote(close=94.0))
        assert (tick.close, tick.oi, tick.volume) == (95.5, 12, 2)

    def test_news_is_told_with_the_last_packet(self):
        made = codec(SBIN)
        (first,) = made.received(ticker())
        assert first.close is None
        assert made.received(interest(12)) == []
        (again,) = made.received(previous(95.5))
        assert (again.kind, again.ltp, again.close, again.oi) == (Mode.LTP, 100.0, 95.5, None)
        assert first.close is None

    def test_a_ticker_after_a_quote_has_nothing_of_it(self):
        made = codec(SBIN)
        made.received(quote() + interest(12))
        (tick,) = made.received(ticker())
        assert (tick.kind, tick.volume, tick.oi) == (Mode.LTP, None, None)

    def test_the_full_packet_brings_its_own_open_interest(self):
        made = codec(SBIN)
        first, second = made.received(full(oi=9) + interest(10))
        assert (first.oi, second.oi, second.kind) == (9, 10, Mode.DEPTH)
        assert second.depth == first.depth
        assert made.received(quote())[0].oi == 10

    def test_the_close_of_the_day(self):
        made = codec(SBIN)
        assert made.received(quote(close=0.0))[0].close is None
        assert made.received(quote(close=94.0))[0].close == 94.0
        assert made.received(previous(0.0)) == []
        assert made.received(full(close=93.0))[0].close == 93.0
        assert made.received(previous(95.5))[0].close == 95.5
        assert made.received(full(close=93.0))[0].close == 95.5

    def test_what_is_given_up_or_changed_is_not_told_again(self):
        made = codec(SBIN)
        made.received(previous(95.5) + quote())
        sent(made, (SBIN, QUOTE, LTP))
        assert made.received(previous(95.5)) == []
        sent(made, (SBIN, LTP, None))
        assert made.received(ticker()) == []
        sent(made, (SBIN, None, LTP))
        assert made.received(ticker())[0].close is None


class TestLive:
    @pytest.mark.parametrize(("ltt", "expected"), [(0, None), (19_800, None), (19_801, 1000)])
    def test_last_trade_time(self, ltt, expected):
        assert codec(SBIN).received(ticker(ltt=ltt))[0].ltt == expected

    def test_the_book_and_the_totals(self):
        (tick,) = codec(SBIN).received(full(rows=[(10, 20, 1, 2, 99.95, 100.05)]))
        assert (tick.total_sell_quantity, tick.total_buy_quantity) == (3, 4)
        assert (tick.open, tick.high, tick.low) == (5.0, 7.0, 8.0)
        first = tick.depth.buy[0], tick.depth.sell[0]
        assert [(level.price, level.quantity, level.orders) for level in first] == [
            (99.95, 10, 1),
            (100.05, 20, 2),
        ]
        assert len(tick.depth.buy) == len(tick.depth.sell) == 5

    def test_four_decimals_of_currencies(self):
        assert codec(USDINR).received(ticker(90.2875, instrument=USDINR))[0].ltp == 90.2875

    @given(st.integers(1, 10_000_000))
    def test_prices_are_those_that_the_exchange_has(self, paise):
        (tick,) = codec(SBIN).received(ticker(paise / 100))
        assert tick.ltp == pytest.approx(paise / 100, rel=1e-7)
        assert tick.ltp == round(tick.ltp, 2)

    @pytest.mark.parametrize(
        ("data", "kinds"),
        [
            (b"", [Malformed]),
            ("{}", [Malformed]),
            (ticker() + b"\2", [Tick, Malformed]),
            (ticker()[:15], [Malformed]),
            (live(0, b""), []),
            (bytes(8), []),
            (live(3, bytes(104)) + ticker(), [Tick]),
            (live(99, b"xy") + ticker(), [Malformed, Tick]),
            (pack("<BHBI", 99, 7, 1, 1) + ticker(), [Malformed]),
            (pack("<BHBI", 99, 999, 1, 1) + ticker(), [Malformed]),
            (live(50, pack("<H", 807)) + ticker(), [Disconnect, Tick]),
            (live(50, b""), [Malformed]),
            (ticker(float("nan")) + ticker(), [Malformed, Tick]),
            (ticker(float("inf")), [Malformed]),
            (ticker(instrument=NIFTY), []),
        ],
    )
    def test_events(self, data, kinds):
        assert [type(event) for event in codec(SBIN).received(data)] == kinds

    @pytest.mark.parametrize(
        ("reason", "cause"),
        [
            (800, Cause.TRANSIENT),
            (805, Cause.TOO_MANY),
            (806, Cause.PLAN),
            (807, Cause.TOKEN),
            (808, Cause.TOKEN),
            (809, Cause.TOKEN),
            (810, Cause.TOKEN),
            (1, Cause.TRANSIENT),
        ],
    )
    def test_reasons_that_end_the_connection(self, reason, cause):
        (event,) = codec().received(live(50, pack("<H", reason)))
        assert event.verdict.cause is cause

    @pytest.mark.parametrize("reason", [804, 811, 812, 813, 814])
    def test_reasons_that_do_not(self, reason):
        assert isinstance(codec().received(live(50, pack("<H", reason)))[0], Rejected)

    def test_refusals(self):
        assert codec().refused(429, {}, b"").cause is Cause.PLAN
        assert codec().refused(401, {}, b"").cause is Cause.TOKEN
        assert codec().refused(502, {}, b"").cause is Cause.TRANSIENT


def side(code, prices, instrument=CALL, number=None, length=None):
    rows = b"".join(pack("<dII", price, 10, 1) for price in prices)
    size = 12 + len(rows) if length is None else length
    count = len(prices) if number is None else number
    head = pack("<hBBII", size, code, NUMBERS[instrument.exchange], int(instrument.token), count)
    return head + rows


class TestBooks:
    def deep(self, *held):
        return codec(*held, wish=Wish(Mode.DEPTH, 200), feed="depth200")

    def test_the_newest_of_each_side_make_one_tick(self):
        made = self.deep(CALL)
        assert made.received(side(41, [1.0])) == []
        (tick,) = made.received(side(41, [2.0, 1.95]) + side(51, [2.05]))
        assert [level.price for level in tick.depth.buy] == [2.0, 1.95]
        assert [level.price for level in tick.depth.sell] == [2.05]
        assert (tick.kind, tick.ltp, tick.exchange_timestamp) == (Mode.DEPTH, None, None)
        assert made.received(side(51, [2.1])) == []

    def test_an_empty_side_is_a_side(self):
        (tick,) = self.deep(CALL).received(side(41, []) + side(51, []))
        assert (tick.depth.buy, tick.depth.sell) == ([], [])

    def test_books_of_two_instruments_do_not_mix(self):
        made = codec(CALL, SBIN, wish=Wish(Mode.DEPTH, 20), feed="depth20")
        ones, twos = [1.0] * 20, [2.0] * 20
        assert made.received(side(41, ones) + side(51, twos, SBIN)) == []
        first, second = made.received(side(51, twos, number=7) + side(41, ones, SBIN, number=7))
        assert (first.instrument, second.instrument) == (CALL, SBIN)

    def test_twenty_rows_whatever_the_header_says(self):
        made = codec(CALL, wish=Wish(Mode.DEPTH, 20), feed="depth20")
        (tick,) = made.received(side(41, [1.0] * 20, number=3, length=0) + side(51, [2.0] * 20, number=999))
        assert (len(tick.depth.buy), len(tick.depth.sell)) == (20, 20)
        assert [type(event) for event in made.received(side(41, [1.0] * 19))] == [Malformed]

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            "text",
            b"\0" * 11,
            side(41, [1.0])[:-1],
            side(41, [1.0] * 201),
            side(42, [1.0]) + side(51, [1.0]),
            side(41, [float("nan")]),
        ],
    )
    def test_one_error_each(self, data):
        assert [type(event) for event in self.deep(CALL).received(data)] == [Malformed]

    def test_what_came_before_damage_counts(self):
        events = self.deep(CALL).received(side(41, [1.0]) + side(51, [2.0]) + b"\0")
        assert [type(event) for event in events] == [Tick, Malformed]

    def test_what_is_not_held_is_dropped(self):
        assert self.deep(SBIN).received(side(41, [1.0]) + side(51, [2.0])) == []

    @pytest.mark.parametrize(
        "data",
        [
            pack("<hBBIIH", 14, 50, 0, 0, 0, 806),
            pack("<hBBIIH", 14, 50, 0, 0, 806, 0),
            pack("<hBBIIH", 14, 50, 0, 0, 806, 806),
            pack("<hBBII", 12, 50, 0, 0, 806),
        ],
    )
    def test_both_places_of_the_reason(self, data):
        (event,) = self.deep(CALL).received(data)
        assert event.verdict.cause is Cause.PLAN

    @given(st.binary(max_size=100), st.binary(max_size=100))
    def test_anything_gives_events(self, head, tail):
        made = self.deep(CALL)
        for data in (head + tail, head + side(41, [1.0]) + tail, side(41, [1.0])[:3] + tail):
            for event in made.received(data):
                assert isinstance(event, (Malformed, Disconnect, Rejected, Tick))


class TestOrders:
    def told(self, **data):
        made = DHAN.feed("orders").codec(DEMO, FixedEnvironment())
        return made.received(json.dumps({"Type": "order_alert", "Data": data}))[0]

    def test_both_spellings(self):
        spelled = {"OrderNo": "1", "Quantity": 5, "TradedQty": 2, "Status": "Part_Traded", "Product": "F"}
        order = self.told(**spelled).order
        assert self.told(**{key[0].lower() + key[1:]: value for key, value in spelled.items()}).order == order
        assert (order.pending_quantity, order.order_status, order.product) == (3, "open", "NRML")

    def test_the_exchange_is_two_fields(self):
        update = self.told(
            orderNo="1",
            status="EXPIRED",
            exchange="BSE",
            segment="D",
            securityId=7,
            remainingQuantity=0,
            quantity=3,
        )
        assert (update.order.exchange, update.token, update.order.pending_quantity) == ("BFO", "7", 0)
        assert (update.order.order_status, update.order.rejection_reason) == ("cancelled", "")

    def test_other_messages(self):
        made = DHAN.feed("orders").codec(DEMO, FixedEnvironment())
        assert made.received('{"Type":"other"}') == [Alive()]
        for data in ("x", '{"Type":"order_alert"}', '{"Type":"order_alert","Data":{"Status":"TRADED"}}'):
            assert isinstance(made.received(data)[0], Malformed)

    def test_the_login(self):
        (frame,) = DHAN.feed("orders").codec(DEMO, FixedEnvironment()).opened()
        assert json.loads(frame) == {
            "LoginReq": {"MsgCode": 42, "ClientId": DEMO["client_id"], "Token": DEMO["access_token"]},
            "UserType": "SELF",
        }


class TestMaster:
    HEADER = (
        " SEM_EXM_EXCH_ID , SEM_SMST_SECURITY_ID,SEM_INSTRUMENT_NAME,SEM_TRADING_SYMBOL,SEM_LOT_UNITS,"
        "SEM_CUSTOM_SYMBOL,SEM_EXPIRY_DATE,SEM_STRIKE_PRICE,SEM_OPTION_TYPE,SEM_TICK_SIZE,SM_SYMBOL_NAME\n"
    )

    def rows(self, line):
        return list(DHAN.parse_master("x", (self.HEADER + line + "\n").encode()))

    @pytest.mark.parametrize(
        ("exchange", "name", "ours"),
        [
            ("NSE", "NIFTY SMALLCAP 250", "NIFTYSMLCAP250"),
            ("NSE", "Nifty Mid-Small Cap 400", "NIFTYMIDSML400"),
            ("NSE", "NIFTY NOVEL 5", "NIFTY NOVEL 5"),
            ("BSE", "BSE CG", "BSECAPITALGOODS"),
            ("BSE", "OILGAS", "BSEOIL&GAS"),
            ("BSE", "BSE100", "BSE100"),
        ],
    )
    def test_indices(self, exchange, name, ours):
        (row,) = self.rows(f"{exchange},1,INDEX,{name},1.0,,,,,5.0,")
        assert (row.symbol, row.exchange, row.brexchange) == (ours, f"{exchange}_INDEX", "IDX_I")

    def test_roots(self):
        (row,) = self.rows("NSE,1,OPTSTK,X,1.0,M&M 30 DEC 3000 CALL,2025-12-30 14:30:00,3000.0,CE,5.0,MNMOPT")
        assert (row.symbol, row.name) == ("M&M30DEC253000CE", "M&M")

    def test_rows_that_are_not_ours_and_rows_that_are_broken(self):
        assert self.rows("NSE,1,OTHER,X,1.0,,,,,5.0,") == []
        assert self.rows("MCX,1,INDEX,X,1.0,,,,,5.0,") == []
        for line in ("NSE,1,FUTIDX,X,1.0,,2025-12-30,,XX,5.0,", "NSE,1,OPTIDX,X,1.0,X,2025-12-30,1,XX,5.0,"):
            assert isinstance(self.rows(line)[0], BadRow)


class TestCredentials:
    def test_the_row_of_the_platform(self):
        env = {"BROKER_API_KEY": "1000000001:::key", "BROKER_API_SECRET": "secret"}
        row = AuthRow(name="me", auth="token")
        assert DHAN.credentials_from(row, env) == {"client_id": "1000000001", "access_token": "token"}
        assert SANDBOX.credentials_from(row, env) == {"client_id": "1000000001", "access_token": "secret"}
        assert DHAN.credentials_from(AuthRow(name="me", auth="t", user_id="2"), env)["client_id"] == "2"

    def test_the_sandbox_is_another_face(self):
        assert SANDBOX.alias_of == "dhan"
        assert [feed.name for feed in SANDBOX.feeds] == ["market", "depth20", "depth200"]


class TestSimulator:
    def upgrade(self, host="127.0.0.1", path="/", **query):
        return Upgrade(host, path, {"token": DEMO["access_token"], "clientId": DEMO["client_id"]} | query, {})

    def server(self):
        return DHAN.simulator(StillMarket([SBIN, CALL]), dict(DEMO), FixedEnvironment())

    def test_one_connection_too_many_drops_the_oldest(self):
        side = self.server()
        first = side.accept(self.upgrade(version="2")).connection
        for _ in range(4):
            side.accept(self.upgrade(version="2"))
        assert side.push() == []
        side.accept(self.upgrade(version="2"))
        assert side.push() == [(first, [pack("<BHBIH", 50, 10, 0, 0, 805), Close()])]
        assert side.push() == []

    def test_a_pool_for_each_feed(self):
        side = self.server()
        for path in ("/twentydepth", "/twohundreddepth"):
            for _ in range(5):
                side.accept(self.upgrade(path=path))
        side.accept(self.upgrade(host="full-depth-api.dhan.co"))
        assert len(side.push()) == 1
        side.accept(self.upgrade(version="2"))
        assert side.push() == []

    def test_refusals_of_requests(self):
        connection = self.server().accept(self.upgrade(version="2")).connection
        item = {"ExchangeSegment": "NSE_EQ", "SecurityId": "3045"}
        for count, entries, reason in ((101, [item] * 101, 804), (2, [item], 814), (1, [{}], 814)):
            frame = {"RequestCode": 15, "InstrumentCount": count, "InstrumentList": entries}
            assert connection.received(json.dumps(frame)) == [pack("<BHBIH", 50, 10, 0, 0, reason)]
        assert connection.received(bytes(83)) == []
        assert connection.received('{"RequestCode": 12}') == [Close()]

    def test_what_follows_a_subscription(self):
        loop = Loopback(DHAN, DHAN.feed("market"), StillMarket([SBIN, CALL]))
        loop.subscribe([(SBIN, QUOTE), (CALL, QUOTE)])
        assert [frame[0] for frame in loop.frames] == [6, 4, 6, 4, 5]

    def test_both_codes_of_giving_up(self):
        for code in (24, 25):
            loop = Loopback(DHAN, DHAN.feed("depth200"), StillMarket([SBIN, CALL]))
            loop.subscribe([(CALL, Wish(Mode.DEPTH, 200))])
            request = {"RequestCode": code, "ExchangeSegment": "NSE_FNO", "SecurityId": "41870"}
            loop.connection.received(json.dumps(request))
            assert loop.connection.held() == 0
