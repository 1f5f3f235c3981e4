"""Delta Exchange: what its vectors do not show."""

import json

import pytest

from openalgo_ws.adapter import (
    Alive,
    AuthoriseFailed,
    AuthRow,
    BadRow,
    Change,
    LoggedIn,
    LoginFailed,
    Malformed,
    OrderUpdate,
    Rejected,
    Reply,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import Loopback, as_received
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, authorise
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Level, Mode, Tick, Wish

ADAPTER = Registry().load("deltaexchange")
PUBLIC, PRIVATE = ADAPTER.feed("public"), ADAPTER.feed("private")
BTC = Instrument("BTCUSDFUT", "CRYPTO", "27", "BTCUSD", "DELTAIN", 0.5)
ETH = Instrument("ETHUSDFUT", "CRYPTO", "3136", "ETHUSD", "DELTAIN", 0.05)
CALL = Instrument("BTC28NOV2695000CE", "CRYPTO", "118204", "C-BTC-95000-281126", "DELTAIN", 0.1)
LTP, QUOTE, BOOK, DEEP = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH, 15), Wish(Mode.DEPTH, 20)


def codec(*held, wish=LTP):
    made = PUBLIC.codec({}, FixedEnvironment())
    made.change([Change(instrument, None, wish) for instrument in held])
    return made


def say(made, **message):
    return made.received(json.dumps(message))


def asked(sends):
    """(action, channel, symbols) of every channel in these frames."""
    return [
        (message["type"], channel["name"], channel["symbols"])
        for message in map(json.loads, sends)
        for channel in message["payload"]["channels"]
    ]


class TestRequests:
    def test_symbols_are_split_over_frames(self):
        many = [Instrument(f"S{n}", "CRYPTO", str(n), f"S{n}") for n in range(301)]
        sends = codec().change([Change(one, None, QUOTE) for one in many])
        assert [len(symbols) for _, _, symbols in asked(sends)] == [150, 150, 150, 150, 1, 1]

    def test_a_change_of_mode_sends_what_comes_or_goes(self):
        made = codec(BTC)
        assert made.change([Change(BTC, LTP, QUOTE)]) == []
        assert asked(made.change([Change(BTC, QUOTE, BOOK)])) == [("subscribe", "ob_l2", ["BTCUSD"])]
        assert asked(made.change([Change(BTC, BOOK, DEEP)])) == [
            ("unsubscribe", "ob_l2", ["BTCUSD"]),
            ("subscribe", "ob_updates", ["BTCUSD"]),
        ]
        assert asked(made.change([Change(BTC, DEEP, LTP)])) == [("unsubscribe", "ob_updates", ["BTCUSD"])]

    def test_a_symbol_is_somebodys(self):
        made = codec(BTC)
        other = Instrument("X", "CRYPTO", "28", "BTCUSD")
        assert (
            made.change([Change(other, None, LTP), Change(Instrument("Y", "CRYPTO", "1"), None, LTP)]) == []
        )
        refused = say(made, type="pong")
        assert [event.instruments[0].symbol for event in refused[:2]] == ["X", "Y"]
        assert made.change([Change(other, LTP, None)]) == []
        assert say(made, type="trades", sy="BTCUSD", p=1)[0].instrument == BTC


