"""Every type of case, on a made-up broker that has all the oddities: a login over HTTP, an
acknowledged socket, JSON in binary frames, subscriptions over HTTP, a deep book on a socket of
its own, and a socket for orders alone. Each vector passes, and each stops passing when it is wrong.
"""

import copy
import json

import pytest

from openalgo_ws.adapter import (
    Adapter,
    AuthoriseFailed,
    Close,
    Dial,
    Disconnect,
    Feed,
    FeedCodec,
    HttpRequest,
    LoggedIn,
    Login,
    LoginFailed,
    Malformed,
    MasterRow,
    Order,
    OrderUpdate,
    Reply,
    Transport,
    Verdict,
)
from openalgo_ws.adapter.events import Cause
from openalgo_ws.conformance import compare, run_case
from openalgo_ws.tick import Depth, Level, Mode, Tick, Wish

SBIN = {"symbol": "SBIN", "exchange": "NSE", "token": "3045", "brsymbol": "SBIN-EQ", "brexchange": "nse"}
TCS = {"symbol": "TCS", "exchange": "NSE", "token": "11536", "brsymbol": "TCS-EQ", "brexchange": "nse"}


def authorise(credentials, environment):
    answer = yield HttpRequest(
        method="POST",
        url="https://api.odd.example/login",
        headers={"X-Request": environment.random(4).hex()},
        json={"key": credentials["api_key"], "at": environment.now()},
    )
    if answer is None or answer.status != 200:
        raise AuthoriseFailed(Verdict(Cause.TOKEN, "no"))
    return {**credentials, "session": answer.json()["session"]}


class MarketCodec(FeedCodec):
    """Prices after a greeting; says what it holds in JSON that travels in binary frames."""

    def __init__(self, credentials, environment):
        self.credentials = credentials
        self.environment = environment
        self.held = {}
        self.session = None
        self.closing = 0

    def dial(self):
        return Dial(
            url=f"wss://feed.odd.example/v1?session={self.credentials.get('session')}",
            headers={"User-Agent": "odd"},
            subprotocols=("odd.v1",),
        )

    def opened(self):
        return [json.dumps({"hello": self.credentials["api_key"], "nonce": self.environment.random(2).hex()})]

    def change(self, changes):
        if self.session is None:
            self.session = "none"
        sends = []
        for instrument, _, new in changes:
            if new is None:
                del self.held[instrument.token]
            else:
                self.held[instrument.token] = instrument
            word = "off" if new is None else new.mode.title
            content = {
                "id": self.environment.random(2).hex(),
                word: instrument.token,
                "session": self.session,
            }
            sends.append(json.dumps(content).encode())
        sends.append(
            HttpRequest(
                method="PUT",
                url="https://api.odd.example/list",
                headers={"Authorization": "x", "Content-Type": "application/json"},
                json={"tokens": [instrument.token for instrument, _, _ in changes]},
                tag=[instrument for instrument, _, _ in changes],
            )
        )
        return sends

    def received(self, data):
        message = json.loads(data)
        match message.pop("is", None):
            case "welcome":
                self.session = message["session"]
                return [LoggedIn(), Reply(json.dumps({"thanks": self.session}))]
            case "no":
                return [LoginFailed(Verdict(Cause.TOKEN))]
            case "bye":
                return [Disconnect(Verdict(Cause.EVICTED))]
            case "ping":
                return [Reply("pong"), Reply(b"\1\2")]
            case "tick":
                return [Tick(self.held[message.pop("t")], Mode.LTP, **message)]
        return [Malformed("what?")]

    def answered(self, request, response):
        if response is None or response.status != 200:
            return [Malformed("no answer")]
        return [Tick(instrument, Mode.QUOTE, ltp=response.json()["ltp"]) for instrument in request.tag]


class DeepCodec(FeedCodec):
    def __init__(self, credentials, environment):
        self.held = {}

    def dial(self):
        return Dial(url="tls://deep.odd.example:9000", transport=Transport.STREAM)

    def change(self, changes):
        for change in changes:
            self.held = {change.instrument.token: change.instrument}
        return [
            f"deep {change.instrument.token} {change.new.depth if change.new else 0}" for change in changes
        ]

    def received(self, data):
        book = Depth([Level(1.5, 2, 3)], [Level(1.6, 2)])
        return [Tick(instrument, Mode.DEPTH, depth=book) for instrument in self.held.values()]


