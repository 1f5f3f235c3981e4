"""How old a broker login is, where its token says so.

Many brokers' tokens are JSON Web Tokens, whose claims anybody can read: ``iat`` and ``exp`` are
epoch seconds (RFC 7519, section 4.1). Nothing is verified here; the broker does that.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Annotated

import msgspec

__all__ = ["Login", "age", "last_rollover", "login_of"]

_IST = timezone(timedelta(hours=5, minutes=30))

#: Epoch seconds up to the year 2096; milliseconds are no such thing.
_Moment = Annotated[float, msgspec.Meta(ge=0, le=4e9)]


class _Claims(msgspec.Struct):
    iat: _Moment | None = None
    exp: _Moment | None = None


class Login(msgspec.Struct, frozen=True):
    """When a login was made and when it ends; None where the tokens don't say."""

    issued: datetime | None = None
    expires: datetime | None = None


def login_of(credentials: Iterable[str]) -> Login:
    """The login that these values are: made when the newest token was, over when the first one ends."""
    claims = [found for found in map(_claims, credentials) if found is not None]
    issued = [datetime.fromtimestamp(one.iat, UTC) for one in claims if one.iat is not None]
    expires = [datetime.fromtimestamp(one.exp, UTC) for one in claims if one.exp is not None]
    return Login(max(issued, default=None), min(expires, default=None))


def last_rollover(now: datetime, at: time) -> datetime:
    """When brokers' tokens last rolled over: the latest moment before ``now`` that is ``at`` in India."""
    local = now.astimezone(_IST)
    today = datetime.combine(local.date(), at, _IST)
    return today if today <= local else today - timedelta(days=1)


def age(span: timedelta) -> str:
    """A span of time as people say it: “5 h”, “12 min”, “3 days”."""
    minutes = int(abs(span).total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} days"


def _claims(token: str) -> _Claims | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        # Tokens leave the padding out.
        payload = urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
        return msgspec.json.decode(payload, type=_Claims)
    except (ValueError, msgspec.DecodeError, RecursionError):
        return None
