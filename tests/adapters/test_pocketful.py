"""Pocketful: what its vectors and the tests of all adapters do not show."""

import json
from pathlib import Path
from struct import pack

import pytest

from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Change,
    HttpResponse,
    Malformed,
    MasterRow,
    Order,
    OrderUpdate,
    Rejected,
    Upgrade,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance import rig, vectors
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.symbols.loader import unpack
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

ADAPTER = Registry().load("pocketful")
MARKET, ORDERS = ADAPTER.feed("market"), ADAPTER.feed("orders")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSE")
TCS = Instrument("TCS", "BSE", "532540", "TCS-A", "BSE")
SENSEX = Instrument("SENSEX", "BSE_INDEX", "1", "SENSEX", "BSE")
USDINR = Instrument("USDINR29DEC25FUT", "CDS", "10093", "USDINR25DECFUT", "CDS")
LTP, QUOTE, FULL = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)
LOGIN = {"client_id": "FAKE001", "access_token": "token"}


def codec(*held, wish=LTP, feed=MARKET):
    result = feed.codec(LOGIN, FixedEnvironment())
    if held:
        result.change([Change(instrument, None, wish) for instrument in held])
    return result


def requests(sends):
    return [(one["a"], one["m"], one["v"]) for one in map(json.loads, sends)]


def compact(code, token, ltp=10_000, ltt=0):
    return pack(">BBIIiI24x", 2, code, token, ltp, 0, ltt)


class TestLogin:
    def steps(self, answer, **credentials):
        return rig.authorise(MARKET.authorise, credentials, FixedEnvironment(), lambda request: answer)

    def test_the_address_holds_the_login_and_nothing_shows_it(self):
        made = MARKET.codec({"client_id": "F 1", "access_token": "se+c=ret&x"}, FixedEnvironment())
        assert made.dial().url.endswith("/feeds?login_id=F%201&access_token=se+c=ret%26x")
        assert "c=ret" not in repr(made) + repr(made.dial())

    def test_a_known_client_is_not_asked_for(self):
        assert self.steps(None, **LOGIN) == LOGIN

    def test_an_unknown_one_is(self):
        answer = HttpResponse(200, b'{"data":{"client_id":"FAKE001"}}')
        assert self.steps(answer, access_token="token") == LOGIN

    @pytest.mark.parametrize(
        ("answer", "cause"),
        [
            (None, "transient"),
            (HttpResponse(401), "token"),
            (HttpResponse(403), "token"),
            (HttpResponse(429), "too_many"),
            (HttpResponse(500), "transient"),
            (HttpResponse(200, b"[]"), "transient"),
            (HttpResponse(200, b'{"data":{"client_id":7}}'), "transient"),
        ],
    )
    def test_a_profile_that_is_not_had_ends_the_login(self, answer, cause):
        with pytest.raises(AuthoriseFailed) as caught:
            self.steps(answer, access_token="token")
        assert caught.value.verdict.cause is Cause(cause)

    def test_the_simulator_tells_the_client(self):
        market = StillMarket([SBIN])
        side = ADAPTER.simulator(market, dict(LOGIN), FixedEnvironment())
        found = rig.authorise(MARKET.authorise, {"access_token": "token"}, FixedEnvironment(), side.http)
        assert found == LOGIN
        with pytest.raises(AuthoriseFailed):
            rig.authorise(MARKET.authorise, {"access_token": "x"}, FixedEnvironment(), side.http)

    def test_orders_are_asked_for_on_their_own_connection(self):
        assert requests(codec(feed=ORDERS).opened()) == [("subscribe", "updates", ["FAKE001", "web"])]
        assert codec().opened() == []

    @pytest.mark.parametrize("feed", [MARKET, ORDERS])
    def test_the_heartbeat(self, feed):
        assert json.loads(codec(feed=feed).heartbeat()) == {"a": "h", "v": [], "m": ""}


class TestChange:
    def test_a_richer_mode_keeps_the_stream_that_both_have(self):
        sends = codec(SBIN, wish=QUOTE).change([Change(SBIN, QUOTE, FULL)])
        assert requests(sends) == [("subscribe", "full_snapquote", [[1, 3045]])]

    def test_a_poorer_mode_gives_up_what_it_does_not_take(self):
        sends = codec(SBIN, wish=FULL).change([Change(SBIN, FULL, LTP)])
        assert requests(sends) == [
            ("unsubscribe", "marketdata", [[1, 3045]]),
            ("unsubscribe", "full_snapquote", [[1, 3045]]),
            ("subscribe", "compact_marketdata", [[1, 3045]]),
        ]

    def test_another_depth_of_the_same_book_changes_nothing(self):
        assert codec(SBIN, wish=FULL).change([Change(SBIN, FULL, Wish(Mode.DEPTH, 3))]) == []

    @pytest.mark.parametrize(
        "strange",
        [
            Instrument("X", "BCD", "1", "X", "BCD"),
            Instrument("X", "NSE", "SBIN", "X", "NSE"),
            Instrument("X", "NSE", "4294967296", "X", "NSE"),
            Instrument("X", "NSE_INDEX", "3045", "X", "NSE"),
        ],
    )
    def test_what_has_no_key_of_its_own_is_refused_and_the_rest_goes_out(self, strange):
        made = codec(SBIN)
        sends = made.change([Change(strange, None, LTP), Change(TCS, None, LTP)])
        assert requests(sends) == [("subscribe", "compact_marketdata", [[6, 532540]])]
        rejected, tick = made.received(compact(1, 3045))
        assert rejected.instruments == (strange,)
        assert tick.instrument == SBIN


