"""What concerns the process as a whole: descriptors, and the garbage collector's pauses."""

from __future__ import annotations

import gc
import resource
import signal
from collections.abc import Callable
from threading import current_thread, main_thread
from types import FrameType
from typing import Any

__all__ = [
    "calm_collector",
    "descriptor_limit",
    "end_cleanly_on_signals",
    "on_hangup",
    "raise_descriptor_limit",
    "stop_reactor",
]

#: Objects made before the youngest generation is looked at. A tick's objects die by reference
#: count; the collector finds nothing among them and only costs time. What a client that subscribes makes
#: does not: 10,000 such objects are a pause of 2 ms.
_YOUNG = 10_000


def descriptor_limit() -> tuple[int, int]:
    """RLIMIT_NOFILE: what is in force, and what it may be raised to."""
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_descriptor_limit() -> int:
    """Raise RLIMIT_NOFILE as far as it goes, and return it: each client takes a descriptor."""
    soft, hard = descriptor_limit()
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def calm_collector() -> None:
    """Take what exists now out of garbage collection, and collect less often from now on.

    Called once everything is loaded: modules and tables live as long as the process, and a full
    collection that walks them holds the reactor up for tens of milliseconds.

    The second generation is collected often, so that it is never large: 50,000 subscriptions make a
    million objects, and at the default every tenth time it would be a pause of a tenth of a second.
    The oldest is looked at no more often for that.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG, 1, 2750)


def end_cleanly_on_signals(reactor: Any, *, alone: bool = True) -> None:
    """SIGTERM and SIGINT stop the reactor, and the exit code is 0. A process that is not ``alone`` leaves
    it to its supervisor what to do about SIGINT, which a terminal sends to all, and SIGHUP.

    With Twisted's own handlers twistd ends by raising the signal again once everything is down, and
    a supervisor reads that as a death by signal. A reactor in a thread of another program leaves that
    program's signals alone.
    """
    if current_thread() is not main_thread():
        return

    def stop(number: int, frame: FrameType | None) -> None:
        reactor.callFromThread(stop_reactor, reactor)

    def install() -> None:
        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop if alone else signal.SIG_IGN)
        if not alone:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    reactor.callWhenRunning(install)


def on_hangup(reactor: Any, call: Callable[[], None]) -> None:
    """Call this in the reactor's thread on SIGHUP. Other threads' reactors hear of no signals."""
    if current_thread() is not main_thread():
        return

    def hear(number: int, frame: FrameType | None) -> None:
        reactor.callFromThread(call)

    def install() -> None:
        signal.signal(signal.SIGHUP, hear)

    reactor.callWhenRunning(install)


def stop_reactor(reactor: Any) -> None:
    """Stop the reactor, if it runs."""
    if reactor.running:
        reactor.stop()
