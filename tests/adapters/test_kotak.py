"""Rules of Kotak's sheet that no vector covers."""

import json
from struct import pack

import pytest

from openalgo_adapters.kotak import adapter as ADAPTER
from openalgo_adapters.kotak.hsm import KotakHsmCodec
from openalgo_adapters.kotak.sfeed import SFeedCodec
from openalgo_adapters.kotak.simulator import SFeedConnection
from openalgo_ws.adapter import (
    Alive,
    AuthRow,
    BadRow,
    Cause,
    Change,
    HttpResponse,
    LoggedIn,
    LoginFailed,
    Malformed,
    MasterRow,
    OrderUpdate,
    Rejected,
)
from openalgo_ws.conformance.loopback import Loopback, as_received
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, authorise, make_codec, subscribe
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "nse_cm")
INFY = Instrument("INFY", "NSE", "1594", "INFY-EQ", "nse_cm")
USD = Instrument("USDINR27NOV26FUT", "CDS", "3456", "USDINR26NOVFUT", "cde_fo")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "Nifty 50", "NIFTY", "nse_cm")
LTP, QUOTE, BOOK, FULL = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH), Wish(Mode.DEPTH, 20)

LOGIN = json.dumps(
    {
        "message_code": 1119,
        "format": "native_batch",
        "exchanges": {"nse_cm": {"value": 1, "divider": 100}, "cde_fo": {"divider": 10_000}, "x": 7},
    }
)


def codec(feed, *instruments, wish=QUOTE, login=None):
    made = make_codec(ADAPTER, ADAPTER.feed(feed), FixedEnvironment())
    made.opened()
    subscribe(made, [(instrument, wish) for instrument in instruments])
    if login is not None:
        assert made.received(login) == [LoggedIn()]
    return made


def packet(code, exchange, level, body):
    return pack("<HHbBBBB", 9 + len(body), code, exchange, level, 0, 0, 0) + body


def mini(token=3045, ltp=80015, close=79460, traded=1_795_405_800, exchange=1, precision=2):
    body = pack("<IqIqI", token, traded, ltp, 25, close) + pack("<iiiBI", 0, 0, 1, precision, 1)
    return packet(7208, exchange, 1, body)


def picture(level, buys, sells, rows=(), precision=2, exchange=1, token=3045, updated=0, upper=0):
    body = pack("<Iqqqqq", token, 1, 2, 3, 0, updated) + pack("<5I", 100, 99, 110, 90, 105)
    body += pack("<qII", 4, 104, 0) + pack("<IIhiI", buys, sells, 2, 0, 5) + pack("<diII", 0.0, 0, upper, 0)
    body += pack("<IIIBI", 0, 0, 1, precision, 1)
    return packet(7208, exchange, level, body + b"".join(pack("<qii", *row) for row in rows))


def index(name=b"Nifty 50", token=26000, moment=1_795_405_800, precision=2):
    body = pack("<I5iq", token, 1, 2, 3, 4, 2605355, moment) + bytes(20) + pack("<Bi", precision, 1)
    return packet(7207, 1, 0, body + name.ljust(21, b"\0"))


class TestWhichFeed:
    @pytest.mark.parametrize(
        ("credentials", "kind"),
        [
            ({"ucc": "A"}, SFeedCodec),
            ({}, KotakHsmCodec),
            ({"ucc": "A", "feed": "hsm"}, KotakHsmCodec),
            ({"feed": "sfeed"}, SFeedCodec),
        ],
    )
    def test_by_what_is_known_of_the_user(self, credentials, kind):
        assert type(ADAPTER.feed("sfeed").codec(credentials, FixedEnvironment())) is kind

    def test_on_the_older_feed_a_book_comes_with_its_quote(self):
        ((name, wish),) = ADAPTER.routes(SBIN, BOOK)
        made = ADAPTER.feed(name).codec({"auth_token": "t", "sid": "s"}, FixedEnvironment())
        sent = b"".join(subscribe(made, [(SBIN, wish)]))
        assert b"sf|nse_cm|3045" in sent
        assert b"dp|nse_cm|3045" in sent


