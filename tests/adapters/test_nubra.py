"""Nubra: what its vectors do not show."""

import dataclasses
import json
from datetime import date

import pytest
from google.protobuf.any_pb2 import Any as Envelope

from openalgo_adapters.nubra import feed_pb2
from openalgo_adapters.nubra.master import master_files
from openalgo_ws.adapter import (
    AuthoriseFailed,
    BadRow,
    Change,
    HttpResponse,
    LoginFailed,
    Malformed,
    MasterRow,
    Rejected,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import ConnectionRefused, Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket, authorise
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Depth, Instrument, Level, Mode, Tick, Wish

ADAPTER = Registry().load("nubra")
MARKET, ORDERS = ADAPTER.feed("market"), ADAPTER.feed("orders")
RELIANCE = Instrument("RELIANCE", "NSE", "71878", "RELIANCE", "NSE")
RELIANCE_BSE = Instrument("RELIANCE", "BSE", "90211", "RELIANCE", "BSE")
NIFTY = Instrument("NIFTY", "NSE_INDEX", "NIFTY", "NIFTY", "NSE")
LTP, QUOTE, DEPTH = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH, 5)
CREDENTIALS = {"session_token": "the.session.token", "device_id": "d"}
MOMENT = 1790921700123456789


def codec(*held, wish=LTP, feed=MARKET, credentials=CREDENTIALS):
    made = feed.codec(credentials, FixedEnvironment())
    made.change([Change(instrument, None, wish) for instrument in held])
    return made


def enveloped(name, message):
    inner = Envelope(type_url=f"type.googleapis.com/package.{name}", value=message.SerializeToString())
    return Envelope(type_url="anything", value=inner.SerializeToString()).SerializeToString()


def index(made, *, batch=MOMENT, **fields):
    message = feed_pb2.IndexBatch(timestamp=batch, instruments=[feed_pb2.Index(**fields)])
    return made.received(enveloped("BatchWebSocketIndexMessage", message))


def book(made, **fields):
    message = feed_pb2.BookBatch(timestamp=MOMENT, instruments=[feed_pb2.Book(**fields)])
    return made.received(enveloped("BatchWebSocketOrderbookMessage", message))


def said(sends):
    """The commands without verb's prefix and token."""
    return [send.removeprefix("batch_").replace(" the.session.token", "") for send in sends]


class TestCommands:
    def test_a_change_of_mode_sends_what_comes_or_goes(self):
        made = codec(RELIANCE)
        names = '{"instruments":[],"indexes":["RELIANCE"]}'
        refs = '{"instruments":[71878],"indexes":[]}'
        assert said(made.change([Change(RELIANCE, LTP, DEPTH)])) == [
            f"subscribe index_bucket {names} 1d NSE",
            "subscribe orderbook_depth 5",
            f"subscribe orderbook {refs}",
        ]
        assert said(made.change([Change(RELIANCE, DEPTH, QUOTE)])) == [f"unsubscribe orderbook {refs}"]
        assert said(made.change([Change(RELIANCE, QUOTE, LTP)])) == [
            f"unsubscribe index_bucket {names} 1d NSE"
        ]

    def test_the_largest_depth_holds_for_all(self):
        made = codec(RELIANCE, wish=DEPTH)
        twelve = Wish(Mode.DEPTH, 12)
        sends = said(made.change([Change(RELIANCE_BSE, None, twelve)]))
        assert sends[-2:] == [
            "subscribe orderbook_depth 12",
            'subscribe orderbook {"instruments":[90211],"indexes":[]}',
        ]
        assert said(made.change([Change(RELIANCE, DEPTH, Wish(Mode.DEPTH, 50))])) == [
            "subscribe orderbook_depth 20"
        ]
        assert said(made.change([Change(RELIANCE, Wish(Mode.DEPTH, 50), DEPTH)])) == []

    def test_an_index_has_no_book(self):
        sends = said(codec().change([Change(NIFTY, None, DEPTH)]))
        assert [send.split()[1] for send in sends] == ["index", "index_bucket"]

    def test_the_peers_names_of_indices(self):
        named = Instrument("NIFTY", "NSE_INDEX", "NIFTY", "Nifty 50", "NSE")
        assert '["NIFTY"]' in codec().change([Change(named, None, LTP)])[0]

    @pytest.mark.parametrize(
        "odd",
        [
            Instrument("X", "NSE", "5", "", "NSE"),
            Instrument("X", "NSE", "5", "A B", "NSE"),
            Instrument("X", "NSE", "five", "X", "NSE"),
            Instrument("X", "NSE", "0", "X", "NSE"),
            Instrument("X", "CDS", "5", "X", "NSE"),
            Instrument("X", "NFO", "71878", "RELIANCE", "NSE"),
        ],
    )
    def test_what_cannot_be_asked_for(self, odd):
        made = codec(RELIANCE)
        assert made.change([Change(odd, None, LTP)]) == []
        assert made.received("") == [
            Rejected("no name or no ref_id of this broker", (odd,))
            if odd.brsymbol != "RELIANCE"
            else Rejected("its name is taken by another instrument", (odd,))
        ]

    def test_weights(self):
        wishes = [(RELIANCE, LTP), (RELIANCE, QUOTE), (RELIANCE, DEPTH), (NIFTY, DEPTH)]
        assert [ADAPTER.cost(*wish) for wish in wishes] == [1, 3, 8, 3]


