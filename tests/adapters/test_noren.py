"""The Noren family: what the vectors do not show."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_adapters._noren.fields import DATA, PLACES, merge, taken_over, whole
from openalgo_ws.adapter import (
    AuthRow,
    BadRow,
    Change,
    Close,
    LoggedIn,
    LoginFailed,
    Malformed,
    MasterRow,
    OrderUpdate,
    Rejected,
    Reply,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.symbols.loader import parse
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Wish

REGISTRY = Registry()
SHOONYA = REGISTRY.load("shoonya")
FEED = SHOONYA.feed("market")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "26000", "Nifty 50", "NSE_INDEX")
LTP, QUOTE, DEPTH = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
# 2026-11-23 10:00:00 in India.
TEN = 1_795_408_200


def codec(*held, wish=QUOTE):
    result = FEED.codec({"user_id": "U", "access_token": "t"}, FixedEnvironment())
    result.change([Change(instrument, None, wish) for instrument in held])
    return result


def told(codec, **fields):
    return codec.received(json.dumps({"e": "NSE", "tk": "3045"} | fields))


def sent(codec, *changes):
    return [json.loads(frame) for frame in codec.change([Change(*change) for change in changes])]


numbers = st.integers().map(str) | st.decimals(places=3).map(str) | st.floats(width=32).map(str)
values = st.one_of(
    numbers,
    numbers,
    st.sampled_from(["0.00", "0e99999999999999999999", "", " 1.5", "10:15:22", None, True, []]),
    st.integers(),
    st.floats(),
)
names = st.sampled_from(["lp", "o", "c", "v", "ap", "oi", "ft", "ltt", "bp1", "bq1", "bo5", "sp3", "xyz"])
messages = st.lists(st.dictionaries(names, values, max_size=8), max_size=4)


@given(kind=st.sampled_from(sorted(DATA)), said=messages)
def test_what_is_decoded_whole_is_what_a_careful_reader_finds(kind, said):
    family = DATA[kind]
    memory = [None] * PLACES[family]
    for fields in said:
        text = json.dumps({"t": kind, "e": "NSE", "tk": "3045"} | fields)
        careful = list(memory)
        merge(careful, json.loads(text), family)
        decoded = whole(text)
        if decoded is not None:
            assert decoded[:3] == (family, "NSE", "3045")
            assert taken_over(memory, decoded[3]) == careful
        memory = careful


class TestChange:
    def test_a_hundred_keys_a_frame(self):
        many = [Instrument(f"S{n}", "NSE", str(n)) for n in range(250)]
        frames = sent(codec(), *((one, None, LTP) for one in many))
        assert [frame["k"].count("#") + 1 for frame in frames] == [100, 100, 50]

    def test_the_new_stream_comes_before_the_old_one_goes(self):
        assert sent(codec(SBIN), (SBIN, QUOTE, DEPTH)) == [
            {"t": "d", "k": "NSE|3045"},
            {"t": "u", "k": "NSE|3045"},
        ]

    def test_between_ltp_and_quote_there_is_nothing_to_send(self):
        assert sent(codec(SBIN, wish=LTP), (SBIN, LTP, QUOTE)) == []

    def test_index_segments_of_older_databases(self):
        assert sent(codec(), (NIFTY, None, DEPTH)) == [{"t": "d", "k": "NSE|26000"}]

    @pytest.mark.parametrize("token", ["", "1#NSE|2", "1|2", "²"])
    def test_a_token_that_breaks_the_frame_is_rejected(self, token):
        odd = Instrument("ODD", "NSE", token)
        made = codec()
        assert sent(made, (odd, None, LTP)) == []
        assert isinstance(made.received('{"t":"hk"}')[0], Rejected)

    def test_what_was_given_up_is_forgotten(self):
        made = codec(SBIN)
        told(made, t="tk", lp="10.00")
        sent(made, (SBIN, QUOTE, DEPTH), (SBIN, DEPTH, QUOTE))
        assert told(made, t="tf", v="5")[0].ltp is None


class TestValues:
    def test_what_is_no_number_leaves_the_memory_alone(self):
        made = codec(SBIN)
        told(made, t="tk", lp="10.00", v="7")
        for junk in ("", "-", "NA", "nan", "inf", "1_0", None, True, [], {}):
            (tick,) = told(made, t="tf", lp=junk, v=junk)
            assert (tick.ltp, tick.volume) == (10.0, 7)

    def test_a_zero_counts_where_it_means_something(self):
        made = codec(SBIN)
        assert told(made, t="tk", c="0.00", lp="1", v="7", oi="3")[0].close == 0.0
        (tick,) = told(made, t="tf", c="9.5", lp="0", v="0", oi="0")
        assert (tick.close, tick.ltp, tick.volume, tick.oi) == (9.5, 0.0, 0, 0)
        assert told(made, t="tf", c="0")[0].close == 9.5

    @pytest.mark.parametrize(
        ("text", "count"),
        [("12.9", 12), ("9007199254740993.0", 2**53 + 1), ("1e3", 1000), (5, 5), (5.5, 5), ("1e400", None)],
    )
    def test_counts_are_exact_and_cut(self, text, count):
        made = codec(SBIN)
        events = told(made, t="tk", lp="1", v=text)
        assert events[0].volume == count

    def test_numbers_without_quotes(self):
        made = codec(SBIN)
        assert made.received('{"t":"tk","e":"NSE","tk":3045,"lp":10.5}')[0].ltp == 10.5

    def test_the_best_bid_of_a_touchline_is_no_news(self):
        assert told(codec(SBIN), t="tf", bp1="10.00") == []

    def test_a_price_alone_is_an_ltp_tick(self):
        assert told(codec(SBIN), t="lf", lp="10.00")[0].kind is Mode.LTP

    def test_open_interest_of_the_underlying_is_not_ours(self):
        assert told(codec(SBIN), t="tk", lp="1", toi="99")[0].oi is None


class TestTimes:
    @pytest.mark.parametrize(
        ("clock", "moment"),
        [
            ("09:59:58", TEN - 2),
            ("10:01:00", TEN + 60),
            ("10:01:01", TEN + 61 - 86400),
            ("23-11-2026 09:00:00", TEN - 3600),
            (str(TEN - 5), TEN - 5),
            (str((TEN - 5) * 1000), TEN - 5),
        ],
    )
    def test_last_trade_time(self, clock, moment):
        (tick,) = told(codec(SBIN), t="tk", ltt=clock, ft=str(TEN))
        assert (tick.ltt, tick.exchange_timestamp) == (moment * 1000, TEN * 1000)

    def test_it_waits_for_a_date(self):
        made = codec(SBIN)
        assert told(made, t="tf", ltt="09:59:00", lp="1")[0].ltt is None
        assert told(made, t="tf", ft=str(TEN))[0].ltt == (TEN - 60) * 1000

    @pytest.mark.parametrize("junk", ["24:00:00", "9:5", "31-02-2026 10:00:00", "12345", "x"])
    def test_no_time(self, junk):
        assert told(codec(SBIN), t="tk", ltt=junk, lp="1", ft=str(TEN))[0].ltt is None


class TestBook:
    def test_what_is_no_level_is_left_out(self):
        made = codec(SBIN, wish=DEPTH)
        (tick,) = told(
            made, t="dk", bp1="42949672.95", bq1="5", bp2="-1", bp3="9.5", sp1="0", bo3="2", sp2="10"
        )
        assert tick.depth == Depth([Level(9.5, 0, 2)], [Level(10.0, 0, None)])

    def test_it_is_there_even_if_empty(self):
        assert told(codec(SBIN, wish=DEPTH), t="df", lp="1")[0].depth == Depth([], [])


class TestFrames:
    @pytest.mark.parametrize("verdict", ["OK", "Ok", "ok"])
    def test_a_login_asks_for_orders(self, verdict):
        events = codec().received(json.dumps({"t": "ak", "s": verdict}))
        assert events == [LoggedIn(), Reply('{"t":"o","actid":"U"}')]

    @pytest.mark.parametrize("answer", [{"t": "ak", "s": "NOT_OK"}, {"t": "cf", "k": "failed"}, {"t": "ck"}])
    def test_a_refused_login_wants_another_token(self, answer):
        (event,) = codec().received(json.dumps(answer))
        assert isinstance(event, LoginFailed)
        assert event.verdict.cause is Cause.TOKEN

    def test_data_without_a_key_is_malformed_and_of_another_key_nothing(self):
        made = codec(SBIN)
        assert isinstance(made.received('{"t":"tf","e":"","tk":"3045"}')[0], Malformed)
        assert isinstance(made.received('{"t":["tf"],"e":"NSE","tk":"3045"}')[0], Malformed)
        assert made.received('{"t":"tf","e":"BSE","tk":"3045","lp":"1"}') == []

    def test_another_session_is_not_fought(self):
        assert codec().closed(1000, "").cause is Cause.EVICTED
        assert codec().closed(1006, "").cause is Cause.TRANSIENT
        assert codec().refused(403, {}, b"").cause is Cause.FATAL


ORDER = {"t": "om", "norenordno": "1", "exch": "NSE", "tsym": "SBIN-EQ", "trantype": "S", "qty": "10"}


class TestOrders:
    @pytest.mark.parametrize(
        ("status", "event", "meant"),
        [
            ("COMPLETE", "Fill", "complete"),
            ("OPEN", "Fill", "open"),
            ("TRIGGER_PENDING", "", "trigger pending"),
            ("INVALID_STATUS_TYPE", "Rejected", "rejected"),
            ("INVALID_STATUS_TYPE", "Canceled", "cancelled"),
            ("INVALID_STATUS_TYPE", "New", "open"),
        ],
    )
    def test_states(self, status, event, meant):
        frame = ORDER | {"status": status, "reporttype": event, "rejreason": " no "}
        (update,) = codec().received(json.dumps(frame))
        assert update.order.order_status == meant
        assert update.order.rejection_reason == ("no" if meant == "rejected" else "")

    def test_words_and_quantities(self):
        frame = ORDER | {"prd": "I", "prctyp": "SL-MKT", "fillshares": "12", "status": "OPEN"}
        (update,) = codec().received(json.dumps(frame))
        assert isinstance(update, OrderUpdate)
        order = update.order
        assert (order.action, order.product, order.pricetype) == ("SELL", "MIS", "SL-M")
        assert (order.filled_quantity, order.pending_quantity) == (12, 0)

    def test_without_a_number_it_is_none(self):
        assert isinstance(codec().received('{"t":"om","qty":"1"}')[0], Malformed)


class TestMaster:
    def test_names_of_bfo_come_from_the_trading_symbol(self):
        head = "Exchange,Token,LotSize,Symbol,TradingSymbol,Expiry,Instrument,OptionType,Strike,TickSize,\n"
        rows = (
            "BFO,1,20,BSXOPT,SENSEX26D1084700CE,10-DEC-2026,OPTIDX,CE,84700,0.05,\n"
            "BFO,2,20,SX50OPT,SENSEX5026DEC27600PE,31-DEC-2026,OPTIDX,PE,27600,0.05,\n"
            "BFO,3,20,BSXFUT,SENSEX26DECFUT,31-DEC-2026,FUTIDX,XX,0,0.05,\n"
            "BFO,4,20,BSXOPT,SENSEX10DEC26P84700,10-DEC-2026,OPTIDX,PE,84700,0.05,\n"
        )
        parsed = list(SHOONYA.parse_master("BFO_symbols.txt", (head + rows).encode()))
        assert [row.symbol for row in parsed] == [
            "SENSEX10DEC2684700CE",
            "SENSEX5031DEC2627600PE",
            "SENSEX31DEC26FUT",
            "SENSEX10DEC2684700PE",
        ]

    @pytest.mark.parametrize(
        ("sizes", "first"), [(("5", "10"), 0.05), (("5", "0.05"), 5.0), (("0", "0"), 0.0)]
    )
    def test_cash_files_in_paise(self, sizes, first):
        head = "Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,\n"
        rows = "".join(f"BSE,{n},1,S{n},S{n},A,{size},\n" for n, size in enumerate(sizes, 1))
        row = next(iter(SHOONYA.parse_master("BSE_symbols.txt", (head + rows).encode())))
        assert row.tick_size == pytest.approx(first)

    def test_indices_of_bse_are_in_no_file(self):
        head = b"Exchange,Token,LotSize,Symbol,TradingSymbol,Instrument,TickSize,\n"
        file = head + b"BSE,500112,1,SBIN,SBIN,A,0.05,\n"
        rows = parse(SHOONYA, [("BSE_symbols.txt", file)]).rows
        assert [(row.symbol, row.token) for row in rows] == [
            ("SBIN", "500112"),
            ("SENSEX", "1"),
            ("BANKEX", "12"),
        ]

    def test_a_lost_zero_of_an_expiry(self):
        data = b"NFO,5,NIFTY,NIFTY04DEC26F,FUTIDX,4122026,10,65,XX,-1,2,1\nNFO,6,X\n"
        good, bad = REGISTRY.load("definedge").parse_master("allmaster.csv", data)
        assert isinstance(good, MasterRow)
        assert good.expiry == "04-DEC-26"
        assert isinstance(bad, BadRow)


@pytest.mark.parametrize(
    ("broker", "row", "env", "found"),
    [
        ("shoonya", {"auth": "tok"}, {"BROKER_API_KEY": "U1:::U1_U"}, ("U1", "tok")),
        ("tradesmart", {"auth": "U2:::tok"}, {}, ("U2", "tok")),
        ("tradesmart", {"auth": "tok"}, {"BROKER_API_KEY": "U2"}, ("U2", "tok")),
        ("definedge", {"auth": "s:::tok:::a", "user_id": "U3"}, {}, ("U3", "tok")),
        ("aliceblue", {"auth": "tok"}, {"BROKER_API_KEY": "U4"}, ("U4", "tok")),
        ("firstock", {"auth": "tok"}, {"BROKER_API_KEY": "U5_API"}, ("U5", "tok")),
    ],
)
def test_credentials_of_the_platform(broker, row, env, found):
    adapter = REGISTRY.load(broker)
    given = adapter.from_row(AuthRow(name="a", **row), env)
    assert tuple(given[name] for name in adapter.credential_fields) == found


class TestSimulator:
    def test_a_second_login_ends_the_first(self):
        market = StillMarket([SBIN])
        first = Loopback(SHOONYA, FEED, market)
        Loopback(SHOONYA, FEED, market, side=first.side)
        assert first.side.push() == [(first.connection, [Close(1000)])]

    def test_nothing_is_subscribed_before_the_login(self):
        side = SHOONYA.simulator(StillMarket([SBIN]), {}, FixedEnvironment())
        connection = side.accept(Upgrade("api.shoonya.com", "/NorenWSAPI/", {}, {})).connection
        assert connection.received('{"t":"t","k":"NSE|3045"}') == []
        assert connection.held() == 0

    def test_the_path_ends_in_a_slash(self):
        side = SHOONYA.simulator(StillMarket(), {}, FixedEnvironment())
        assert side.accept(Upgrade("api.shoonya.com", "/NorenWSAPI", {}, {})).status == 301


def test_a_tiny_exponent_costs_nothing():
    assert told(codec(SBIN), t="tk", v="1e-999999999", lp="1")[0].volume == 0