class TestReceived:
    def test_exchange_and_token_are_the_key(self):
        made = codec(SENSEX)
        assert [tick.instrument for tick in made.received(compact(6, 1))] == [SENSEX]
        assert made.received(compact(1, 1)) == []

    def test_nothing_comes_after_it_is_given_up(self):
        made = codec(SBIN)
        made.change([Change(SBIN, LTP, None)])
        assert made.received(compact(1, 3045)) == []

    def test_times_and_circuits_of_zero_are_none_and_open_interest_is_zero(self):
        (tick,) = codec(SBIN).received(compact(1, 3045))
        assert (tick.ltt, tick.upper_circuit, tick.lower_circuit, tick.oi) == (None, None, None, 0)

    def test_bytes_beyond_a_packet_are_ignored(self):
        assert len(codec(SBIN).received(compact(1, 3045) + b"more")) == 1

    def test_currencies_have_four_decimals_in_books_as_well(self):
        values = [5] * 5 + [900_024_999] + [0] * 4 + [7] + [0] * 4 + [0] * 15
        packet = pack(">BBI30I5I2QI", 4, 3, 10093, *values, *[900_025_001] * 5, 1, 2, 3)
        (tick,) = codec(USDINR, wish=FULL).received(packet)
        assert (tick.open, tick.avg_trade_price) == (90.0025, 90.0025)
        assert [(one.price, one.quantity, one.orders) for one in tick.depth.buy] == [(90.0025, 7, 5)]

    @pytest.mark.parametrize("kind", [3, 5, 6, 7, 8, 9, 10])
    def test_packets_of_the_family_are_passed_over(self, kind):
        assert codec(SBIN).received(bytes([kind])) == [Alive()]

    @pytest.mark.parametrize(
        "data", [b"", b"\0", b"\x0b", b"\x01", b"\x02" + bytes(40), b"\x04" + bytes(164)]
    )
    def test_anything_else_is_reported(self, data):
        assert [type(event) for event in codec(SBIN).received(data)] == [Malformed]

    @pytest.mark.parametrize("said", ["", "ok", "[1]", '{"message":"error"}', "{" * 9999])
    def test_text_says_nothing(self, said):
        assert codec().received(said) == [Alive()]

    @pytest.mark.parametrize("said", ['{"error":"no such stream"}', '{"error":{"code":1}}', '{"error":""}'])
    def test_but_for_an_error(self, said):
        assert [type(event) for event in codec().received(said)] == [Rejected]


class TestOrders:
    def update(self, kind=50, **fields):
        said = json.dumps({"oms_order_id": "1", "order_status": "OPEN"} | fields).encode()
        (event,) = codec(feed=ORDERS).received(bytes([kind]) + b"\xff\0\0\0" + said)
        return event

    @pytest.mark.parametrize(
        ("theirs", "ours"),
        [
            ("CANCEL_CONFIRMED", "cancelled"),
            ("COMPLETE", "complete"),
            ("REJECTED", "rejected"),
            ("TRIGGER PENDING", "trigger pending"),
            ("TRIGGER_PENDING", "trigger pending"),
            ("OPEN_PENDING", "open"),
            ("CANCEL_PENDING", "open"),
            ("AMO_SUBMITTED", "open"),
            ("MODIFY_CONFIRMED", "open"),
            ("NEW", "open"),
            ("CANCELLED", "cancelled"),
            ("WHATEVER", "open"),
            (None, "open"),
        ],
    )
    def test_states(self, theirs, ours):
        assert self.update(order_status=theirs).order.order_status == ours

    def test_other_names_and_missing_members(self):
        order = self.update(51, order_type="SLM", average_trade_price=7.5).order
        assert (order.pricetype, order.average_price, order.quantity) == ("SL-M", 7.5, 0)
        assert self.update(order_status="REJECTED", reject_reason="why").order.rejection_reason == "why"
        assert self.update(rejection_reason="why").order.rejection_reason == ""

    def test_what_names_no_order_is_a_sign_of_life(self):
        assert self.update(oms_order_id="") == Alive()

    @pytest.mark.parametrize("said", [b"", b"x", b"[]", b'{"oms_order_id":"1","quantity":"x"}'])
    @pytest.mark.parametrize("kind", [50, 51])
    def test_what_cannot_be_read_is_reported(self, kind, said):
        events = codec(feed=ORDERS).received(bytes([kind]) + bytes(4) + said)
        assert [type(event) for event in events] == [Malformed]


