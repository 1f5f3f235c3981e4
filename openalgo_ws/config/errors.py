"""What is wrong with a setting, in one line."""

from __future__ import annotations

__all__ = ["NotAllowed", "SettingsError"]


class SettingsError(Exception):
    """A setting stops the start. The text is one line: what is set, its value, and what is allowed.

    ``name`` is the variable or option as its source spells it; ``value`` is None where nothing
    may be shown (secrets) or nothing was given.
    """

    def __init__(self, name: str, value: str | None, allowed: str) -> None:
        self.name = name
        self.value = value
        self.allowed = allowed
        shown = "" if value is None else f"={_one_line(value)}"
        super().__init__(f"{name}{shown}: {_one_line(allowed)}")


class NotAllowed(ValueError):
    """A part of a value isn't allowed: the part, and in words what is wrong or allowed."""

    def __init__(self, part: str, allowed: str) -> None:
        super().__init__(f"{part}: {allowed}")
        self.part = part
        self.allowed = allowed


def _one_line(text: str) -> str:
    """The text without line breaks or control characters, and not endlessly long."""
    plain = "".join(c if c.isprintable() else "?" for c in text)
    return plain if len(plain) <= 200 else plain[:200] + "…"
