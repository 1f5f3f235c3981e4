"""INDmoney: the rules that no vector covers."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_adapters.indmoney import adapter
from openalgo_adapters.indmoney.codec import PriceCodec
from openalgo_adapters.indmoney.orders import OrderCodec
from openalgo_ws.adapter import Alive, HttpResponse, Malformed, Order, OrderUpdate, Rejected, Reply
from openalgo_ws.conformance import rig
from openalgo_ws.tick import Instrument, Mode, Tick, Wish

SBIN = Instrument("SBIN", "NSE", "3045", "SBIN", "NSE")
TWIN = Instrument("TWIN", "BSE", "3045", "TWIN", "BSE")
GOLD = Instrument("GOLD", "MCX", "9", "GOLD", "MCX")
LTP, QUOTE, DEPTH = Wish(Mode.LTP), Wish(Mode.QUOTE), Wish(Mode.DEPTH)


@pytest.fixture
def codec() -> PriceCodec:
    return PriceCodec({"access_token": "t"}, rig.FixedEnvironment())


def frame(mode: str, instrument: object = "3045", layers: int = 1, **data: Any) -> str:
    text = json.dumps({"mode": mode, "instrument": instrument, "timestamp": 1795319531089, "data": data})
    for _ in range(layers):
        text = json.dumps(text)
    return text


def test_a_change_of_mode_is_a_new_subscription_and_then_the_end_of_the_old(codec) -> None:
    codec.change([(SBIN, None, LTP)])
    sent = [json.loads(text) for text in codec.change([(SBIN, LTP, QUOTE)])]
    assert [(one["action"], one["mode"]) for one in sent] == [("subscribe", "quote"), ("unsubscribe", "ltp")]
    assert codec.change([(SBIN, QUOTE, DEPTH)]) == []


def test_what_was_given_back_is_silent(codec) -> None:
    codec.change([(SBIN, None, LTP)])
    codec.change([(SBIN, LTP, None)])
    assert codec.received(frame("ltp", ltp=1.0)) == []


def test_an_id_is_unique_again_when_its_twin_is_given_back(codec) -> None:
    codec.change([(SBIN, None, LTP), (TWIN, None, LTP)])
    assert [type(event) for event in codec.received(frame("ltp", ltp=1.0))] == [Malformed]
    codec.change([(TWIN, LTP, None)])
    [tick] = codec.received(frame("ltp", ltp=1.0))
    assert tick.instrument == SBIN


def test_other_exchanges_are_refused(codec) -> None:
    assert codec.change([(GOLD, None, LTP)]) == []
    assert codec.received("pong") == [Rejected("no exchange of this broker", (GOLD,)), Alive()]


def test_a_thousand_a_frame_and_one_segment(codec) -> None:
    many = [Instrument(f"S{n}", "NSE", str(n), f"S{n}", "NSE") for n in range(1001)]
    sent = [json.loads(text) for text in codec.change([(one, None, LTP) for one in (*many, TWIN)])]
    assert [len(one["instruments"]) for one in sent] == [1000, 1, 1]


@pytest.mark.parametrize("layers", [0, 1, 2])
def test_json_in_json_up_to_three_times(codec, layers: int) -> None:
    codec.change([(SBIN, None, LTP)])
    [tick] = codec.received(frame("ltp", layers=layers, ltp=1.5).encode())
    assert (tick.ltp, tick.exchange_timestamp) == (1.5, 1795319531089)


@pytest.mark.parametrize(
    "bad", [frame("ltp", layers=3, ltp=1.5), "[]", "7", "null", '"pon', b"\xff", '"[1]"', "[" * 10_000]
)
def test_what_is_no_object_after_that_is_malformed(codec, bad) -> None:
    codec.change([(SBIN, None, LTP)])
    assert [type(event) for event in codec.received(bad)] == [Malformed]


@pytest.mark.parametrize("quiet", ["PING", " pong ", '"pong"', "{}", '{"mode":"full","instrument":"3045"}'])
def test_keepalives_and_other_modes_are_signs_of_life(codec, quiet: str) -> None:
    codec.change([(SBIN, None, LTP)])
    assert codec.received(quiet) == [Alive()]


def test_other_names_text_and_null(codec) -> None:
    codec.change([(SBIN, None, QUOTE)])
    [tick] = codec.received(
        frame(
            "quote",
            3045,
            live_price="970.4",
            day_open=1,
            high=None,
            day_high=True,
            prev_close="x",
            volume="7",
        )
    )
    assert tick == Tick(SBIN, Mode.QUOTE, ltp=970.4, open=1.0, volume=7, exchange_timestamp=1795319531089)
    [tick] = codec.received(frame("quote", ltp=971.0, live_price=3.0))
    assert (tick.ltp, tick.open, tick.volume) == (971.0, 1.0, 7)


def test_without_a_value_there_is_no_tick(codec) -> None:
    codec.change([(SBIN, None, QUOTE)])
    assert codec.received(frame("quote")) == []
    assert codec.received(frame("ltp", ltp="none")) == []


def test_the_order_stream_is_subscribed_when_it_opens() -> None:
    codec = OrderCodec({"access_token": "t"}, rig.FixedEnvironment())
    assert [json.loads(text) for text in codec.opened()] == [{"action": "subscribe", "mode": "order_update"}]
    assert codec.dial().headers == {"Authorization": "t"}


DOCUMENTED = {
    "type": "order",
    "order_id": "EQ-1",
    "order_status": "PARTIALLY_EXECUTED",
    "filled_quantity": 4,
    "remaining_quantity": 6,
    "average_price": 101.5,
}
LIVE = {
    "order_id": "96057848",
    "order_type": "SELL",
    "order_status": "P",
    "executed_price": 0,
    "error_message": " ",
    "req_quantity": 10,
}
ROW = {
    "id": "EQ-96057848",
    "security_id": "3045",
    "exchange": "NSE",
    "segment": "EQUITY",
    "product": "INTRADAY",
    "order_type": "LIMIT",
    "txn_type": "SELL",
    "requested_qty": 10,
    "traded_qty": 4,
    "requested_price": 800.5,
    "traded_price": 800.6,
    "sl_trigger_price": 0,
    "status": "PENDING",
}


def live(**values: Any) -> str:
    return json.dumps(json.dumps({"mode": "order_update", "data": {**LIVE, **values}}))


def order_book(*rows: Any) -> HttpResponse:
    return HttpResponse(200, json.dumps({"status": "success", "data": rows}).encode())


@pytest.fixture
def orders() -> OrderCodec:
    return OrderCodec({"access_token": "t"}, rig.FixedEnvironment())


def completed(orders: OrderCodec, response: HttpResponse | None, **values: Any) -> OrderUpdate:
    [reply] = orders.received(live(**values))
    assert isinstance(reply, Reply)
    [update] = orders.answered(reply.send, response)
    return update


def test_an_order_asks_for_the_order_book(orders) -> None:
    [reply] = orders.received(live())
    assert (reply.send.method, reply.send.url) == ("GET", "https://api.indstocks.com/order-book")
    assert reply.send.headers == {"Authorization": "t"}


def test_the_order_book_tells_what_a_frame_lacks(orders) -> None:
    assert completed(orders, order_book({**ROW, "id": "EQ-1"}, ROW)) == OrderUpdate(
        Order(
            orderid="EQ-96057848",
            symbol="",
            exchange="NSE",
            action="SELL",
            quantity=10,
            price=800.5,
            trigger_price=0.0,
            pricetype="LIMIT",
            product="MIS",
            order_status="open",
            filled_quantity=4,
            pending_quantity=6,
            average_price=800.6,
        ),
        token="3045",
    )


def test_what_the_frame_tells_is_the_newer(orders) -> None:
    order = completed(orders, order_book(ROW), order_status="S", executed_price=801.5).order
    assert (order.order_status, order.filled_quantity, order.pending_quantity) == ("complete", 10, 0)
    assert order.average_price == 801.5


@pytest.mark.parametrize(
    ("values", "exchange"),
    [
        ({}, "NSE"),
        ({"exchange": "BSE"}, "BSE"),
        ({"segment": "DERIVATIVE"}, "NFO"),
        ({"segment": "FNO", "exchange": "bse"}, "BFO"),
        ({"segment": None, "id": "DRV-96057848"}, "NFO"),
        ({"exchange": "MCX"}, ""),
    ],
)
def test_the_exchange_of_an_order(orders, values, exchange) -> None:
    assert completed(orders, order_book(ROW | values)).order.exchange == exchange


@pytest.mark.parametrize(
    ("values", "pricetype", "product"),
    [
        ({"order_type": "MARKET", "product": "CNC"}, "MARKET", "CNC"),
        ({"sl_trigger_price": 799, "product": "MARGIN"}, "SL", "NRML"),
        ({"order_type": "MARKET", "sl_trigger_price": "799.5"}, "SL-M", "MIS"),
    ],
)
def test_the_kind_of_an_order(orders, values, pricetype, product) -> None:
    order = completed(orders, order_book(ROW | values)).order
    assert (order.pricetype, order.product) == (pricetype, product)


@pytest.mark.parametrize(
    "response",
    [
        None,
        HttpResponse(403, b'{"status":"error","error_type":"TokenException"}'),
        HttpResponse(200, b"<html>"),
        HttpResponse(200, b"[]"),
        HttpResponse(200, b'{"status":"success","data":null}'),
        order_book(),
        order_book(1, None, []),
        order_book({**ROW, "id": "EQ-196057848"}),
        order_book(ROW, {**ROW, "id": "DRV-96057848"}),
        order_book({**ROW, "requested_price": "much"}),
        order_book({**ROW, "security_id": []}),
    ],
)
def test_without_the_order_book_an_update_comes_bare(orders, response) -> None:
    update = completed(orders, response)
    assert (update.order.orderid, update.order.exchange, update.token) == ("96057848", "", "")
    assert (update.order.action, update.order.quantity, update.order.pending_quantity) == ("SELL", 10, 10)


def test_one_request_at_a_time_and_one_for_all_who_wait(orders) -> None:
    [reply] = orders.received(live(order_id="1"))
    for number, state in (("2", "P"), ("3", "P"), ("2", "S")):
        assert orders.received(live(order_id=number, order_status=state)) == []
    first, again = orders.answered(reply.send, order_book())
    assert (first.order.orderid, type(again)) == ("1", Reply)
    updates = orders.answered(again.send, None)
    # Of what waited the latest counts.
    assert [(update.order.orderid, update.order.order_status) for update in updates] == [
        ("2", "complete"),
        ("3", "open"),
    ]


def test_no_more_than_a_bounded_number_wait(orders) -> None:
    events = [event for number in range(1005) for event in orders.received(live(order_id=str(number)))]
    assert [type(event) for event in events] == [Reply] + [OrderUpdate] * 4


junk = st.recursive(st.none() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=4)
junk_row = st.fixed_dictionaries(
    {"id": st.just(ROW["id"])}, optional={name: junk for name in ROW if name != "id"}
)


@given(row=junk_row)
def test_any_row_of_the_order_book_gives_the_update(row: Any) -> None:
    update = completed(OrderCodec({}, rig.FixedEnvironment()), order_book(row))
    assert isinstance(update, OrderUpdate)
    assert (update.order.action, update.order.quantity) == ("SELL", 10)


def test_the_documented_shape_of_an_order(orders) -> None:
    [reply] = orders.received(json.dumps(DOCUMENTED))
    [event] = orders.answered(reply.send, order_book({**ROW, "id": "EQ-1", "traded_qty": 0}))
    order = event.order
    assert (order.orderid, order.order_status, order.quantity) == ("EQ-1", "open", 10)
    assert (order.filled_quantity, order.pending_quantity, order.average_price) == (4, 6, 101.5)
    assert (order.action, order.price) == ("SELL", 800.5)


@pytest.mark.parametrize(
    "said", [{"mode": "order_update"}, {"mode": "order_update", "data": {}}, {"type": "order"}]
)
def test_an_order_without_its_data_is_malformed(said) -> None:
    codec = OrderCodec({}, rig.FixedEnvironment())
    assert [type(event) for event in codec.received(json.dumps(said))] == [Malformed]


def test_a_login_is_the_token() -> None:
    assert adapter.row_for({"access_token": "t"}) == {"auth": "t"}
