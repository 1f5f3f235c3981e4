"""5paisa's book of 20 levels: a token of its own, and a socket of its own behind a gateway.

Source: the official SDK (py5paisa 0.7.21.2: `socket_20_depth`, `market_depth_token`) for the token, the
address and what is sent first. (single source: everything else.) What no source tells, and what is
taken for it:

- how a book is given up: ``unsubscribe`` in the place of ``subscribe``
- which exchanges have it: the one example is of NSE's cash segment; NSE and NFO are offered
- how many instruments, connections and requests: 50, one, and the main feed's pace
- whether the members of a request are ``method`` and ``operation``, or begin with a capital as one
  client has them: the SDK's example decides
- the acknowledgement of a request and the form of an error: what has no ``Details`` is passed over

So the five levels of the main feed are taken beside it (`route` of the adapter), and stand in for
as long as nothing comes here.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence

from openalgo_adapters.fivepaisa.codec import BOOK, PER_REQUEST, OpenFeedCodec, request
from openalgo_adapters.fivepaisa.wire import Key
from openalgo_ws.adapter import (
    AuthoriseFailed,
    Cause,
    Dial,
    Environment,
    FeedCodec,
    HttpRequest,
    HttpResponse,
    Send,
    Verdict,
)
from openalgo_ws.tick import Wish

__all__ = ["LEVELS", "DepthCodec", "depth_token"]

#: Levels of a side, at most.
LEVELS = 20

#: The gateway wants to know which program calls. This is the SDK's, the same for all its users, and
#: opens nothing without the user's own token.
_SUBSCRIPTION = "c89fab8d895a426d9e00db380b433027"


def depth_token(
    credentials: Mapping[str, str], environment: Environment
) -> Generator[HttpRequest, HttpResponse | None, Mapping[str, str]]:
    """An authorise step: the socket's token, as ``depth_token``. `AuthoriseFailed` without one."""
    answer = yield HttpRequest(
        method="POST",
        url="https://openapi.5paisa.com/marketfeed-token/token",
        headers={
            "Ocp-Apim-Subscription-Key": _SUBSCRIPTION,
            # (single source: the SDK has this header empty until it has asked for history.)
            "Authorization": f"Bearer {credentials.get('access_token', '')}",
        },
    )
    status = answer.status if answer is not None else None
    if status in (401, 403):
        raise AuthoriseFailed(Verdict(Cause.TOKEN, f"no token for the 20-level book (HTTP {status})"))
    if status == 429:
        raise AuthoriseFailed(Verdict(Cause.TOO_MANY, "too many requests (HTTP 429)", 60.0))
    body = answer.json() if answer is not None and status == 200 else None
    token = body.get("access_token") if isinstance(body, dict) else None
    if not isinstance(token, str) or not token:
        raise AuthoriseFailed(Verdict(Cause.TRANSIENT, "no token for the 20-level book"))
    return {**credentials, "depth_token": token}


class DepthCodec(OpenFeedCodec):
    """One connection to the gateway. Its messages are those of the main feed's book, with more rows."""

    def dial(self) -> Dial:
        token = self._credentials.get("depth_token", "")
        return Dial(url=f"wss://gateway.5paisa.com/ws?subscription-key={_SUBSCRIPTION}&access_token={token}")

    def heartbeat(self) -> Send | None:
        """None: order updates come on the main feed."""
        return None

    def closed(self, code: int | None, reason: str) -> Verdict:
        """Nobody has said that connections evict one another here."""
        return FeedCodec.closed(self, code, reason)

    def _methods(self, wish: Wish | None) -> tuple[str, ...]:
        return () if wish is None else (BOOK,)

    def _requests(self, operation: str, keys: Mapping[str, Sequence[Key]]) -> list[Send]:
        names = [f"{exchange}{kind}{code}" for exchange, kind, code in keys[BOOK]]
        return [
            request(
                {
                    # (guess: that a book is given up so.)
                    "method": operation.lower(),
                    "operation": "20depth",
                    "instruments": names[start : start + PER_REQUEST],
                }
            )
            for start in range(0, len(names), PER_REQUEST)
        ]
