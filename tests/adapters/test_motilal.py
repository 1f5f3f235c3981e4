"""Rules of Motilal Oswal's sheet that no vector covers."""

import json
from struct import pack

import pytest

from openalgo_adapters.motilal import adapter as ADAPTER
from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Cause,
    Change,
    Close,
    LoginFailed,
    Malformed,
    Rejected,
    Reply,
)
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, make_codec, subscribe
from openalgo_ws.tick import Instrument, Level, Mode, Tick, Wish

SBIN = Instrument("SBIN", "NSE", "3045", "SBIN EQ", "NSE")
TATA = Instrument("TATA", "BSE", "3045", "TATA A", "BSE")
GOLD_ETF = Instrument("X", "NSE", "888805", "X EQ", "NSE")
FUT = Instrument("NIFTY30DEC25FUT", "NFO", "48203", "NIFTY 30-DEC-2025", "NSEFO")
USD = Instrument("USDINR29DEC25FUT", "CDS", "3045", "USDINR 29-DEC-2025", "NSECD")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "26000", "Nifty 50", "NSE")
SENSEX = Instrument("SENSEX", "BSE_INDEX", "999901", "BSE SENSEX", "BSE")
LTP, QUOTE, BOOK = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)

#: 2025-12-09 13:47:52 in India, by the broker's count and in epoch milliseconds.
MOMENT, EPOCH_MS = 1_449_755_272, 1_765_268_272_000


def codec(*instruments, feed="broadcast"):
    made = make_codec(ADAPTER, ADAPTER.feed(feed), FixedEnvironment())
    made.opened()
    subscribe(made, [(instrument, BOOK) for instrument in instruments])
    return made


def packet(kind, body=b"", letter="N", scrip=3045, moment=MOMENT):
    return letter.encode() + pack("<ii", scrip, moment) + kind.encode() + body.ljust(20, b"\0")


def trade(price=800.0, volume=10, oi=0, **place):
    return packet("A", pack("<fiIfI", price, 5, volume, price, oi), **place)


def level(kind, bid=(0.0, 0, 0), ask=(0.0, 0, 0), **place):
    return packet(kind, pack("<fihfih", *bid, *ask), **place)


class TestRequests:
    def test_a_change_of_mode_sends_nothing(self):
        made = codec(SBIN)
        assert made.change([Change(SBIN, BOOK, LTP)]) == []

    @pytest.mark.parametrize(
        ("exchange", "letters"),
        [
            ("NSE", b"NC"), ("NFO", b"ND"), ("BSE", b"BC"), ("BFO", b"GD"),
            ("MCX", b"MD"), ("CDS", b"CD"), ("NCDEX", b"DD"), ("BCD", b"ED"),
        ],
    )  # fmt: skip
    def test_letters_of_exchanges(self, exchange, letters):
        (sent,) = subscribe(codec(), [(Instrument("X", exchange, "7"), LTP)])
        assert sent == b"D\7\0" + letters + b"\7\0\0\0\1"

    @pytest.mark.parametrize("token", ["", "x", "-1", "²", "2147483648", "9" * 30])
    def test_a_code_that_is_none_is_refused_once(self, token):
        made = codec()
        odd = Instrument("X", "NSE", token)
        assert subscribe(made, [(odd, LTP)]) == []
        assert made.received(b"") == [Rejected("no scrip code of this broker", (odd,))]
        assert made.change([Change(odd, LTP, None)]) == []
        assert made.received(b"") == []

    def test_indices_cost_nothing_and_send_nothing(self):
        made = codec(NIFTY)
        assert ADAPTER.cost(NIFTY, QUOTE) == 0
        assert made.change([Change(NIFTY, QUOTE, None)]) == []
        assert made.received(packet("H", pack("<f", 7.0), scrip=26000)) == []

    def test_a_long_code_and_one_that_is_not_ascii(self):
        for code in ("C" * 40, "é"):
            made = ADAPTER.feed("broadcast").codec({"client_code": code}, FixedEnvironment())
            (login,) = made.opened()
            assert len(login) == 114