class TestOlderFeed:
    def test_two_hundred_a_channel_and_one_hundred_a_frame(self):
        shares = [Instrument(f"S{n}", "NSE", str(n), f"S{n}-EQ") for n in range(450)]
        made = codec("hsm")
        frames = subscribe(made, [(share, QUOTE) for share in shares])
        assert [(frame[-1], int.from_bytes(frame[7:9], "big")) for frame in frames] == [
            (2, 100), (2, 100), (3, 100), (3, 100), (4, 50)
        ]  # fmt: skip
        (left,) = made.change([Change(shares[250], QUOTE, None)])
        assert left[-1] == 3
        # The place that is free now is taken before channel 4 grows.
        (taken,) = subscribe(made, [(Instrument("NEW", "NSE", "9999"), QUOTE)])
        assert taken[-1] == 3

    def test_more_than_fits(self):
        made = codec("hsm")
        many = [Instrument(f"S{n}", "NSE", str(n)) for n in range(3001)]
        assert len(subscribe(made, [(one, QUOTE) for one in many])) == 30
        (event, *_) = made.received(b"\0\6\4\1\1\0\1K")
        assert event == Rejected("no room for another topic on this connection", (many[-1],))
        assert made.change([Change(many[-1], QUOTE, None)]) == []

    def test_segments_of_its_own(self):
        (frame,) = subscribe(codec("hsm"), [(Instrument("X", "BCD", "7"), QUOTE)])
        assert b"sf|bcs-fo|7" in frame

    def test_a_scale_may_come_later(self):
        made = codec("hsm", USD)
        topic = b"sf|cde_fo|3456"
        head = pack(">HBHHBIB", 0, 6, 1, 0, 0x53, 9, len(topic)) + topic
        (tick,) = made.received(head + pack(">B6iB", 6, 0, 0, 0, 0, 0, 885425, 0))
        assert tick.ltp == 8854.25
        scale = pack(">HBHHBIB", 0, 6, 1, 0, 0x55, 9, 25) + pack(">25i", *[-(1 << 31)] * 23, 1, 4)
        (tick,) = made.received(scale)
        assert tick.ltp == 88.5425

    def test_what_means_nothing_changes_nothing(self):
        made = codec("hsm", SBIN)
        topic = b"sf|nse_cm|3045"
        head = pack(">HBHHBIB", 0, 6, 1, 0, 0x53, 9, len(topic)) + topic
        made.received(head + pack(">B6iB", 6, 0, 0, 0, 0, 0, 100, 0))
        assert made.received(pack(">HBHHBIBii", 0, 6, 1, 0, 0x55, 9, 2, 5, 6)) == []

    @pytest.mark.parametrize("kind", [9, 10])
    def test_other_answers(self, kind):
        assert not [
            event
            for event in codec("hsm").received(bytes((0, 6, kind, 1, 1, 0, 1)) + b"K")
            if event != Alive()
        ]


class TestSFeedOut:
    def events(self, frames):
        return [json.loads(frame)["event"] for frame in frames]

    @pytest.mark.parametrize(
        ("wish", "event"),
        [(LTP, "ScripsLite"), (QUOTE, "Scrips"), (BOOK, "Depth"), (FULL, "FullDepth")],
    )
    def test_events(self, wish, event):
        made = codec("sfeed")
        assert self.events(subscribe(made, [(SBIN, wish), (NIFTY, wish)])) == [
            f"subscribe{event}", "subscribeIndices"
        ]  # fmt: skip
        assert self.events(made.change([Change(SBIN, wish, None)])) == [f"unsubscribe{event}"]

    def test_a_change_of_mode(self):
        made = codec("sfeed", SBIN, NIFTY)
        frames = made.change([Change(SBIN, QUOTE, BOOK), Change(NIFTY, QUOTE, BOOK)])
        assert self.events(frames) == ["subscribeDepth", "unsubscribeScrips"]

    @pytest.mark.parametrize("token", ["", "x", "²", "12345678901", "1,2"])
    def test_tokens_that_are_none(self, token):
        made = codec("sfeed")
        odd = Instrument("ODD", "NSE", token)
        assert subscribe(made, [(odd, QUOTE)]) == []
        assert isinstance(made.received("{}")[0], Rejected)

    def test_a_twin_is_not_subscribed_twice(self):
        made = codec("sfeed", SBIN, login=LOGIN)
        twin = Instrument("TWIN", "NSE", "3045")
        assert subscribe(made, [(twin, QUOTE)]) == []
        assert [tick.instrument for tick in made.received(mini())] == [SBIN, twin]
        assert made.change([Change(SBIN, QUOTE, None)]) == []
        assert [tick.instrument for tick in made.received(mini())] == [twin]