class TestEntries:
    def test_without_an_exchange_the_name_must_be_one_only(self):
        both = codec(RELIANCE, RELIANCE_BSE)
        assert index(both, indexname="RELIANCE", index_value=5) == []
        assert index(both, indexname="reliance", exchange="bse", index_value=5)[0].instrument == RELIANCE_BSE
        both.change([Change(RELIANCE_BSE, LTP, None)])
        assert index(both, indexname="RELIANCE", index_value=5)[0].instrument == RELIANCE

    @pytest.mark.parametrize(
        ("moment", "expected"),
        [
            (0, 1790921700123),
            (1790921701, 1790921701000),
            (1790921701002, 1790921701002),
            (1790921701002003, 1790921701002),
            (1790921701002003004, 1790921701002),
            (-5, 1790921700123),
        ],
    )
    def test_times_of_any_unit(self, moment, expected):
        (tick,) = index(codec(RELIANCE), indexname="RELIANCE", index_value=5, timestamp=moment)
        assert tick.exchange_timestamp == expected

    def test_a_price_alone_is_an_ltp_tick_and_zero_is_nothing(self):
        made = codec(RELIANCE)
        (tick,) = index(made, indexname="RELIANCE", index_value=141105, batch=0)
        assert (tick.kind, tick.ltp, tick.exchange_timestamp) == (Mode.LTP, 1411.05, None)
        (tick,) = index(made, indexname="RELIANCE", volume=7)
        assert (tick.kind, tick.ltp, tick.volume) == (Mode.QUOTE, 1411.05, 7)

    def test_a_book_by_either_id_is_remembered_until_it_is_given_up(self):
        made = codec(RELIANCE, wish=DEPTH)
        bids = [feed_pb2.BookLevel(price=100 + n, quantity=5) for n in range(7)]
        (tick,) = book(made, inst_id=71878, bids=bids, asks=[feed_pb2.BookLevel()])
        assert (len(tick.depth.buy), tick.depth.sell, tick.ltp) == (5, [], None)
        assert tick.depth.buy[0] == Level(1.0, 5)
        (tick,) = index(made, indexname="RELIANCE", index_value=1)
        assert (tick.kind, len(tick.depth.buy)) == (Mode.DEPTH, 5)
        (tick,) = book(made, ref_id=71878, inst_id=1)
        assert tick.depth == Depth([], [])
        made.change([Change(RELIANCE, DEPTH, LTP)])
        assert index(made, indexname="RELIANCE", index_value=2)[0].depth is None

    @pytest.mark.parametrize(
        "data",
        [
            b"",
            b"\xff",
            enveloped("", feed_pb2.IndexBatch()),
            enveloped("Other", feed_pb2.IndexBatch()),
            Envelope(value=b"\xff").SerializeToString(),
            Envelope(
                value=Envelope(type_url="x.BatchWebSocketIndexMessage", value=b"\x12\x05").SerializeToString()
            ).SerializeToString(),
            enveloped("NubraToClientIntentUpdate", feed_pb2.OrderUpdate()),
        ],
    )
    def test_one_error(self, data):
        assert [type(event) for event in codec(RELIANCE).received(data)] == [Malformed]