class TestWhoIsMeant:
    def ticks(self, made, data):
        return [event.instrument for event in made.received(data) if isinstance(event, Tick)]

    def test_one_letter_stands_for_shares_and_contracts(self):
        far = Instrument("Y", "NFO", "888821")
        made = codec(SBIN, GOLD_ETF, FUT, far)
        data = b"".join(trade(scrip=scrip) for scrip in (3045, 48203, 888805, 888821))
        assert self.ticks(made, data) == [SBIN, FUT, GOLD_ETF, far]
        # A contract can't have the code of a share.
        assert self.ticks(codec(Instrument("Z", "NFO", "3045")), trade()) == []

    def test_one_code_on_several_exchanges(self):
        made = codec(SBIN, TATA, USD)
        assert self.ticks(made, trade(letter="C") + trade(letter="B") + trade()) == [USD, TATA, SBIN]

    def test_an_index_is_told_by_the_type(self):
        share = Instrument("S", "NSE", "26000")
        made = codec(NIFTY, SENSEX, share)
        value = pack("<f", 84_904.2)
        assert self.ticks(made, packet("H", value, scrip=26000) + trade(scrip=26000)) == [NIFTY, share]
        (tick,) = made.received(packet("H", value, letter="B", scrip=999901))
        assert (tick.instrument, tick.kind, tick.ltp) == (SENSEX, Mode.LTP, 84_904.2)
        assert made.received(packet("H", value, letter="M", scrip=999901)) == []


class TestMerging:
    def test_each_packet_gives_the_whole_record(self):
        made = codec(SBIN)
        first, second = made.received(trade(volume=3_000_000_000) + packet("m", pack("<I", 4_000_000_000)))
        assert (first.volume, first.oi, first.ltt, first.kind) == (3_000_000_000, 0, EPOCH_MS, Mode.QUOTE)
        assert (second.volume, second.oi, second.ltp) == (3_000_000_000, 4_000_000_000, 800.0)

    def test_a_side_without_price_and_quantity_clears_its_place(self):
        made = codec(SBIN)
        made.received(level("B", (10.0, 5, 1), (10.5, 6, 2)) + level("F", (9.0, 7, 1), (11.0, 8, 2)))
        (tick,) = made.received(level("B", (0.0, 0, 0), (10.45, 3, 1)))
        assert tick.depth.buy == [Level(9.0, 7, 1)]
        assert tick.depth.sell == [Level(10.45, 3, 1), Level(11.0, 8, 2)]
        assert tick.kind is Mode.DEPTH

    def test_an_earlier_tick_is_left_alone(self):
        made = codec(SBIN)
        (first,) = made.received(trade(800.0))
        made.received(trade(801.0) + level("B", (10.0, 5, 1)))
        assert (first.ltp, first.depth, first.kind) == (800.0, None, Mode.QUOTE)

    def test_without_a_time_the_remembered_one_stays(self):
        made = codec(SBIN)
        made.received(trade())
        (tick,) = made.received(trade(moment=0))
        assert (tick.exchange_timestamp, tick.ltt) == (EPOCH_MS, EPOCH_MS)
        (tick,) = codec(SBIN).received(trade(moment=0))
        assert (tick.exchange_timestamp, tick.ltt) == (None, None)

    def test_decimals_by_exchange(self):
        (tick,) = codec(SBIN).received(trade(90.1125))
        assert tick.ltp == 90.11
        (tick,) = codec(USD).received(trade(90.1125, letter="C"))
        assert tick.ltp == 90.1125

    def test_a_scrip_that_comes_back_begins_anew(self):
        made = codec(SBIN)
        made.received(trade())
        made.change([Change(SBIN, BOOK, None), Change(TATA, None, LTP)])
        made.change([Change(SBIN, None, LTP)])
        (tick,) = made.received(packet("W", pack("<ff", 2.0, 1.0)))
        assert (tick.ltp, tick.upper_circuit, tick.lower_circuit) == (None, 2.0, 1.0)


