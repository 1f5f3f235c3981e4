"""A simulated exchange, and a server that speaks a broker's wire protocol to it.

The exchange (`universe`, `walk`, `exchange`) knows nothing of brokers; a broker's side of its
protocol comes from the adapter (`openalgo_ws.adapter.simulate`); `server` hosts it on real
sockets, and misbehaves on command (`faults`).
"""
