"""Every type of case, on a broker that has all the oddities. Each vector passes, and each stops passing
when it is wrong.
"""

import copy
import json

import pytest

from openalgo_ws.adapter import Adapter, Feed
from openalgo_ws.conformance import run_case
from tests.conformance.oddities import ADAPTER, SBIN, TCS, DeepCodec

LOGIN = {
    "method": "POST",
    "url": "https://api.odd.example/login",
    "headers": {"x-request": "<any>"},
    "json": {"key": "k", "at": "<any>"},
}
LIST = {
    "method": "PUT",
    "url": "https://api.odd.example/list",
    "headers": {"Authorization": "x"},
    "json": {"tokens": ["3045"]},
}
WELCOME = {"text": '{"is": "welcome", "session": "s1"}'}
ORDER = {
    "orderid": "7",
    "symbol": "SBIN-EQ",
    "exchange": "nse",
    "action": "BUY",
    "quantity": 1,
    "price": 2.5,
    "trigger_price": 0.0,
    "pricetype": "LIMIT",
    "product": "MIS",
    "order_status": "open",
    "filled_quantity": 0,
    "pending_quantity": 1,
    "average_price": 0.0,
    "rejection_reason": "",
}


def wants(word, token="3045", session="none"):
    text = json.dumps({"id": "<any>", word: token, "session": session})
    return {"text": text, "opcode": "binary"}


