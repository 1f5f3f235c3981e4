"""HSM: the binary topic feed that Fyers and Kotak share, each in a dialect of its own.

- `wire`: control frames and their fields
- `codec`: logins, topics, snapshots and updates; a broker declares its layouts and what differs
- `simulator`: the same protocol seen from the server, written apart from the codec
"""
