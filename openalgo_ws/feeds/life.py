"""The life of a connection as a table: which state follows which, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Final

__all__ = ["TRANSITIONS", "ConnectionState", "Signal", "UnexpectedSignal", "next_state"]


class ConnectionState(Enum):
    """Where a connection is in its life."""

    #: Made, not started.
    IDLE = "idle"
    #: Reading the credentials afresh, and running the authorise step where there is one.
    AUTHORISING = "authorising"
    #: TCP, TLS and the WebSocket upgrade are under way.
    DIALLING = "dialling"
    #: The socket is open; the login frame is out and the broker has not answered yet.
    LOGGING_IN = "logging in"
    #: The login is through: subscriptions go out, ticks come in.
    LIVE = "live"
    #: Live, but no tick came for the feed's stall time while one was due. Being replaced.
    STALE = "stale"
    #: Between two attempts.
    BACKING_OFF = "backing off"
    #: The broker refuses these credentials (or there are none): nothing is dialled until they change.
    AUTH_FAILED = "auth failed"
    #: A mistake that another attempt can't mend (configuration, protocol): nothing is dialled until
    #: the credentials change.
    FAILED = "failed"
    #: Ended for good by `Connection.stop`.
    STOPPED = "stopped"


class Signal(Enum):
    """What happens to a connection."""

    START = "start"
    #: Credentials are there, and authorised where that is needed.
    AUTHORISED = "authorised"
    OPENED = "opened"
    LOGGED_IN = "logged in"
    #: Nothing came for the stall time.
    STALLED = "stalled"
    #: The attempt or the connection is over, and another one may follow after a pause.
    LOST = "lost"
    #: The broker does not accept the credentials: read them again before anything else.
    DOUBTED = "doubted"
    #: They are the same as those just refused, or there are none.
    REFUSED = "refused"
    #: A mistake of ours or of the configuration.
    BROKEN = "broken"
    #: The pause is over.
    WAKE = "wake"
    #: There are other credentials than those last used.
    RENEWED = "renewed"
    STOP = "stop"


class UnexpectedSignal(Exception):
    """The table has no such transition: a mistake in the program."""


_S = ConnectionState
_ENDINGS: Final = {
    Signal.LOST: _S.BACKING_OFF,
    Signal.DOUBTED: _S.AUTHORISING,
    Signal.BROKEN: _S.FAILED,
    Signal.RENEWED: _S.AUTHORISING,
    Signal.STOP: _S.STOPPED,
}

#: State → signal → next state. What is not here can't happen.
TRANSITIONS: Final[Mapping[ConnectionState, Mapping[Signal, ConnectionState]]] = {
    _S.IDLE: {Signal.START: _S.AUTHORISING, Signal.STOP: _S.STOPPED},
    _S.AUTHORISING: {**_ENDINGS, Signal.AUTHORISED: _S.DIALLING, Signal.REFUSED: _S.AUTH_FAILED},
    _S.DIALLING: {**_ENDINGS, Signal.OPENED: _S.LOGGING_IN},
    _S.LOGGING_IN: {**_ENDINGS, Signal.LOGGED_IN: _S.LIVE},
    _S.LIVE: {**_ENDINGS, Signal.STALLED: _S.STALE},
    _S.STALE: {**_ENDINGS},
    _S.BACKING_OFF: {
        Signal.WAKE: _S.AUTHORISING,
        Signal.RENEWED: _S.AUTHORISING,
        Signal.STOP: _S.STOPPED,
    },
    _S.AUTH_FAILED: {Signal.RENEWED: _S.AUTHORISING, Signal.STOP: _S.STOPPED},
    _S.FAILED: {Signal.RENEWED: _S.AUTHORISING, Signal.STOP: _S.STOPPED},
    _S.STOPPED: {Signal.STOP: _S.STOPPED},
}


def next_state(state: ConnectionState, signal: Signal) -> ConnectionState:
    """The state after ``signal`` in ``state``; `UnexpectedSignal` if the table has none."""
    try:
        return TRANSITIONS[state][signal]
    except KeyError:
        raise UnexpectedSignal(f"{signal.value} while {state.value}") from None