class TestTexts:
    def test_an_error_is_told_without_the_token(self):
        (event,) = codec().received("Failed: batch_subscribe the.session.token index")
        assert event == Rejected("Failed: batch_subscribe … index")

    def test_a_bad_token(self):
        (event,) = codec().received(" Invalid Token\n")
        assert isinstance(event, LoginFailed)
        assert event.verdict.cause is Cause.TOKEN

    def test_information(self):
        assert codec().received("Subscribed") == []


class TestLogin:
    def ask(self, answer):
        return authorise(MARKET.authorise, CREDENTIALS, FixedEnvironment(), lambda request: answer)

    def test_addresses_of_the_account(self):
        info = {"market_ws_url": "wss://m.nubra.io/ws", "order_service_ws_url": "wss://o.nubra.io/ws"}
        given = self.ask(HttpResponse(200, json.dumps({"env_info": info}).encode()))
        assert codec(credentials=given).dial().url == "wss://m.nubra.io/ws"
        assert (
            codec(credentials=given, feed=ORDERS).dial().url == "wss://o.nubra.io/ws?token=the.session.token"
        )

    @pytest.mark.parametrize("answer", [None, HttpResponse(500), HttpResponse(200, b"[]")])
    def test_without_an_answer_the_usual_ones(self, answer):
        given = self.ask(answer)
        assert codec(credentials=given).dial().url == "wss://api.nubra.io/apibatch/ws"

    @pytest.mark.parametrize("status", [401, 440])
    def test_a_token_that_has_expired(self, status):
        with pytest.raises(AuthoriseFailed):
            self.ask(HttpResponse(status))

    def test_the_servers_own_checks(self):
        market = StillMarket([RELIANCE])
        loop = Loopback(ADAPTER, MARKET, market)
        loop.side.credentials["session_token"] = "new"
        (event,) = loop.subscribe([(RELIANCE, LTP)])
        assert isinstance(event, LoginFailed)
        # Only the upgrade: the call before it would be refused as well.
        bare = dataclasses.replace(ORDERS, authorise=None)
        with pytest.raises(ConnectionRefused):
            Loopback(ADAPTER, bare, market, credentials=CREDENTIALS)


class TestOrders:
    def order(self, **fields):
        response = feed_pb2.Order(intent_order_id=7, order_qty=10, filled_qty=4, **fields)
        message = feed_pb2.OrderUpdate(intent_order_response=response)
        (event,) = codec(feed=ORDERS).received(enveloped("NubraToClientIntentUpdate", message))
        return event

    @pytest.mark.parametrize(
        ("number", "status"),
        [
            (1, "open"),
            (2, "complete"),
            (3, "rejected"),
            (4, "trigger pending"),
            (5, "cancelled"),
            (6, "cancelled"),
            (9, "open"),
        ],
    )
    def test_states(self, number, status):
        assert self.order(order_status=number).order.order_status == status

    def test_fields(self):
        config = feed_pb2.EntryConfig(conditions=[feed_pb2.Condition(threshold=10050)])
        refdata = feed_pb2.RefData(ref_id=71878, stock_name="X", exchange="NSE", derivative_type="OPT")
        update = self.order(
            entry_config=config,
            price_type=1,
            delivery_type=1,
            order_side=2,
            refdata=refdata,
            order_price=9995,
        )
        order = update.order
        assert (update.token, order.symbol, order.exchange, order.action) == ("71878", "X", "NSE", "SELL")
        assert (order.pricetype, order.trigger_price, order.price) == ("SL", 100.5, 99.95)
        assert (order.product, order.filled_quantity, order.pending_quantity) == ("NRML", 4, 6)
        assert self.order(price_type=2, entry_config=config).order.pricetype == "SL-M"
        assert self.order(price_type=2, delivery_type=2).order.product == "MIS"


