"""Every setting of the server, once: variable, type, default, range and a line of help.

Each subject is a module, with what is concluded from its settings alone. The command-line option
is the attribute with dashes, which is the variable in lower case without a leading ``WS_``. Times
are seconds unless a name says otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass

from openalgo_ws.config.declare import Declaration, declarations_of
from openalgo_ws.config.settings.accounts import PEPPER_CHARACTERS, AccountSettings
from openalgo_ws.config.settings.bus import BusSettings
from openalgo_ws.config.settings.clients import ClientSettings
from openalgo_ws.config.settings.feeds import FeedSettings
from openalgo_ws.config.settings.operation import OperationSettings

__all__ = ["DECLARATIONS", "PEPPER_CHARACTERS", "Settings"]


# Fields are gathered from the last base to the first: the help and the reference page begin with
# the clients.
@dataclass(frozen=True, kw_only=True, repr=False)
class Settings(OperationSettings, AccountSettings, BusSettings, FeedSettings, ClientSettings):
    """The configuration of one server. `openalgo_ws.config.load` makes it from its sources."""

    def __repr__(self) -> str:
        shown = ((one, getattr(self, one.attribute)) for one in DECLARATIONS)
        changed = (f"{one.attribute}={one.show(value)}" for one, value in shown if value != one.default)
        return f"<Settings {', '.join(changed)}>"


DECLARATIONS: tuple[Declaration, ...] = declarations_of(Settings)
