"""A made-up broker that has all the oddities: a login over HTTP, an acknowledged socket, JSON in binary
frames, subscriptions over HTTP, a deep book on a socket of its own, and a socket for orders alone.
"""

import json

from openalgo_ws.adapter import (
    Adapter,
    AuthoriseFailed,
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