class TestNumbers:
    @pytest.mark.parametrize(
        "junk", [None, "", "x", "NaN", "Infinity", "1_0", True, [], {}, "1e999", 10**400]
    )
    def test_what_is_not_available_leaves_the_memory_alone(self, junk):
        made = codec(BTC)
        entry = {"ohlc": [1, "2", 3, 4], "oi": ["5", 0], "pb": ["6", 7]}
        say(made, type="ticker", sy="BTCUSD", d=[entry])
        entry = {"s": "BTCUSD", "m": 9, "ohlc": [junk] * 4, "oi": [junk, 0], "pb": [junk, junk]}
        (tick,) = say(made, type="ticker", sy="BTC-281126", ts=junk, d=[entry])
        assert (tick.ltp, tick.open, tick.high, tick.low, tick.oi) == (4.0, 1.0, 2.0, 3.0, 5.0)
        assert (tick.lower_circuit, tick.upper_circuit, tick.exchange_timestamp) == (6.0, 7.0, None)
        (tick,) = say(made, type="trades", sy="BTCUSD", p="8", s=junk, t=junk)
        assert (tick.ltp, tick.last_trade_quantity, tick.ltt) == (8.0, None, None)
        assert isinstance(say(made, type="trades", sy="BTCUSD", p=junk)[0], Malformed)

    def test_a_zero_is_a_price_of_the_day_and_no_last_price(self):
        made = codec(BTC)
        (tick,) = say(made, type="ticker", sy="BTCUSD", sp="99", d=[{"ohlc": [0, 0, 0, 0], "m": "0"}])
        assert (tick.ltp, tick.open, tick.high, tick.low) == (99.0, 0.0, 0.0, 0.0)
        (tick,) = say(made, type="ticker", sy="BTCUSD", sp="98", d=[{"m": "97"}])
        assert tick.ltp == 99.0

    def test_nothing_known_is_no_tick(self):
        assert say(codec(BTC), type="ticker", sy="BTCUSD", ts=1, d=[{}]) == []

    def test_one_bad_entry_spoils_no_other(self):
        events = say(codec(BTC), type="ticker", sy="BTCUSD", d=[5, {"m": 1}, None, {"s": 7, "m": 2}])
        assert [type(event) for event in events] == [Malformed, Tick, Malformed, Tick]


class TestWholeBook:
    @pytest.mark.parametrize(
        "side", [None, {}, "x", [["1"]], [["1", "2", "3"]], [["1", "x"]], [["1", None]], ["12"], [{"1": 2}]]
    )
    def test_a_side_that_is_none(self, side):
        made = codec(BTC, wish=BOOK)
        assert isinstance(say(made, type="ob_l2", sy="BTCUSD", a=side, b=[])[0], Malformed)
        assert isinstance(say(made, type="ob_l2", sy="BTCUSD", a=[], b=side)[0], Malformed)
        assert say(made, type="ob_l2", sy="ETHUSD", a=side, b=[]) == []

    def test_an_empty_side(self):
        (tick,) = say(codec(BTC, wish=BOOK), type="ob_l2", sy="BTCUSD", a=[], b=[[1, "2.5"]])
        assert (tick.depth.buy, tick.depth.sell) == ([Level(1.0, 2.5)], [])


class TestIncrementalBook:
    def book(self, made, **message):
        return say(made, type="ob_updates", sy="BTCUSD", **message)

    def ready(self):
        made = codec(BTC, wish=DEEP)
        self.book(made, action="snapshot", a=[["3", "1"]], b=[["2", "1"]], seq=1)
        return made

    def test_the_checksum_of_the_documents(self):
        made = codec(BTC, wish=DEEP)
        asks = [["79754.0", "100"], ["79754.5", "250"]]
        fields = {"action": "snapshot", "a": asks, "b": [["79753.5", "80"]], "seq": 5}
        assert isinstance(self.book(made, **fields, cs=1662849074)[0], Tick)
        assert isinstance(self.book(made, **fields, cs=1662849075)[0], Malformed)

    @pytest.mark.parametrize(
        "bad",
        [
            {"a": [], "b": []},
            {"a": [], "seq": "x"},
            {"a": [], "seq": 1},
            {"a": [], "seq": 3},
            {"a": [["1"]], "seq": 2},
            {"b": {}, "seq": 2},
            {"seq": 2, "cs": 1},
        ],
    )
    def test_after_an_error_a_new_book_is_asked_for_once(self, bad):
        made = self.ready()
        first, *replies = self.book(made, action="update", **bad)
        assert isinstance(first, Malformed)
        assert asked(reply.send for reply in replies) == [
            ("unsubscribe", "ob_updates", ["BTCUSD"]),
            ("subscribe", "ob_updates", ["BTCUSD"]),
        ]
        assert self.book(made, action="update", a=[], seq=2) == []
        (tick,) = self.book(made, action="snapshot", a=[["4", "1"]], seq="9")
        assert (tick.depth.buy, tick.depth.sell) == ([], [Level(4.0, 1.0)])
        assert [type(event) for event in self.book(made, action="update", **bad)] == [Malformed, Reply, Reply]

    def test_where_there_is_no_book_asking_ends(self):
        made = self.ready()
        message = {"type": "ob_updates", "action": "error", "symbol": "BTCUSD", "msg": "no book"}
        assert [type(event) for event in say(made, **message)] == [Rejected, Reply, Reply]
        assert [type(event) for event in say(made, **message)] == [Rejected]
        assert say(made, **message | {"symbol": "ETHUSD"}) == []

    def test_as_many_levels_as_were_asked_for(self):
        made = codec(BTC, wish=DEEP)
        levels = [[str(100 + n), "1"] for n in range(40)]
        (tick,) = self.book(made, action="snapshot", a=levels, b=levels, seq=1)
        assert [level.price for level in tick.depth.sell] == [100.0 + n for n in range(20)]
        assert [level.price for level in tick.depth.buy] == [139.0 - n for n in range(20)]

    def test_a_book_taken_again_starts_anew(self):
        made = self.ready()
        made.change([Change(BTC, DEEP, None)])
        made.change([Change(BTC, None, DEEP)])
        assert self.book(made, action="update", a=[], seq=2) == []


