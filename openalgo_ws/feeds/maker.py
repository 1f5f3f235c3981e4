"""Where connections come from: what an account's connections share is made once."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

from openalgo_ws.adapter import Adapter, Environment, Feed
from openalgo_ws.feeds.authoriser import Authoriser
from openalgo_ws.feeds.connection import Calendar, Connection, ConnectionListener, ReadCredentials
from openalgo_ws.feeds.link import FeedReactor
from openalgo_ws.feeds.options import ConnectionOptions, Network

__all__ = ["Connections"]


class Connections:
    """Makes connections, account by account, to real brokers.

    ``options`` gives the operator's settings for a broker's name. The TLS contexts of a broker are
    shared by all accounts, an authoriser by the connections of one.
    """

    def __init__(
        self,
        *,
        reactor: FeedReactor,
        environment: Environment,
        sessions: Calendar,
        options: Callable[[str], ConnectionOptions],
    ) -> None:
        self._reactor = reactor
        self._environment = environment
        self._sessions = sessions
        self._options = options
        self._numbers = count(1)
        self._networks: dict[str, tuple[ConnectionOptions, Network]] = {}

    def __call__(
        self, adapter: Adapter, user: str, credentials: ReadCredentials
    ) -> Callable[[Feed, ConnectionListener], Connection]:
        """What makes the connections of one account; they are not started."""
        options, network = self._network(adapter.name)
        authoriser = Authoriser(clock=self._reactor, http=network.http, environment=self._environment)

        def make(feed: Feed, listener: ConnectionListener) -> Connection:
            return Connection(
                reactor=self._reactor,
                adapter=adapter,
                feed=feed,
                user=user,
                credentials=credentials,
                authoriser=authoriser,
                environment=self._environment,
                listener=listener,
                sessions=self._sessions,
                options=options,
                network=network,
                number=next(self._numbers),
            )

        return make

    def _network(self, broker: str) -> tuple[ConnectionOptions, Network]:
        if broker not in self._networks:
            options = self._options(broker)
            self._networks[broker] = (
                options,
                Network.of(self._reactor, self._environment, options),
            )
        return self._networks[broker]
