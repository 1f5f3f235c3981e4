"""IIFL Capital: what its vectors and the tests of all adapters do not show."""

import base64
import json
from struct import pack, pack_into

import pytest

from openalgo_adapters._mqtt import server
from openalgo_adapters._mqtt.packets import DISCONNECT, PINGREQ, connect, puback
from openalgo_adapters.iiflcapital.login import user_name
from openalgo_adapters.iiflcapital.topics import cost
from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Change,
    Close,
    Disconnect,
    HttpResponse,
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
from openalgo_ws.conformance import rig
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

ADAPTER = Registry().load("iiflcapital")
MARKET, ORDERS = ADAPTER.feed("market"), ADAPTER.feed("orders")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSEEQ")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "999920000", "NIFTY 50", "NSEEQ")
FUTURE = Instrument("NIFTY27OCT26FUT", "NFO", "52175", "NIFTY26OCTFUT", "NSEFO")
SPOT = Instrument("STEEL27OCT26FUT", "MCX", "9", "STEEL26OCTFUT", "NCDEXCOMM")
LTP, QUOTE, FULL = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)


def token(claims):
    return f"h.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.s"


LOGIN = {"user_session": token({"preferred_username": "FAKE1"}), "client_id": "FAKE9"}


def codec(*held, wish=QUOTE, feed=MARKET):
    result = feed.codec(LOGIN, FixedEnvironment())
    if held:
        result.change([Change(instrument, None, wish) for instrument in held])
    return result


def requests(sends):
    """What was asked of a server: its kind, its identifier and its topics."""
    found = []
    for send in sends:
        ((first, body),) = server.ServerReader().feed(send)
        found.append((first, *server.read_topics(body, with_qos=first == 0x82)))
    return found


def watch(ltp=10_000, divisor=100, close=0, ltt=0, length=188):
    packet = bytearray(length)
    pack_into("<i", packet, 0, ltp)
    pack_into("<i", packet, 24, close)
    pack_into("<ii", packet, 58, divisor, ltt)
    return bytes(packet)


def told(what, where, payload):
    return server.publication(f"prod/marketfeed/{what}/v1/{where}", payload)


class TestLogin:
    def test_the_address_is_a_stream_and_nothing_shows_the_login(self):
        made = codec()
        assert made.dial().url == "tls://bridge.iiflcapital.com:8883"
        assert LOGIN["user_session"] not in repr(made) + repr(made.dial())

    def test_the_name_is_a_claim_of_the_token_and_the_identifier_is_new(self):
        environment = FixedEnvironment()
        logins = []
        for _ in range(2):
            (sent,) = MARKET.codec(LOGIN, environment).opened()
            ((_, body),) = server.ServerReader().feed(sent)
            logins.append(server.read_login(body))
        assert {login.user for login in logins} == {"FAKE1"}
        assert {login.password for login in logins} == {f"OPENID~~{LOGIN['user_session']}~"}
        assert len({login.client for login in logins}) == 2
        assert all(len(login.client) <= 23 and login.client.isalnum() for login in logins)

    @pytest.mark.parametrize(
        "session",
        [
            "",
            "x",
            "a.b.c",
            "a.é.c",
            "a.////.c",
            token([]),
            token({}),
            token({"preferred_username": 7}),
            "a" * 9999,
        ],
    )
    def test_a_token_without_the_claim_has_no_name(self, session):
        assert user_name(session) == ""

    @pytest.mark.parametrize(
        ("code", "cause"),
        [(1, "fatal"), (2, "transient"), (3, "transient"), (4, "token"), (5, "token"), (9, "transient")],
    )
    def test_every_refusal_has_its_cause(self, code, cause):
        (event,) = codec().received(server.connack(code))
        assert isinstance(event, LoginFailed)
        assert event.verdict.cause is Cause(cause)

    def test_orders_are_asked_for_after_the_login_is_through(self):
        logged_in, reply = codec(feed=ORDERS).received(server.connack(0))
        assert isinstance(logged_in, LoggedIn)
        assert requests([reply.send]) == [(0x82, 1, ["prod/updates/order/v1/FAKE9"])]
        assert codec().received(server.connack(0)) == [LoggedIn()]

    def steps(self, answer):
        return rig.authorise(
            ORDERS.authorise, {"user_session": "s"}, FixedEnvironment(), lambda request: answer
        )

    def test_the_profile_names_the_client(self):
        answer = HttpResponse(200, b'{"result":{"clientId":"C1"}}')
        assert self.steps(answer) == {"user_session": "s", "client_id": "C1"}

    @pytest.mark.parametrize(
        ("answer", "cause"),
        [
            (None, "transient"),
            (HttpResponse(401), "token"),
            (HttpResponse(429), "too_many"),
            (HttpResponse(500), "transient"),
            (HttpResponse(200, b'{"result":[]}'), "transient"),
            (HttpResponse(200, b'{"result":{"clientId":"#/+"}}'), "transient"),
        ],
    )
    def test_or_the_login_ends(self, answer, cause):
        with pytest.raises(AuthoriseFailed) as caught:
            self.steps(answer)
        assert caught.value.verdict.cause is Cause(cause)


