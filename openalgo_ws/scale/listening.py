"""Listening sockets that outlive the processes which accept on them.

The supervisor opens, for each endpoint, one socket per worker with SO_REUSEPORT, and passes all of them
to every worker. The kernel spreads new connections over the sockets evenly, which a single socket does
not: whichever process wakes first takes all that wait. And because the supervisor keeps the sockets open,
connections that wait on the socket of a worker that dies, or is being replaced, are accepted by
the next one, or by another worker meanwhile: nobody is refused.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import ServerFactory
from twisted.protocols.tls import TLSMemoryBIOFactory

from openalgo_ws.config.check import endpoint_parts
from openalgo_ws.gateway.listen import BACKLOG, EndpointError, tls_context
from openalgo_ws.scale.control import Listener

__all__ = ["CannotBind", "accept", "bind"]

_KINDS = {"tcp": socket.AF_INET, "tcp6": socket.AF_INET6, "ssl": socket.AF_INET}


class CannotBind(Exception):
    """An address can't be had; the message is one line for people."""


def bind(endpoint: str, count: int) -> list[socket.socket]:
    """``count`` listening sockets for a Twisted endpoint string (tcp, tcp6 or ssl), all on one port.

    EndpointError for another kind, `CannotBind` if the address can't be had.
    """
    kind, positional, options = endpoint_parts(endpoint)
    family = _KINDS.get(kind)
    port = options.get("port", positional[0] if positional else "")
    if family is None or not port.isdigit():
        raise EndpointError(f"{endpoint!r}: workers share tcp, tcp6 and ssl endpoints only")
    interface = options.get("interface", "")
    if ":" in interface:
        family = socket.AF_INET6
    backlog = int(options.get("backlog", BACKLOG))
    made: list[socket.socket] = []
    try:
        address = socket.getaddrinfo(
            interface or None, int(port), family, socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0][4]
        for _ in range(count):
            made.append(_bound(family, address, backlog))
            address = made[0].getsockname()
    except OSError as error:
        for one in made:
            one.close()
        raise CannotBind(f"can't listen on {interface or 'any'}:{port}: {error.strerror}") from None
    return made


def _bound(family: socket.AddressFamily, address: Any, backlog: int) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setblocking(False)
        made.bind(address)
        made.listen(backlog)
    except OSError:
        made.close()
        raise
    return made


def accept(reactor: Any, listeners: Sequence[Listener], factory: ServerFactory) -> list[IListeningPort]:
    """Accept connections on sockets that were inherited. EndpointError if TLS can't be set up."""
    ports = []
    for listener in listeners:
        serving: Any = factory
        if endpoint_parts(listener.endpoint)[0] == "ssl":
            serving = TLSMemoryBIOFactory(tls_context(reactor, listener.endpoint), False, factory)
        with socket.socket(fileno=listener.fd) as inherited:
            family = inherited.family
            inherited.detach()
        ports.append(reactor.adoptStreamPort(listener.fd, family, serving))
    return ports
