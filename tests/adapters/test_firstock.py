"""Firstock: what its vectors do not show."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openalgo_ws.adapter import Change, Disconnect, LoggedIn, LoginFailed, Malformed, Rejected
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance.loopback import Loopback
from openalgo_ws.conformance.rig import FixedEnvironment, StillMarket
from openalgo_ws.registry import Registry
from openalgo_ws.tick import Instrument, Level, Mode, Wish

ADAPTER = Registry().load("firstock")
FEED = ADAPTER.feed("market")
SBIN = Instrument("SBIN", "NSE", "3045", "SBIN-EQ", "NSE")
#: Numbers of a data message.
FIELDS = (
    *(f"i_{name}_price" for name in ("last_traded", "open", "high", "low", "closing", "average_trade")),
    *(f"i_{name}_quantity" for name in ("last_trade", "total_buy", "total_sell")),
    *(f"i_{name}_circuit_limit" for name in ("upper", "lower")),
    *("i_volume_traded_today", "i_open_interest", "i_last_trade_time", "i_feed_time"),
)
CREDENTIALS = {"user_id": "A B", "susertoken": "t&1"}


def codec(*held):
    result = FEED.codec(CREDENTIALS, FixedEnvironment())
    result.change([Change(instrument, None, Wish(Mode.LTP)) for instrument in held])
    return result


def told(codec, **fields):
    return codec.received(json.dumps({"NSE:3045": fields}))


def test_credentials_are_quoted_in_the_url():
    url = codec().dial().url
    assert url == "wss://socket.firstock.in/V2/ws?userId=A%20B&jKey=t%261&source=developer-api"


def test_a_change_of_mode_needs_no_frame():
    assert codec(SBIN).change([Change(SBIN, Wish(Mode.LTP), Wish(Mode.DEPTH))]) == []


def test_a_hundred_keys_a_frame():
    many = [Instrument(f"S{n}", "NSE", str(n)) for n in range(150)]
    frames = codec().change([Change(one, None, Wish(Mode.LTP)) for one in many])
    assert [json.loads(frame)["tokens"].count("|") + 1 for frame in frames] == [100, 50]


@pytest.mark.parametrize(
    "junk", [None, True, "x", "", 2**63, 2**63 - 1, 9.3e18, "9223372036854775808", [], {}]
)
def test_what_is_not_available_leaves_the_memory_alone(junk):
    made = codec(SBIN)
    told(made, i_last_traded_price=98235, i_volume_traded_today=7, i_feed_time=1791440051)
    (tick,) = told(made, i_last_traded_price=junk, i_volume_traded_today=junk, i_feed_time=junk)
    assert (tick.ltp, tick.volume, tick.exchange_timestamp) == (982.35, 7, 1791440051000)


def test_a_zero_is_a_quantity_and_no_price():
    made = codec(SBIN)
    told(made, i_open_price="100", i_volume_traded_today=7, i_last_trade_time=5)
    (tick,) = told(made, i_open_price=0, i_volume_traded_today=0, i_last_trade_time=0)
    assert (tick.open, tick.volume, tick.ltt) == (1.0, 0, 5000)


def test_milliseconds_stay_what_they_are():
    assert told(codec(SBIN), i_feed_time=1791440051013)[0].exchange_timestamp == 1791440051013


numbers = (
    st.integers(-10, 10**9)
    | st.floats(-10, 1e9)
    | st.sampled_from([0, 2**63, 2**63 - 1, 9.3e18, 10**11, 2**64, 1e300, None])
)
rows = st.fixed_dictionaries({"price": numbers, "quantity": numbers}, optional={"orders": numbers}) | st.just(
    {}
)
fields = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(FIELDS, numbers),
        "best_buy": st.lists(rows, max_size=6) | st.none(),
        "best_sell": st.lists(rows, max_size=6) | st.none(),
        "gamma": st.just(1),
    },
)


@given(messages=st.lists(fields, max_size=4))
def test_decoding_by_type_and_with_care_give_the_same(messages):
    quick, careful = codec(SBIN), codec(SBIN)
    for said in messages:
        # An instrument that nobody holds makes the codec read with care.
        with_care = careful.received(json.dumps({"NSE:3045": said, "NSE:1": {}}))
        assert quick.received(json.dumps({"NSE:3045": said})) == with_care


def test_what_is_skipped_has_to_be_text_too():
    (error,) = codec(SBIN).received(b'{"NSE:3045":{"i_last_traded_price":1,"c_symbol":"\xff"}}')
    assert isinstance(error, Malformed)


class TestBook:
    def test_a_side_without_a_price_is_not_carried(self):
        made = codec(SBIN)
        told(made, best_buy=[{"price": 100, "quantity": 5, "orders": 1}])
        for side in (None, [], [{}] * 5, [{"quantity": 4}], [{"price": 2**63}], "x"):
            (tick,) = told(made, best_buy=side, i_last_traded_price=1)
            assert (tick.depth.buy, tick.depth.sell) == ([Level(1.0, 5, 1)], [])

    def test_five_zeros_empty_a_side(self):
        made = codec(SBIN)
        told(made, best_buy=[{"price": 100, "quantity": 5}])
        assert told(made, best_buy=[{"price": 0}] * 5)[0].depth.buy == []

    def test_five_levels_at_most_and_no_count_that_was_not_given(self):
        side = [{"price": 100 - n} for n in range(7)]
        buy = told(codec(SBIN), best_buy=side)[0].depth.buy
        assert buy == [Level(1.0, 0), Level(0.99, 0), Level(0.98, 0), Level(0.97, 0), Level(0.96, 0)]


class TestAnswers:
    def test_the_first_message(self):
        assert codec().received('{"status":"success","message":"Authentication successful"}') == [LoggedIn()]

    def test_refusals(self):
        (event,) = codec().received('{"status":"failed","message":"unauthenticated"}')
        assert isinstance(event, LoginFailed)
        (event,) = codec().received('{"status":"failed","message":"Maximum sessions limit (3) reached"}')
        assert isinstance(event, Disconnect)
        assert (event.verdict.cause, event.verdict.wait) == (Cause.TOO_MANY, 60.0)
        (event,) = codec().received('{"status":"failed","code":400}')
        assert isinstance(event, Rejected)

    def test_one_bad_key_spoils_no_other(self):
        frame = {"NSE:": {}, ":1": {}, "NSE:3045": {"i_last_traded_price": 100}, "NSE:9": {}, "BSE:1": 5}
        events = codec(SBIN).received(json.dumps(frame))
        assert [type(event) is Malformed for event in events] == [True, True, False, True]

    def test_an_unknown_state_of_an_order_is_open_whatever_the_event(self):
        frame = {"norenordno": "1", "status": "AMO_MODIFIED", "reporttype": "Rejected", "qty": "1"}
        assert codec().received(json.dumps(frame))[0].order.order_status == "open"
        frame["status"] = "AMO_CANCELED"
        assert codec().received(json.dumps(frame))[0].order.order_status == "cancelled"


def test_the_fourth_socket_is_refused():
    market = StillMarket([SBIN])
    loops = [Loopback(ADAPTER, FEED, market)]
    for _ in range(3):
        loops.append(Loopback(ADAPTER, FEED, market, side=loops[0].side))
    assert [loop.closed is None for loop in loops] == [True, True, True, False]