class TestDamage:
    def test_what_is_whole_counts(self):
        made = codec(SBIN)
        tick, bad = made.received(trade() + b"N" * 7)
        assert isinstance(tick, Tick)
        assert isinstance(bad, Malformed)

    def test_the_rest_of_the_frame_goes_on(self):
        bad, tick = codec(SBIN).received(packet("A", letter="Z") + trade())
        assert isinstance(bad, Malformed)
        assert isinstance(tick, Tick)

    @pytest.mark.parametrize("kind", "ABGWH")
    def test_a_price_that_is_none(self, kind):
        made = codec(SBIN, NIFTY)
        scrip = 26000 if kind == "H" else 3045
        (bad,) = made.received(packet(kind, pack("<f", float("nan")), scrip=scrip))
        assert isinstance(bad, Malformed)

    @pytest.mark.parametrize("kind", "XgzY?")
    def test_types_that_mean_nothing(self, kind):
        assert codec(SBIN).received(packet(kind)) == []

    @pytest.mark.parametrize("letter", "N?")
    def test_a_heartbeat_is_answered_whatever_it_claims(self, letter):
        assert codec().received(packet("1", letter=letter)) == [Reply(b"1\0\0")]

    def test_text(self):
        made = codec()
        assert isinstance(made.received('{"errorcode":"MO1001","message":"x"}')[0], LoginFailed)
        assert made.received('{"errorcode":"MO8000","message":"Technical"}') == [Rejected("Technical")]
        assert isinstance(made.received("hello")[0], Malformed)
        assert made.received("") == []

    def test_a_lost_connection_waits_for_five_seconds(self):
        for feed in ("broadcast", "orders"):
            verdict = codec(feed=feed).closed(1006, "")
            assert (verdict.cause, verdict.wait) == (Cause.TRANSIENT, 5.0)


class TestLogin:
    def test_prices_need_the_client_code_alone(self):
        assert ADAPTER.missing({"client_code": "X"}) == []
        assert ADAPTER.missing({"auth_token": "X"}) == ["client_code"]

    @pytest.mark.parametrize("lacking", ["auth_token", "api_key"])
    def test_orders_need_more(self, lacking):
        given = dict(ADAPTER.simulator.demo_credentials)
        del given[lacking]
        steps = ADAPTER.feed("orders").authorise(given, FixedEnvironment())
        with pytest.raises(AuthoriseFailed) as failed:
            next(steps)
        assert failed.value.verdict.cause is Cause.TOKEN

    def test_the_platform_s_row(self):
        env = {"BROKER_API_KEY": "C2", "BROKER_API_SECRET": "k"}
        assert ADAPTER.from_row(AuthRow(name="n", auth="t", user_id="C1"), env) == {
            "client_code": "C1", "auth_token": "t", "api_key": "k"
        }  # fmt: skip
        assert ADAPTER.from_row(AuthRow(name="n", auth="t"), env)["client_code"] == "C2"


