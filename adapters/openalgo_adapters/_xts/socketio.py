"""Socket.IO 2 over Engine.IO 3, as far as it is met here: one namespace, no polling, no acknowledgements.

The first character of a text message is Engine.IO's type, the second, after a ``4``, Socket.IO's::

    0{…}  open, with its times      2  ping (ours)      3  pong      40  connected      41  disconnected
    42[name, payload]  event        44  refused         451-[name, …]  event with one attachment

An attachment is a binary message of its own that begins with the type, as a byte.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping

import msgspec

from openalgo_adapters._common.values import BadValue, json_value
from openalgo_ws.adapter import (
    Alive,
    Cause,
    Close,
    Disconnect,
    Event,
    FeedCodec,
    LoggedIn,
    LoginFailed,
    Malformed,
    Pace,
    Reply,
    Send,
    Verdict,
)

__all__ = ["SocketIoCodec", "is_page"]

_PING, _PONG = "2", "3"
_MESSAGE_BYTE = 4
#: Seconds; what else a server says of its times is not believed.
_SANE = (1.0, 600.0)
#: What a refusal speaks of where a new login is worth trying.
_ABOUT_LOGIN = ("token", "e-session-0007", "login", "logged", "unauthori", "authenticat", "credential")
#: The least pause before the next dial, seconds.
_PAUSE = 5.0

_EVENT = msgspec.json.Decoder(tuple[str, str])


class SocketIoCodec(FeedCodec):
    """One connection. What the events mean is up to the subclass."""

    def __init__(self) -> None:
        #: The name of the event whose attachment is the next binary message.
        self._awaited: str | None = None
        self._unanswered = False

    @abstractmethod
    def event(self, name: str, payload: object) -> list[Event]:
        """An event with its first argument (None without one); may raise `BadValue`."""

    def attachment_is_known(self, name: str) -> bool:
        """Whether an event of this name may have an attachment."""
        return False

    def attachment(self, data: bytes) -> list[Event]:
        """The attachment of such an event."""
        return []

    def ponged(self) -> list[Event]:
        """The server has answered a ping, which it does every half minute or so."""
        return [Alive()]

    def heartbeat(self) -> Send | None:
        if self._unanswered:
            # A whole interval has passed without a pong, whatever else came.
            return Close()
        self._unanswered = True
        return _PING

    def closed(self, code: int | None, reason: str) -> Verdict:
        return Verdict(Cause.TRANSIENT, f"closed by the broker (code {code})", _PAUSE)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        # The token is judged on the open socket: this is somebody who doesn't know the path.
        if status == 404 or (400 <= status < 500 and is_page(body)):
            return Verdict(Cause.FATAL, f"no such feed at this host (HTTP {status})")
        return super().refused(status, headers, body)

    def received(self, data: str | bytes) -> list[Event]:
        try:
            if isinstance(data, bytes):
                return self._binary(data)
            kind = data[:1]
            if kind == "4":
                return self._message(data)
            if kind == "0":
                return [_pace(data[1:])]
            if kind == _PONG:
                self._unanswered = False
                return self.ponged()
            if kind == _PING:
                # Only a server of the next protocol does this.
                return [Reply(_PONG + data[1:])]
            if kind and kind in "16":
                return [Alive()]
            raise BadValue("a packet of an unknown kind")
        except BadValue as problem:
            return [Malformed(str(problem))]

    def _message(self, data: str) -> list[Event]:
        kind = data[1:2]
        if kind == "2":
            try:
                name, payload = _EVENT.decode(data[2:])
            except (msgspec.ValidationError, msgspec.DecodeError, UnicodeError, RecursionError):
                return self._unusual_event(data[2:])
            return self._named(name, payload)
        if kind == "0":
            self._unanswered = True
            return [LoggedIn(), Reply(_PING)]
        if kind == "1":
            return [Alive()]
        if kind == "4":
            return [_refusal(data[2:])]
        if kind == "5":
            return self._with_attachment(data[2:])
        raise BadValue("a message of an unknown kind")

    def _unusual_event(self, text: str) -> list[Event]:
        """An event with another number of arguments, or arguments that are no text."""
        arguments = json_value(text)
        if not isinstance(arguments, list) or not arguments or not isinstance(arguments[0], str):
            raise BadValue("an event without a name")
        return self._named(arguments[0], arguments[1] if len(arguments) > 1 else None)

    def _named(self, name: str, payload: object) -> list[Event]:
        if name == "error":
            return [_refusal(payload if isinstance(payload, str) else "")]
        if name == "logout":
            return [LoginFailed(Verdict(Cause.TOKEN, "the broker has ended the login"))]
        return self.event(name, payload)

    def _with_attachment(self, text: str) -> list[Event]:
        count, dash, rest = text.partition("-")
        if count != "1" or not dash:
            raise BadValue("another number of attachments than one")
        # Whatever the event is, the next binary message belongs to it.
        self._awaited = ""
        arguments = json_value(rest)
        if not isinstance(arguments, list) or not arguments or not isinstance(arguments[0], str):
            raise BadValue("an event without a name")
        if not self.attachment_is_known(arguments[0]):
            raise BadValue("an attachment to an unknown event")
        self._awaited = arguments[0]
        return []

    def _binary(self, data: bytes) -> list[Event]:
        name, self._awaited = self._awaited, None
        if name is None:
            raise BadValue("binary data that belongs to no event")
        if not name:
            return []
        if data[:1] != bytes([_MESSAGE_BYTE]):
            raise BadValue("binary data that is no message")
        return self.attachment(data[1:])


def is_page(body: bytes) -> bool:
    """Whether this is a page for people: somebody else has answered."""
    return body.lstrip()[:1] == b"<"


def _pace(text: str) -> Event:
    """The server's times in milliseconds, where they can be believed."""
    try:
        told = json_value(text)
    except BadValue:
        return Alive()
    times = [told.get(name) for name in ("pingInterval", "pingTimeout")] if isinstance(told, dict) else []
    seconds = [time / 1000 for time in times if type(time) is int and abs(time) < 1 << 40]
    if len(seconds) != 2 or not all(_SANE[0] <= time <= _SANE[1] for time in seconds):
        return Alive()
    interval, patience = seconds
    return Pace(interval, interval + patience)


def _refusal(text: str) -> Event:
    """What the server says is looked at, and not passed on: it might hold the token."""
    lowered = text.lower()
    if any(word in lowered for word in _ABOUT_LOGIN):
        return LoginFailed(Verdict(Cause.TOKEN, "the broker refused the token"))
    return Disconnect(Verdict(Cause.TRANSIENT, "the broker reported an error", _PAUSE))
