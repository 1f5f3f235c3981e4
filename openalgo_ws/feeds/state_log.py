"""What the log is told of a connection's states."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger, LogLevel

from openalgo_ws.feeds.life import ConnectionState

__all__ = ["StateLog"]

_LEVELS = {
    ConnectionState.STALE: LogLevel.warn,
    ConnectionState.BACKING_OFF: LogLevel.warn,
    ConnectionState.AUTH_FAILED: LogLevel.error,
    ConnectionState.FAILED: LogLevel.error,
}


class StateLog:
    """Tells of every change of state, of trouble louder, and of its end as loud as of its beginning."""

    def __init__(self, clock: IReactorTime, log: Logger) -> None:
        self._clock = clock
        self._log = log
        #: Since when there is trouble that the log has been told of.
        self._troubled_since: float | None = None

    def changed(self, state: ConnectionState, message: str) -> None:
        """The connection is in this state now; ``message`` holds no secret."""
        level = _LEVELS.get(state, LogLevel.info)
        now = self._clock.seconds()
        if state is ConnectionState.LIVE and self._troubled_since is not None:
            # Whoever reads of the trouble wants to read of its end, at the same level.
            seconds, self._troubled_since = now - self._troubled_since, None
            self._log.warn("live again after {seconds:.0f} s: {message}", seconds=seconds, message=message)
            return
        if level is not LogLevel.info and self._troubled_since is None:
            self._troubled_since = now
        self._log.emit(level, "{state}: {message}", state=state.value, message=message)
