"""pyintegrate's IntegrateWebSocket. It hands on messages as they come."""

from __future__ import annotations

from typing import Any

from common import CREDENTIALS, INSTRUMENTS, TASK, in_mode
from integrate import ConnectToIntegrate, IntegrateWebSocket
from noren_messages import key, ticked


def handed_on(socket: IntegrateWebSocket, message: dict[str, Any]) -> None:
    if message["t"] in ("tk", "tf", "dk", "df"):
        ticked(message)


def logged_in(socket: IntegrateWebSocket) -> None:
    ticks = [one for one in INSTRUMENTS if one["mode"] != "depth5"]
    for kind, wanted in (("TICK", ticks), ("DEPTH", in_mode("depth5"))):
        socket.subscribe(kind, [tuple(key(one).split("|")) for one in wanted])


connection = ConnectToIntegrate()
user = CREDENTIALS["user_id"]
connection.set_session_keys(user, CREDENTIALS.get("actid", user), "", CREDENTIALS["susertoken"])
socket = IntegrateWebSocket(connection)
# It would look tokens up in the master file on the broker's server.
socket.check_token_validity = lambda tokens: None
socket.on_login = logged_in
socket.on_tick_update = socket.on_depth_update = socket.on_acknowledgement = handed_on
socket.connect(f"{TASK['url']}/NorenWSTRTP/", ssl_verify=False)