CASES = {
    "connect": {
        "type": "connect",
        "credentials": {"api_key": "k"},
        "http": [LOGIN],
        "http_responses": [{"status": 200, "json": {"session": "s0"}}],
        "url": "wss://feed.odd.example/v1?session=s0",
        "headers": {"user-agent": "odd"},
        "subprotocols": ["odd.v1"],
        "prelude": [WELCOME],
        "frames": [{"text": '{"nonce": "<any>", "hello": "k"}'}, {"text": '{"thanks":"s1"}'}],
    },
    "connect to the deep socket, chosen by the depth": {
        "type": "connect",
        "credentials": {"api_key": "k"},
        "depth": 20,
        "url": "mqtts://deep.odd.example:9000",
        "headers": {},
        "subprotocols": [],
        "frames": [],
    },
    "subscribe": {
        "type": "outbound",
        "op": "subscribe",
        "mode": "Quote",
        "credentials": {"api_key": "k"},
        "instruments": [SBIN],
        "http": [LIST],
        "frames": [wants("Quote")],
    },
    "subscribe after a prelude": {
        "type": "outbound",
        "op": "subscribe",
        "mode": "LTP",
        "credentials": {"api_key": "k"},
        "instruments": [SBIN],
        "prelude": [WELCOME],
        "http": [LIST],
        "frames": [wants("LTP", session="s1")],
    },
    "unsubscribe": {
        "type": "outbound",
        "op": "unsubscribe",
        "mode": "LTP",
        "credentials": {"api_key": "k"},
        "instruments": [SBIN],
        "http": [LIST],
        "frames": [wants("off")],
    },
    "change of mode": {
        "type": "outbound",
        "op": "change_mode",
        "mode": "Depth",
        "credentials": {"api_key": "k"},
        "instruments": [SBIN],
        "http": [LIST],
        "frames": [wants("Depth")],
    },
    "a deep book goes to its own socket": {
        "type": "outbound",
        "op": "subscribe",
        "mode": "Depth",
        "depth": 30,
        "instruments": [SBIN],
        "frames": [{"text": "deep 3045 20"}],
    },
    "the feed that is named": {
        "type": "outbound",
        "feed": "deep",
        "op": "subscribe",
        "mode": "Depth",
        "depth": 5,
        "instruments": [SBIN],
        "frames": [{"text": "deep 3045 5"}],
    },
    "inbound": {
        "type": "inbound",
        "credentials": {"api_key": "k"},
        "instruments": [SBIN, TCS],
        "subscribed": "LTP",
        "prelude": [WELCOME],
        "frames": [
            {"text": '{"is": "tick", "t": "3045", "ltp": 1.5}'},
            {"text": '{"is": "ping"}', "opcode": "binary"},
            {"text": '{"is": "no"}'},
            {"text": '{"is": "bye"}'},
            {"text": '{"is": "odd"}'},
            {"text": '{"is": "tick", "t": "11536", "ltp": 2.5, "volume": 7}'},
        ],
        "ticks": [
            {"exchange": "NSE", "token": "3045", "kind": "ltp", "ltp": 1.5},
            {"exchange": "NSE", "token": "11536", "kind": "ltp", "ltp": 2.5, "volume": 7},
        ],
        "errors": 3,
        "sends": [{"text": "pong"}, {"binary": "0102"}],
    },
    "inbound on the deep socket": {
        "type": "inbound",
        "instruments": [SBIN],
        "subscribed": "Depth",
        "depth": 20,
        "frames": [{"binary": "00"}],
        "ticks": [
            {
                "exchange": "NSE",
                "token": "3045",
                "kind": "depth",
                "depth": {
                    "buy": [{"price": 1.5, "quantity": 2, "orders": 3}],
                    "sell": [{"price": 1.6, "quantity": 2}],
                },
            }
        ],
        "errors": 0,
    },
    "an answer over HTTP": {
        "type": "http",
        "credentials": {"api_key": "k"},
        "instruments": [SBIN],
        "subscribed": "Quote",
        "response": {"status": 200, "json": {"ltp": 4.5}},
        "ticks": [{"exchange": "NSE", "token": "3045", "kind": "quote", "ltp": 4.5}],
        "errors": 0,
    },
    "a refusal over HTTP": {
        "type": "http",
        "credentials": {"api_key": "k"},
        "instruments": [SBIN],
        "subscribed": "Quote",
        "response": {"status": 500, "text": "oops"},
        "ticks": [],
        "errors": 1,
    },
    "orders": {
        "type": "orders",
        "feed": "orders",
        "instruments": [SBIN],
        "frames": [
            {"text": json.dumps(ORDER)},
            {"text": json.dumps({**ORDER, "symbol": "?", "token": "3045"})},
        ],
        "orders": [{**ORDER, "symbol": "SBIN", "exchange": "NSE"}] * 2,
    },
    "master": {
        "type": "master",
        "file": "all.csv",
        "rows": "SBIN,3045,1\nTCS,11536,2",
        "expect": [
            {
                "symbol": "SBIN",
                "brsymbol": "SBIN",
                "name": "all.csv",
                "exchange": "NSE",
                "brexchange": "nse",
                "token": "3045",
                "expiry": "",
                "strike": 0,
                "lotsize": 1,
                "instrumenttype": "",
                "tick_size": 0.0,
            },
            {
                "symbol": "TCS",
                "brsymbol": "TCS",
                "name": "all.csv",
                "exchange": "NSE",
                "brexchange": "nse",
                "token": "11536",
                "expiry": "",
                "strike": 0.0,
                "lotsize": 2.0,
                "instrumenttype": "",
                "tick_size": 0.0,
            },
        ],
    },
}


@pytest.mark.parametrize("name", CASES)
def test_passes(name):
    assert run_case(ADAPTER, {"name": name, **CASES[name]}).problems == ()