class TestChange:
    def test_a_richer_mode_adds_the_open_interest_and_a_poorer_one_gives_it_up(self):
        made = codec(FUTURE, SBIN, wish=LTP)
        oi = ["prod/marketfeed/oi/v1/nsefo/52175"]
        sends = made.change([Change(FUTURE, LTP, FULL), Change(SBIN, LTP, FULL)])
        assert requests(sends) == [(0x82, 2, oi)]
        assert made.change([Change(FUTURE, FULL, QUOTE)]) == []
        assert requests(made.change([Change(FUTURE, QUOTE, LTP)])) == [(0xA2, 3, oi)]

    def test_a_request_holds_1024_topics_and_identifiers_go_on(self):
        many = [Instrument(f"F{n}", "NFO", str(n), f"F{n}", "NSEFO") for n in range(600)]
        sends = requests(codec().change([Change(one, None, QUOTE) for one in many]))
        assert [(identifier, len(topics)) for _, identifier, topics in sends] == [(1, 1024), (2, 176)]

    def test_identifiers_begin_anew_at_one(self):
        made = codec()
        for _ in range(32_767):
            made.change([Change(SBIN, None, LTP)])
            made.change([Change(SBIN, LTP, None)])
        first, second = requests(
            made.change([Change(SBIN, None, LTP)]) + made.change([Change(SBIN, LTP, None)])
        )
        assert (first[1], second[1]) == (65_535, 1)

    def test_other_commodities_have_their_own_segment(self):
        sends = requests(codec().change([Change(SPOT, None, LTP)]))
        assert sends == [(0x82, 1, ["prod/marketfeed/mw/v1/ncdexcomm/9"])]

    def test_topics_are_what_is_counted(self):
        assert [cost(SBIN, LTP), cost(SBIN, FULL), cost(NIFTY, LTP)] == [1, 1, 2]
        assert [cost(FUTURE, LTP), cost(FUTURE, QUOTE)] == [1, 2]

    @pytest.mark.parametrize(
        "strange",
        [
            Instrument("X", "NCO", "1", "X", "X"),
            Instrument("X", "NSE", "A/1", "X", "NSEEQ"),
            Instrument("X", "NSE", "#", "X", "NSEEQ"),
            Instrument("X", "NSE_INDEX", "3045", "X", "NSEEQ"),
        ],
    )
    def test_what_has_no_topic_of_its_own_is_refused(self, strange):
        made = codec(SBIN)
        assert made.change([Change(strange, None, LTP)]) == []
        rejected, tick = made.received(told("mw", "nseeq/3045", watch()))
        assert rejected.instruments == (strange,)
        assert tick.instrument == SBIN


