"""What a broker module is written against, and the only thing of ours it imports besides `tick`.

A broker is an `Adapter`: declarations (credential fields, limits, exchanges, depth
levels, feeds) and pure functions (codec, instrument master, credentials). The
codec is sans-I/O: bytes in, events out. Everything that does I/O lives in
`openalgo_ws.feeds` and is written once for all brokers.
"""

from openalgo_ws.adapter.broker import (
    Adapter,
    Authorise,
    AuthoriseFailed,
    AuthRow,
    Feed,
    Keepalive,
    Limits,
    Login,
    Scope,
)
from openalgo_ws.adapter.codec import Change, CodecFactory, Environment, FeedCodec
from openalgo_ws.adapter.events import (
    Alive,
    Cause,
    Disconnect,
    Event,
    LoggedIn,
    LoginFailed,
    Malformed,
    Order,
    OrderUpdate,
    Pace,
    Rejected,
    Reply,
    Verdict,
)
from openalgo_ws.adapter.master import BadRow, MasterRow
from openalgo_ws.adapter.simulate import (
    Accepted,
    Market,
    Refused,
    SimulatorConnection,
    SimulatorSide,
    Upgrade,
)
from openalgo_ws.adapter.wire import Close, Dial, HttpRequest, HttpResponse, Send, Transport

__all__ = [
    "Accepted",
    "Adapter",
    "Alive",
    "AuthRow",
    "Authorise",
    "AuthoriseFailed",
    "BadRow",
    "Cause",
    "Change",
    "Close",
    "CodecFactory",
    "Dial",
    "Disconnect",
    "Environment",
    "Event",
    "Feed",
    "FeedCodec",
    "HttpRequest",
    "HttpResponse",
    "Keepalive",
    "Limits",
    "LoggedIn",
    "Login",
    "LoginFailed",
    "Malformed",
    "Market",
    "MasterRow",
    "Order",
    "OrderUpdate",
    "Pace",
    "Refused",
    "Rejected",
    "Reply",
    "Scope",
    "Send",
    "SimulatorConnection",
    "SimulatorSide",
    "Transport",
    "Upgrade",
    "Verdict",
]
