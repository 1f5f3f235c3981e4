"""``twistd openalgo-ws``: the only place where the parts are wired together.

`openalgo_ws.tap.feeds` composes what speaks to brokers, `openalgo_ws.tap.gateway` what speaks to
clients; `openalgo_ws.tap.server` is the process that has both. With worker processes it has
`openalgo_ws.tap.pool` besides, and they are `openalgo_ws.tap.worker`; further feed processes are
`openalgo_ws.tap.shard`. With NATS `openalgo_ws.tap.nats` is a process of either side.
What they have in common, from start to stop, is `openalgo_ws.tap.process`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import IO, Any

from twisted.application.service import IService
from twisted.logger import Logger

from openalgo_ws.config import Settings
from openalgo_ws.feeds.environment import make_steady
from openalgo_ws.log import LoggedService, numbered, observer_to, twistd_stream
from openalgo_ws.options import Options, stop
from openalgo_ws.scale.control import read_boot
from openalgo_ws.tap.server import Server, Start
from openalgo_ws.tap.shard import ShardServer
from openalgo_ws.tap.worker import WorkerServer

__all__ = ["Options", "Server", "makeService"]


def makeService(options: Options) -> IService:
    """The server that these options describe. A mistake in them ends the process with one line."""
    from twisted.internet import reactor

    settings = options.settings
    make_steady(reactor)
    # `parent` is twistd's own options: where its log goes.
    parent: Mapping[str, Any] = getattr(options, "parent", None) or {}
    stream = twistd_stream(parent)
    observer = None
    if stream is not None:
        observer = observer_to(stream, settings.log_level, settings.log_format, settings.log_levels)
    boot = read_boot()
    server: Any
    if boot is not None:
        assert observer is not None
        observer = numbered(observer, boot.name)
        kind = WorkerServer if boot.shard is None else ShardServer
        server = kind(reactor, settings, boot)
    elif settings.chosen_bus() == "nats":
        server = _nats_server(reactor, settings)
    else:
        server = Server(reactor, settings, Start(options.arguments(), _relay(stream)))
    service = LoggedService(observer)
    server.setServiceParent(service)
    return service


def _nats_server(reactor: Any, settings: Settings) -> IService:
    try:
        from openalgo_ws.tap.nats import NatsServer
    except ModuleNotFoundError as error:
        # nats-py comes with an extra.
        if error.name is None or error.name.partition(".")[0] != "nats":
            raise
        stop("WS_BUS: NATS needs nats-py, which is not installed: pip install 'openalgo-ws[nats]'")
    return NatsServer(reactor, settings)


def _relay(stream: IO[str] | None) -> Callable[[str], None]:
    """What takes the lines that worker processes log: they are as this process' own lines are."""
    if stream is None:
        log = Logger("openalgo_ws.workers")
        return lambda line: log.info("{line}", line=line)

    def write(line: str) -> None:
        stream.write(line + "\n")
        stream.flush()

    return write
