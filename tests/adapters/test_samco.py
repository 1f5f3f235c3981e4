"""Samco: what the vectors do not show."""

import json

import pytest

from openalgo_ws.adapter import (
    Accepted,
    Alive,
    AuthRow,
    BadRow,
    Change,
    Disconnect,
    HttpRequest,
    HttpResponse,
    Malformed,
    Refused,
    Rejected,
    Reply,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Wish

SAMCO = Registry().load("samco")
FEED = SAMCO.feed("stream")
SBIN = Instrument("SBIN", "NSE", "3045_NSE", "SBIN-EQ", "NSE")
TCS = Instrument("TCS", "BSE", "532540_BSE", "TCS", "BSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "NIFTY_50", "NIFTY 50", "NSE")
LTP, QUOTE, FIVE = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
DEMO = dict(SAMCO.simulator.demo_credentials)
UTC_0817 = 1_765_268_272_000


def codec(*held, wish=QUOTE):
    made = FEED.codec(DEMO, FixedEnvironment())
    made.change([Change(instrument, None, wish) for instrument in held])
    return made


def asked(frame):
    assert frame.endswith("\n")
    request = json.loads(frame)["request"]
    keys = [entry["symbol"] for entry in request["data"]["symbols"]]
    return request["request_type"], request["streaming_type"], keys


def sent(made, *changes):
    return [asked(frame) for frame in made.change([Change(*change) for change in changes])]


def quote(**values):
    return json.dumps({"sym": "3045_NSE", "streaming_type": "quote", **values})


def book(kind="quote2", **values):
    return json.dumps({"response": {"data": {"symbol": "3045_NSE", **values}, "streaming_type": kind}})


class TestChange:
    def test_a_subscription_states_the_whole_set(self):
        assert sent(codec(SBIN), (TCS, None, LTP)) == [("subscribe", "quote", ["3045_NSE", "532540_BSE"])]

    def test_what_is_dropped_is_unsubscribed_and_the_rest_stated_anew(self):
        assert sent(codec(SBIN, TCS), (SBIN, QUOTE, None)) == [
            ("unsubscribe", "quote", ["3045_NSE"]),
            ("subscribe", "quote", ["532540_BSE"]),
        ]

    def test_a_change_of_mode_adds_or_drops_the_book(self):
        made = codec(SBIN)
        assert sent(made, (SBIN, QUOTE, FIVE)) == [("subscribe", "quote2", ["3045_NSE"])]
        assert sent(made, (SBIN, FIVE, LTP)) == [("unsubscribe", "quote2", ["3045_NSE"])]
        assert sent(made, (SBIN, LTP, QUOTE)) == []

    @pytest.mark.parametrize(
        ("exchange", "token"),
        [("BCD", "1_BCD"), ("NSE", ""), ("NSE", "3045"), ("NSE", "-21"), ("NSE", "1 2_NSE"), ("NYSE", "-1")],
    )
    def test_what_the_broker_does_not_have_is_refused(self, exchange, token):
        made = codec()
        assert sent(made, (Instrument("ODD", exchange, token, "", ""), None, LTP)) == []
        assert [type(event) for event in made.received("")] == [Rejected]

    def test_two_instruments_with_one_key(self):
        made = codec(SBIN)
        other = Instrument("SBIN", "BSE", "3045_NSE", "", "")
        assert sent(made, (other, None, FIVE)) == []
        assert sent(made, (other, FIVE, None)) == []
        first, tick = made.received(quote(ltp="1"))
        assert isinstance(first, Rejected)
        assert tick.instrument is SBIN


class TestListing:
    def answer(self, listing):
        return HttpResponse(200, json.dumps({"indexDetails": [{"listingId": listing}]}).encode())

    def question(self, made, wish=QUOTE):
        (request,) = made.change([Change(NIFTY, None, wish)])
        assert isinstance(request, HttpRequest)
        return request

    def test_the_id_of_an_index_is_asked_for_once(self):
        made = codec()
        request = self.question(made, FIVE)
        assert request.url == "https://tradeapi.samco.in/quote/indexQuote?indexName=NIFTY%2050"
        assert request.headers == {"x-session-token": DEMO["session_token"], "Accept": "application/json"}
        replies = made.answered(request, self.answer("-21"))
        assert [asked(reply.send)[1:] for reply in replies if isinstance(reply, Reply)] == [
            ("quote2", ["-21"]),
            ("quote", ["-21"]),
        ]
        (tick,) = made.received(quote(sym="-21", ltp="1"))
        assert tick.instrument is NIFTY
        assert sent(made, (NIFTY, FIVE, None)) == [
            ("unsubscribe", "quote2", ["-21"]),
            ("unsubscribe", "quote", ["-21"]),
        ]
        assert sent(made, (NIFTY, None, LTP)) == [("subscribe", "quote", ["-21"])]

    def test_what_is_wanted_when_the_answer_comes_counts(self):
        made = codec()
        request = self.question(made)
        assert made.change([Change(NIFTY, QUOTE, FIVE)]) == []
        assert len(made.answered(request, self.answer(-21))) == 2
        made = codec()
        request = self.question(made)
        assert made.change([Change(NIFTY, QUOTE, None)]) == []
        assert made.answered(request, self.answer("-21")) == []

    @pytest.mark.parametrize(
        "response",
        [
            None,
            HttpResponse(401, b'{"status":"Failure"}'),
            HttpResponse(500, b'{"indexDetails":[{"listingId":"-21"}]}'),
            HttpResponse(200, b"<html>"),
            HttpResponse(200, b'{"indexDetails":[]}'),
            HttpResponse(200, b'{"indexDetails":[{"listingId":"21"}]}'),
            HttpResponse(200, b'{"indexDetails":["-21"]}'),
        ],
    )
    def test_no_id(self, response):
        made = codec()
        (event,) = made.answered(self.question(made), response)
        assert isinstance(event, Rejected)
        assert event.instruments == (NIFTY,)
        # Asked for again, it is looked up again.
        self.question(made)


class TestReceived:
    @pytest.mark.parametrize(
        "piece",
        [
            "{",
            "[]",
            "1",
            "null",
            "[" * 5000,
            '{"streaming_type":"quote","ltp":"1"}',
            '{"streaming_type":"quote","sym":""}',
            '{"streaming_type":"quote","sym":[]}',
            '{"response":{"streaming_type":"quote2"}}',
            '{"response":{"streaming_type":"quote2","data":[]}}',
            '{"response":{"streaming_type":"marketDepth","data":{}}}',
            b"\xff",
            b'{"x":"\xff"}',
            "\ud800",
        ],
    )
    def test_one_error_each(self, piece):
        assert [type(event) for event in codec(SBIN).received(piece)] == [Malformed]

    @pytest.mark.parametrize(
        "piece",
        ["{}", '{"status":"Success"}', '{"streaming_type":"greeks","sym":"3045_NSE"}', '{"response":1}'],
    )
    def test_other_objects_are_no_error(self, piece):
        assert codec(SBIN).received(piece) == [Alive()]

    @pytest.mark.parametrize("piece", ['{"error":"no"}', '{"error":{}}', '{"status":"failure"}'])
    def test_failures(self, piece):
        assert [type(event) for event in codec(SBIN).received(piece)] == [Rejected]

    def test_the_end_of_the_session(self):
        (event,) = codec().received('{"status":"Failure","statusMessage":"Invalid Session Token"}')
        assert isinstance(event, Disconnect)
        assert event.verdict.cause is Cause.TOKEN

    def test_pieces_of_a_message_count_each_by_itself(self):
        frame = "\r\n" + quote(ltp="1") + "\r\n{\n" + quote(ltp="2") + "\n"
        first, bad, second = codec(SBIN).received(frame.encode())
        assert (first.ltp, second.ltp) == (1.0, 2.0)
        assert isinstance(bad, Malformed)

    @pytest.mark.parametrize("value", ["", None, "N/A", "-", "1_0", "nan", "inf", "1e999", [], {}, True])
    def test_what_is_no_number_leaves_the_old_one(self, value):
        made = codec(SBIN)
        made.received(quote(ltp="1.5", vol="7", oI="2"))
        (tick,) = made.received(quote(ltp=value, vol=value, oI=value))
        assert (tick.ltp, tick.volume, tick.oi) == (1.5, 7, 2)

    @pytest.mark.parametrize(
        ("value", "count"),
        [("1,204", 1204), ("7.9", 7), (8, 8), ("1.5E3", 1500), ("0", 0), (2.0, 2), ("9" * 18, 10**18 - 1)],
    )
    def test_numbers(self, value, count):
        (tick,) = codec(SBIN).received(quote(vol=value))
        assert tick.volume == count

    def test_kinds(self):
        made = codec(SBIN, wish=FIVE)
        assert made.received(quote()) == []
        assert [
            made.received(frame)[0].kind for frame in (quote(ltp="1"), quote(c="1"), book(bidValues=[]))
        ] == [
            Mode.LTP,
            Mode.QUOTE,
            Mode.DEPTH,
        ]

    def test_a_side_that_is_there_replaces_and_one_that_is_not_stays(self):
        made = codec(SBIN, wish=FIVE)
        level = {"no": "3", "price": "10.05", "qty": "4"}
        made.received(book(bidValues=[level], askValues=[level]))
        (tick,) = made.received(book("marketDepth", bidValues=[], askValues=None))
        assert tick.depth == Depth([], [Level(10.05, 4, 3)])

    def test_levels(self):
        rows = [{"price": "0", "qty": "0"}, {"price": "1", "qty": "2"}, {"price": "x"}, 7, {"price": "1"}]
        (tick,) = codec(SBIN, wish=FIVE).received(book(bidValues=rows, askValues=rows * 2))
        assert tick.depth == Depth([Level(1.0, 2)], [Level(1.0, 2)])

    def test_no_book_after_it_was_given_back(self):
        made = codec(SBIN, wish=FIVE)
        made.received(book(bidValues=[{"price": "1", "qty": "2"}]))
        made.change([Change(SBIN, FIVE, QUOTE)])
        assert made.received(book(bidValues=[])) == []
        assert made.received(quote(c="1"))[0].kind is Mode.QUOTE

    def test_nothing_is_remembered_beyond_a_subscription(self):
        made = codec(SBIN)
        made.received(quote(ltp="1", o="2"))
        made.change([Change(SBIN, QUOTE, None), Change(SBIN, None, QUOTE)])
        (tick,) = made.received(quote(ltp="3"))
        assert tick.open is None

    @pytest.mark.parametrize(
        ("values", "ltt"),
        [
            ({"lttUTC": "09 Dec 2025, 08:17:52 AM", "ltt": "09 Dec 2025, 11:11:11 AM"}, UTC_0817),
            ({"lttUTC": "soon", "ltt": "09 Dec 2025, 01:47:52 PM"}, UTC_0817),
            ({"lTrdT": "09 Dec 2025, 01:47:52 PM"}, UTC_0817),
            ({"lttUTC": "09/12/2025 08:17:52"}, UTC_0817),
            ({"ltt": "09/12/2025 13:47:52"}, UTC_0817),
            ({"lttUTC": "09 Dec 2025, 12:00:00 AM"}, 1_765_238_400_000),
            ({"lttUTC": "09 Dec 2025, 12:00:00 PM"}, 1_765_281_600_000),
            ({"lttUTC": "09 Foo 2025, 08:17:52 AM", "ltt": "31/02/2025 00:00:00", "lTrdT": 5}, None),
            ({"lttUTC": "09 Dec 2025, 13:17:52 PM"}, None),
        ],
    )
    def test_times(self, values, ltt):
        (tick,) = codec(SBIN).received(quote(ltp="1", **values))
        assert (tick.ltt, tick.exchange_timestamp) == (ltt, None)


class TestMaster:
    HEADER = (
        "exchange,exchangeSegment,symbolCode,tradingSymbol,name,lastPrice,instrument,lotSize,strikePrice,"
        "expiryDate,tickSize"
    )

    def row(self, line, header=HEADER):
        (row,) = SAMCO.parse_master("ScripMaster.csv", f"{header}\n{line}\n".encode())
        return row

    @pytest.mark.parametrize(
        ("text", "expiry"),
        [
            ("2025-12-30", "30-DEC-25"),
            ("30-12-2025", "30-DEC-25"),
            ("30/12/2025", "30-DEC-25"),
            ("30/12/25", "30-DEC-25"),
            ("32/12/30", "30-DEC-32"),
            ("30DEC2025", "30-DEC-25"),
            ("30dec25", "30-DEC-25"),
            ("20121030", "30-OCT-12"),
            ("30-Dec-2025", "30-DEC-25"),
            ("30-Dec-25", "30-DEC-25"),
        ],
    )
    def test_expiries(self, text, expiry):
        assert self.row(f"NFO,,1_NFO,XFUT,X,,FUTIDX,,,{text},").expiry == expiry

    @pytest.mark.parametrize("text", ["", "soon", "32/13/30", "20251330"])
    def test_derivatives_need_one(self, text):
        assert isinstance(self.row(f"NFO,,1_NFO,XFUT,X,,FUTIDX,,,{text},"), BadRow)

    @pytest.mark.parametrize(
        ("brsymbol", "kind", "symbol", "ours"),
        [
            ("SENSEX25DEC80000CE", "IO", "SENSEX30DEC2580000CE", "CE"),
            ("SENSEX25DECFUT", "IF", "SENSEX30DEC25FUT", "FUT"),
            ("SENSEX25DEC", "FUTIDX", "SENSEX30DEC25FUT", "FUT"),
        ],
    )
    def test_what_bse_derivatives_are_stands_in_their_symbol(self, brsymbol, kind, symbol, ours):
        row = self.row(f"BFO,,1_BFO,{brsymbol},SENSEX,,{kind},20,80000,2025-12-30,")
        assert (row.symbol, row.instrumenttype, row.tick_size) == (symbol, ours, 0.05)

    def test_a_share_whose_name_ends_like_an_option(self):
        row = self.row("NSE,,2885_NSE,RELIANCE-BE,RELIANCE,,EQ,,-1,,")
        assert (row.symbol, row.instrumenttype, row.lotsize, row.strike) == ("RELIANCE", "EQ", 1, 0.0)

    def test_the_columns_of_older_files(self):
        header = "Exchange,Symbol Code,Trading Symbol,Symbol Name,Instrument,lotSize,strikePrice,expiryDate"
        row = self.row("MFO,1_MFO,X25DECFUT,X,FUTCOM,10,,2025-12-30", header)
        assert (row.exchange, row.brexchange, row.symbol) == ("MCX", "MFO", "X30DEC25FUT")

    def test_an_index_in_the_file(self):
        row = self.row("NSE,,X,NIFTY BANK,NIFTY BANK,,INDEX,,,,")
        assert (row.exchange, row.symbol) == ("NSE_INDEX", "BANKNIFTY")

    def test_the_table_of_indices(self):
        by_name = {(row.exchange, row.symbol): row for row in SAMCO.fixed_rows}
        assert len(by_name) == len(SAMCO.fixed_rows) == 68
        row = by_name["BSE_INDEX", "SENSEX50"]
        assert (row.brsymbol, row.token, row.brexchange, row.instrumenttype) == (
            "SNSX50",
            "SNSX50",
            "BSE",
            "INDEX",
        )


def test_a_stored_token_may_be_percent_encoded():
    assert SAMCO.from_row(AuthRow(name="x", auth="a%2Fb%3D"), {}) == {"session_token": "a/b="}


class TestSimulator:
    def connection(self, side=SAMCO.simulator):
        made = side(StillMarket([SBIN, TCS, NIFTY]), dict(DEMO), FixedEnvironment())
        accepted = made.accept(
            Upgrade("stream.samco.in", "/", {}, {"x-session-token": DEMO["session_token"]})
        )
        assert isinstance(accepted, Accepted)
        return accepted.connection

    def request(self, *keys):
        (frame,) = codec().change([Change(one, None, QUOTE) for one in keys])
        return frame

    def test_nothing_happens_before_the_newline(self):
        connection, frame = self.connection(), self.request(SBIN)
        assert connection.received(frame[:-1]) == []
        assert connection.held() == 0
        assert len(connection.received("\n")) == 1
        assert connection.held() == 1

    def test_a_subscription_adds_or_replaces(self):
        class Replacing(SAMCO.simulator):
            replaces = True

        for side, held in ((SAMCO.simulator, 2), (Replacing, 1)):
            connection = self.connection(side)
            connection.received(self.request(SBIN))
            connection.received(self.request(TCS))
            assert connection.held() == held

    def test_the_codec_keeps_all_of_them_under_either_meaning(self):
        class Replacing(SAMCO.simulator):
            replaces = True

        for side in (SAMCO.simulator, Replacing):
            connection, made = self.connection(side), codec()
            for changes in (
                [Change(SBIN, None, FIVE)],
                [Change(TCS, None, QUOTE)],
                [Change(SBIN, FIVE, QUOTE)],
                [Change(TCS, QUOTE, FIVE)],
            ):
                for frame in made.change(changes):
                    connection.received(frame)
            assert connection.held() == 2
            frames = connection.ticks([StillMarket([SBIN, TCS]).last(one) for one in (SBIN, TCS)])
            assert len(frames) == 3

    def test_the_index_is_found_by_its_name_with_the_token_alone(self):
        side = SAMCO.simulator(StillMarket([NIFTY]), dict(DEMO), FixedEnvironment())
        (request,) = codec().change([Change(NIFTY, None, LTP)])
        assert b'"listingId": "-21"' in side.http(request).body
        assert side.http(HttpRequest(method="GET", url=request.url)).status == 401

    def test_no_token_no_connection(self):
        side = SAMCO.simulator(StillMarket(), dict(DEMO), FixedEnvironment())
        assert side.accept(Upgrade("stream.samco.in", "/", {}, {})) == Refused(401)
