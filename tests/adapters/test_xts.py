"""XTS: what the vectors of its brokers do not show."""

import json
import zlib
from struct import pack

import pytest

from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Cause,
    Change,
    Close,
    Disconnect,
    HttpResponse,
    LoggedIn,
    LoginFailed,
    Malformed,
    OrderUpdate,
    Pace,
    Rejected,
    Reply,
)
from openalgo_ws.conformance import rig
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Level, Mode, Tick, Wish

BROKERS = {
    name: Registry().load(name)
    for name in ("iifl", "jainamxts", "rmoney", "ibulls", "fivepaisaxts", "compositedge")
}
IIFL = BROKERS["iifl"]
MARKET, ORDERS = IIFL.feed("market"), IIFL.feed("orders")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN", "NSECM")
TCS = Instrument("TCS", "NSE", "11536", "TCS", "NSECM")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "26000", "NIFTY 50_26000", "NSE_INDEX")
USDINR = Instrument("USDINR29JAN25FUT", "CDS", "1274", "USDINR25JANFUT", "NSECD")
LTP, QUOTE, FIVE = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
SESSION = {"market_token": "demo.token", "market_user_id": "DEMO01"}
APPS = {"api_key_market": "key", "api_secret_market": "word", "api_key": "key2", "api_secret": "word2"}


def codec(*held, wish=QUOTE, feed=MARKET, credentials=SESSION):
    made = feed.codec(credentials, rig.FixedEnvironment())
    made.change([Change(instrument, None, wish) for instrument in held])
    return made


def answer(body, status=200):
    return HttpResponse(status, json.dumps(body).encode())


def refusal(code, status=400):
    return answer({"type": "error", "code": code, "description": ""}, status)


def event(name, payload):
    return "42" + json.dumps([name, payload if isinstance(payload, str) else json.dumps(payload)])


def calls(sends):
    """Method, code and ids of subscribe calls."""
    return [
        (
            send.method,
            send.json["xtsMessageCode"],
            [one["exchangeInstrumentID"] for one in send.json["instruments"]],
        )
        for send in sends
    ]


def replies(events):
    return [one.send for one in events if isinstance(one, Reply)]


# The socket.


def test_the_client_pings_as_soon_as_it_is_connected_and_at_the_servers_pace():
    made = codec()
    assert made.opened() == []
    assert made.received('0{"sid":"x","pingInterval":20000,"pingTimeout":7000}') == [Pace(20.0, 27.0)]
    assert made.received("40") == [LoggedIn(), Reply("2")]
    assert made.received("3") == [Alive()]
    assert made.heartbeat() == "2"
    assert made.heartbeat() == Close()


@pytest.mark.parametrize(
    "told", ["", "{", "[]", '{"pingInterval":0,"pingTimeout":5000}', '{"pingInterval":25000}']
)
def test_times_that_make_no_sense_are_not_taken(told):
    assert codec().received(f"0{told}") == [Alive()]


@pytest.mark.parametrize("frame", ["41", "1", "6", "3", '42["joined","ok"]', '42["1504-json-full","{}"]'])
def test_what_needs_no_answer(frame):
    assert codec().received(frame) == [Alive()]


def test_a_server_of_the_next_protocol_is_answered():
    assert codec().received("2") == [Reply("3")]


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "5",
        "7",
        "x",
        "4",
        "43[]",
        "46",
        "42",
        "42{}",
        "42[]",
        "42[1]",
        '42["other","x"]',
        '452-["xts-binary-packet"]',
        '451-["other",{}]',
        "451-[",
        "45",
        b"\x04abc",
    ],
)
def test_what_is_no_packet_of_this_protocol_is_one_error(frame):
    (problem,) = codec().received(frame)
    assert isinstance(problem, Malformed)