class TestOtherMessages:
    def test_heartbeats(self):
        assert say(codec(), type="heartbeat") == [Alive()]

    @pytest.mark.parametrize("kind", ["ob_l1", "candlestick_1m", "product_updates", None, 5, [], "?"])
    def test_what_is_not_for_us(self, kind):
        assert say(codec(BTC), type=kind, sy="BTCUSD", p=1) == []

    @pytest.mark.parametrize("frame", ["[]", "5", "null", "{", b"\xff", '{"type":"\ud800"}', "[" * 5000])
    def test_no_object(self, frame):
        assert isinstance(codec().received(frame)[0], Malformed)

    def test_bytes_are_text(self):
        assert codec().received(b'{"type":"pong"}') == [Alive()]


class TestLogin:
    def test_the_signature_and_the_subscription_of_orders(self):
        loop = Loopback(ADAPTER, PRIVATE, StillMarket([BTC]))
        assert [type(event) for event in loop.login] == [LoggedIn, Reply]
        assert json.loads(loop.frames[-1])["channels"] == [{"name": "orders", "symbols": ["all"]}]

    @pytest.mark.parametrize("field", ["api_key", "api_secret"])
    def test_a_wrong_key_is_refused(self, field):
        right = dict(ADAPTER.simulator.demo_credentials)
        loop = Loopback(ADAPTER, PRIVATE, StillMarket([BTC]), credentials=right | {field: "wrong"})
        (event,) = loop.login
        assert isinstance(event, LoginFailed)
        assert event.verdict.cause is Cause.TOKEN

    def test_without_a_key_nobody_is_dialled(self):
        with pytest.raises(AuthoriseFailed):
            authorise(PRIVATE.authorise, {"api_key": "k"}, FixedEnvironment(), lambda request: None)

    def test_account_channels_are_not_on_the_public_host(self):
        loop = Loopback(ADAPTER, PUBLIC, StillMarket([BTC]))
        (answer,) = loop.connection.received(
            '{"type":"subscribe","payload":{"channels":[{"name":"orders","symbols":["all"]}]}}'
        )
        (event,) = loop.codec.received(answer)
        assert event == Rejected("orders: subscription forbidden on this channel. Use appropriate pod")

    def test_too_many_connections(self):
        verdict = codec().refused(429, {}, b"")
        assert (verdict.cause, verdict.wait) == (Cause.TOO_MANY, 300.0)

    def test_the_secret_is_beside_the_key_or_in_the_environment(self):
        row = AuthRow(name="x", auth="key")
        env = {"BROKER_API_SECRET": "secret"}
        assert ADAPTER.from_row(row, env) == {"api_key": "key", "api_secret": "secret"}


