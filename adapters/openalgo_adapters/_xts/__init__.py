"""Symphony XTS: the market-data and interactive sockets that several brokers run, each on a host of its own.

- `segments`: the exchanges, their codes and the way each counts time
- `events`: the JSON events, whole and as changes
- `packets`: the binary packets
- `socketio`: Socket.IO 2 on Engine.IO 3, as far as it is met here
- `codec`: one connection, subscribing over HTTP
- `login`: both logins
- `orders`: the interactive socket
- `master`: the instrument master
- `broker`: what the brokers declare alike
- `simulator`: the broker's side
"""