@pytest.mark.parametrize("frame", ['44"Invalid Token"', '42["error","e-session-0007"]', '42["logout"]'])
def test_a_refused_token_means_a_new_login(frame):
    (failed,) = codec().received(frame)
    assert isinstance(failed, LoginFailed)
    assert failed.verdict.cause is Cause.TOKEN


def test_another_error_ends_the_connection_alone():
    (ended,) = codec().received('42["error","server is restarting"]')
    assert isinstance(ended, Disconnect)
    assert ended.verdict.cause is Cause.TRANSIENT


def test_what_ends_and_refusals_mean():
    made = codec()
    assert made.closed(1006, "").wait == 5.0
    assert made.refused(404, {}, b"").cause is Cause.FATAL
    assert made.refused(400, {}, b"<html>").cause is Cause.FATAL
    assert made.refused(502, {}, b"<html>").cause is Cause.TRANSIENT
    assert made.refused(429, {}, b"").cause is Cause.TOO_MANY


# Subscribing.


def test_fifty_a_call_and_a_change_of_mode_gives_back_first():
    many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}", "NSECM") for n in range(1, 53)]
    made = codec()
    first = made.change([Change(one, None, QUOTE) for one in many])
    assert [len(ids) for _, _, ids in calls(first)] == [50, 2]
    changed = made.change([Change(many[0], QUOTE, FIVE)])
    assert calls(changed) == [("PUT", 1501, [1]), ("POST", 1502, [1])]
    assert made.change([Change(many[0], FIVE, Wish(Mode.DEPTH, 20))]) == []


def test_where_last_prices_are_touchlines_ltp_to_quote_asks_nothing():
    for name in ("rmoney", "jainamxts"):
        made = BROKERS[name].feed("market").codec(SESSION, rig.FixedEnvironment())
        assert calls(made.change([Change(SBIN, None, LTP)])) == [("POST", 1501, [3045])]
        assert made.change([Change(SBIN, LTP, QUOTE)]) == []


def test_a_refused_call_is_made_again_one_by_one_and_held_already_is_success():
    made = codec()
    (call,) = made.change([Change(SBIN, None, QUOTE), Change(TCS, None, QUOTE)])
    events = made.answered(call, refusal("e-session-0002"))
    assert sum(isinstance(one, Rejected) for one in events) == 1
    again = replies(events)
    assert calls(again) == [("POST", 1501, [3045]), ("POST", 1501, [11536])]
    assert made.answered(again[0], refusal("e-session-0002")) == [Alive()]
    (rejected,) = made.answered(again[1], refusal("e-app-001"))
    assert rejected.instruments == (TCS,)


def test_what_is_not_wanted_any_more_is_not_tried_again():
    made = codec()
    (call,) = made.change([Change(SBIN, None, QUOTE), Change(TCS, None, QUOTE)])
    made.change([Change(SBIN, QUOTE, None), Change(TCS, QUOTE, FIVE)])
    assert replies(made.answered(call, refusal("e-session-0002"))) == []


def test_limits_and_tokens_in_answers():
    made = codec()
    (call,) = made.change([Change(SBIN, None, QUOTE)])
    (full,) = made.answered(call, refusal("e-session-0004"))
    assert full.instruments == (SBIN,)
    (failed,) = made.answered(call, refusal("e-session-0007"))
    assert isinstance(failed, LoginFailed)
    assert isinstance(made.answered(call, HttpResponse(200, b"<html>"))[0], Malformed)


@pytest.mark.parametrize("response", [None, HttpResponse(429), HttpResponse(503, b"<html>")])
def test_a_busy_server_is_asked_again_after_the_next_pong(response):
    made = codec()
    (call,) = made.change([Change(SBIN, None, QUOTE), Change(TCS, None, QUOTE)])
    (rejected,) = made.answered(call, response)
    assert rejected.instruments == ()
    made.change([Change(TCS, QUOTE, None)])
    assert calls(replies(made.received("3"))) == [("POST", 1501, [3045])]
    assert replies(made.received("3")) == []


