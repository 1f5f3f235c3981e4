"""The lease in a key-value bucket of NATS' JetStream.

The bucket is made when there is none. In a cluster of NATS servers make it beforehand, with as many
replicas as are wanted and the same time to live.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.js.api import KeyValueConfig, StorageType
from nats.js.client import JetStreamContext
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError
from nats.js.errors import ServiceUnavailableError as NoJetStream
from nats.js.kv import KeyValue
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from openalgo_ws.bus.nats_link import NatsLink
from openalgo_ws.scale.lease import LeaseStoreAway

__all__ = ["BUCKET", "NatsLeaseStore", "NatsMarkStore"]

BUCKET = "openalgo-ws-leases"

#: How often a mark is tried to be renewed that others renew in the same moment.
_TRIES = 5

_T = TypeVar("_T")


class NatsLeaseStore:
    """Implements `LeaseStore`. ``name`` is that of the lease; ``owner`` is this process's, and no other's.

    ``ttl``: seconds, of the whole bucket.
    """

    def __init__(self, link: NatsLink, name: str, *, owner: str, ttl: float) -> None:
        self._link = link
        self._name = name
        self._owner = owner.encode()
        self._ttl = ttl
        self._bucket: KeyValue | None = None
        #: The revision of the entry that is ours.
        self._revision: int | None = None

    def take(self) -> Deferred[int | None]:
        """Take the lease, or renew it; the bucket's revision. None: somebody else has it. Fails with
        `LeaseStoreAway`."""
        return self._asked(self._take())

    def give_back(self) -> Deferred[None]:
        """Let others have it at once, if it is ours. Fails with `LeaseStoreAway`."""
        return self._asked(self._give_back())

    def _asked(self, work: Coroutine[Any, Any, _T]) -> Deferred[_T]:
        async def guarded() -> _T:
            try:
                return await work
            except (NoRespondersError, NoJetStream):
                self._bucket = None
                raise LeaseStoreAway("the NATS server has no JetStream") from None
            except (NatsError, TimeoutError, OSError) as error:
                # Their texts may hold addresses.
                self._bucket = None
                raise LeaseStoreAway(type(error).__name__) from None

        return Deferred.fromFuture(asyncio.ensure_future(guarded()))

    async def _take(self) -> int | None:
        bucket = await self._found()
        try:
            if self._revision is None:
                self._revision = await bucket.create(self._name, self._owner)
            else:
                self._revision = await bucket.update(self._name, self._owner, last=self._revision)
            return self._revision
        except (KeyNotFoundError, KeyWrongLastSequenceError):
            self._revision = None
        # Perhaps it is ours all the same, by a renewal whose answer did not come.
        try:
            entry = await bucket.get(self._name)
            if entry.value == self._owner and entry.revision is not None:
                self._revision = await bucket.update(self._name, self._owner, last=entry.revision)
                return self._revision
        except (KeyNotFoundError, KeyWrongLastSequenceError):
            # It vanishes now, or changes hands: the next question will tell.
            pass
        return None

    async def _give_back(self) -> None:
        revision, self._revision = self._revision, None
        if revision is not None:
            # It may have been lost meanwhile.
            with suppress(KeyWrongLastSequenceError):
                await (await self._found()).delete(self._name, last=revision)

    async def _found(self) -> KeyValue:
        client = self._link.client
        if client is None:
            raise LeaseStoreAway("NATS is not connected")
        if self._bucket is None:
            context: JetStreamContext = client.jetstream(timeout=self._ttl / 3)
            try:
                bucket = await context.key_value(BUCKET)
            except BucketNotFoundError:
                config = KeyValueConfig(bucket=BUCKET, ttl=self._ttl, history=1, storage=StorageType.FILE)
                bucket = await context.create_key_value(config)
            if (await bucket.status()).ttl != self._ttl:
                raise LeaseStoreAway(f"bucket {BUCKET} must keep its entries for {self._ttl:g} s")
            self._bucket = bucket
        return self._bucket


class NatsMarkStore(NatsLeaseStore):
    """The same for a mark that everybody has who writes the same ``owner``, until all of them are gone."""

    log = Logger()

    def __init__(self, link: NatsLink, name: str, *, owner: str, ttl: float) -> None:
        super().__init__(link, name, owner=owner, ttl=ttl)
        self._warned = False

    async def _take(self) -> int | None:
        bucket = await self._found()
        for _ in range(_TRIES):
            try:
                entry = await bucket.get(self._name)
                if entry.value != self._owner:
                    if not self._warned:
                        self._warned = True
                        self.log.warn(
                            "feed processes that are set otherwise are there: waiting for their end"
                        )
                    return None
                return await bucket.update(self._name, self._owner, last=entry.revision)
            except KeyNotFoundError:
                pass
            except KeyWrongLastSequenceError:
                # Somebody else wrote it, or it has vanished.
                continue
            with suppress(KeyWrongLastSequenceError):
                return await bucket.create(self._name, self._owner)
        raise LeaseStoreAway("too many ask for it")

    async def _give_back(self) -> None:
        """Others may have it."""
