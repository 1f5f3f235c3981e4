// Closes an authenticated client and connects it at once; subscribes while the new socket is connecting.
import assert from "node:assert";
import { OpenAlgoClient } from "../../clients/js/openalgo-ws.mjs";

const sockets = [];
class FakeSocket {
  sent = [];
  constructor() {
    sockets.push(this);
  }
  send(text) {
    this.sent.push(JSON.parse(text).action);
  }
  close() {}
}

const client = new OpenAlgoClient("ws://127.0.0.1:1", { apiKey: "key", WebSocket: FakeSocket });
const welcome = { data: JSON.stringify({ type: "auth", status: "success", user_id: "me", broker: "any" }) };
client.connect();
sockets[0].onopen();
sockets[0].onmessage(welcome);
assert(client.authenticated);
client.close();
client.connect();
assert(!client.authenticated);
client.subscribe(["NSE:SBIN"]);
assert.deepEqual(sockets[1].sent, []);
sockets[1].onopen();
sockets[1].onmessage(welcome);
assert.deepEqual(sockets[1].sent, ["authenticate", "subscribe"]);
client.close();