class TestOrders:
    ORDER = {"order_id": 7, "symbol": "BTCUSD", "side": "sell", "size": 10, "unfilled_size": "4"}

    def order(self, **fields):
        made = PRIVATE.codec(dict(ADAPTER.simulator.demo_credentials), FixedEnvironment())
        (event,) = say(made, type="orders", action="update", **self.ORDER | fields)
        return event.order

    def test_quantities(self):
        order = self.order(state="open", average_fill_price="5.5")
        assert (order.quantity, order.filled_quantity, order.pending_quantity) == (10, 6, 4)
        assert (order.action, order.average_price, order.product) == ("SELL", 5.5, "NRML")
        assert self.order(size="0.5", unfilled_size=0.25).filled_quantity == 0.25

    @pytest.mark.parametrize(
        ("stop", "limit", "pricetype"),
        [
            (None, "5", "LIMIT"),
            (None, None, "MARKET"),
            ("stop_loss_order", "5", "SL"),
            ("stop_loss_order", None, "SL-M"),
        ],
    )
    def test_kinds(self, stop, limit, pricetype):
        assert self.order(stop_order_type=stop, limit_price=limit).pricetype == pricetype

    @pytest.mark.parametrize(
        ("state", "stop", "status"),
        [
            ("open", None, "open"),
            ("pending", None, "open"),
            ("pending", "stop_loss_order", "trigger pending"),
            ("closed", None, "complete"),
            ("cancelled", "stop_loss_order", "cancelled"),
        ],
    )
    def test_states(self, state, stop, status):
        assert self.order(state=state, stop_order_type=stop).order_status == status

    def test_a_snapshot_has_many(self):
        made = codec()
        orders = [{**self.ORDER, "order_id": None, "id": 8}, 5, {}]
        events = say(made, type="orders", action="snapshot", result=orders)
        assert [type(event) for event in events] == [OrderUpdate, Malformed, Malformed]
        assert events[0].order.orderid == "8"


class TestProducts:
    def parse(self, **fields):
        product = {
            "id": 1,
            "symbol": "BTCUSD",
            "contract_type": "perpetual_futures",
            "state": "live",
            "trading_status": "operational",
        }
        (row,) = ADAPTER.parse_master("products.json", json.dumps({"result": [product | fields]}).encode())
        return row

    @pytest.mark.parametrize(
        ("symbol", "kind", "expected"),
        [
            ("ETHUSDT25DEC2026", "futures", "ETH25DEC26FUT"),
            ("LTCBTC25Dec2026", "futures", "LTC25DEC26FUT"),
            ("P-BTC-90500.5-251226", "put_options", "BTC25DEC2690500.5PE"),
            ("MV-BTC-90000-251226", "move_options", "MV-BTC-90000-251226"),
            ("X", "new_things", "X"),
        ],
    )
    def test_symbols(self, symbol, kind, expected):
        row = self.parse(symbol=symbol, contract_type=kind, settlement_time="2026-12-25T12:00:00Z")
        assert (row.symbol, row.expiry) == (expected, "25-DEC-26")

    def test_a_strike_may_stand_in_the_symbol_alone(self):
        row = self.parse(symbol="C-BTC-95000-281126", contract_type="turbo_call_options")
        assert (row.strike, row.instrumenttype) == (95000.0, "TCE")

    @pytest.mark.parametrize("fields", [{"id": None}, {"settlement_time": "soon"}, {"tick_size": "x"}])
    def test_a_broken_product_is_reported(self, fields):
        assert isinstance(self.parse(**fields), BadRow)

    def test_page_after_page(self):
        market = StillMarket(Instrument(f"S{n}", "CRYPTO", str(n), f"S{n}") for n in range(1200))
        server = ADAPTER.simulator(market, {}, FixedEnvironment())
        pages, rows = ADAPTER.master_files({}), 0
        while pages:
            ((name, request),) = pages.items()
            data = server.http(as_received(request)).body
            rows += len(list(ADAPTER.parse_master(name, data)))
            pages = ADAPTER.next_page(name, data)
        assert rows == 1200

    @pytest.mark.parametrize("data", [b"", b"[]", b'{"meta":5}', b'{"meta":{"after":7}}'])
    def test_no_page_after_this(self, data):
        assert ADAPTER.next_page("products.json", data) == {}


def test_a_chain_brings_its_contracts_under_its_own_name():
    loop = Loopback(ADAPTER, PUBLIC, StillMarket([BTC, CALL]))
    loop.subscribe([(CALL, LTP)])
    channels = [{"name": "ticker", "symbols": ["BTC-281126"]}]
    frames = loop.connection.received(json.dumps({"type": "subscribe", "payload": {"channels": channels}}))
    (tick,) = loop.codec.received(frames[-1])
    assert (json.loads(frames[-1])["sy"], tick.instrument) == ("BTC-281126", CALL)


def test_the_ticker_and_the_trade_of_one_contract():
    loop = Loopback(ADAPTER, PUBLIC, StillMarket([ETH]))
    loop.subscribe([(ETH, LTP)])
    tick = Tick(ETH, Mode.QUOTE, ltp=5.0, high=6.0, last_trade_quantity=1, ltt=1_795_405_800_000)
    assert [len(loop.tick([tick])) for _ in range(2)] == [2, 0]
