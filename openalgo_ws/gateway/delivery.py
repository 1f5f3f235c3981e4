"""Delivery: which outbox serves which client, and when what is in them leaves.

At the end of a turn every outbox that was touched is written to its clients, for a slice of time; what is
left goes on in the next turns, while everything else has its own. Clients whose subscriptions have been
equal for a while share an outbox. One that changes what it holds, or falls behind, has one of its own
again.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime

from openalgo_ws.gateway.channel import Channel
from openalgo_ws.gateway.index import Index
from openalgo_ws.gateway.outbox import Outbox
from openalgo_ws.gateway.turns import Turns
from openalgo_ws.gateway.writer import ClientWriter

__all__ = ["Delivery"]

#: A change of subscriptions is over when nothing changed for so long (seconds).
_SETTLED = 0.5

#: For how long (seconds) clients are written to before everything else has its turn.
_SLICE = 0.003
#: Clients that are written to between two looks at the clock.
_STEP = 16


class Delivery:
    """The outboxes of all clients. ``turns`` shares out what clients ask for."""

    def __init__(self, reactor: IReactorTime, index: Index, turns: Turns) -> None:
        #: Channels that have put frames into outboxes in this turn.
        self.touched: list[Channel] = []
        #: Messages that were written.
        self.messages = 0
        self._reactor = reactor
        self._index = index
        self._turns = turns
        self._outboxes: dict[ClientWriter, Outbox] = {}
        self._shared: dict[frozenset[Channel], Outbox] = {}
        #: Clients that are being given what was kept for them.
        self._catching: set[ClientWriter] = set()
        #: Clients whose subscriptions have changed, and when they count as settled, the first first.
        self._settling: dict[ClientWriter, float] = {}
        self._settle_call: IDelayedCall | None = None
        #: Outboxes that hold something still to be written.
        self._unwritten: OrderedDict[Outbox, None] = OrderedDict()
        self._write_call: IDelayedCall | None = None
        self._written: Deferred[None] | None = None

    # Clients.

    def attach(self, writer: ClientWriter) -> None:
        """A client is there; it holds nothing yet."""
        self._outboxes[writer] = Outbox([writer])

    def detach(self, writer: ClientWriter) -> None:
        """A client is gone with everything it held; what nobody else holds is given up by and by."""
        outbox = self._outboxes.pop(writer)
        self._settling.pop(writer, None)
        outbox.part(writer)
        if not outbox.writers:
            if outbox.shared_key is not None:
                del self._shared[outbox.shared_key]
            self._turns.begin(self._retire(outbox))

    def overflowed(self, writer: ClientWriter) -> None:
        """The client can't keep up: conflate for it alone."""
        self._count(self.private(writer).fall_behind())

    def drained(self, writer: ClientWriter) -> None:
        """The client has everything that was written: give it the latest of each symbol."""
        if writer in self._outboxes and self._outboxes[writer].behind and writer not in self._catching:
            self._catching.add(writer)
            self._turns.begin(self._catch_up(writer))

    def behind(self, writer: ClientWriter) -> bool:
        """Whether a client is on conflation of its own."""
        return self._outboxes[writer].behind

    def kept(self) -> int:
        """Values that wait for clients which fell behind."""
        return sum(outbox.kept for outbox in set(self._outboxes.values()))

    def outboxes(self) -> int:
        """How many outboxes serve the clients; fewer than clients where some share."""
        return len(set(self._outboxes.values()))

    def _catch_up(self, writer: ClientWriter) -> Iterator[None]:
        """Give a client what was kept, until it is full again or has everything."""
        try:
            while (outbox := self._outboxes.get(writer)) is not None and outbox.behind:
                if outbox.catch_up():
                    self._settle_later(writer)
                elif writer.paused:
                    self._count(outbox.sink_back())
                    return
                yield
        finally:
            self._catching.discard(writer)

    def _retire(self, outbox: Outbox) -> Iterator[None]:
        for channel in outbox.channels:
            channel.discard(outbox)
            self._index.prune(channel)
            yield

    # Writing.

    def goes_by_notes(self, messages: int) -> bool:
        """Whether, after so many messages at once, `flush` finds outboxes by what `touched` says. Where there
        are more messages than clients it is shorter to look at every outbox, and nothing need be noted: the
        channels of 3,000 instruments are not in the cache."""
        return messages < len(self._outboxes)

    def flush(self, everything: bool = False) -> None:
        """Write what this turn has put into outboxes: those of `touched` channels, or ``everything``."""
        touched = self.touched
        if everything:
            outboxes: Iterable[Any] = self._outboxes.values()
        elif not touched:
            return
        elif len(touched) == 1:
            outboxes = list(touched[0].sinks)
        elif len(touched) < len(self._outboxes) and self._few(touched):
            outboxes = (sink for channel in touched for sink in channel.sinks)
        else:
            # More frames than clients: looking at every outbox once is the shorter way.
            outboxes = self._outboxes.values()
        # Each once, in the order in which they were found, whatever their addresses are.
        self._unwritten.update(dict.fromkeys(outboxes))
        touched.clear()
        if self._write_call is None:
            self._write()

    def flush_client(self, writer: ClientWriter) -> None:
        """Write what waits for one client."""
        self._count(self._outboxes[writer].flush())

    def under_way(self) -> Deferred[None] | None:
        """Fires when everything is written that `flush` was given; None if it is already."""
        if self._write_call is None:
            return None
        if self._written is None:
            self._written = Deferred()
        return self._written

    def _few(self, touched: Sequence[Channel]) -> bool:
        """Whether fewer frames are to be delivered than there are clients."""
        return sum(len(channel.sinks) for channel in touched) < len(self._outboxes)

    def _write(self) -> None:
        """Write to clients until all have everything, or for a slice of time; then go on next turn."""
        self._write_call = None
        unwritten, seconds = self._unwritten, self._reactor.seconds
        until = seconds() + _SLICE
        messages = 0
        while unwritten:
            outbox, _ = unwritten.popitem(last=False)
            messages += outbox.step(_STEP)
            if outbox.pending:
                unwritten[outbox] = None
            if unwritten and seconds() >= until:
                self._write_call = self._reactor.callLater(0, self._write)
                break
        self.messages += messages
        if self._write_call is None and self._written is not None:
            written, self._written = self._written, None
            written.callback(None)

    def _count(self, messages: int) -> None:
        """Count them. (`+=` with a call that writes loses what is counted when a client overflows in it.)"""
        self.messages += messages

    # Outboxes of one's own and shared ones.

    def private(self, writer: ClientWriter) -> Outbox:
        """The client's outbox, its alone; sharing is looked for again when it has settled."""
        outbox = self._outboxes[writer]
        if len(outbox.writers) > 1:
            owed = outbox.part(writer)
            outbox = self._outboxes[writer] = Outbox([writer], outbox.channels)
            for channel in outbox.channels:
                channel.add(outbox, None)
            # Last, because it may make the client overflow.
            for data, messages in owed:
                self.messages += messages
                writer.write(data)
        else:
            if outbox.shared_key is not None:
                del self._shared[outbox.shared_key]
                outbox.shared_key = None
            if outbox in self._unwritten:
                # Its turn had not come. (A last value that waits for the reply is no such thing.)
                del self._unwritten[outbox]
                self._count(outbox.flush())
        self._settle_later(writer)
        return outbox

    def _settle_later(self, writer: ClientWriter) -> None:
        self._settling.pop(writer, None)
        self._settling[writer] = self._reactor.seconds() + _SETTLED
        if self._settle_call is None:
            self._settle_call = self._reactor.callLater(_SETTLED, self._settle)

    def _settle(self) -> None:
        """Join clients whose subscriptions are equal; one client a turn, so that nobody waits."""
        self._settle_call = None
        if not self._settling:
            return
        now = self._reactor.seconds()
        # The first to be due is the first in line.
        writer, due = next(iter(self._settling.items()))
        if due <= now:
            del self._settling[writer]
            if not self._share(writer, now):
                self._settling[writer] = now + _SETTLED
        if self._settling:
            soonest = next(iter(self._settling.values()))
            self._settle_call = self._reactor.callLater(max(0.0, soonest - now), self._settle)

    def _share(self, writer: ClientWriter, now: float) -> bool:
        """Put a client into the outbox of those that hold the same. False: ask again later."""
        outbox = self._outboxes[writer]
        if outbox.behind or not outbox.channels:
            return True
        if not all(channel.settle(outbox, now) for channel in outbox.channels):
            return False
        key = frozenset(outbox.channels)
        other = self._shared.setdefault(key, outbox)
        if other is outbox:
            outbox.shared_key = key
            return True
        if not other.seal():
            return False
        self._count(outbox.flush())
        if outbox.behind:
            # That was too much for it: it stays alone, and is asked again when it has caught up.
            return True
        for channel in outbox.channels:
            channel.discard(outbox)
        other.writers.append(writer)
        self._outboxes[writer] = other
        return True

    def stop(self) -> None:
        """End every timer."""
        for call in (self._settle_call, self._write_call):
            if call is not None:
                call.cancel()
        self._settle_call = self._write_call = None