class TestSimulator:
    #: Of each packet what no tick holds: the year's range, the open interest at the beginning.
    UNKNOWN = {1: [*range(78, 86), *range(98, 102)], 2: [*range(30, 34)], 4: []}
    #: Of each what the codec drops: the best prices, and the change.
    DROPPED = {1: [*range(22, 38)], 2: [*range(10, 14), *range(34, 42)], 4: []}

    @pytest.mark.parametrize("start", ["compact packet (2)", "detailed", "snapquote", "compact packet, curr"])
    def test_packets_are_those_of_the_sdk_but_for_what_a_tick_lacks(self, start):
        file = json.loads(Path(__file__).with_name("vectors").joinpath("pocketful.json").read_text())
        (case,) = [case for case in file["cases"] if case["name"].startswith(start)]
        (instrument,) = vectors.instruments(case)
        frame = vectors.frame_data(case["frames"][0])
        loop = Loopback(ADAPTER, MARKET, StillMarket([instrument]))
        loop.subscribe([(instrument, Wish(vectors.case_mode(case["subscribed"])))])
        made = loop.connection.ticks(loop.codec.received(frame))[-1]
        known = [at for at in range(len(frame)) if at not in self.UNKNOWN[frame[0]] + self.DROPPED[frame[0]]]
        assert len(made) == len(frame)
        assert [made[at] for at in known] == [frame[at] for at in known]

    def test_the_change_and_the_best_prices_are_those_of_the_market(self):
        market = StillMarket([SBIN])
        loop = Loopback(ADAPTER, MARKET, market)
        loop.subscribe([(SBIN, LTP)])
        tick = market.last(SBIN)
        tick.ltp, tick.close = 99.5, 100.0
        tick.depth = Depth([Level(99.45, 1)], [Level(99.55, 1)])
        (frame,) = loop.connection.ticks([tick])
        assert frame[10:14] == pack(">i", -50)
        assert frame[34:42] == pack(">II", 9945, 9955)

    def test_streams_are_independent(self):
        loop = Loopback(ADAPTER, MARKET, StillMarket([SBIN]))
        loop.subscribe([(SBIN, FULL)])
        loop.connection.received('{"a":"unsubscribe","v":[[1,3045]],"m":"marketdata"}')
        assert loop.connection.held() == 1
        assert [frame[0] for frame in loop.connection.ticks([Tick(SBIN, Mode.LTP, 1.0)])] == [4]

    @pytest.mark.parametrize(
        "frame",
        ["{", "[]", b"\xff", '{"a":"h"}', '{"a":"subscribe","v":[[1,3045]],"m":"x"}', "[" * 9999,
         '{"a":"subscribe","v":[3045,[1],[1,9],["1","3045"],[5,1]],"m":"marketdata"}',
         '{"a":"subscribe","v":["FAKE009","web"],"m":"updates"}'],
    )  # fmt: skip
    def test_what_it_does_not_understand_it_passes_over(self, frame):
        loop = Loopback(ADAPTER, MARKET, StillMarket([SBIN]))
        assert loop.connection.received(frame) == []
        assert loop.connection.held() == 0

    def test_orders_go_to_those_who_asked(self):
        order = Order(
            orderid="1", symbol="SBIN", exchange="NSE", action="BUY", quantity=1, price=1.0,
            trigger_price=0.0, pricetype="SL-M", product="MIS", order_status="open",
            filled_quantity=0, pending_quantity=1, average_price=0.0,
        )  # fmt: skip
        market = StillMarket([SBIN])
        assert Loopback(ADAPTER, MARKET, market).order(order, "3045") == []
        (update,) = Loopback(ADAPTER, ORDERS, market).order(order, "3045")
        assert isinstance(update, OrderUpdate)
        assert (update.order.symbol, update.order.pricetype) == ("SBIN-EQ", "SL-M")

    def test_another_path_is_not_found(self):
        side = ADAPTER.simulator(StillMarket([]), dict(LOGIN), FixedEnvironment())
        assert side.accept(Upgrade("algo.pocketful.in", "/", {}, {})).status == 404

    def test_its_archive_is_read_as_it_was_made(self):
        rows = [
            MasterRow(symbol=symbol, brsymbol=symbol, name=name, exchange=exchange, brexchange=segment,
                      token=str(number), expiry=expiry, strike=strike, lotsize=lot, instrumenttype=kind,
                      tick_size=0.05)
            for number, (symbol, name, exchange, segment, expiry, strike, lot, kind) in enumerate([
                ("SBIN", "SBI", "NSE", "NSE", "", 0.0, 1, "EQ"),
                ("INDIAVIX", "INDIA VIX", "NSE_INDEX", "NSE", "", 0.0, 1, "EQ"),
                ("SBIN", "SBI", "BSE", "BSE", "", 0.0, 1, "EQ"),
                ("SENSEX50", "SNSX50", "BSE_INDEX", "BSE", "", 0.0, 1, "EQ"),
                ("ITC29DEC26402.5PE", "ITC", "NFO", "NFO", "29-DEC-26", 402.5, 1600, "PE"),
                ("SENSEX31DEC26FUT", "SENSEX", "BFO", "BFO", "31-DEC-26", 0.0, 20, "FUT"),
                ("SENSEX31DEC2680000CE", "SENSEX", "BFO", "BFO", "31-DEC-26", 80000.0, 20, "CE"),
                ("GOLD04DEC26FUT", "GOLD", "MCX", "MCX", "04-DEC-26", 0.0, 100, "FUT"),
                ("GOLD04DEC26130000PE", "GOLD", "MCX", "MCX", "04-DEC-26", 130000.0, 100, "PE"),
            ], 1)
        ]  # fmt: skip
        local = [ADAPTER.simulator.localise(row) for row in rows]
        side = ADAPTER.simulator(StillMarket([], local), dict(LOGIN), FixedEnvironment())
        ((name, request),) = ADAPTER.master_files({}).items()
        parsed = []
        for member, content in unpack(name, side.http(request).body):
            parsed += ADAPTER.parse_master(member, content)
        assert sorted(parsed, key=lambda row: int(row.token)) == local


