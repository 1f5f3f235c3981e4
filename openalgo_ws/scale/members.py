"""Which feed processes live, so that they can deal their work among them.

Each says so in a steady beat, and hears the others. This decides who is to try for what, and no more: that
nobody does what another does is up to leases. So a message that is lost costs a moment and breaks nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

__all__ = ["Members"]


class Members:
    """From `start` to `stop` one of those that live, under ``name``.

    ``tell`` says to all that this process is there (True) or goes (False); ``changed`` is called with all
    names, this one's among them, whenever they are others. Who has not been heard for ``silence`` seconds
    is gone. It listens for one ``beat`` (seconds) before it says or decides anything.
    """

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        *,
        beat: float,
        silence: float,
        tell: Callable[[bool], None],
        changed: Callable[[frozenset[str]], None],
    ) -> None:
        self._clock = clock
        self._name = name
        self._beat = beat
        self._silence = silence
        self._tell = tell
        self._changed = changed
        #: When each of the others was heard last.
        self._heard: dict[str, float] = {}
        self._told: frozenset[str] = frozenset()
        self._beating = LoopingCall(self._round)
        self._beating.clock = clock

    def start(self) -> None:
        """Begin to listen."""
        self._beating.start(self._beat, now=False)

    def stop(self) -> None:
        """Say goodbye, and forget the others. Harmless when stopped already."""
        if self._beating.running:
            self._beating.stop()
            if self._told:
                self._tell(False)
            self._heard.clear()
            self._told = frozenset()

    def heard(self, name: str, here: bool) -> None:
        """A process has said that it is there, or that it goes."""
        if not self._beating.running or name == self._name:
            return
        if here:
            self._heard[name] = self._clock.seconds()
        else:
            self._heard.pop(name, None)
        if self._told:
            self._look()

    def excuse(self) -> None:
        """Nobody could be heard for a while: count everybody's silence from now."""
        self._heard = dict.fromkeys(self._heard, self._clock.seconds())

    def _round(self) -> None:
        self._tell(True)
        limit = self._clock.seconds() - self._silence
        self._heard = {name: at for name, at in self._heard.items() if at >= limit}
        self._look()

    def _look(self) -> None:
        members = frozenset((self._name, *self._heard))
        if members != self._told:
            self._told = members
            self._changed(members)