class TestAnswers:
    def test_a_refusal_names_its_instruments_once_each(self):
        made = codec(SBIN, FUTURE)
        (event,) = made.received(server.suback(1, [True, False, False]))
        assert event == Rejected("the broker refused a subscription", (FUTURE,))

    def test_one_that_nobody_asked_for_names_none(self):
        assert codec().received(server.suback(9, [False])) == [
            Rejected("the broker refused a subscription", ())
        ]

    def test_answers_that_never_come_are_not_awaited_for_ever(self):
        made = codec()
        for _ in range(300):
            made.change([Change(SBIN, None, LTP)])
            made.change([Change(SBIN, LTP, None)])
        assert made.received(server.suback(1, [False]))[0].instruments == ()
        assert made.received(server.suback(599, [False]))[0].instruments == (SBIN,)

    def test_signs_of_life(self):
        made = codec()
        assert made.heartbeat() == PINGREQ
        assert made.received(server.PINGRESP + server.unsuback(1) + server.suback(1, [True])) == [Alive()] * 3

    @pytest.mark.parametrize("data", [b"\x20\1\0", b"\x90\2\0\1", b"\x10\0", b"\x30\1\0", b"\x30\3\0\5t"])
    def test_a_bad_packet_costs_itself_alone(self, data):
        events = codec(SBIN).received(data + told("mw", "nseeq/3045", watch()))
        assert [type(event) for event in events] == [Malformed, Tick]

    @pytest.mark.parametrize("data", [b"\0\0", b"\x30\xff\xff\xff\xff\x7f"])
    def test_a_lost_stream_ends_the_connection_once(self, data):
        made = codec(SBIN)
        events = made.received(told("mw", "nseeq/3045", watch()) + data)
        assert [type(event) for event in events] == [Tick, Disconnect]
        assert made.received(told("mw", "nseeq/3045", watch())) == []

    def test_a_publish_at_qos_1_is_acknowledged(self):
        topic = b"prod/marketfeed/mw/v1/nseeq/3045"
        body = pack(">H", len(topic)) + topic + b"\1\2" + watch()
        reply, tick = codec(SBIN).received(b"\x32" + bytes([len(body) & 127 | 128, len(body) >> 7]) + body)
        assert reply == Reply(puback(258))
        assert tick.ltp == 100.0


class TestMarket:
    def test_zeros_of_prices_are_none_and_of_counts_are_zero(self):
        (tick,) = codec(SBIN).received(told("mw", "nseeq/3045", watch(0)))
        assert (tick.ltp, tick.open, tick.ltt, tick.depth) == (None, None, None, None)
        assert (tick.kind, tick.volume, tick.total_buy_quantity) == (Mode.QUOTE, 0, 0)

    def test_an_index_has_no_counts_and_may_be_a_price_alone(self):
        (tick,) = codec(NIFTY).received(told("mw", "nseeq/999920000", watch()))
        assert (tick.kind, tick.ltp, tick.volume) == (Mode.LTP, 100.0, None)

    @pytest.mark.parametrize(
        ("divisor", "price"),
        [(0, 123.45), (1, 12345.0), (10, 1234.5), (10_000, 1.2345), (300, 41.15), (1 << 30, 0.0)],
    )
    def test_the_divisor_is_that_of_the_packet(self, divisor, price):
        (tick,) = codec(SBIN).received(told("mw", "nseeq/3045", watch(12345, divisor)))
        assert tick.ltp == price

    def test_prices_may_be_below_zero(self):
        (tick,) = codec(SBIN).received(told("mw", "nseeq/3045", watch(-3763)))
        assert tick.ltp == -37.63

    def test_a_divisor_may_not(self):
        events = codec(SBIN).received(told("mw", "nseeq/3045", watch(divisor=-1)))
        assert [type(event) for event in events] == [Malformed]

    @pytest.mark.parametrize(
        ("what", "least"),
        [("mw", 186), ("index", 19), ("oi", 16), ("lpp", 12), ("uppercircuit", 12), ("marketStatus", 2)],
    )
    def test_a_payload_that_is_too_short(self, what, least):
        where = "nseeq" if what in ("uppercircuit", "marketStatus") else "nseeq/999920000"
        events = codec(NIFTY).received(told(what, where, bytes(least - 1)) + told(what, where, bytes(least)))
        assert [event for event in events if not isinstance(event, Tick)] == [events[0]]
        assert isinstance(events[0], Malformed)

    def test_open_interest_goes_with_every_later_packet_until_it_would_grow_old(self):
        made = codec(FUTURE)
        assert made.received(told("oi", "nsefo/52175", pack("<iiii", 7, 0, 0, 0))) == []
        assert made.received(told("mw", "nsefo/52175", watch()))[0].oi == 7
        made.change([Change(FUTURE, QUOTE, LTP)])
        assert made.received(told("mw", "nsefo/52175", watch()))[0].oi is None

    def test_the_tick_before_is_left_alone(self):
        made = codec(FUTURE)
        (first,) = made.received(told("mw", "nsefo/52175", watch()))
        (second,) = made.received(told("oi", "nsefo/52175", pack("<iiii", 7, 0, 0, 0)))
        assert (first.oi, second.oi, second.ltp) == (None, 7, 100.0)

    def test_a_short_index_packet_may_come_first(self):
        payload = pack("<BHIHHIi", 1, 0, 2_538_910, 0, 0, 2_529_510, 100)
        (tick,) = codec(NIFTY).received(told("index", "nseeq/999920000", payload))
        assert (tick.kind, tick.ltp, tick.close) == (Mode.QUOTE, 25389.1, 25295.1)

    def test_a_long_one_is_a_market_watch(self):
        (tick,) = codec(NIFTY).received(told("index", "nseeq/999920000", watch(close=9_900, length=186)))
        assert (tick.ltp, tick.close) == (100.0, 99.0)

    def test_circuits_of_a_segment_are_noted_for_what_is_held(self):
        made = codec(SBIN)
        upper, lower, other = (
            pack("<IIi", n, price, 100) for n, price in [(3045, 12_000), (3045, 8_000), (1, 5)]
        )
        assert made.received(told("uppercircuit", "nseeq", upper)) == []
        assert made.received(told("mw", "nseeq/3045", watch()))[0].upper_circuit == 120.0
        (tick,) = made.received(told("lowercircuit", "nseeq", lower))
        assert (tick.upper_circuit, tick.lower_circuit) == (120.0, 80.0)
        assert (
            made.received(told("lowercircuit", "nseeq", other) + told("lowercircuit", "bseeq", lower)) == []
        )

    @pytest.mark.parametrize(
        "topic", ["", "x", "prod/marketfeed/", "prod/marketfeed/mw/v1/nseeq/9", "prod/x/y"]
    )
    def test_other_topics_are_silence(self, topic):
        assert codec(SBIN).received(server.publication(topic, b"")) == []


