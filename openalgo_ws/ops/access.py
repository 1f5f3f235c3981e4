"""Who may see the status port.

With WS_ADMIN_TOKEN: whoever shows it, as a Bearer token or by the cookie that the login form gives.
The cookie holds no token: it is a time and a keyed digest of that time, so it outlives a restart, and
ends when the token is changed. Without a token the port is on loopback only, and a request must also
name a loopback host: a page from elsewhere whose name was made to point here (DNS rebinding) does not.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from enum import Enum

from twisted.web.server import Request

from openalgo_ws.config import Secret, is_loopback
from openalgo_ws.gateway.limits import FailureWindow

__all__ = ["COOKIE", "Access", "Entry"]

COOKIE = b"openalgo_ws_status"
#: How long a login lasts (seconds).
_LASTS = 7 * 24 * 3600
#: Wrong tokens of one address within five minutes, after which it is not listened to.
_FAILURES, _WINDOW = 10, 300.0


class Entry(Enum):
    """What becomes of a request."""

    ADMITTED = 200
    UNKNOWN = 401
    FORBIDDEN = 403
    TOO_MANY = 429


class Access:
    """Decides on requests. ``now`` gives epoch seconds, ``address`` the client's address."""

    def __init__(
        self, token: Secret | None, now: Callable[[], float], address: Callable[[Request], str]
    ) -> None:
        self._token = token
        self._now = now
        self._address = address
        self._failures = FailureWindow(_FAILURES, _WINDOW)

    @property
    def has_token(self) -> bool:
        """Whether a token is asked for."""
        return self._token is not None

    def entry(self, request: Request) -> Entry:
        """Whether a request may see what it asks for."""
        if self._token is None:
            return Entry.ADMITTED if _names_loopback(request) else Entry.FORBIDDEN
        cookie = request.getCookie(COOKIE)
        if cookie is not None and self._is_ours(cookie):
            return Entry.ADMITTED
        scheme, _, shown = (request.getHeader(b"authorization") or b"").partition(b" ")
        if scheme.lower() != b"bearer":
            return Entry.UNKNOWN
        return self.login(request, shown.strip())

    def login(self, request: Request, shown: bytes) -> Entry:
        """Whether what was shown is the token."""
        address, now = self._address(request), self._now()
        if self._token is None:
            return Entry.FORBIDDEN
        if self._failures.exceeded(address, now):
            return Entry.TOO_MANY
        if hmac.compare_digest(shown, self._token.reveal().encode()):
            return Entry.ADMITTED
        self._failures.add(address, now)
        return Entry.UNKNOWN

    def give_cookie(self, request: Request) -> None:
        """Let the browser in from now on."""
        until = b"%d" % int(self._now() + _LASTS)
        self._set(request, until + b"." + self._digest(until), _LASTS)

    def take_cookie(self, request: Request) -> None:
        """Let it in no more."""
        self._set(request, b"", 0)

    def _set(self, request: Request, value: bytes, age: int) -> None:
        secure = request.isSecure() or request.getHeader(b"x-forwarded-proto") == b"https"
        request.addCookie(
            COOKIE, value, path=b"/", max_age=b"%d" % age, secure=secure, httpOnly=True, sameSite=b"strict"
        )

    def _is_ours(self, cookie: bytes) -> bool:
        until, _, digest = cookie.partition(b".")
        if not hmac.compare_digest(digest, self._digest(until)):
            return False
        return int(until) > self._now()

    def _digest(self, until: bytes) -> bytes:
        assert self._token is not None
        key = self._token.reveal().encode()
        return hmac.new(key, b"openalgo-ws status until " + until, hashlib.sha256).hexdigest().encode()


def _names_loopback(request: Request) -> bool:
    host = (request.getHeader(b"host") or b"").decode("latin-1")
    name = host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    return is_loopback(name)