class TestOrders:
    def order(self, **fields):
        base = {"uniqueorderid": "1", "orderstatus": "Confirm", "exchange": "NSE", "symboltoken": "3045"}
        (event,) = codec(feed="orders").received(json.dumps({**base, **fields}))
        return event

    def test_what_is_sent(self):
        made = ADAPTER.feed("orders").codec(
            {"client_code": "C", "auth_token": "t", "api_key": "k"}, FixedEnvironment()
        )
        assert [json.loads(frame) for frame in made.opened()] == [
            {"clientid": "C", "authtoken": "t", "apikey": "k"},
            {"clientid": "C", "action": "OrderSubscribe"},
        ]
        assert json.loads(made.heartbeat()) == {"clientid": "C", "action": "heartbeat"}

    @pytest.mark.parametrize(
        ("status", "ours"),
        [
            ("Traded", "complete"), ("Rejected", "rejected"), ("Error", "rejected"), ("Cancel", "cancelled"),
            ("Sent", "open"), ("Partial", "open"), ("Open", "open"), ("Unknown", "open"),
        ],
    )  # fmt: skip
    def test_states(self, status, ours):
        event = self.order(orderstatus=status, error="no margin")
        assert event.order.order_status == ours
        assert event.order.rejection_reason == ("no margin" if ours == "rejected" else "")

    @pytest.mark.parametrize(
        ("fields", "ours"),
        [
            ({"ordertype": "Market"}, "MARKET"),
            ({"ordertype": "LIMIT"}, "LIMIT"),
            ({"ordertype": "StopLoss", "price": 5.0}, "SL"),
            ({"ordertype": "STOPLOSS", "price": 0}, "SL-M"),
        ],
    )
    def test_price_types(self, fields, ours):
        assert self.order(**fields).order.pricetype == ours

    @pytest.mark.parametrize(
        ("product", "ours"),
        [("DELIVERY", "CNC"), ("VALUEPLUS", "MIS"), ("NORMAL", "NRML"), ("BTST", "BTST")],
    )
    def test_products(self, product, ours):
        event = self.order(producttype=product, exchange="NSEFO", buyorsell="Sell")
        assert (event.order.product, event.order.exchange, event.order.action) == (ours, "NFO", "SELL")
        assert event.token == "3045"

    def test_what_is_no_order(self):
        made = codec(feed="orders")
        assert made.received('{"tradeno":"7","uniqueorderid":"1"}') == [Alive()]
        (event,) = made.received('{"errorcode":"MO1001"}')
        assert event.verdict.cause is Cause.TOKEN
        assert isinstance(made.received('{"errorcode":"MO2012"}')[0], Rejected)
        assert isinstance(self.order(uniqueorderid=""), Malformed)


class TestMaster:
    COLUMNS = (
        "exchange,exchangename,scripcode,scripname,marketlot,scripshortname,issuspended,instrumentname,"
        "expirydate,strikeprice,optiontype,markettype,foexposurepercent,ticksize"
    )

    def rows(self, *lines):
        text = "\n".join((self.COLUMNS, *lines))
        return list(ADAPTER.parse_master("getscripmastercsv?name=X", text.encode()))

    def row(self, segment, scripname, short, kind, right, strike="-1", tick="0.05"):
        line = f"N,{segment},7,{scripname},1,{short},0,{kind},99,{strike},{right},0,0,{tick}"
        (row,) = self.rows(line)
        return row

    def test_the_series_eq_is_kept(self):
        lines = [f"N,NSE,{n},SBIN {series},1,SBIN,0,,0,-1,{series},0,0,0.05" for n, series in
                 enumerate(("BE", "EQ", "N1"), 1)]  # fmt: skip
        (row,) = self.rows(*lines)
        assert (row.token, row.brsymbol) == ("2", "SBIN EQ")
        (row,) = self.rows(lines[0], lines[2])
        assert row.token == "1"

    def test_contracts(self):
        row = self.row("BSEFO", "BSX 24-DEC-2025 PE 84000", "BSX", "OPTIDX", "PE", "84000.0")
        assert (row.symbol, row.exchange, row.name) == ("SENSEX24DEC2584000PE", "BFO", "SENSEX")
        row = self.row("NSECO", "USDINR 29-DEC-2025", "USDINR", " futcur ", "")
        assert (row.symbol, row.exchange, row.brexchange) == ("USDINR29DEC25FUT", "CDS", "NSECO")
        assert (row.instrumenttype, row.expiry, row.strike) == ("FUT", "29-DEC-25", 0.0)

    @pytest.mark.parametrize("name", ["CRUDEOIL", "CRUDEOIL 32-DEC-2025", "CRUDEOIL 19-DEC-2025X"])
    def test_a_contract_without_a_date_keeps_its_name(self, name):
        row = self.row("MCX", name, "CRUDEOIL", "FUTCOM", "XX")
        assert (row.symbol, row.expiry) == (name, "")

    @pytest.mark.parametrize("tick", ["0", "-1", ""])
    def test_a_tick_size_that_is_none(self, tick):
        assert self.row("NSE", "SBIN EQ", "SBIN", "", "EQ", tick=tick).tick_size == 0.05

    def test_rows_that_are_not_ours_and_that_are_broken(self):
        assert self.rows("N,NSEXX,7,A,1,A,0,,0,-1,EQ,0,0,0.05") == []
        assert isinstance(self.rows("N,NSE,x,A,1,A,0,,0,-1,EQ,0,0,0.05")[0], BadRow)

    @pytest.mark.parametrize(
        ("segment", "name", "symbol"),
        [
            ("NSE", "Nifty 50", "NIFTY"),
            ("NSE", "Nifty Fin Service", "FINNIFTY"),
            ("NSE", "Nifty Auto", "NIFTYAUTO"),
            ("BSE", "BSE  Sensex", "SENSEX"),
            ("BSE", "BSE DOL100", "BSEDOLLEX100"),
            ("BSE", "BSE TECK", "BSETECK"),
        ],
    )
    def test_indices(self, segment, name, symbol):
        text = f"indexcode,indexname,exchangename\n26000,{name},{segment}\n"
        (row,) = ADAPTER.parse_master(f"getindexdatacsv?name={segment}", text.encode())
        assert (row.symbol, row.exchange, row.token) == (symbol, f"{segment}_INDEX", "26000")
        assert (row.lotsize, row.tick_size, row.instrumenttype) == (1, 0.05, "INDEX")


