"""What every process of a server is: parts that start in order and stop the other way round."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import zmq
from twisted.application.service import IService, Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.logger import Logger
from zope.interface import implementer

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import BadDatabaseUrl, Database, DatabaseUnavailable
from openalgo_ws.bus.ring import RingError
from openalgo_ws.bus.zmtp_address import BusAddressError
from openalgo_ws.config import Settings, SettingsError
from openalgo_ws.event_loop import loop_of
from openalgo_ws.gateway.listen import EndpointError
from openalgo_ws.options import stop
from openalgo_ws.process import calm_collector, end_cleanly_on_signals, raise_descriptor_limit, stop_reactor
from openalgo_ws.registry import Registry
from openalgo_ws.scale.listening import CannotBind
from openalgo_ws.scale.private import PathTooLong

__all__ = ["MemberProcess", "Process", "refusals", "vault_and_database"]


@implementer(IService)
class Process(Service):
    """A process that people start. Its own are `_build`, and the vault and database that it is to `_use`."""

    log = Logger()
    name = "server"

    #: Everything is down within this time after SIGTERM (seconds).
    _within: ClassVar[float] = 4.5
    #: Whether signals from a terminal are meant for it.
    _alone: ClassVar[bool] = True

    def __init__(self, reactor: Any, settings: Settings) -> None:
        self._reactor = reactor
        self._settings = settings
        self._registry = Registry()
        #: The services, in the order in which they are started.
        self._parts: list[Any] = []
        #: Closes what is no service, the last first, when the services have stopped or don't come to start.
        self._closing: list[Callable[[], Any]] = []

    def privilegedStartService(self) -> None:
        """Open what may be refused: the database, the bus, the ports."""
        raise_descriptor_limit()
        with refusals(self._settings), self._nothing_left():
            self._build()

    def startService(self) -> None:
        """Begin to serve."""
        super().startService()  # type: ignore[no-untyped-call]
        if self._alone:
            self.log.info("the event loop is {loop}", loop=loop_of(self._reactor))
        self._database.start()
        end_cleanly_on_signals(self._reactor, alone=self._alone)
        with self._nothing_left():
            for part in self._parts:
                part.startService()
        calm_collector()
        self._started()

    def stopService(self) -> Deferred[None]:
        """Say goodbye to clients, leave the brokers, close the rest: within a few seconds."""
        super().stopService()  # type: ignore[no-untyped-call]
        stopping = Deferred.fromCoroutine(self._stop())
        return stopping.addTimeout(self._within, self._reactor, onTimeoutCancel=lambda result, timeout: None)

    def _use(self, vault: Vault, database: Database) -> None:
        self._vault, self._database = vault, database
        self._closing.append(database.stop)

    def _build(self) -> None:
        """Make the parts, and open what may be refused."""
        raise NotImplementedError

    def _started(self) -> None:
        """All parts have been started."""

    def _leave(self) -> None:
        """The parts are going to be stopped."""

    @contextmanager
    def _nothing_left(self) -> Iterator[None]:
        """Close everything if the start fails inside: nobody is going to stop this."""
        try:
            yield
        except BaseException:
            self._give_up()
            raise

    async def _stop(self) -> None:
        try:
            self._leave()
            for part in reversed(self._parts):
                await maybeDeferred(part.stopService)
            while self._closing:
                await maybeDeferred(self._closing.pop())
        finally:
            # The time was too short, or a part failed. Threads of the database would keep the process alive.
            self._give_up()

    def _give_up(self) -> None:
        """Close what can be closed at once."""
        while self._closing:
            self._closing.pop()()


class MemberProcess(Process):
    """A process that a supervisor has started, which does not wait longer for its end and has raised
    the limits."""

    _within = 3.0
    _alone = False

    def privilegedStartService(self) -> None:
        """Make everything."""
        with self._nothing_left():
            self._build()

    def _orphaned(self) -> None:
        self.log.error("the supervisor is gone")
        stop_reactor(self._reactor)


def vault_and_database(settings: Settings) -> tuple[Vault, Database]:
    """Those that the settings name. SettingsError without a pepper; BadDatabaseUrl."""
    return Vault(settings.pepper(), settings.salt()), Database(settings.database_url.reveal())


@contextmanager
def refusals(settings: Settings) -> Iterator[None]:
    """End the process with one line for what is refused inside."""
    try:
        yield
    except (SettingsError, EndpointError, BusAddressError, CannotBind, PathTooLong) as error:
        stop(error)
    except (BadDatabaseUrl, DatabaseUnavailable) as error:
        stop(f"DATABASE_URL: {error}")
    except zmq.ZMQError as error:
        stop(f"the bus can't have {settings.zmq_host}:{settings.zmq_port}: {error.strerror}")
    except RingError as error:
        stop(f"the bus can't have its shared memory: {error}")
    except CannotListenError as error:
        stop(f"can't listen on {error.interface or 'any'}:{error.port}: {error.socketError.strerror}")
