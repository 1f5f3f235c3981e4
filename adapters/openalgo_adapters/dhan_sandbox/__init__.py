"""Dhan's sandbox: the protocol of `openalgo_adapters.dhan` under the sandbox's own credentials.

The sandbox has no stream. Point the feed's URL at the simulator (its prices are synthetic), or
at the production hosts with a production token. (single source: a token of the sandbox does not open
production sockets.) There is no socket for its orders.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from openalgo_adapters.dhan import adapter as production
from openalgo_adapters.dhan import client_id
from openalgo_ws.adapter import AuthRow

__all__ = ["adapter"]


def from_row(row: AuthRow, env: Mapping[str, str]) -> dict[str, str]:
    """Both fields are in the environment: the token, made by hand, stands where a secret usually does."""
    found = {"client_id": client_id(row, env), "access_token": env.get("BROKER_API_SECRET", "")}
    return {name: value for name, value in found.items() if value}


adapter = replace(
    production,
    name="dhan_sandbox",
    title="Dhan sandbox",
    feeds=tuple(feed for feed in production.feeds if feed.market),
    from_row=from_row,
    to_row=None,
    alias_of="dhan",
)
