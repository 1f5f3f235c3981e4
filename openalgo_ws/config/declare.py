"""How a setting is declared: once, as a dataclass field that carries all there is to know."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, cast

from openalgo_ws.config.composite import ListOf, MapOf
from openalgo_ws.config.kinds import Kind

__all__ = ["BROKER", "Declaration", "declarations_of", "setting"]

T = TypeVar("T")
D = TypeVar("D")

#: Stands for any broker's name in a variable such as ``<BROKER>_FEED_URL``.
BROKER = "<BROKER>"

_KEY = "openalgo_ws.setting"


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """All there is to know of one setting; help, parsing, reference and doctor are made from it."""

    attribute: str
    variable: str
    kind: Kind[Any]
    default: Any
    group: str
    help: str
    #: What the default is called where its value would not tell.
    default_text: str | None

    @property
    def option(self) -> str:
        """The command-line option, without its dashes."""
        return self.attribute.replace("_", "-")

    @property
    def repeatable(self) -> bool:
        """Whether the option may be given several times."""
        return isinstance(self.kind, ListOf | MapOf)

    @property
    def per_broker(self) -> bool:
        """Whether there is one variable for every broker."""
        return self.variable.startswith(BROKER)

    def show(self, value: Any) -> str:
        """A value of this setting as text, masked where it is secret; empty if there is none."""
        return "" if value is None else self.kind.show(value)

    @property
    def shown_default(self) -> str:
        """The default, in words."""
        return self.default_text if self.default_text is not None else self.show(self.default)


@dataclass(frozen=True)
class _Facts:
    variable: str
    kind: Kind[Any]
    group: str
    help: str
    default_text: str | None


def setting(
    variable: str, kind: Kind[T], default: D, group: str, help: str, *, default_text: str | None = None
) -> T | D:
    """A field of the settings: its variable, kind, default, group and a line of help.

    What comes back is a dataclass field; it is typed as the value that the field will hold.
    """
    facts = _Facts(variable, kind, group, help, default_text)
    made = field(default_factory=lambda: default, metadata={_KEY: facts})
    return cast("T | D", made)


def declarations_of(settings: type) -> tuple[Declaration, ...]:
    """The declarations of a dataclass of settings, in their order."""
    found = []
    for one in fields(settings):
        facts: _Facts = cast("Mapping[str, _Facts]", one.metadata)[_KEY]
        made = one.default_factory
        assert callable(made)
        found.append(
            Declaration(
                attribute=one.name,
                variable=facts.variable,
                kind=facts.kind,
                default=made(),
                group=facts.group,
                help=facts.help,
                default_text=facts.default_text,
            )
        )
    return tuple(found)
