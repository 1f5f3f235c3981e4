"""The demand protocol over NATS, between gateways and the feed process that leads.

A gateway's messages go to one subject that the leader alone subscribes to, and name the gateway's inbox
as the subject for replies; a new inbox is a new channel. NATS delivers at most once: so every message
begins with its number on the channel (four bytes), and a channel on which one is missing, or under which
the connection to NATS breaks, is given up on both sides. An empty message says that there is no channel
(any more); the NATS server says the same where nobody leads. A gateway then tries again, and at once when
a new leader announces itself.
"""

from __future__ import annotations

import secrets
from collections import deque
from functools import partial

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from openalgo_ws.bus import subjects
from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.scale.messages import MESSAGE_BYTES
from openalgo_ws.scale.remote import RemoteDemand
from openalgo_ws.scale.server import DemandServer, ServerChannel

__all__ = ["NatsDemandClient", "NatsDemandServer"]

#: Between two attempts of a gateway to find a leader (seconds).
_RETRY = 0.5
#: What may wait on one side for the NATS server (bytes); the channel that brings more is given up.
_UNSENT = 64 * MESSAGE_BYTES
#: Bytes that may wait in the client for the socket before this waits for the server, and how long (seconds).
_PENDING = MESSAGE_BYTES
_FLUSH = 10

_NUMBER = 4
_END = b""


class _Outgoing:
    """What one side sends, in order."""

    def __init__(self, link: NatsLink) -> None:
        self._link = link
        self._waiting: deque[tuple[str, bytes, str]] = deque()
        self._bytes = 0
        self._pumping: Deferred[None] | None = None

    def send(self, subject: str, payload: bytes, reply: str = "") -> bool:
        """Send a message; False if too much waits already."""
        if self._bytes + len(payload) > _UNSENT:
            return False
        self._bytes += len(payload)
        self._waiting.append((subject, payload, reply))
        if self._pumping is None and self._link.client is not None:
            self._pumping = Deferred()
            self._link.run(self._pump)
        return True

    def clear(self) -> None:
        """Give up what waits."""
        self._waiting.clear()
        self._bytes = 0

    def sent(self) -> Deferred[None]:
        """Fires when all that waits now has been sent or given up."""
        if self._pumping is None:
            return succeed(None)
        waiter: Deferred[None] = Deferred()
        self._pumping.addBoth(lambda _: waiter.callback(None))
        return waiter

    async def _pump(self) -> None:
        try:
            while self._waiting and (client := self._link.client) is not None:
                if client.pending_data_size > _PENDING:
                    await client.flush(_FLUSH)
                    continue
                subject, payload, reply = self._waiting.popleft()
                self._bytes -= len(payload)
                await client.publish(subject, payload, reply)
        finally:
            pumping, self._pumping = self._pumping, None
            if pumping is not None:
                pumping.callback(None)


class _Numbers:
    """Numbers what is sent on a channel, and sees what is missing of what comes."""

    def __init__(self) -> None:
        self._next_out = 0
        self._next_in = 0

    def numbered(self, message: bytes) -> bytes:
        """The next message to be sent."""
        number = self._next_out
        self._next_out = (number + 1) & 0xFFFFFFFF
        return number.to_bytes(_NUMBER, "big") + message

    def read(self, payload: bytes) -> bytes | None:
        """The next message that came; None if it is not the next one."""
        if int.from_bytes(payload[:_NUMBER], "big") != self._next_in or len(payload) < _NUMBER:
            return None
        self._next_in = (self._next_in + 1) & 0xFFFFFFFF
        return payload[_NUMBER:]


class _GatewayChannel:
    """One attempt of a gateway to be served, and what becomes of it."""

    def __init__(self) -> None:
        self.inbox = subjects.GATEWAYS + secrets.token_hex(12)
        self.numbers = _Numbers()
        self.subscription: Subscription | None = None


