"""What the server's process has besides, where several processes speak to brokers."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Sequence
from typing import Any

from openalgo_ws.accounts.crypto import Vault
from openalgo_ws.accounts.database import Database
from openalgo_ws.accounts.store import list_users
from openalgo_ws.config import Settings
from openalgo_ws.feeds.opening import too_many_shards
from openalgo_ws.options import stop
from openalgo_ws.registry import Offered, Registry
from openalgo_ws.scale.shards import Shards
from openalgo_ws.tap.feeds import feed_settings

__all__ = ["feed_shards"]


def feed_shards(
    reactor: Any,
    settings: Settings,
    *,
    database: Database,
    vault: Vault,
    registry: Registry,
    arguments: Sequence[str],
    relay: Callable[[str], None],
) -> Shards:
    """The other feed processes. Ends this one if a broker that somebody has logged in to allows fewer
    connections than there are to be shards."""
    users = database.call(lambda connection: list_users(connection, vault))
    wanted = {user.broker for user in users if user.broker and user.logged_in}
    for broker in sorted(wanted.intersection(Offered(registry, settings.valid_brokers).names())):
        objection = too_many_shards(registry.load(broker), feed_settings(settings))
        if objection is not None:
            stop(f"WS_FEED_SHARDS: {objection}")
    return Shards(
        reactor,
        settings.feed_shards,
        generation=secrets.token_hex(8),
        arguments=arguments,
        environ=os.environ,
        relay=relay,
    )