#: (case, where, what is put there): each makes its case wrong.
WRONG = [
    ("connect", ("http",), []),
    ("connect", ("http",), [LOGIN, LOGIN]),
    ("connect", ("http", 0, "method"), "GET"),
    ("connect", ("http", 0, "url"), "https://api.odd.example/logout"),
    ("connect", ("http", 0, "headers"), {}),
    ("connect", ("http", 0, "headers"), {"x-request": "<any>", "accept": "x"}),
    ("connect", ("http", 0, "headers", "content-type"), "text/plain"),
    ("connect", ("http", 0, "json", "key"), "q"),
    ("connect", ("http", 0, "json"), None),
    ("connect", ("http", 0, "form"), {"key": "k"}),
    ("connect", ("http_responses",), []),
    ("connect", ("http_responses", 0, "status"), 403),
    ("connect", ("http_responses", 0, "status"), None),
    ("connect", ("url",), "wss://feed.odd.example/v1?session=s1"),
    ("connect", ("headers",), {}),
    ("connect", ("headers", "user-agent"), "even"),
    ("connect", ("subprotocols",), []),
    ("connect", ("prelude",), []),
    ("connect", ("frames",), []),
    ("connect", ("frames", 0), {"text": '{"nonce": "<any>", "hello": "q"}'}),
    ("connect", ("frames", 0), {"text": '{"nonce": "<any>", "hello": "k", "more": "<any>"}'}),
    ("connect", ("frames", 0), {"text": '{"nonce": "<any>", "hello": "k"}', "opcode": "binary"}),
    ("connect to the deep socket, chosen by the depth", ("url",), "mqtts://deep.odd.example:9001"),
    ("connect to the deep socket, chosen by the depth", ("url",), "wss://deep.odd.example:9000"),
    ("connect to the deep socket, chosen by the depth", ("depth",), 5),
    ("subscribe", ("http",), []),
    ("subscribe", ("http", 0, "json", "tokens"), []),
    ("subscribe", ("http", 0, "json", "tokens", 0), 3045),
    ("subscribe", ("frames", 0, "opcode"), "text"),
    ("subscribe", ("frames",), [wants("Quote"), wants("Quote")]),
    ("subscribe", ("op",), "unsubscribe"),
    ("subscribe", ("op",), "resubscribe"),
    ("subscribe", ("mode",), "LTP"),
    ("subscribe after a prelude", ("prelude",), []),
    ("change of mode", ("mode",), "Quote"),
    ("a deep book goes to its own socket", ("depth",), 5),
    ("a deep book goes to its own socket", ("frames", 0, "text"), "deep 3045 30"),
    ("the feed that is named", ("feed",), "orders"),
    ("inbound", ("errors",), 2),
    ("inbound", ("errors",), 4),
    ("inbound", ("sends",), []),
    ("inbound", ("sends", 0, "text"), "pang"),
    ("inbound", ("sends", 1, "binary"), "0103"),
    ("inbound", ("ticks", 1, "volume"), 7.5),
    ("inbound", ("ticks", 1, "volume"), True),
    ("inbound", ("ticks", 1), {"exchange": "NSE", "token": "11536", "kind": "ltp", "ltp": 2.5}),
    ("inbound", ("frames", 5, "text"), '{"is": "tick", "t": "11536", "ltp": 2.5, "volume": 7.0}'),
    ("inbound", ("frames", 0, "text"), '{"is": "tick", "t": "3045", "ltp": NaN}'),
    ("inbound", ("frames", 0, "text"), '{"is": "tick", "t": "unknown", "ltp": 1.5}'),
    ("inbound on the deep socket", ("ticks", 0, "depth", "sell", 0, "orders"), 0),
    ("inbound on the deep socket", ("ticks", 0, "depth", "buy"), []),
    ("an answer over HTTP", ("response", "status"), 500),
    ("an answer over HTTP", ("response", "json", "ltp"), 4.501),
    ("an answer over HTTP", ("errors",), 1),
    ("a refusal over HTTP", ("errors",), 0),
    ("orders", ("orders", 1, "symbol"), "?"),
    ("orders", ("orders", 0, "price"), 2.501),
    ("orders", ("orders",), []),
    ("orders", ("instruments",), []),
    ("master", ("expect", 0, "lotsize"), 2),
    ("master", ("expect", 1, "token"), 11536),
    ("master", ("rows",), "SBIN,3045,1"),
    ("master", ("file",), "some.csv"),
]


@pytest.mark.parametrize(("name", "where", "value"), WRONG)
def test_fails(name, where, value):
    case = copy.deepcopy({"name": name, **CASES[name]})
    target = case
    for key in where[:-1]:
        target = target[key]
    target[where[-1]] = value
    assert not run_case(ADAPTER, case).passed


def test_a_codec_that_raises_fails_its_case_alone():
    class Raising(DeepCodec):
        def received(self, data):
            raise RecursionError("deep")

    feed = Feed(name="deep", codec=Raising)
    adapter = Adapter(
        **{
            name: getattr(ADAPTER, name)
            for name in ("name", "title", "credential_fields", "exchanges", "from_row")
        },
        feeds=(feed,),
        master_files=ADAPTER.master_files,
        parse_master=ADAPTER.parse_master,
    )
    case = {**CASES["inbound on the deep socket"], "name": "x", "depth": 5}
    assert run_case(adapter, case).problems[0].startswith("raised RecursionError")