class NatsDemandClient:
    """Keeps a `RemoteDemand` connected to the feed process that leads. Ends with its link, or by `close`.

    ``part`` ends the subjects: who leads may lead for a part of the accounts.
    """

    log = Logger()

    def __init__(self, link: NatsLink, demand: RemoteDemand, part: str = "") -> None:
        self._link = link
        self._demand = demand
        self._part = part
        self._outgoing = _Outgoing(link)
        self._channel: _GatewayChannel | None = None
        self._retry: IDelayedCall | None = None
        self._leaders: Subscription | None = None
        self._closed = False
        link.join(self)

    def up(self) -> None:
        """Part of `LinkEnd`."""
        if self._leaders is None:
            self._link.run(self._hear_of_leaders)
        self._connect()

    def down(self) -> None:
        """Part of `LinkEnd`: what was on its way may be lost, and with it the channel."""
        self._cancel_retry()
        self._give_up()
        self._outgoing.clear()

    def close(self) -> None:
        """End the channel, and look for no other. Harmless when closed already."""
        if self._closed:
            return
        self._closed = True
        self._link.part(self)
        self._demand.leave()
        self._cancel_retry()
        self._drop()

    def sent(self) -> Deferred[None]:
        """Fires when what waits to be sent has been."""
        return self._outgoing.sent()

    def _connect(self) -> None:
        self._cancel_retry()
        self._give_up()
        if not self._closed and self._link.client is not None:
            channel = self._channel = _GatewayChannel()
            self._link.run(partial(self._open, channel))

    async def _open(self, channel: _GatewayChannel) -> None:
        client = self._link.client
        if client is None:
            return
        subscription = await client.subscribe(channel.inbox, cb=partial(self._arrived, channel))
        if self._channel is not channel:
            await subscription.unsubscribe()
            return
        channel.subscription = subscription
        self._demand.connected(partial(self._send, channel), partial(self._over, channel))

    async def _hear_of_leaders(self) -> None:
        client = self._link.client
        if client is not None and self._leaders is None:
            # The client subscribes by itself again when it reconnects.
            self._leaders = await client.subscribe(subjects.LEADER + self._part, cb=self._leader_came)

    async def _leader_came(self, message: Msg) -> None:
        # It knows nothing of a channel that there is.
        self._connect()

    def _send(self, channel: _GatewayChannel, message: bytes) -> None:
        if self._channel is channel and not self._outgoing.send(
            subjects.DEMAND + self._part, channel.numbers.numbered(message), channel.inbox
        ):
            self.log.error("too much waits for NATS")
            # Not in the middle of what sends.
            self._link.reactor.callLater(0, self._ended, channel)

    async def _arrived(self, channel: _GatewayChannel, message: Msg) -> None:
        if self._channel is not channel:
            return
        data = channel.numbers.read(message.data)
        if data is None:
            if message.data != _END:
                self.log.warn("messages of the feed process are missing")
            self._ended(channel)
        else:
            self._demand.received(data)

    def _ended(self, channel: _GatewayChannel) -> None:
        if self._channel is channel:
            self._demand.lost()
            self._over(channel)

    def _over(self, channel: _GatewayChannel) -> None:
        """The channel has ended, the demand knows."""
        if self._channel is channel:
            self._drop()
            if not self._closed and self._link.client is not None:
                self._retry = self._link.reactor.callLater(_RETRY, self._connect)

    def _give_up(self) -> None:
        if self._channel is not None:
            self._demand.lost()
            self._drop()

    def _drop(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None and channel.subscription is not None:
            self._outgoing.send(subjects.DEMAND + self._part, _END, channel.inbox)
            self._link.run(channel.subscription.unsubscribe)

    def _cancel_retry(self) -> None:
        if self._retry is not None and self._retry.active():
            self._retry.cancel()
        self._retry = None


class NatsDemandServer:
    """Serves a `DemandServer` to all gateways, from `start` to `stop`. ``part`` as in `NatsDemandClient`."""

    log = Logger()

    def __init__(self, link: NatsLink, server: DemandServer, part: str = "") -> None:
        self._link = link
        self._part = part
        self._server = server
        self._outgoing = _Outgoing(link)
        #: By the gateway's inbox.
        self._channels: dict[str, tuple[ServerChannel, _Numbers]] = {}
        self._subscription: Subscription | None = None
        self._closed = False

    def start(self) -> None:
        """Begin, and tell gateways so."""
        self._server.start()
        self._link.join(self)

    async def stop(self) -> None:
        """Tell gateways that it is over, and give back what they held."""
        self.close()
        await self._outgoing.sent()

    def up(self) -> None:
        """Part of `LinkEnd`."""
        self._link.run(self._serve)

    def down(self) -> None:
        """Part of `LinkEnd`: what was on its way may be lost, and with it every channel."""
        self._outgoing.clear()
        channels, self._channels = list(self._channels.values()), {}
        for channel, _ in channels:
            channel.lost()

    def close(self) -> None:
        """Serve no more. Harmless when closed already."""
        if self._closed:
            return
        self._closed = True
        self._link.part(self)
        # It ends every channel.
        self._server.stop()
        if self._subscription is not None:
            self._link.run(self._subscription.unsubscribe)

    async def _serve(self) -> None:
        client = self._link.client
        if client is None or self._closed:
            return
        if self._subscription is None:
            # The client subscribes by itself again when it reconnects.
            self._subscription = await client.subscribe(subjects.DEMAND + self._part, cb=self._arrived)
        if self._closed:
            await self._subscription.unsubscribe()
        else:
            await client.publish(subjects.LEADER + self._part)

    async def _arrived(self, message: Msg) -> None:
        inbox = message.reply
        if self._closed or not inbox.startswith(subjects.GATEWAYS):
            return
        known = self._channels.get(inbox)
        if known is None:
            known = self._accept(inbox, message.data)
            if known is None:
                return
        channel, numbers = known
        data = numbers.read(message.data)
        if data is not None:
            channel.received(data)
        elif message.data == _END:
            del self._channels[inbox]
            channel.lost()
        else:
            channel.close("messages of it are missing")

    def _accept(self, inbox: str, payload: bytes) -> tuple[ServerChannel, _Numbers] | None:
        """A new channel, if this is the first message on it."""
        if payload == _END:
            return None
        channel = None
        numbers = _Numbers()
        if payload[:_NUMBER] == bytes(_NUMBER):
            channel = self._server.connected(partial(self._send, inbox, numbers), partial(self._ended, inbox))
        if channel is None:
            self._outgoing.send(inbox, _END)
            return None
        self._channels[inbox] = (channel, numbers)
        return channel, numbers

    def _send(self, inbox: str, numbers: _Numbers, message: bytes) -> None:
        if inbox in self._channels and not self._outgoing.send(inbox, numbers.numbered(message)):
            channel, _ = self._channels[inbox]
            # Not in the middle of what sends.
            self._link.reactor.callLater(0, channel.close, "too much waits for NATS")

    def _ended(self, inbox: str) -> None:
        if self._channels.pop(inbox, None) is not None:
            self._outgoing.send(inbox, _END)
