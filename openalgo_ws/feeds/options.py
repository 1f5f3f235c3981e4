"""What the operator may set about connections to a broker, and what is built from it."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.ssl import Certificate

from openalgo_ws.adapter import Environment
from openalgo_ws.feeds.http import BrokerHttp, HttpCaller
from openalgo_ws.feeds.link import Dialler, FeedReactor
from openalgo_ws.feeds.sockets import SocketDialler
from openalgo_ws.feeds.trust import Trust

__all__ = ["ConnectionOptions", "Network"]


@dataclass(frozen=True, kw_only=True)
class ConnectionOptions:
    """Settings of the connections to one broker (times in seconds)."""

    #: ``<BROKER>_FEED_URL``: scheme, host and port that replace the broker's own.
    base_url: str | None = None
    #: False switches certificate verification off; said loudly at every dial.
    verify_tls: bool = True
    #: Who may sign the broker's certificate; () = the platform's roots.
    trust_roots: tuple[Certificate, ...] = ()
    #: The first and the longest pause between two attempts (full jitter below these).
    backoff_first: float = 1.0
    backoff_most: float = 60.0
    #: A login that lasted so long makes the next pause the first again.
    settled_after: float = 30.0
    #: Sockets dialled within any minute, at most (those that brought no ticks).
    attempts_per_minute: int = 8
    #: Pause after "too many connections", where the broker names none.
    too_many_wait: float = 60.0
    #: How often refused credentials are read again.
    recheck_interval: float = 30.0
    #: How long reading the credentials may take.
    read_timeout: float = 10.0
    #: How long one HTTP call may take.
    http_timeout: float = 15.0
    #: The largest message taken from a broker, in bytes.
    max_message: int = 8 * 1024 * 1024


@dataclass(frozen=True)
class Network:
    """How the connections of an account reach its broker. Shared by them: TLS contexts are costly."""

    dialler: Dialler
    http: HttpCaller

    @classmethod
    def of(cls, reactor: FeedReactor, environment: Environment, options: ConnectionOptions) -> Network:
        """The real network, as the options say."""
        trust = Trust(options.trust_roots, options.verify_tls)
        return cls(
            SocketDialler(
                reactor,
                environment,
                trust=trust,
                base_url=options.base_url,
                max_message=options.max_message,
            ),
            BrokerHttp(reactor, trust=trust, base_url=options.base_url, timeout=options.http_timeout),
        )
