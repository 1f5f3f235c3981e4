"""Who is served by whose feed: by default everybody by their own."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FeedPlan", "PlanError", "tag_of"]

#: The entry for users that have none of their own.
EVERYBODY = "*"
_OWN = "*"


class PlanError(ValueError):
    """The text is not a plan; the message names the part that is wrong."""


class FeedPlan:
    """Users → the accounts whose feeds serve them, the preferred one first.

    Written ``alice=bob; carol=carol,bob; *=house``: alice's clients are served by bob's feed,
    carol's by her own and by bob's while hers is down, everybody else's by that of ``house``. On the
    right ``*`` stands for the user's own: ``*=*,house`` gives everybody a second feed. Whoever is not
    mentioned is served by their own account alone. Orders always come from the user's own account.
    """

    def __init__(self, accounts: Mapping[str, tuple[str, ...]] | None = None) -> None:
        self._accounts = dict(accounts or {})

    @classmethod
    def parse(cls, text: str) -> FeedPlan:
        """A plan from its text; "" is the default. PlanError if it does not follow the form."""
        accounts: dict[str, tuple[str, ...]] = {}
        for part in text.split(";"):
            if not part.strip():
                continue
            user, equals, names = (piece.strip() for piece in part.partition("="))
            feeds = tuple(name.strip() for name in names.split(","))
            if not equals or not user or not all(feeds):
                raise PlanError(f"{part.strip()!r} is not of the form user=account,account")
            if user in accounts:
                raise PlanError(f"{user!r} is there twice")
            if len(set(feeds)) != len(feeds):
                raise PlanError(f"{part.strip()!r} names an account twice")
            accounts[user] = feeds
        return cls(accounts)

    def accounts(self, user: str) -> tuple[str, ...]:
        """The accounts that serve a user, the preferred one first; never empty."""
        names = self._accounts.get(user) or self._accounts.get(EVERYBODY) or (user,)
        # "*" may stand for somebody who is named as well.
        return tuple(dict.fromkeys(user if name == _OWN else name for name in names))


def tag_of(accounts: tuple[str, ...]) -> str:
    """The tag on the bus of what these accounts serve together; no two lists share one."""
    return ">".join(name.replace("%", "%25").replace(">", "%3E") for name in accounts)