class TestOrders:
    EVENT = {
        "brokerOrderId": "1", "instrumentId": "3045", "tradingSymbol": "SBIN-EQ", "orderStatus": "open",
        "transactionType": "B", "quantity": "10", "price": "970.1", "orderType": "SLM", "product": "BNPL",
    }  # fmt: skip

    def events(self, payload):
        return codec(feed=ORDERS).received(server.publication("prod/updates/order/v1/FAKE9", payload))

    def update(self, **fields):
        (event,) = self.events(json.dumps(self.EVENT | fields).encode())
        return event

    def test_in_the_platforms_words(self):
        update = self.update()
        assert isinstance(update, OrderUpdate)
        order = update.order
        assert (update.token, order.symbol, order.exchange) == ("3045", "SBIN-EQ", "")
        assert (order.action, order.pricetype, order.product, order.quantity) == ("BUY", "SL-M", "CNC", 10)

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("COMPLETED", "complete"),
            ("Filled", "complete"),
            ("executed", "complete"),
            ("failed", "rejected"),
            ("Canceled", "cancelled"),
            ("TRIGGER_PENDING", "trigger pending"),
            ("trigger pending", "trigger pending"),
            ("put order req received", "open"),
            ("partially_filled", "open"),
            (None, "open"),
        ],
    )
    def test_states(self, theirs, ours):
        assert self.update(orderStatus=theirs).order.order_status == ours

    def test_a_reason_is_for_rejected_orders(self):
        assert self.update(rejectionReason="why").order.rejection_reason == ""
        assert self.update(orderStatus="REJECTED", rejectionReason="why").order.rejection_reason == "why"

    @pytest.mark.parametrize("payload", [b"", b"x", b"[]", b"{}", b'{"brokerOrderId":"1","quantity":"x"}'])
    def test_what_cannot_be_read_is_reported(self, payload):
        assert [type(event) for event in self.events(payload)] == [Malformed]

    def test_trades_are_told_as_orders_too(self):
        assert codec(feed=ORDERS).received(server.publication("prod/updates/trade/v1/FAKE9", b"{}")) == []