class TestSFeedLogin:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "[]",
            '{"message_code":1109}',
            '{"message_code":1117,"format":"native_fallback"}',
            '{"error":1}',
        ],
    )
    def test_anything_else_is_a_refusal(self, text):
        (event,) = codec("sfeed", SBIN).received(text)
        assert isinstance(event, LoginFailed)
        assert event.verdict.cause is Cause.TOKEN

    def test_data_before_the_login_is_dropped(self):
        assert codec("sfeed", SBIN).received(mini()) == []

    def test_later_texts(self):
        made = codec("sfeed", login=LOGIN)
        assert made.received('{"message_code":1109,"trading_symbols":{}}') == [Alive()]
        for text in ("", "{}", '{"message_code":7}', "[]"):
            assert isinstance(made.received(text)[0], Malformed)

    def test_an_end_right_after_the_login_means_the_sid(self):
        made = codec("sfeed", SBIN, login=LOGIN)
        assert made.closed(1000, "").cause is Cause.TOKEN
        made.received(mini())
        assert made.closed(1000, "").cause is Cause.TRANSIENT
        assert codec("sfeed").closed(1006, "").cause is Cause.TRANSIENT

    def test_the_divider_is_told_and_else_100(self):
        made = codec("sfeed", USD, SBIN, login=LOGIN)
        (tick,) = made.received(mini(3456, 885425, exchange=3, precision=4))
        assert (tick.ltp, tick.instrument) == (88.5425, USD)
        bare = '{"message_code":1117,"format":"native_batch","exchanges":{"nse_cm":{"value":1,"divider":0}}}'
        (tick,) = codec("sfeed", SBIN, login=bare).received(mini())
        assert tick.ltp == 800.15

    def test_prices_have_the_decimals_of_their_packet(self):
        made = codec("sfeed", USD, login=LOGIN)
        (tick,) = made.received(mini(3456, 885425, exchange=3, precision=2))
        assert tick.ltp == 88.54


class TestSFeedData:
    def test_levels_decide_the_kind(self):
        made = codec("sfeed", SBIN, login=LOGIN)
        row = (10, 100, 1)
        for level, kind in ((2, Mode.QUOTE), (4, Mode.QUOTE), (8, Mode.DEPTH), (16, Mode.DEPTH)):
            (tick,) = made.received(picture(level, 1, 1, [row, row]))
            assert tick.kind is kind
            assert (tick.depth is None) == (kind is Mode.QUOTE)
        assert (tick.total_buy_quantity, tick.total_sell_quantity, tick.volume, tick.oi) == (1, 2, 3, 5)
        assert (tick.open, tick.close, tick.high, tick.low, tick.ltp) == (1.0, 0.99, 1.1, 0.9, 1.05)
        assert (tick.last_trade_quantity, tick.avg_trade_price, tick.upper_circuit) == (4, 1.04, None)

    def test_rows_as_the_counts_say_while_they_last(self):
        made = codec("sfeed", SBIN, wish=FULL, login=LOGIN)
        rows = [(10, 100, 1), (20, 0, 2), (30, 98, 3), (40, 101, 4)]
        (tick,) = made.received(picture(16, 3, 4_000_000_000, rows))
        assert tick.depth == Depth([Level(1.0, 10, 1), Level(0.98, 30, 3)], [Level(1.01, 40, 4)])
        (tick,) = made.received(picture(16, 0, 1, rows))
        assert tick.depth == Depth([], [Level(1.0, 10, 1)])

    @pytest.mark.parametrize("moment", [0, -1, -2_209_008_600, (1 << 63) - 1])
    def test_times_that_are_none(self, moment):
        made = codec("sfeed", SBIN, NIFTY, login=LOGIN)
        ticks = made.received(mini(traded=moment) + picture(4, 1, 1, updated=moment) + index(moment=moment))
        assert [(tick.ltt, tick.exchange_timestamp) for tick in ticks] == [(None, None)] * 3

    def test_an_index_by_name_and_by_number(self):
        made = codec("sfeed", NIFTY, Instrument("OLD", "NSE_INDEX", "26009"), login=LOGIN)
        (tick,) = made.received(index())
        assert (tick.instrument, tick.ltp, tick.close) == (NIFTY, 26053.55, 0.02)
        (tick,) = made.received(index(b"Nifty Bank", 26009))
        assert tick.instrument.symbol == "OLD"
        assert made.received(index(b"\xff\xfe", 1)) == []

    def test_a_short_body_is_one_error_and_the_next_packet_counts(self):
        made = codec("sfeed", SBIN, NIFTY, login=LOGIN)
        short = [packet(7208, 1, 1, bytes(44)), packet(7208, 1, 8, bytes(134)), packet(7207, 1, 0, bytes(77)),
                 packet(105, 1, 0, b""), packet(104, 1, 1, bytes(23)), packet(999, 1, 7, b"")]  # fmt: skip
        for one in short:
            assert [type(event) for event in made.received(one + mini())] == [Malformed, Tick]

    @pytest.mark.parametrize("code", [6511, 6521, 105, 104])
    def test_notices_say_nothing(self, code):
        assert codec("sfeed", SBIN, login=LOGIN).received(packet(code, 1, 1, bytes(24))) == []

    @pytest.mark.parametrize("tail", [b"\0", b"\x08\0" + bytes(20), b"\0\0" + bytes(9), mini()[:-1]])
    def test_an_impossible_length_ends_the_message(self, tail):
        events = codec("sfeed", SBIN, login=LOGIN).received(mini() + tail)
        assert [type(event) for event in events] == [Tick, Malformed]

    def test_whose_token_counts_with_its_exchange(self):
        made = codec("sfeed", SBIN, login=LOGIN)
        assert made.received(mini(exchange=5)) == []
        made.change([Change(SBIN, QUOTE, None)])
        assert made.received(mini()) == []


