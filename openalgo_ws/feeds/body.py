"""The body of an HTTP answer, up to a bound."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import ResponseDone
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse

__all__ = ["TooLong", "body_of"]


class TooLong(Exception):
    """The body is longer than we take."""


def body_of(
    response: IResponse, largest: int, arrived: Callable[[int], None] = lambda size: None
) -> Deferred[bytes]:
    """The whole body; TooLong beyond ``largest`` bytes, and what broke it off where it is not whole.

    ``arrived`` is told how much there is whenever more has come. The connection is closed when the body is
    too long, and when nobody waits any more (the Deferred is cancelled).
    """
    done: Deferred[bytes] = Deferred(lambda _: collector.abort())
    collector = _Collector(done, largest, arrived)
    response.deliverBody(collector)
    return done


class _Collector(Protocol):
    def __init__(self, done: Deferred[bytes], largest: int, arrived: Callable[[int], None]) -> None:
        self._done: Deferred[bytes] | None = done
        self._largest = largest
        self._arrived = arrived
        self._data = bytearray()

    def dataReceived(self, data: bytes) -> None:
        if self._done is None:
            return
        self._data += data
        if len(self._data) > self._largest:
            self._finish(Failure(TooLong()))
            self.abort()
        else:
            self._arrived(len(self._data))

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        # Without a Content-Length the end of the connection is the end of the body: who reads it finds out
        # whether it was cut off. A chunked one that was is found out here.
        whole = isinstance(reason.value, ResponseDone | PotentialDataLoss)
        self._finish(bytes(self._data) if whole else reason)

    def abort(self) -> None:
        """Take no more, and close the connection."""
        self._done = None
        self._data = bytearray()
        if self.transport is not None:
            self.transport.loseConnection()

    def _finish(self, result: bytes | Failure) -> None:
        done, self._done = self._done, None
        if done is None:
            return
        if isinstance(result, Failure):
            done.errback(result)
        else:
            done.callback(result)
