"""How the simulated broker can misbehave, on command.

Every fault is a plain attribute that may be set and cleared while the server runs; `Faults.command`
sets one from text, for the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from openalgo_ws.adapter import HttpResponse, Refused

__all__ = ["Faults"]


@dataclass
class Faults:
    """What is wrong with the server at present. Nothing, to begin with.

    Times are seconds. Faults may be combined: ``silent`` with ``no_pong`` is a dead peer behind
    an open socket.
    """

    #: New connections are taken and never spoken to; what they send is swallowed.
    half_open: bool = False
    #: New connections get the answer to their upgrade one byte every so many seconds, without end.
    slow_handshake: float | None = None
    #: Upgrades are refused with this, whatever the credentials.
    refuse: Refused | None = None
    #: HTTP calls are answered with this.
    answer: HttpResponse | None = None
    #: Open connections get no pong.
    no_pong: bool = False
    #: Open connections get no data and no heartbeat. Logins and pings are still answered.
    silent: bool = False
    #: Open connections get a frame of garbage before the data of every cycle.
    garbage: bool = False
    #: A connection is closed politely (code 1000) so long after it was accepted.
    login_loop: float | None = None
    #: A connection is reset when it is so old.
    drop_every: float | None = None
    #: A connection is reset in the middle of a packet when it is so old.
    tear_every: float | None = None
    #: A connection finds no more than so many instruments.
    capacity: int | None = None
    #: (exchange, symbol) of instruments that are not found.
    withdrawn: set[tuple[str, str]] = field(default_factory=set)

    def clear(self) -> None:
        """Behave again."""
        vars(self).update(vars(Faults()))

    def command(self, text: str) -> None:
        """Set a fault from ``NAME`` or ``NAME=VALUE``; ValueError says what is allowed.

        Names are the attributes with hyphens: ``half-open``, ``no-pong``, ``silent``, ``garbage``;
        with seconds ``slow-handshake=1``, ``login-loop=0.2``, ``drop-every=2``, ``tear-every=2``; and
        ``refuse=403``, ``capacity=100``, ``withdraw=NSE:SBIN``.
        """
        name, _, value = text.partition("=")
        setter = _COMMANDS.get(name)
        if setter is None:
            raise ValueError(f"no such fault: {name!r} (there are {', '.join(_COMMANDS)})")
        setter(self, name, value)

    @staticmethod
    def names() -> tuple[str, ...]:
        """The names that `command` knows."""
        return tuple(_COMMANDS)


_Setter = Callable[[Faults, str, str], None]


def _switch(faults: Faults, name: str, value: str) -> None:
    if value:
        raise ValueError(f"{name} takes no value")
    setattr(faults, name.replace("-", "_"), True)


def _seconds(usual: float) -> _Setter:
    def set_seconds(faults: Faults, name: str, value: str) -> None:
        try:
            seconds = float(value) if value else usual
        except ValueError:
            seconds = -1.0
        if not 0 <= seconds <= 86_400:
            raise ValueError(f"{name} takes seconds (0 to 86400), not {value!r}")
        setattr(faults, name.replace("-", "_"), seconds)

    return set_seconds


def _refuse(faults: Faults, name: str, value: str) -> None:
    if not (value.isdecimal() and 300 <= int(value) <= 599):
        raise ValueError(f"{name} takes an HTTP status (300 to 599), not {value!r}")
    faults.refuse = Refused(int(value))


def _capacity(faults: Faults, name: str, value: str) -> None:
    if not (value.isdecimal() and int(value) < 1_000_000):
        raise ValueError(f"{name} takes a number of instruments, not {value!r}")
    faults.capacity = int(value)


def _withdraw(faults: Faults, name: str, value: str) -> None:
    exchange, _, symbol = value.partition(":")
    if not (exchange and symbol):
        raise ValueError(f"{name} takes EXCHANGE:SYMBOL, not {value!r}")
    faults.withdrawn.add((exchange, symbol))


_COMMANDS: dict[str, _Setter] = {
    "half-open": _switch,
    "slow-handshake": _seconds(1.0),
    "refuse": _refuse,
    "no-pong": _switch,
    "silent": _switch,
    "garbage": _switch,
    "login-loop": _seconds(0.2),
    "drop-every": _seconds(2.0),
    "tear-every": _seconds(2.0),
    "capacity": _capacity,
    "withdraw": _withdraw,
}
