"""Twisted's asyncio reactor on uvloop's event loop: ``twistd --reactor=uvloop``.

twistd makes a reactor before it loads anything of a server's, so the choice is a reactor of its own name
(``twisted/plugins/openalgo_ws_reactor.py``), and not something that the server could do later.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop, new_event_loop, set_event_loop
from typing import Any

from twisted.internet import asyncioreactor

__all__ = ["install", "loop_of", "make_loop"]


def make_loop() -> AbstractEventLoop:
    """A loop of uvloop's, or asyncio's own where uvloop is not installed."""
    try:
        import uvloop
    except ModuleNotFoundError as error:
        if error.name != "uvloop":
            raise
        return new_event_loop()
    loop: AbstractEventLoop = uvloop.new_event_loop()
    return loop


def install() -> None:
    """Install the reactor; what twistd calls."""
    loop = make_loop()
    set_event_loop(loop)
    asyncioreactor.install(loop)


def loop_of(reactor: Any) -> str:
    """Which event loop a reactor runs on: ``uvloop``, ``asyncio``, or Twisted's own, as ``epoll``."""
    if isinstance(reactor, asyncioreactor.AsyncioSelectorReactor):
        return type(reactor._asyncioEventloop).__module__.partition(".")[0]
    return type(reactor).__name__.removesuffix("Reactor").lower()