def test_the_answer_to_unsubscribing_may_be_in_an_array():
    made = codec(SBIN)
    (call,) = made.change([Change(SBIN, QUOTE, None)])
    assert made.answered(call, answer([{"type": "success", "code": "s-response-0001"}])) == [Alive()]


def test_a_key_that_cannot_be_asked_for():
    made = codec()
    odd = Instrument("ODD", "NSE", "x1", "ODD", "NSECM")
    double = Instrument("OTHER", "NSE_INDEX", "3045", "OTHER", "NSE_INDEX")
    assert (
        len(made.change([Change(SBIN, None, QUOTE), Change(odd, None, QUOTE), Change(double, None, QUOTE)]))
        == 1
    )
    assert [one.instruments for one in made.received("6") if isinstance(one, Rejected)] == [(odd,), (double,)]


def test_the_other_prefix_can_be_chosen():
    made = codec(credentials={**SESSION, "socket_prefix": "apibinarymarketdata"})
    assert "/apibinarymarketdata/socket.io/?" in made.dial().url
    assert calls(made.change([Change(SBIN, None, LTP)])) == [("POST", 1501, [3045])]


# Events.


def full(code=1501, **fields):
    return event(f"{code}-json-full", {"ExchangeSegment": 1, "ExchangeInstrumentID": 3045, **fields})


def test_an_index_is_known_by_what_was_subscribed():
    made = codec(NIFTY)
    (tick,) = made.received(full(ExchangeInstrumentID="26000", LastTradedPrice=25000.126))
    assert (tick.instrument, tick.ltp) == (NIFTY, 25000.13)
    assert made.received(full()) == []


def test_a_currency_has_four_decimals_and_the_right_spelling_counts_too():
    (tick,) = codec(USDINR).received(
        full(ExchangeSegment=3, ExchangeInstrumentID=1274, LastTradedPrice=84.55254, LastTradedQuantity=7)
    )
    assert (tick.ltp, tick.last_trade_quantity) == (84.5525, 7)


def test_the_time_of_an_update_stands_in_for_that_of_the_exchange():
    (tick,) = codec(SBIN).received(full(ExchangeTimeStamp=0, Touchline={"LastUpdateTime": 1397650179}))
    assert tick.exchange_timestamp == 1_713_163_179_000
    assert tick.ltt is None


def test_a_lone_level_is_a_side():
    row = {"Size": 1, "Price": 2.5, "TotalOrders": 3}
    (tick,) = codec(SBIN, wish=FIVE).received(full(1502, Bids=row, Asks=[]))
    assert (tick.depth.buy, tick.depth.sell) == ([Level(2.5, 1, 3)], [])


@pytest.mark.parametrize(
    "frame",
    [
        event("1501-json-full", "[]"),
        event("1501-json-full", {"ExchangeSegment": 1}),
        full(LastTradedPrice="x"),
        full(ExchangeInstrumentID="x"),
        full(1502, Bids=[]),
        event("1501-json-partial", "ltp:1"),
        event("1501-json-partial", "t:1_3045,ltp"),
        event("1501-json-partial", "t:1_3045,ltp:x"),
        event("1502-json-partial", "t:1_3045,bi:0|1|2"),
        event("1502-json-partial", "t:1_3045,bi:999999999|1|2|3"),
        '42["1501-json-partial",{}]',
        '42["1501-json-full"]',
    ],
)
def test_a_broken_event_is_one_error_and_changes_nothing(frame):
    made = codec(SBIN)
    made.received(event("1501-json-partial", "t:1_3045,ltp:800,v:10"))
    (problem,) = made.received(frame)
    assert isinstance(problem, Malformed)
    (tick,) = made.received(event("1501-json-partial", "t:1_3045,v:11"))
    assert (tick.ltp, tick.volume) == (800.0, 11)


