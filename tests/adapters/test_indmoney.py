"""INDmoney: the rules that no vector covers."""

from __future__ import annotations

import json
from typing import Any

import pytest

from openalgo_adapters.indmoney import adapter
from openalgo_adapters.indmoney.codec import PriceCodec
from openalgo_adapters.indmoney.orders import OrderCodec
from openalgo_ws.adapter import Alive, Malformed, OrderUpdate, Rejected
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


def test_the_documented_shape_of_an_order() -> None:
    codec = OrderCodec({}, rig.FixedEnvironment())
    said = {
        "type": "order",
        "order_id": "EQ-1",
        "order_status": "PARTIALLY_EXECUTED",
        "filled_quantity": 4,
        "remaining_quantity": 6,
        "average_price": 101.5,
    }
    [event] = codec.received(json.dumps(said))
    assert isinstance(event, OrderUpdate)
    order = event.order
    assert (order.orderid, order.order_status, order.quantity) == ("EQ-1", "open", 10)
    assert (order.filled_quantity, order.pending_quantity, order.average_price) == (4, 6, 101.5)


@pytest.mark.parametrize(
    "said", [{"mode": "order_update"}, {"mode": "order_update", "data": {}}, {"type": "order"}]
)
def test_an_order_without_its_data_is_malformed(said) -> None:
    codec = OrderCodec({}, rig.FixedEnvironment())
    assert [type(event) for event in codec.received(json.dumps(said))] == [Malformed]


def test_a_login_is_the_token() -> None:
    assert adapter.row_for({"access_token": "t"}) == {"auth": "t"}
