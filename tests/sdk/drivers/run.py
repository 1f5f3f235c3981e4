"""Runs a driver, and lets it and its SDK reach nothing but this machine: ``run.py DRIVER TASK``."""

from __future__ import annotations

import runpy
import sys
from ipaddress import ip_address
from typing import Any


def _guard(event: str, arguments: tuple[Any, ...]) -> None:
    # Some SDKs ask hosts of the net on import, or before they connect.
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):
        host = arguments[1][0]
    else:
        return
    if not _is_here(host):
        raise ConnectionRefusedError(f"{host} is not this machine")


def _is_here(host: str | bytes | None) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    try:
        return name in (None, "", "localhost") or ip_address(name).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.addaudithook(_guard)
    del sys.argv[0]
    runpy.run_path(sys.argv[0], run_name="__main__")
