"""A value that must not be seen."""

from __future__ import annotations

import hmac

__all__ = ["Secret", "masked_url"]


class Secret:
    """A text that is shown nowhere: neither ``repr`` nor ``str`` nor a format gives it away."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The text itself."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a secret is not pickled")


def masked_url(url: str) -> str:
    """A URL as it may be shown: without user, password, query and fragment.

    Of one with an @ behind a slash the scheme alone: the slash may belong to a password, as it may in
    the URL of a database.
    """
    scheme, colon, rest = url.partition("://")
    if not colon:
        return "…"
    authority, slash, path = rest.partition("/")
    if "@" in path:
        return f"{scheme}://…"
    host = authority.rpartition("@")[2].partition("?")[0].partition("#")[0]
    path = path.partition("?")[0].partition("#")[0]
    return f"{scheme}://{host}{slash}{path}"
