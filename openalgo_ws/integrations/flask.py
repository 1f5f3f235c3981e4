"""The gateway with a Flask application: started and stopped with it, and the routes that pages ask.

    from openalgo_ws.integrations.flask import start_websocket_proxy

    app = Flask(__name__)
    start_websocket_proxy(app)

Needs the extra ``flask``: ``pip install "openalgo-ws[flask]"``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import click
from flask import Flask
from flask.cli import FlaskGroup
from flask.helpers import get_debug_flag

from openalgo_ws.config import Settings, SettingsError, find_file, load
from openalgo_ws.integrations.child import ChildGateway
from openalgo_ws.integrations.proxy import Gateway, GatewayFailed, State, WebSocketProxy
from openalgo_ws.integrations.routes import UserOf, key_reader, routes, session_user
from openalgo_ws.integrations.turn import Turn, turn_file

__all__ = [
    "GatewayFailed",
    "SettingsError",
    "State",
    "WebSocketProxy",
    "start_disruptor_proxy",
    "start_websocket_proxy",
]

_EXTENSION = "openalgo_ws"


def start_websocket_proxy(
    app: Flask,
    *,
    thread: bool = False,
    settings: Mapping[str, str] | None = None,
    config: str | None = None,
    user: UserOf = session_user,
    reloader: bool | None = None,
) -> WebSocketProxy:
    """Start the gateway with ``app``, stop it with the process, and give ``app`` two routes:
    ``/api/websocket/config`` and ``/api/websocket/apikey``. To be called before the first request.

    The gateway is a child process, or with ``thread`` a thread of this one with its own reactor.
    It reads its settings as always (the environment, ``.env`` or the file ``config``); ``settings``
    holds variables that win over both. ``user`` gives the user of a request, None where nobody is
    logged in; the default is ``session["user"]``.

    Of several processes (workers of a WSGI server) the first runs it, the others stand by. The parent
    of Flask's reloader and commands such as ``flask shell`` don't run it; ``reloader`` says whether
    this application is run with the reloader, where that can't be found out (``app.run(debug=True)``
    without FLASK_DEBUG).

    Called again for the same ``app`` it returns what it returned before. SettingsError for a setting
    that isn't allowed, `GatewayFailed` if it can't be started.
    """
    present = app.extensions.get(_EXTENSION)
    if isinstance(present, WebSocketProxy):
        return present
    environ = {**os.environ, **(settings or {})}
    loaded = load({}, environ, find_file(config)).settings
    app.register_blueprint(routes(loaded, user, key_reader(loaded)))
    try:
        turn = Turn(turn_file(loaded.endpoints()))
    except OSError as error:
        raise GatewayFailed(f"{error.filename} can't be used as a lock: {error.strerror}") from None
    gateway: Gateway
    if thread:
        gateway = _thread_gateway(loaded)
    else:
        options = () if config is None else ("--config", config)
        # The child holds the turn too, so that its port is free when another process takes over.
        gateway = ChildGateway(options, environ, app.logger, keep=(turn.fileno(),))
    proxy = WebSocketProxy(gateway, turn, app.logger)
    app.extensions[_EXTENSION] = proxy
    if _serves(app, reloader):
        proxy.begin()
    return proxy


def start_disruptor_proxy(
    app: Flask,
    *,
    thread: bool = False,
    settings: Mapping[str, str] | None = None,
    config: str | None = None,
    user: UserOf = session_user,
    reloader: bool | None = None,
) -> WebSocketProxy:
    """The older name of `start_websocket_proxy`."""
    return start_websocket_proxy(
        app, thread=thread, settings=settings, config=config, user=user, reloader=reloader
    )


def _thread_gateway(settings: Settings) -> Gateway:
    # Twisted and all of the server are imported only where they run.
    from openalgo_ws.integrations.thread import ThreadGateway

    return ThreadGateway(settings)


def _serves(app: Flask, reloader: bool | None) -> bool:
    """Whether this process answers requests: it isn't the reloader's parent, nor a command."""
    if os.environ.get("WERKZEUG_RUN_MAIN") == "true":
        return True
    if reloader is not None:
        return not reloader
    context = click.get_current_context(silent=True)
    if context is not None and isinstance(context.find_root().command, FlaskGroup):
        if context.info_name != "run":
            return False
        wanted = context.params.get("reload")
        return not (get_debug_flag() if wanted is None else wanted)
    # A script that is going to call app.run(): its reloader follows the debug flag.
    return not (app.debug and app.import_name == "__main__")