def test_changes_are_merged_into_what_the_same_code_has_said():
    made = codec(SBIN, wish=FIVE)
    row = {"Size": 10, "Price": 800.0, "TotalOrders": 2}
    (first,) = made.received(full(1502, Bids=[row], Asks=[row], Touchline={"LastTradedPrice": 800.0}))
    (second,) = made.received(
        event("1502-json-partial", "t:1_3045,bi:0||799.95||2|5|799.9|1,ltp:799.95,lut:0")
    )
    assert second.depth.buy == [Level(799.95, 10, 2), Level(0.0, 0, 0), Level(799.9, 5, 1)]
    assert second.depth.sell == first.depth.sell
    assert first.depth.buy == [Level(800.0, 10, 2)]
    (other,) = made.received(event("1501-json-partial", "t:1_3045,v:5"))
    assert (other.ltp, other.volume, other.depth) == (None, 5, None)


def test_open_interest_and_prices_have_their_own_keys():
    made = codec(SBIN)
    (interest,) = made.received(event("1510-json-partial", "t:1_3045,o:77"))
    assert (interest.oi, interest.open) == (77, None)
    (price,) = made.received(event("1512-json-partial", "t:1_3045,ltp:5,o:3,ltq:1"))
    assert (price.kind, price.ltp, price.open) == (Mode.LTP, 5.0, None)


def test_an_object_instead_of_text_is_read():
    (tick,) = codec(SBIN).received(
        '42["1512-json-full",{"ExchangeSegment":1,"ExchangeInstrumentID":3045,"LastTradedPrice":5}]'
    )
    assert (tick.kind, tick.ltp) == (Mode.LTP, 5.0)


# Packets.


def packet(body, code=1510, flag=0, size=None):
    head = pack("<BHhihhH", flag, code, 1, 3045, 1, 1, len(body) if size is None else size)
    if flag == 1:
        deflater = zlib.compressobj(wbits=-15)
        body = deflater.compress(body) + deflater.flush()
        head += pack("<H", len(body))
    return head + body


def interest(value, version=4, width="i"):
    return pack(f"<HHHQQihiQh{width}hqb{width}", 1510, version, 0, 0, 0, 0, 1, 3045, 0, 1, value, 0, 0, 0, 0)


def attached(*packets):
    made = codec(SBIN)
    assert made.received('451-["xts-binary-packet",{"_placeholder":true,"num":0}]') == []
    return made.received(b"\x04" + b"".join(packets))


def test_plain_has_two_flags_and_both_widths_are_read():
    assert [tick.oi for tick in attached(packet(interest(7)), packet(interest(8, width="q"), flag=2))] == [
        7,
        8,
    ]


def test_a_bad_packet_does_not_hurt_its_neighbours():
    good = packet(interest(7), flag=1)
    bad = [
        packet(interest(1, version=3)),
        packet(interest(1) + b"\0"),
        packet(b"", code=1502),
        packet(interest(1), code=1512),
        packet(interest(1), flag=1, size=9),
    ]
    for one in bad:
        events = attached(good, one, good)
        assert [type(found) for found in events] == [Tick, Malformed, Tick]


@pytest.mark.parametrize("data", [b"\0\1", packet(interest(1))[:-1], packet(interest(1), flag=3)])
def test_where_the_end_is_not_known_reading_stops(data):
    good = packet(interest(7))
    assert [type(found) for found in attached(good, data)] == [Tick, Malformed]


def test_an_attachment_without_packets_is_an_error():
    (problem,) = attached()
    assert isinstance(problem, Malformed)


def test_codes_of_no_use_are_passed_over():
    assert attached(packet(b"anything", code=1505)) == []


# Logins.


def log_in(name, answers, feed="market", credentials=APPS):
    adapter = BROKERS[name]
    asked, waiting = [], iter(answers)

    def respond(request):
        asked.append(request)
        return next(waiting)

    found = rig.authorise(adapter.feed(feed).authorise, credentials, rig.FixedEnvironment(), respond)
    return found, asked


