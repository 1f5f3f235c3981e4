"""Opening sessions: from an account's row in the database to a session at its broker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from openalgo_ws.accounts.service import AccountsUnavailable
from openalgo_ws.adapter import Adapter, Environment
from openalgo_ws.bus.demand import Denied
from openalgo_ws.bus.records import TickSink
from openalgo_ws.feeds.bounds import Bounds
from openalgo_ws.feeds.interfaces import Accounts, Adapters, ConnectionMaker, FeedSettings, Symbols
from openalgo_ws.feeds.session import Session, SessionListener
from openalgo_ws.registry import AdapterBroken, AdapterNotFound

__all__ = ["Login", "Opener", "too_many_shards"]


@dataclass(frozen=True)
class Login:
    """A usable login at a broker: complete credentials. No readable repr of these."""

    adapter: Adapter = field(repr=False)
    credentials: Mapping[str, str] = field(repr=False)


def too_many_shards(adapter: Adapter, settings: FeedSettings) -> str | None:
    """What is wrong with sharing the broker's connections among so many processes; None if nothing is."""
    for feed in adapter.feeds:
        alone = Bounds.of(feed.limits, replace(settings, shards=1), market=feed.market).connections
        if feed.market and alone < settings.shards:
            count = settings.shards
            return f"{count} feed shards can't share the {alone} connections that {adapter.title} allows"
    return None


class Opener:
    """Makes sessions. ``environ`` holds the variables that adapters read credentials from;
    ``elsewhere(account)`` is called when an account turns out to be at another broker now."""

    def __init__(
        self,
        *,
        accounts: Accounts,
        symbols: Symbols,
        adapters: Adapters,
        environ: Mapping[str, str],
        connections: ConnectionMaker,
        sink: TickSink,
        clock: IReactorTime,
        environment: Environment,
        settings: FeedSettings,
        listener: SessionListener,
        elsewhere: Callable[[str], None],
    ) -> None:
        self._accounts = accounts
        self._symbols = symbols
        self._adapters = adapters
        self._environ = environ
        self._connections = connections
        self._sink = sink
        self._clock = clock
        self._environment = environment
        self._settings = settings
        self._listener = listener
        self._elsewhere = elsewhere
        #: Accounts whose session is being opened → who else waits for it.
        self._opening: dict[str, list[Deferred[Session | Denied]]] = {}

    async def login(self, account: str, *, fresh: bool = False) -> Login | Denied:
        """What the account's row says; Denied if it can't be used. ``fresh`` bypasses caches."""
        try:
            row = await self._accounts.session(account, fresh)
        except AccountsUnavailable:
            return Denied("SERVER_ERROR", "The database is not available")
        if row is None or not row.broker:
            return Denied("BROKER_ERROR", "No broker session is configured: a login is needed")
        try:
            adapter = self._adapters.load(row.broker)
        except AdapterNotFound:
            return Denied("BROKER_ERROR", f"This server has no adapter for {row.broker}")
        except AdapterBroken:
            return Denied("BROKER_ERROR", f"The adapter for {row.broker} can't be used on this server")
        credentials = adapter.credentials_from(row, self._environ)
        missing = adapter.missing(credentials)
        if missing:
            message = f"The broker session is incomplete: {', '.join(missing)} missing"
            return Denied("BROKER_INIT_ERROR", message)
        objection = too_many_shards(adapter, self._settings)
        if objection is not None:
            return Denied("BROKER_INIT_ERROR", objection)
        return Login(adapter, credentials)

    async def open(self, account: str) -> Session | Denied:
        """A new session of the account. Those who ask while it is being opened share it."""
        waiting = self._opening.get(account)
        if waiting is not None:
            mine: Deferred[Session | Denied] = Deferred()
            waiting.append(mine)
            return await mine
        waiting = self._opening[account] = []
        result: Session | Denied = Denied("SERVER_ERROR", "The broker session could not be opened")
        try:
            login = await self.login(account)
            result = login if isinstance(login, Denied) else await self.session(account, login)
        finally:
            del self._opening[account]
            for other in waiting:
                if not other.called:
                    other.callback(result)
        return result

    async def session(self, account: str, login: Login) -> Session:
        """A session of the account with that login; nothing is dialled yet."""
        adapter = login.adapter
        index = await self._symbols.index(adapter.name)

        async def read() -> Mapping[str, str] | None:
            row = await self._accounts.session(account, True)
            if row is not None and row.broker != adapter.name:
                self._elsewhere(account)
                return None
            return None if row is None else adapter.credentials_from(row, self._environ)

        return Session(
            account=account,
            adapter=adapter,
            index=index,
            make=self._connections(adapter, account, read),
            sink=self._sink,
            clock=self._clock,
            environment=self._environment,
            settings=self._settings,
            listener=self._listener,
            credentials=login.credentials,
        )
