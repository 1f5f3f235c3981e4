from twisted.application.service import ServiceMaker

openalgo_ws = ServiceMaker(
    "openalgo-ws", "openalgo_ws.tap", "Market-data gateway: brokers' feeds on one WebSocket", "openalgo-ws"
)