class TestMaster:
    def test_the_files_are_those_of_the_day(self):
        files = master_files(lambda: date(2026, 11, 23))({"session_token": "t"})
        assert {name: request.url for name, request in files.items()} == {
            "refdata-NSE.json": "https://api.nubra.io/refdata/refdata/2026-11-23?exchange=NSE",
            "refdata-BSE.json": "https://api.nubra.io/refdata/refdata/2026-11-23?exchange=BSE",
            "refdata-MCX.json": "https://api.nubra.io/refdata/refdata/2026-11-23?exchange=MCX",
            "indexes.csv": "https://api.nubra.io/public/indexes?format=csv",
        }

    @pytest.mark.parametrize(
        "row",
        [
            {"ref_id": None},
            {"exchange": "CDS"},
            {"derivative_type": "FUT", "expiry": 20261399},
            {"derivative_type": "OPT", "expiry": 20261006, "option_type": "N/A"},
            {"tick_size": "x"},
        ],
    )
    def test_a_broken_row_is_reported(self, row):
        whole = {
            "ref_id": 5,
            "stock_name": "X",
            "exchange": "NSE",
            "asset": "X",
            "derivative_type": "STOCK",
            "tick_size": 5,
        }
        (good,) = ADAPTER.parse_master("refdata-NSE.json", json.dumps({"refdata": [whole]}).encode())
        assert isinstance(good, MasterRow)
        (bad,) = ADAPTER.parse_master("refdata-NSE.json", json.dumps({"refdata": [whole | row]}).encode())
        assert isinstance(bad, BadRow)

    @pytest.mark.parametrize(
        ("word", "name", "symbol"),
        [("NSE", "LIQ15", "NIFTY100LIQ15"), ("BSE", "OILGAS", "BSEOIL&GAS"), ("BSE", "SENSEX", "SENSEX")],
    )
    def test_indices(self, word, name, symbol):
        head = "EXCHANGE,INDEX_SYMBOL,ZANSKAR_INDEX_SYMBOL,INDEX_NAME\n"
        (row,) = ADAPTER.parse_master("indexes.csv", f"{head}{word},{name},Z,some name\n".encode())
        assert (row.symbol, row.token, row.brsymbol) == (symbol, "Z", "Z")

    @pytest.mark.parametrize("token", ["71878", "71878::::2885", "71878:2885"])
    def test_the_platforms_tokens(self, token):
        row = MasterRow(
            symbol="X", brsymbol="X", name="X", exchange="NSE", brexchange="NSE", token=token, lotsize=1
        )
        assert ADAPTER.instrument(row).token == "71878"


def test_what_the_simulator_sends_is_what_protobuf_makes():
    market = StillMarket([RELIANCE])
    loop = Loopback(ADAPTER, MARKET, market)
    loop.subscribe([(RELIANCE, Wish(Mode.DEPTH, 2))])
    loop.frames.clear()
    depth = Depth([Level(1.0, 5, 2), Level(0.95, 6), Level(0.9, 7)], [])
    loop.tick([Tick(RELIANCE, Mode.DEPTH, ltp=1.0, exchange_timestamp=1790921700123, depth=depth)])
    price = feed_pb2.Index(
        indexname="RELIANCE", timestamp=1790921700123000000, index_value=100, exchange="NSE"
    )
    bids = [
        feed_pb2.BookLevel(price=100, quantity=5, orders=2),
        feed_pb2.BookLevel(price=95, quantity=6),
    ]
    made = feed_pb2.Book(timestamp=1790921700123000000, bids=bids, ltp=100, ref_id=71878)
    inner = [Envelope.FromString(Envelope.FromString(frame).value).value for frame in loop.frames]
    assert feed_pb2.IndexBatch.FromString(inner[0]).instruments[0] == price
    assert feed_pb2.BookBatch.FromString(inner[2]).instruments[0] == made


def test_the_weight_of_a_session_is_limited():
    many = [Instrument(f"S{n}", "NSE", str(n + 1), f"S{n}", "NSE") for n in range(6251)]
    loop = Loopback(ADAPTER, MARKET, StillMarket(many))
    events = loop.subscribe([(one, DEPTH) for one in many])
    assert [event.message for event in events if isinstance(event, Rejected)] == [
        "Failed: subscription limit exceeded"
    ]
