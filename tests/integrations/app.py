"""A Flask application with the gateway; the environment says how it is to be run."""

import logging
import os

from flask import Flask, session

from openalgo_ws.integrations.flask import start_disruptor_proxy, start_websocket_proxy

# In a thread the gateway logs as the application does.
logging.basicConfig()
logging.getLogger("twisted").setLevel(logging.INFO)

app = Flask(__name__)
app.secret_key = "only for tests"
start = start_disruptor_proxy if os.environ.get("APP_OLDER_NAME") else start_websocket_proxy
proxy = start(app, thread=os.environ.get("APP_THREAD") == "1")


@app.get("/login/<user>")
def login(user: str) -> str:
    session["user"] = user
    return "welcome"


@app.get("/state")
def state() -> dict[str, object]:
    return {"process": os.getpid(), "state": proxy.state.value}


if __name__ == "__main__":
    app.run(port=int(os.environ["APP_PORT"]), debug=app.debug)
