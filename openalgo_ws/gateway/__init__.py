"""The gateway: what clients connect to. Requests in, ticks out."""
