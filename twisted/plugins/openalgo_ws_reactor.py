from twisted.application.reactors import Reactor

uvloop = Reactor(
    "uvloop", "openalgo_ws.event_loop", "asyncio based reactor, on uvloop's event loop if it is installed."
)