class TestWhere:
    def found(self, credentials, answer=None):
        asked = []

        def answered(request):
            asked.append(request.url)
            return answer

        return dict(
            authorise(ADAPTER.feed("sfeed").authorise, credentials, FixedEnvironment(), answered)
        ), asked

    def test_looked_up_for_the_data_centre(self):
        configs = {
            "E43_broadcast_source": "S",
            "E43_S_broadcast_endpoint": "https://a/apifeed",
            "E43_S_interactive_endpoint": "wss://b/realtime",
        }
        answer = HttpResponse(200, json.dumps({"data": {"configs": configs}}).encode())
        found, asked = self.found({"base_url": "https://e43.kotaksecurities.com", "ucc": "A"}, answer)
        assert len(asked) == 1
        environment = FixedEnvironment()
        assert ADAPTER.feed("sfeed").codec(found, environment).dial().url == "wss://a/apifeed"
        assert ADAPTER.feed("orders").codec(found, environment).dial().url == "wss://b/realtime"

    @pytest.mark.parametrize("answer", [None, HttpResponse(500), HttpResponse(200, b"[]")])
    def test_the_default_where_nothing_is_found(self, answer):
        found, _ = self.found({"base_url": "E21", "ucc": "A", "feed_url": "wss://mine"}, answer)
        assert ADAPTER.feed("sfeed").codec(found, FixedEnvironment()).dial().url == "wss://mine"
        url = ADAPTER.feed("orders").codec(found, FixedEnvironment()).dial().url
        assert url == "wss://e21.kotaksecurities.com/realtime"

    def test_nobody_is_asked_without_a_data_centre(self):
        assert self.found({"ucc": "A"}) == ({"ucc": "A"}, [])

    @pytest.mark.parametrize(
        ("third", "base_url"),
        [
            ("https://e43.kotaksecurities.com/", "https://e43.kotaksecurities.com"),
            ("E22", "https://e22.kotaksecurities.com"),
            ("ADC", "https://cis.kotaksecurities.com"),
        ],
    )
    def test_rows_of_the_platform(self, third, base_url):
        found = ADAPTER.from_row(AuthRow(name="u", auth=f"t:::s:::{third}:::k"), {})
        assert found == {"auth_token": "t", "sid": "s", "base_url": base_url, "consumer_key": "k"}
        assert ADAPTER.missing(ADAPTER.from_row(AuthRow(name="u", auth="t"), {})) == ["sid"]

    def test_what_the_platform_has_no_place_for(self):
        credentials = {"auth_token": "t", "sid": "s", "feed": "hsm"}
        row = AuthRow(name="u", **ADAPTER.row_for(credentials))
        assert ADAPTER.credentials_from(row, {}) == credentials

    def test_an_index_of_the_platform_is_a_number(self):
        row = MasterRow(
            symbol="NIFTY", brsymbol="NIFTY", name="", exchange="NSE_INDEX", brexchange="NSE", token="26000"
        )
        assert ADAPTER.instrument(row).token == "Nifty 50"


