"""Addresses of the bus outside: as ZeroMQ writes them, as Twisted takes them."""

from __future__ import annotations

import os
import socket
import stat
from contextlib import suppress
from typing import Any

from twisted.internet.address import IPv6Address, UNIXAddress

from openalgo_ws.bus.zmq_socket import BusEndpoint

__all__ = ["BusAddressError", "host_and_port", "make_way", "socket_path", "written"]

#: Bytes of a Unix socket's path; a connection to a longer one would be tried once, and never again.
_LONGEST_PATH = 107


class BusAddressError(ValueError):
    """An address that the bus can't have; the message is one line for people."""


def socket_path(name: str) -> str:
    """Of what follows ``ipc://``; an abstract one begins with "@" there. BusAddressError."""
    path = "\0" + name[1:] if name.startswith("@") else name
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise BusAddressError(f"the bus can't have ipc://{name}: the path is too long")
    return path


def make_way(path: str) -> None:
    """Remove a socket at which nobody listens any more, because its process was killed, as libzmq does."""
    if path.startswith("\0"):
        # It went with its process.
        return
    with socket.socket(socket.AF_UNIX) as one:
        one.setblocking(False)
        try:
            one.connect(path)
        except ConnectionRefusedError:
            # Gone meanwhile, or not ours to remove: to bind it will tell.
            with suppress(OSError):
                # A file that is no socket refuses likewise.
                if stat.S_ISSOCK(os.stat(path).st_mode):
                    os.unlink(path)
        except OSError:
            # Nothing is there, or somebody who is busy.
            pass


def written(host: Any) -> str:
    """A bound address as ZeroMQ writes it."""
    if isinstance(host, UNIXAddress):
        path = os.fsdecode(host.name or b"")
        return "ipc://" + ("@" + path[1:] if path.startswith("\0") else path)
    name = f"[{host.host}]" if isinstance(host, IPv6Address) else host.host
    return f"tcp://{name}:{host.port}"


def host_and_port(endpoint: BusEndpoint) -> tuple[str, int]:
    """Of a ``tcp://`` address; "*" is every interface, or any port."""
    host, colon, port = endpoint.address.removeprefix("tcp://").rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if endpoint.bind and host == "*":
        host = ""
    elif host in {"", "*"}:
        colon = ""
    if endpoint.bind and port == "*":
        port = "0"
    number = int(port) if port.isascii() and port.isdecimal() and len(port) < 6 else -1
    if not colon or not (0 if endpoint.bind else 1) <= number <= 65535:
        raise BusAddressError(f"the bus can't have {endpoint.address}: not tcp://HOST:PORT")
    return host, number
