"""MQTT 3.1.1 as far as a client needs it that only listens: packets to bytes and back, without I/O.

Written here because the libraries for it own the socket, or speak version 5 alone.
"""