class TestSimulator:
    def side(self, *instruments):
        return ADAPTER.simulator(
            StillMarket(instruments), {"user_session": LOGIN["user_session"]}, FixedEnvironment()
        )

    def connection(self, side):
        return side.accept(Upgrade("bridge.iiflcapital.com", "", {}, {})).connection

    def login(self, client="me", user="FAKE1"):
        return connect(client, user, f"OPENID~~{LOGIN['user_session']}~", keep_alive=20)

    def test_the_older_of_two_with_one_identifier_goes(self):
        side = self.side()
        first, second, third = (self.connection(side) for _ in range(3))
        first.received(self.login())
        third.received(self.login("other"))
        assert side.push() == []
        assert second.received(self.login()) == [server.connack(0)]
        assert side.push() == [(first, [Close()])]
        first.closed()
        assert side.clients == {"me": second, "other": third}

    @pytest.mark.parametrize(
        ("sent", "answers"),
        [
            ({"user": "FAKE2"}, [server.connack(5), Close()]),
            ({"client": ""}, [server.connack(2), Close()]),
        ],
    )
    def test_a_wrong_login_is_refused(self, sent, answers):
        assert self.connection(self.side()).received(self.login(**sent)) == answers

    def test_another_version_is_refused(self):
        newer = self.login().replace(b"MQTT\4", b"MQTT\5")
        assert self.connection(self.side()).received(newer) == [server.connack(1), Close()]

    @pytest.mark.parametrize("data", [PINGREQ, b"\x10\0", "text" * 30, b"\xff" * 9])
    def test_nothing_comes_before_the_login(self, data):
        assert self.connection(self.side()).received(data)[-1:] == [Close()]

    def test_ping_and_farewell(self):
        connection = self.connection(self.side())
        connection.received(self.login())
        assert connection.received(PINGREQ + puback(1)) == [server.PINGRESP]
        assert connection.received(DISCONNECT) == [Close()]

    def test_topics_that_are_none_are_refused_one_by_one(self):
        loop = Loopback(ADAPTER, MARKET, StillMarket([SBIN]))
        gone = Instrument("GONE", "NSE", "1", "GONE-EQ", "NSEEQ")
        events = loop.subscribe([(gone, LTP), (SBIN, LTP)])
        (rejected,) = [event for event in events if isinstance(event, Rejected)]
        assert rejected.instruments == (gone,)
        assert loop.connection.held() == 1

    def test_open_interest_is_told_when_it_has_changed(self):
        market = StillMarket([FUTURE])
        loop = Loopback(ADAPTER, MARKET, market)
        loop.subscribe([(FUTURE, QUOTE)])
        tick = market.last(FUTURE)
        tick.oi = 5
        assert [len(loop.connection.ticks([tick])) for _ in range(2)] == [2, 1]

    def test_its_files_are_read_as_they_were_made(self):
        rows = [
            MasterRow(symbol=symbol, brsymbol=brsymbol, name=name, exchange=exchange, brexchange=segment,
                      token=str(number), expiry=expiry, strike=strike, lotsize=lot, instrumenttype=kind,
                      tick_size=0.05)
            for number, (symbol, brsymbol, name, exchange, segment, expiry, strike, lot, kind) in enumerate([
                ("SBIN", "SBIN", "SBI", "NSE", "NSEEQ", "", 0.0, 1, "EQ"),
                ("SBIN", "SBIN", "SBI", "BSE", "BSEEQ", "", 0.0, 1, "EQ"),
                ("MIDCPNIFTY", "NIFTY MID SELECT", "X", "NSE_INDEX", "NSEEQ", "", 0.0, 1, "EQ"),
                ("SENSEX50", "SNSX50", "SNSX50", "BSE_INDEX", "BSEEQ", "", 0.0, 1, "EQ"),
                ("ITC29DEC26402.5PE", "", "ITC", "NFO", "NSEFO", "29-DEC-26", 402.5, 1600, "PE"),
                ("USDINR29DEC2688.25CE", "", "USDINR", "CDS", "NSECURR", "29-DEC-26", 88.25, 1, "CE"),
                ("GOLD04DEC26FUT", "", "GOLD", "MCX", "MCXCOMM", "04-DEC-26", 0.0, 100, "FUT"),
            ], 1)
        ]  # fmt: skip
        local = [ADAPTER.simulator.localise(row) for row in rows]
        side = ADAPTER.simulator(StillMarket([], local), dict(LOGIN), FixedEnvironment())
        parsed = []
        for name, request in ADAPTER.master_files({}).items():
            answer = side.http(request)
            if answer.status == 200:
                parsed += ADAPTER.parse_master(name, answer.body)
        assert sorted(parsed, key=lambda row: int(row.token)) == local


