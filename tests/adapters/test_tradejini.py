"""Tradejini: what its vectors do not show."""

import json
import zlib
from struct import pack

import pytest

from openalgo_ws.adapter import (
    Alive,
    AuthRow,
    BadRow,
    Change,
    HttpResponse,
    LoginFailed,
    Malformed,
    Order,
    OrderUpdate,
    Reply,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import Loopback, as_received
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Level, Mode, Tick, Wish

ADAPTER = Registry().load("tradejini")
MARKET, ORDERS = ADAPTER.feed("market"), ADAPTER.feed("orders")
SBIN = Instrument("SBIN", "NSE", "3045", "EQT_SBIN_EQ_NSE", "NSE")
RELIANCE = Instrument("RELIANCE", "NSE", "2885", "EQT_RELIANCE_EQ_NSE", "NSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "-1", "IDX_-1_NSE", "NSE")
LTP, DEPTH = Wish(Mode.LTP), Wish(Mode.DEPTH)
CREDENTIALS = {"api_key": "key", "access_token": "token"}
ABOUT = pack("<BBBi", 26, 1, 27, 3045)


def codec(*held, wish=LTP, feed=MARKET):
    made = feed.codec(CREDENTIALS, FixedEnvironment())
    made.change([Change(instrument, None, wish) for instrument in held])
    return made


def packet(kind, body):
    return pack("<HB", 3 + len(body), kind) + body


def message(*packets, version=1, compression=0):
    return pack("<iBB", 0, version, compression) + b"".join(packets)


def touchline(*fields):
    return packet(10, ABOUT + b"".join(pack("<Bi", *field) for field in fields))


def lists(sends):
    """(feed, tokens) of every frame, None for one that is given up."""
    assert all(send.endswith("\n") for send in sends)
    found = map(json.loads, sends)
    return [
        (one["type"], [token["t"] for token in one["tokens"]] if one["action"] == "sub" else None)
        for one in found
    ]


class TestLists:
    def test_each_change_sends_the_whole_list(self):
        made = codec(SBIN)
        assert lists(made.change([Change(NIFTY, None, LTP)])) == [("L1", ["3045_NSE", "-1_NSE"])]
        assert lists(made.change([Change(SBIN, LTP, DEPTH)])) == [("L5", ["3045_NSE"])]
        assert lists(made.change([Change(SBIN, DEPTH, LTP)])) == [("L5", None)]
        assert lists(made.change([Change(SBIN, LTP, None)])) == [("L1", ["-1_NSE"])]
        assert made.change([Change(NIFTY, LTP, Wish(Mode.QUOTE))]) == []
        assert lists(made.change([Change(NIFTY, LTP, None), Change(RELIANCE, None, DEPTH)])) == [
            ("L1", ["2885_NSE"]),
            ("L5", ["2885_NSE"]),
        ]

    @pytest.mark.parametrize("token", ["", "x", "²", "2147483648", "--1", "1.5", "99999999999"])
    def test_no_token(self, token):
        made = codec(Instrument("X", "NSE", token, "", "NSE"))
        assert made.received(message())[0].instruments[0].symbol == "X"

    def test_a_key_is_somebodys(self):
        made = codec(SBIN)
        assert made.change([Change(Instrument("X", "NSE_INDEX", "3045", "", "NSE"), None, LTP)]) == []
        assert len(made.received(message())) == 1


class TestMessages:
    @pytest.mark.parametrize(
        "data",
        [
            b"",
            message(compression=1),
            message(version=0),
            message(b"junk", compression=100),
            message(zlib.compress(touchline((29, 1)))[:-4], compression=100),
            message(b"\x00\x00\x0a"),
            message(b"\x02\x00\x0a"),
            message(b"\x03\x00"),
            message(packet(99, b"")),
            message(packet(10, ABOUT[:2])),
            message(packet(10, ABOUT[2:])),
            message(packet(10, pack("<BBBi", 26, 11, 27, 3045))),
            message(packet(10, ABOUT + b"\x1d\1\2")),
            message(packet(10, ABOUT + b"\x3d")),
            message(packet(11, ABOUT + pack("<BI", 50, 1))),
            message(packet(15, b"\x38\x05\x00\x3dabc")),
            message(packet(15, b"\x38")),
            "text",
        ],
    )
    def test_one_error(self, data):
        assert [type(event) for event in codec(SBIN, wish=DEPTH).received(data)] == [Malformed]

    def test_a_bomb_is_not_unpacked(self):
        bomb = message(zlib.compress(b"\0" * (17 << 20)), compression=100)
        assert [type(event) for event in codec(SBIN).received(bomb)] == [Malformed]

    def test_one_bad_packet_spoils_no_other(self):
        bad = packet(10, ABOUT + pack("<Bi", 29, 5) + b"\x63")
        ticks = message(touchline((29, 100)), bad, packet(99, b""), touchline((30, 200)))
        first, *errors, last = codec(SBIN).received(ticks)
        assert [type(error) for error in errors] == [Malformed, Malformed]
        assert (first.ltp, first.kind, last.ltp, last.open, last.kind) == (
            1.0,
            Mode.LTP,
            1.0,
            2.0,
            Mode.QUOTE,
        )

    def test_fields_in_any_order_and_packets_of_one_length(self):
        made = codec(SBIN)
        late = packet(10, pack("<Bi", 29, 500) + ABOUT)
        ticks = made.received(message(touchline((29, 100)), touchline((31, 300)), late, touchline((29, 700))))
        assert [(tick.ltp, tick.high) for tick in ticks] == [(1.0, None), (1.0, 3.0), (5.0, 3.0), (7.0, 3.0)]

    def test_nothing_new_is_a_tick_and_no_time_changes_none(self):
        made = codec(SBIN)
        made.received(message(touchline((29, 100), (46, 1795142585))))
        (tick,) = made.received(message(touchline((46, 0))))
        assert (tick.ltp, tick.ltt) == (1.0, 1795142585000)

    def test_a_book_of_any_size(self):
        made = codec(SBIN, wish=DEPTH)
        levels = pack("<BiBI", 49, 100, 50, 7) + pack("<BiBIBI", 52, 110, 53, 8, 54, 2)
        (tick,) = made.received(message(packet(11, ABOUT + levels)))
        assert (tick.depth.buy, tick.depth.sell) == ([Level(1.0, 7, 0)], [Level(1.1, 8, 2)])
        (tick,) = made.received(message(packet(11, ABOUT)))
        assert (tick.depth.buy, tick.depth.sell) == ([], [])

    @pytest.mark.parametrize(
        ("segment", "exchange", "ltp"),
        [
            (2, "BSE", 12345.67),
            (4, "BFO", 12345.67),
            (5, "CDS", 0.1235),
            (6, "BCD", 123.4567),
            (8, "MCX", 12345.67),
            (9, "NCO", 123.4567),
        ],
    )
    def test_divisors(self, segment, exchange, ltp):
        made = codec(Instrument("X", exchange, "7", "", exchange))
        body = pack("<BBBiBi", 26, segment, 27, 7, 29, 1234567)
        assert made.received(message(packet(10, body)))[0].ltp == ltp


class TestLogin:
    def test_the_status_packet(self):
        assert codec().received(message(packet(13, b"\x19\x01"))) == [Alive()]
        (event,) = codec().received(message(packet(13, b"\x19\x00")))
        assert isinstance(event, LoginFailed)
        assert event.verdict.cause is Cause.TOKEN

    def test_how_it_ends(self):
        assert codec().closed(4001, "Unauthorized Access").cause is Cause.TOKEN
        assert codec().closed(1006, "").cause is Cause.TRANSIENT
        assert codec().refused(403, {}, b"").cause is Cause.TOKEN

    def test_a_wrong_token_is_closed(self):
        right = dict(ADAPTER.simulator.demo_credentials)
        loop = Loopback(ADAPTER, MARKET, StillMarket([SBIN]), credentials=right | {"access_token": "old"})
        assert loop.closed.code == 4001

    def test_a_ping_is_answered(self):
        assert Loopback(ADAPTER, MARKET, StillMarket([SBIN])).heartbeats() == [Alive()]

    @pytest.mark.parametrize(
        ("auth", "beside", "env", "key"),
        [
            ("a:t", "", {"BROKER_API_SECRET": "s"}, "a"),
            ("t", "b", {"BROKER_API_SECRET": "s"}, "b"),
            ("t", "", {"BROKER_API_SECRET": "s", "BROKER_API_KEY": "k"}, "s"),
            ("t", "", {"BROKER_API_KEY": "k"}, "k"),
        ],
    )
    def test_where_the_key_may_be(self, auth, beside, env, key):
        row = AuthRow(name="x", auth=auth, secret_api_key=beside)
        assert ADAPTER.from_row(row, env) == {"api_key": key, "access_token": "t"}


ORDER = {
    "evntType": "orders",
    "orderId": "7",
    "side": "buy",
    "qty": 10,
    "type": "stoplimit",
    "status": "open",
}


class TestOrders:
    def event(self, made, **fields):
        said = json.dumps(ORDER | fields).encode()
        return made.received(message(packet(15, pack("<BHB", 56, len(said), 61) + said)))

    def test_the_order_book_is_asked_once_at_a_time(self):
        made = codec(feed=ORDERS)
        (reply,) = self.event(made)
        assert isinstance(reply, Reply)
        assert dict(reply.send.headers) == {"Authorization": "Bearer key:token"}
        assert self.event(made, orderId="8") == self.event(made, orderId="9") == []
        rows = [{"orderId": "7", "fillQty": 4, "pendingQty": 6, "avgPrice": "1.5"}]
        update, again = made.answered(reply.send, HttpResponse(200, json.dumps({"d": rows}).encode()))
        order = update.order
        assert (order.filled_quantity, order.pending_quantity, order.average_price) == (4, 6, 1.5)
        updates = made.answered(again.send, None)
        assert [update.order.orderid for update in updates] == ["8", "9"]

    @pytest.mark.parametrize(
        ("status", "expected", "filled", "pending"),
        [
            ("completed", "complete", 10, 0),
            ("Filled", "complete", 10, 0),
            ("cancelled", "cancelled", 0, 0),
            ("rejected", "rejected", 0, 0),
            ("trigger pending", "trigger pending", 0, 10),
            ("pending", "open", 0, 10),
        ],
    )
    def test_without_the_order_book_the_event_must_do(self, status, expected, filled, pending):
        made = codec()
        (reply,) = self.event(made, status=status)
        (update,) = made.answered(reply.send, HttpResponse(500))
        order = update.order
        assert isinstance(order, Order)
        assert (order.order_status, order.filled_quantity, order.pending_quantity) == (
            expected,
            filled,
            pending,
        )
        assert (order.action, order.pricetype) == ("BUY", "SL")

    def test_other_events(self):
        made = codec()
        assert self.event(made, evntType="trades") == [Alive()]
        assert [type(event) for event in self.event(made, orderId="")] == [Malformed]

    def test_the_queue_is_bounded(self):
        made = codec()
        events = [event for number in range(1005) for event in self.event(made, orderId=str(number))]
        assert [type(event) for event in events] == [Reply] + [OrderUpdate] * 4


class TestStore:
    def rows(self, group, text):
        return list(ADAPTER.parse_master(f"symbol-store/{group}", text.encode()))

    @pytest.mark.parametrize("expiry", ["2026-11-24", "24NOV2026", "24NOV26", "24-Nov-2026", "24-Nov-26"])
    def test_expiries(self, expiry):
        (row,) = self.rows("FutureContracts", f"id,excToken,lot\nFUTIDX_NIFTY_NFO_{expiry},5,75\n")
        assert (row.symbol, row.expiry, row.lotsize) == ("NIFTY24NOV26FUT", "24-NOV-26", 75)

    def test_an_id_of_another_make_falls_back_to_the_columns(self):
        head = "id,excToken,symbol,expiry,strike,optType\n"
        (row,) = self.rows("NSEOptions", head + "OPT_A_B_NFO_X_1_2_CE,5,AB,2026-11-24,292.5,PE\n")
        assert row.symbol == "AB24NOV26292.5PE"

    def test_what_is_left_out(self):
        head = "id,excToken,asset,dispName\n"
        assert self.rows("Spot", head + "X_1_NSE,5,spot,X\n") == []
        assert self.rows("Securities", head + "EQT_X_EQ_NSE,5,spot,X\n") == []
        assert self.rows("FutureContracts", head + "FUT_X_NFO_never,5,,X\n") == []
        assert self.rows("CurrencyFuture", head + "FUT_X_MCD_2026-11-24,5,,X\n") == []

    @pytest.mark.parametrize("line", ["EQT_X_EQ_NSE,x,,X", "EQT_X_EQ_NSE,5,,", "EQT_X_EQ_NSE,5"])
    def test_a_broken_row_is_reported(self, line):
        (row,) = self.rows("Securities", f"id,excToken,asset,dispName\n{line}\n")
        assert isinstance(row, BadRow)

    @pytest.mark.parametrize(
        ("segment", "name", "symbol"),
        [
            ("BSE", "BSE HC", "BSEHEALTHCARE"),
            ("BSE", "SENSEX", "SENSEX"),
            ("BSE", "OILGAS", "BSEOIL&GAS"),
            ("NSE", "Nifty Midcap 50", "NIFTYMIDCAP50"),
        ],
    )
    def test_indices(self, segment, name, symbol):
        (row,) = self.rows("Index", f"id,dispName,excToken,symbol\nIDX_-5_{segment},x,-5,{name}\n")
        assert (row.symbol, row.exchange, row.token) == (symbol, f"{segment}_INDEX", "-5")

    def test_the_list_is_followed(self):
        server = ADAPTER.simulator(StillMarket([SBIN]), {}, FixedEnvironment())
        ((name, request),) = ADAPTER.master_files({}).items()
        files = ADAPTER.linked_files(name, server.http(as_received(request)).body)
        assert "symbol-store/Securities (idFormat instrument_symbol_series_exchange)" in files
        rows = [
            row
            for file, link in files.items()
            for row in ADAPTER.parse_master(file, server.http(as_received(link)).body)
        ]
        assert [(row.symbol, row.token) for row in rows] == [("SBIN", "3045")]

    @pytest.mark.parametrize("data", [b"", b"[]", b'{"d":5}', b'{"d":{"symbolStore":[5,{"name":7}]}}'])
    def test_no_list(self, data):
        assert ADAPTER.linked_files("symbol-store", data) == {}
        assert ADAPTER.linked_files("symbol-store/Index", data) == {}


def test_the_simulator_compresses_long_messages_and_sends_what_has_changed():
    market = StillMarket(Instrument(f"S{n}", "NSE", str(n), "", "NSE") for n in range(50))
    loop = Loopback(ADAPTER, MARKET, market)
    held = list(market.instruments())
    loop.subscribe([(instrument, LTP) for instrument in held])
    assert loop.frames[-1][5] == 100
    for _ in range(2):
        (tick,) = loop.tick([Tick(held[3], Mode.LTP, ltp=5.0)])
        assert (tick.instrument, tick.ltp, tick.volume) == (held[3], 5.0, 0)
    assert loop.frames[-1][5] == 0