class TestOrders:
    def order(self, **fields):
        data = {"nOrdNo": "1", "ordSt": "open", "exSeg": "nse_cm", "tok": "3045", "qty": "10", "fldQty": 4}
        (event,) = codec("orders").received(json.dumps({"type": "order", "data": data | fields}).encode())
        return event

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("Complete", "complete"),
            ("TRIGGER PENDING", "trigger pending"),
            ("cancelled after market order", "cancelled"),
            ("put order req received", "open"),
            ("modify pending", "open"),
        ],
    )
    def test_states(self, theirs, ours):
        assert self.order(ordSt=theirs).order.order_status == ours

    def test_what_is_missing_or_empty_is_zero(self):
        order = self.order(prc="", trgPrc=None).order
        assert (order.price, order.trigger_price, order.average_price, order.pending_quantity) == (0, 0, 0, 6)

    @pytest.mark.parametrize(("theirs", "ours"), [("MKT", "MARKET"), ("LMT", "LIMIT"), ("SL-M", "SL-M")])
    def test_price_types(self, theirs, ours):
        assert self.order(prcTp=theirs).order.pricetype == ours

    @pytest.mark.parametrize(
        ("segment", "ours"), [("mcx_fo", "MCX"), ("bcs-fo", "BCD"), ("BSE_FO", "BFO"), ("zz", "zz")]
    )
    def test_segments(self, segment, ours):
        assert self.order(exSeg=segment).order.exchange == ours

    @pytest.mark.parametrize("fields", [{"nOrdNo": None}, {"ordSt": 5}, {"qty": "ten"}])
    def test_orders_that_make_no_sense(self, fields):
        assert isinstance(self.order(**fields), Malformed)

    def test_the_login_is_repeated_as_json_once_if_nobody_answers(self):
        silent, answered = codec("orders"), codec("orders")
        assert json.loads(silent.heartbeat())["type"] == "cn"
        assert silent.heartbeat() is None
        assert answered.received('{"ak":"ok","task":"cn"}') == [LoggedIn()]
        assert answered.heartbeat() is None
        assert isinstance(answered.received('{"ak":"nk","type":"cn"}')[0], LoginFailed)

    def test_other_messages(self):
        assert codec("orders").received('{"type":"position","data":{}}') == [Alive()]
        assert isinstance(codec("orders").received("{type:hb}")[0], Malformed)

    def test_an_order_without_a_known_instrument(self):
        loop = Loopback(ADAPTER, ADAPTER.feed("orders"), StillMarket())
        (event,) = loop.order(self.order(trdSym="SBIN-EQ").order, "")
        assert isinstance(event, OrderUpdate)
        assert (event.token, event.order.symbol) == ("", "SBIN-EQ")