class TestMaster:
    HEADER = (
        "Exchange,Underlying Instrument Symbol,Instrument ID,Instrument Type,Option Type,Strike Price,"
        "Underlying Instrument Name,Trading Symbol,Expiry,Lot Size,Tick Size\n"
    )

    def parse(self, file, *lines):
        return list(ADAPTER.parse_master(file, (self.HEADER + "\n".join(lines)).encode()))

    def test_shares_without_a_name_and_indices_among_them_are_left_out(self):
        rows = self.parse(
            "NSEEQ.csv",
            "NSEEQ,NIFTY,1,INDEX,,,X,X,,1,1",
            "NSEEQ,,1,EQ,,,X,X,,1,1",
            "NSEEQ,X,,EQ,,,X,X,,1,1",
            "NSEEQ,X,y,EQ,,,X,X,,1,1",
            "NSEEQ,SBIN,3045,EQ,,,STATE BANK,SBIN-EQ,,,",
        )
        assert isinstance(rows[0], BadRow)
        assert rows[1:] == [
            MasterRow(symbol="SBIN", brsymbol="SBIN-EQ", name="STATE BANK", exchange="NSE",
                      brexchange="NSEEQ", token="3045", lotsize=1, instrumenttype="EQ", tick_size=0.01)
        ]  # fmt: skip

    def test_contracts_without_a_type_are_left_out_and_bad_ones_reported(self):
        rows = self.parse(
            "NCDEXCOMM.csv",
            "X,GUAR,1,FUT,,0,G,G,27-Oct-2026,1,1",
            "X,GUAR,1,FUT,ZZ,0,G,G,27-Oct-2026,1,1",
            "X,GUAR,1,FUT,XX,0,G,G,,1,1",
            "X,GUAR,1,FUT,CE,,G,G,27-Oct-2026,1,1",
            "X,GUAR,1,FUT,XX,-1,G,G,27-Oct-2026,1,1",
        )
        assert [type(row) for row in rows] == [BadRow, BadRow, BadRow, MasterRow]
        assert (rows[3].exchange, rows[3].brexchange, rows[3].strike) == ("MCX", "NCDEXCOMM", 0.0)

    @pytest.mark.parametrize(
        ("segment", "name", "symbol"),
        [
            ("NSEEQ", "Nifty Midcap Select", "MIDCPNIFTY"),
            ("NSEEQ", "INDIA VIX", "INDIAVIX"),
            ("BSEEQ", "OIL GAS", "BSEOIL&GAS"),
            ("BSEEQ", "BANKEX", "BANKEX"),
        ],
    )
    def test_indices_have_the_names_of_the_platform(self, segment, name, symbol):
        (row,) = self.parse("INDICES.csv", f"{segment},X,1,INDEX,XX,0,{name},{name},,75,0.05")
        assert (row.symbol, row.name, row.brsymbol, row.tick_size, row.lotsize) == (
            symbol,
            symbol,
            name,
            0.01,
            1,
        )

    def test_other_indices_and_other_files_are_reported(self):
        assert isinstance(self.parse("INDICES.csv", "MCXCOMM,X,1,INDEX,XX,0,X,X,,1,1")[0], BadRow)
        assert isinstance(self.parse("OTHER.csv", "NSEEQ,X,1,EQ,,,X,X,,1,1")[0], BadRow)


def test_the_session_is_all_that_is_stored():
    row = AuthRow(name="u", auth="session")
    assert ADAPTER.from_row(row, {}) == {"user_session": "session"}
    assert ADAPTER.to_row({"user_session": "session"}) == {"auth": "session"}