GOOD = answer({"type": "success", "result": {"token": "t", "userID": "u"}})


@pytest.mark.parametrize(
    ("response", "cause"),
    [
        (None, Cause.TRANSIENT),
        (HttpResponse(503), Cause.TRANSIENT),
        (HttpResponse(429), Cause.TOO_MANY),
        (HttpResponse(404, b"<html>"), Cause.FATAL),
        (HttpResponse(200, b"<html>"), Cause.FATAL),
        (refusal("e-auth-0001"), Cause.TOKEN),
        (refusal("e-auth-0001", 200), Cause.TOKEN),
        (answer({"type": "success", "result": {}}), Cause.TRANSIENT),
    ],
)
def test_what_a_failed_login_means(response, cause):
    with pytest.raises(AuthoriseFailed) as failed:
        log_in("iifl", [response])
    assert failed.value.verdict.cause is cause


def test_the_second_prefix_of_a_login():
    found, asked = log_in("fivepaisaxts", [HttpResponse(404), GOOD])
    assert found["market_token"] == "t"
    assert [request.url.split("/")[3] for request in asked] == ["apimarketdata", "apibinarymarketdata"]


def test_prefixes_of_calls_and_socket():
    _, asked = log_in("ibulls", [GOOD])
    assert "/apibinarymarketdata/" in asked[0].url
    dial = BROKERS["ibulls"].feed("market").codec(SESSION, rig.FixedEnvironment()).dial()
    assert "/apimarketdata/socket.io/" in dial.url


def test_a_session_that_trades_is_not_ended_by_a_login():
    stored = {**APPS, "interactive_token": "it", "market_user_id": "u"}
    for name in ("iifl", "rmoney", "compositedge"):
        found, asked = log_in(name, [], "orders", stored)
        assert (found["interactive_token"], found["interactive_user_id"], asked) == ("it", "u", [])


def test_interactive_logins_differ():
    _, (usual,) = log_in("iifl", [GOOD], "orders")
    assert usual.json == {"appKey": "key2", "secretKey": "word2", "source": "WebAPI"}
    _, (browser,) = log_in("jainamxts", [GOOD], "orders", {**APPS, "interactive_access_token": "a"})
    assert browser.url == "https://jtrade.jainam.in:5000/interactive/user/session"
    assert browser.json == {"appKey": "key2", "secretKey": "word2", "accessToken": "a"}
    with pytest.raises(AuthoriseFailed):
        log_in("iifl", [], "orders", {"api_key_market": "key"})


def test_rmoney_looks_up_its_host_and_trusts_no_other():
    place = {"connectionString": "https://xts.rmoneyindia.co.in:3000/interactive", "uniqueKey": "k"}
    _, (_, login) = log_in("rmoney", [answer({"result": place}), GOOD], "orders")
    assert login.url == "https://xts.rmoneyindia.co.in:3000/interactive/user/session"
    assert login.json["uniqueKey"] == "k"
    with pytest.raises(AuthoriseFailed):
        log_in("rmoney", [answer({"result": {**place, "connectionString": "https://example.org"}})], "orders")


def test_the_platforms_row():
    row = AuthRow(name="u", auth="trading", feed_token="market", user_id="U1")
    env = {
        "BROKER_API_KEY": "a",
        "BROKER_API_SECRET": "b",
        "BROKER_API_KEY_MARKET": "c",
        "BROKER_API_SECRET_MARKET": "d",
    }
    assert IIFL.from_row(row, env) == {
        "api_key": "a",
        "api_secret": "b",
        "api_key_market": "c",
        "api_secret_market": "d",
        "market_token": "market",
        "market_user_id": "U1",
        "interactive_token": "trading",
    }


# Orders.