class TestServer:
    def connection(self, *instruments):
        loop = Loopback(ADAPTER, ADAPTER.feed("broadcast"), StillMarket(instruments))
        return loop.connection

    def login(self, code=b"DEMO001"):
        size = bytes((len(code),))
        return b"Q" + pack("<H", 111) + (size + code.ljust(15) + size + code.ljust(30)).ljust(111)

    def test_the_login_may_come_again_and_with_requests_behind_it(self):
        connection = self.connection(SBIN)
        request = b"D\7\0NC" + pack("<i", 3045) + b"\1"
        frames = connection.received(b"q" + self.login()[1:] + request)
        assert all(len(frame) % 30 == 0 for frame in frames)
        assert connection.held() == 1
        assert connection.received("1\0\0") == []

    def test_another_client_is_closed(self):
        assert self.connection().received(self.login(b"OTHER")) == [Close(1008)]

    def test_indices_come_unasked(self):
        connection = self.connection(NIFTY)
        (frame,) = connection.ticks([Tick(NIFTY, Mode.QUOTE, ltp=7.0, exchange_timestamp=EPOCH_MS)])
        assert frame == packet("H", pack("<f", 7.0), scrip=26000)

    def test_no_more_than_two_hundred_codes(self):
        shares = [Instrument(f"S{n}", "NSE", str(n), f"S{n} EQ", "NSE") for n in range(1, 203)]
        connection = self.connection(*shares)
        for share in shares:
            connection.received(b"D\7\0NC" + pack("<i", int(share.token)) + b"\1")
        assert connection.held() == 200

    @pytest.mark.parametrize("frame", [b"", b"Z", b"D\7", b"1", "é", b"\0" * 200])
    def test_nonsense_is_passed_over(self, frame):
        assert self.connection().received(frame) == []

    def test_what_the_order_socket_refuses(self):
        feed = ADAPTER.feed("orders")
        loop = Loopback(ADAPTER, feed, StillMarket([SBIN]))
        for frame, code in (
            ("[]", "MO8000"),
            ('{"clientid":"x","action":"dance"}', "MO2012"),
            ('{"clientid":"x","authtoken":"y"}', "MO1001"),
        ):
            (answer,) = loop.connection.received(frame)
            assert json.loads(answer)["errorcode"] == code