class OrderCodec(FeedCodec):
    def __init__(self, credentials, environment):
        pass

    def dial(self):
        return Dial(url="wss://orders.odd.example")

    def change(self, changes):
        raise AssertionError("nothing can be subscribed here")

    def received(self, data):
        fields = json.loads(data)
        if "token" not in fields:
            return [OrderUpdate(Order(**fields))]
        # What the frame lacks is asked for; a vector has no answer, so the frame must do.
        return [Reply(HttpRequest(method="GET", url="https://odd.example/orders", tag=fields))]

    def answered(self, request, response):
        assert response is None
        token = request.tag.pop("token")
        return [OrderUpdate(Order(**request.tag), token)]


def route(instrument, wish):
    if wish.mode is Mode.DEPTH and wish.depth > 5:
        return (("market", Wish(Mode.QUOTE)), ("deep", wish))
    return (("market", wish),)


def parse_master(file, data):
    for line in data.decode().splitlines():
        name, token, lot = line.split(",")
        yield MasterRow(
            symbol=name,
            brsymbol=name,
            name=file,
            exchange="NSE",
            brexchange="nse",
            token=token,
            lotsize=int(lot),
        )


ADAPTER = Adapter(
    name="odd",
    title="Odd",
    credential_fields=("api_key",),
    feeds=(
        Feed(name="market", codec=MarketCodec, authorise=authorise, login=Login.ACKNOWLEDGED),
        Feed(name="deep", codec=DeepCodec),
        Feed(name="orders", codec=OrderCodec, market=False, orders=True),
    ),
    exchanges={"NSE": "nse"},
    depth_levels={"": (5, 20)},
    route=route,
    from_row=lambda row, env: {},
    master_files=lambda credentials: {},
    parse_master=parse_master,
)

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


class TestCompare:
    def frames(self, expected, *actual):
        return list(compare.frames(expected, actual))

    def test_a_close_is_no_frame(self):
        assert self.frames([], Close(1000)) != []
        assert self.frames([{"text": "x"}], Close(1000)) != []

    def test_any_inside_a_longer_text(self):
        assert self.frames([{"text": "login <any> now"}], "login 7f now") == []
        assert self.frames([{"text": "login <any> now"}], "login  now") != []
        assert self.frames([{"text": "login <any> now"}], "login now") != []
        assert self.frames([{"text": '{"id": "a-<any>"}'}], '{"id":"a-1"}') == []
        assert self.frames([{"text": '{"id": "a-<any>"}'}], '{"id":"b-1"}') != []

    def test_any_must_be_there(self):
        assert self.frames([{"text": '{"id": "<any>"}'}], '{"id":7}') == []
        assert self.frames([{"text": '{"id": "<any>"}'}], '{"id":null}') != []
        assert self.frames([{"text": '{"id": "<any>"}'}], "{}") != []

    @pytest.mark.parametrize("text", ["2", '"x"', "null", "40", "1.0"])
    def test_text_that_is_a_bare_value_is_compared_as_it_stands(self, text):
        assert self.frames([{"text": text}], text) == []
        assert self.frames([{"text": text}], f"{text} ") != []

    def test_bytes_that_are_no_text(self):
        assert self.frames([{"text": "{}", "opcode": "binary"}], b"\xff\xfe") != []

    @pytest.mark.parametrize(
        ("expected", "actual", "same"),
        [
            (1, 1.0, True),
            (1, True, False),
            (0, False, False),
            (None, None, True),
            (None, 0, False),
            (1e6, 1e6 + 0.001, False),
            (1e15, 1e15 + 1, False),
            (0.1 + 0.2, 0.3, True),
            (1.0, float("nan"), False),
            (float("nan"), float("nan"), False),
            ("1", 1, False),
            ([1], (1,), True),
            ([1], "1", False),
            ({}, [], False),
        ],
    )
    def test_values(self, expected, actual, same):
        assert (list(compare.values(expected, actual)) == []) is same

    def test_bodies_of_requests(self):
        def differ(expected, **body):
            request = HttpRequest(method="POST", url="https://x", **body)
            return list(compare.requests([{"method": "POST", "url": "https://x", **expected}], [request]))

        assert differ({"form": {"a": "1"}}, form={"a": "1"}) == []
        assert differ({"form": {"a": "1"}}, form={"a": "2"}) != []
        assert differ({"form": {"a": "1"}}, json={"a": "1"}) != []
        assert differ({"text": '{"a": 1}'}, text='{"a":1}') == []
        assert differ({"text": "a"}, text="b") != []
        assert differ({}, text="a") != []
        implied = {"headers": {"Content-Type": "application/json"}, "json": {}}
        assert differ(implied, json={}) == []
        assert differ(implied, json={}, headers={"content-type": "application/json"}) == []
        assert differ(implied, json={}, headers={"content-type": "text/plain"}) != []
        assert differ({"headers": {"Content-Type": "a"}, "text": "x"}, text="x") != []


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