ORDER = {
    "AppOrderID": 1110039096,
    "ExchangeSegment": "NSECM",
    "ExchangeInstrumentID": 3045,
    "OrderSide": "BUY",
    "OrderQuantity": 10,
    "OrderPrice": 800,
    "OrderType": "StopLimit",
    "OrderStopPrice": 799.5,
    "ProductType": "MIS",
    "CumulativeQuantity": 0,
    "LeavesQuantity": 10,
    "OrderAverageTradedPrice": "",
    "OrderStatus": "New",
    "CancelRejectReason": "",
}


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, "trigger pending"),
        ({"CumulativeQuantity": 1}, "open"),
        ({"OrderStopPrice": 0}, "open"),
        ({"OrderStatus": "PendingReplace"}, "open"),
        ({"OrderStatus": "Filled"}, "complete"),
        ({"OrderStatus": "Cancelled"}, "cancelled"),
    ],
)
@pytest.mark.parametrize("name", ["order", "trade"])
def test_states_of_an_order(name, changed, status):
    (update,) = codec(feed=ORDERS).received(event(name, {**ORDER, **changed}))
    assert isinstance(update, OrderUpdate)
    assert (update.order.order_status, update.order.pricetype, update.token) == (status, "SL", "3045")
    assert (update.order.orderid, update.order.exchange, update.order.average_price) == (
        "1110039096",
        "NSE",
        0.0,
    )


@pytest.mark.parametrize("payload", ["x", "[]", "{}", '{"AppOrderID":1}'])
def test_an_order_that_cannot_be_read(payload):
    (problem,) = codec(feed=ORDERS).received(event("order", payload))
    assert isinstance(problem, Malformed)


# The master, and the broker's side.


def test_rows_of_a_master():
    head = "|1|8|SENSEX|SENSEX|SPOT|SENSEX|1|0|0|0|0.01|1|1|SENSEX|||||||"
    answer_ = json.dumps(
        {"result": f"BSECM{head}\nNSECM|1\nNSECO{head}\nBSECM{head.replace('|1|8', '|x|8')}"}
    )
    index, short, token = IIFL.parse_master("BSECM", answer_.encode())
    assert (index.exchange, index.symbol, index.token, index.brexchange) == (
        "BSE_INDEX",
        "SENSEX",
        "1",
        "BSECM",
    )
    assert (short.line, token.line) == (2, 4)
    assert all(isinstance(one, BadRow) for one in (short, token))


def test_names_of_indices():
    listed = {"exchangeSegment": 11, "indexList": ["SNSX50_5", "BSE  IT_7", "A_B_9", "x"]}
    rows = list(IIFL.parse_master("indexlist", json.dumps({"result": listed}).encode()))
    assert [row.symbol for row in rows[:3]] == ["SENSEX50", "BSEINFORMATIONTECHNOLOGY", "A_B"]
    assert isinstance(rows[3], BadRow)


def test_subscriptions_outlive_the_socket_and_end_with_the_login():
    market = rig.StillMarket([SBIN, TCS])
    first = Loopback(IIFL, MARKET, market)
    first.subscribe([(SBIN, QUOTE), (TCS, QUOTE)])
    side = first.side
    again = MARKET.codec({**SESSION, "market_token": side.market_token}, rig.FixedEnvironment())
    (call,) = again.change([Change(SBIN, None, QUOTE)])
    assert json.loads(first._answer(call).body)["code"] == "e-session-0002"
    second = Loopback(IIFL, MARKET, market, side=side)
    assert side.push()[0][1][0] == '42["logout"]'
    assert second.connection.held() == 0
    assert first.connection.ticks([market.last(SBIN)]) == []


def test_the_simulator_counts_subscriptions():
    many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}", "NSECM") for n in range(1, 53)]
    loop = Loopback(IIFL, MARKET, rig.StillMarket(many))
    events = loop.subscribe([(one, QUOTE) for one in many])
    (rejected,) = [one for one in events if isinstance(one, Rejected)]
    assert len(rejected.instruments) == 2