class TestMaster:
    HEADER = "segment, Exchange_Token,exchange,trading_symbol,company_name,instrument_name,option_type,"
    REST = "strike,expiry,lot_size,tick_size\n"

    def parse(self, file, *lines):
        return list(ADAPTER.parse_master(file, (self.HEADER + self.REST + "\n".join(lines)).encode()))

    def test_what_is_not_traded_is_left_out_and_bad_rows_are_reported(self):
        assert self.parse("NSECompactScrip.csv", "EQUITY,1,NSE,X-SM,X,SM,,0,,1,0.05") == []
        assert self.parse("MCXCompactScrip.csv", "COM,1,MCX,GOLD,GOLD,COM,,0,,1,1") == []
        rows = self.parse(
            "BFOCompactScrip.csv",
            "FNO,1,BFO,X,SENSEX,IO,,0,2026-12-31,20,0.05",
            "FNO,1,BFO,X,SENSEX,IO,CE,,2026-12-31,20,0.05",
            "FNO,1,BFO,X,SENSEX,IF,,0,,20,0.05",
            "FNO,1,BFO,X,,IF,,0,2026-12-31,20,0.05",
            "FNO,-1,BFO,X,SENSEX,IF,,0,2026-12-31,20,0.05",
        )
        assert [(type(row), row.line) for row in rows] == [(BadRow, line) for line in (3, 4, 5, 6)]

    def test_the_point_of_a_strike_stays(self):
        (row,) = self.parse("BFOCompactScrip.csv", "FNO,1,BFO,X,BANKEX,IO,PE,80000.0,2026-12-31,20,0.05")
        assert (row.symbol, row.strike) == ("BANKEX31DEC2680000PE", 80000.0)

    def test_an_unknown_file_is_read_by_its_column(self):
        (row,) = self.parse("file.csv", "IDX,1,BSE,SNSX50,SENSEX 50,IDX,,0,,1,0.05")
        assert (row.symbol, row.exchange, row.name) == ("SENSEX50", "BSE_INDEX", "SENSEX 50")
        (bad,) = self.parse("file.csv", "X,1,NCDEX,X,X,X,,0,,1,0.05")
        assert isinstance(bad, BadRow)

    @pytest.mark.parametrize(
        ("name", "symbol"),
        [("NIFTY BANK", "BANKNIFTY"), ("NIFTY MID SELECT", "MIDCPNIFTY"), ("Nifty IT", "Nifty IT")],
    )
    def test_indices_keep_the_name_that_is_in_no_table(self, name, symbol):
        (row,) = self.parse("NSECompactScrip.csv", f"INDICES,1,NSE,{name},,INDICES,,0,,1,0.05")
        assert (row.symbol, row.exchange, row.instrumenttype) == (symbol, "NSE_INDEX", "INDEX")


def test_a_row_holds_both_or_the_token_alone():
    assert ADAPTER.from_row(AuthRow(name="u", auth="token", user_id="FAKE001"), {}) == LOGIN
    assert ADAPTER.missing(ADAPTER.from_row(AuthRow(name="u", auth="token"), {})) == []