class TestMaster:
    HEADER = "pSymbol,pGroup,pExchSeg,pInstType,pSymbolName,pTrdSymbol,pOptionType,pISIN,pDesc,dTickSize ,lLotSize,lExpiryDate ,lPrecision,dStrikePrice;"  # fmt: skip  # noqa: E501

    def rows(self, file, *lines):
        return list(ADAPTER.parse_master(file, "\n".join([self.HEADER, *lines]).encode()))

    def test_currency_has_four_decimals(self):
        line = "1,,cde_fo,OPTCUR,USDINR,USDINR26NOV88.25CE,CE,,,25,1000,1480343400,4,882500"
        (row,) = self.rows("cde_fo.csv", line)
        assert (row.symbol, row.tick_size, row.strike) == ("USDINR28NOV2688.25CE", 0.0025, 88.25)

    def test_some_files_count_from_1970(self):
        line = "1,,mcx_fo,FUTCOM,CRUDEOIL,CRUDEOIL26DECFUT,,,,100,100,1797609600,2,"
        (row,) = self.rows("mcx_fo.csv", line)
        assert (row.symbol, row.exchange, row.expiry) == ("CRUDEOIL18DEC26FUT", "MCX", "18-DEC-26")

    def test_bse(self):
        rows = self.rows(
            "bse_cm-v1.csv",
            "500112,A,bse_cm,,SBIN,SBIN,,INE1,STATE BANK,5,1,-1,2,-1",
            "1,,bse_cm,,SENSEX,SENSEX,,,SENSEX,-1,1,-1,2,-1",
            "99,,bse_cm,,BSE100,BSE100,,,BSE100,-1,1,-1,2,-1",
            "2,,bse_cm,,,X,,,X,-1,1,-1,2,-1",
        )
        assert [(row.exchange, row.symbol, row.token) for row in rows] == [
            ("BSE", "SBIN", "500112"), ("BSE_INDEX", "SENSEX", "SENSEX"), ("BSE_INDEX", "BSE100", "99")
        ]  # fmt: skip

    def test_rows_that_are_dropped_and_rows_that_are_broken(self):
        good = "1,XX,nse_fo,FUTIDX,NIFTY,NIFTY26NOVFUT,XX,,,10,65,1479997800,2,-1"
        broken = [good.replace("FUTIDX", "OPT").replace("XX,,", ",,"), good.replace("1479997800", "9" * 20),
                  good.replace(",2,-1", ",99,-1"), good.replace("1,XX", "x,XX"), "1,2"]  # fmt: skip
        rows = self.rows("nse_fo.csv", good, good.replace("NIFTY26NOVFUT", ""), *broken, good)
        assert [type(row) for row in rows] == [MasterRow, *[BadRow] * 5, MasterRow]

    def test_the_indices_that_no_file_has(self):
        names = {row.symbol: row.token for row in ADAPTER.fixed_rows}
        assert names["INDIAVIX"] == "INDIA VIX"
        assert not names.keys() & {"NIFTY", "SENSEX"}

    def test_the_list_leads_to_the_files(self):
        instrument = ADAPTER.instrument
        rows = self.rows("nse_cm-v1.csv", "3045,EQ,nse_cm,,SBIN,SBIN-EQ,,INE1,S B I,5,1,-1,2,-1")
        market = StillMarket([instrument(row) for row in rows], rows)
        side = ADAPTER.simulator(market, dict(ADAPTER.simulator.demo_credentials), FixedEnvironment())
        ((name, request),) = ADAPTER.master_files(side.credentials).items()
        listing = side.http(as_received(request))
        files = ADAPTER.linked_files(name, listing.body)
        assert len(files) == 7
        assert list(ADAPTER.parse_master(name, listing.body)) == []
        parsed = []
        for file, link in files.items():
            assert ADAPTER.linked_files(file, b"{}") == {}
            answer = side.http(as_received(link))
            parsed += ADAPTER.parse_master(file, answer.body) if answer.status == 200 else []
        assert parsed == rows

    @pytest.mark.parametrize(
        "data",
        [b"", b"[]", b'{"data":{"filesPaths":[7,"http://x/nse_fo.csv","https://x/readme.txt"]}}'],
    )
    def test_a_list_that_is_none(self, data):
        assert ADAPTER.linked_files("file-paths", data) == {}

    def test_the_list_wants_the_key(self):
        side = ADAPTER.simulator(StillMarket(), dict(ADAPTER.simulator.demo_credentials), FixedEnvironment())
        (request,) = ADAPTER.master_files({}).values()
        assert side.http(as_received(request)).status == 401


@pytest.mark.parametrize("event", ["subscribeExchange", "subscribeHndices", "unsubscribe", "Indices", ""])
def test_the_simulator_passes_over_events_that_subscribe_nothing(event):
    credentials = dict(ADAPTER.simulator.demo_credentials)
    connection = SFeedConnection(ADAPTER.simulator(StillMarket(), credentials, FixedEnvironment()))
    (welcome,) = connection.received(json.dumps({"user": credentials["ucc"], "auth": credentials["sid"]}))
    assert "exchanges" in json.loads(welcome)
    asked = {"event": event, "inputtoken": "nse_cm|Nifty 50", "ack_symbol": True}
    assert connection.received(json.dumps(asked)) == []
