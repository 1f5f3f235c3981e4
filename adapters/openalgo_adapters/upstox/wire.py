"""What both of Upstox's sockets have in common: the address that was asked for, and refusals."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping

from openalgo_ws.adapter import Cause, Dial, Environment, FeedCodec, Verdict

__all__ = ["UpstoxCodec"]


class UpstoxCodec(FeedCodec, ABC):
    """A socket that is dialled at ``feed_url``, without headers: the address itself lets us in."""

    #: Where the address that was asked for is missing; it answers with a redirect.
    fallback: str

    def __init__(self, credentials: Mapping[str, str], environment: Environment) -> None:
        self._url = credentials.get("feed_url") or self.fallback
        self._environment = environment

    def dial(self) -> Dial:
        return Dial(url=self._url)

    def refused(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict:
        if status == 403:
            # (single source: a used-up address, or no permission. The latter is known from the
            # request for an address, which comes before the next dial.)
            return Verdict(Cause.TRANSIENT, "the socket's address is used up (HTTP 403)")
        return super().refused(status, headers, body)
