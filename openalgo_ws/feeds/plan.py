"""Who is served by whose feed: by default everybody by their own."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FeedPlan", "PlanError", "preferred_of", "tag_of"]

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
        self._together, self._others = self._united()

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

    def together(self, account: str) -> str:
        """A name for the accounts that must be served in one place together with this one, because some
        user is served by several of them: the least of their names, as far as the plan has them.
        """
        return self._together.get(account, account if account in self._accounts else self._others or account)

    def _united(self) -> tuple[dict[str, str], str | None]:
        """For each account that is named its group's name; that of everybody who is not named, if they
        share an account besides their own."""
        group: dict[str, set[str]] = {}
        for user in self._accounts:
            if user != EVERYBODY:
                _unite(group, self.accounts(user))
        everybody = self._accounts.get(EVERYBODY, ())
        shared = tuple(name for name in everybody if name != _OWN)
        if shared:
            _unite(group, shared)
        if not shared or _OWN not in everybody:
            return {name: min(names) for name, names in group.items()}, None
        # Whoever is not named is served by these and by an account of that name.
        _unite(group, (*shared, *(name for name in list(group) if name not in self._accounts)))
        united = {name: min(names) for name, names in group.items()}
        return united, united[shared[0]]

    def accounts(self, user: str) -> tuple[str, ...]:
        """The accounts that serve a user, the preferred one first; never empty."""
        names = self._accounts.get(user) or self._accounts.get(EVERYBODY) or (user,)
        # "*" may stand for somebody who is named as well.
        return tuple(dict.fromkeys(user if name == _OWN else name for name in names))


def _unite(groups: dict[str, set[str]], names: tuple[str, ...]) -> None:
    """Make one group of all groups that these names are in."""
    joined = set(names).union(*(groups.get(name, ()) for name in names))
    for name in joined:
        groups[name] = joined


def preferred_of(tag: str) -> str:
    """The first account of a tag that `tag_of` made."""
    return tag.partition(">")[0].replace("%3E", ">").replace("%25", "%")


def tag_of(accounts: tuple[str, ...]) -> str:
    """The tag on the bus of what these accounts serve together; no two lists share one."""
    return ">".join(name.replace("%", "%25").replace(">", "%3E") for name in accounts)
