// Sockets that tests play the server of.
import { OpenAlgoClient } from "../../../clients/js/openalgo-ws.mjs";

export const KEY = "a key that nobody may read";

/** A client whose sockets are `sockets`, and what its events were. */
export function clientOf(options = {}) {
  const sockets = [];
  class FakeSocket {
    sent = [];
    open = true;
    constructor() {
      sockets.push(this);
    }
    send(text) {
      this.sent.push(JSON.parse(text));
    }
    close(code) {
      this.open = false;
      this.closedWith = code;
    }
    /** What was sent since it was last asked. */
    take() {
      return this.sent.splice(0);
    }
    /** The server says something. */
    say(message) {
      this.onmessage({ data: typeof message === "string" ? message : JSON.stringify(message) });
    }
    /** The connection opens, and the key is accepted. */
    welcome() {
      this.onopen();
      this.say({ type: "auth", status: "success", user_id: "me", broker: "any" });
    }
    /** The server closes. */
    end(code, reason = "") {
      this.onclose({ code, reason });
    }
    /** Grants every subscribe request that was sent since it was last asked; returns them. */
    grant() {
      const asked = this.take().filter(({ action }) => action === "subscribe");
      for (const { symbols, mode, request_id } of asked) {
        const subscriptions = symbols.map((text) => {
          const [exchange, symbol] = text.split(":");
          return { symbol, exchange, mode, status: "success", broker: "any" };
        });
        this.say({ type: "subscribe", status: "success", subscriptions, request_id });
      }
      return asked;
    }
    /** The price of a symbol. */
    tick(text, ltp, { mode = 2, snapshot = false, ...data } = {}) {
      const [exchange, symbol] = text.split(":");
      this.say({
        type: "market_data",
        symbol,
        exchange,
        broker: "any",
        mode,
        snapshot,
        data: { ltp, ...data },
      });
    }
  }
  const client = new OpenAlgoClient("ws://127.0.0.1:1", { apiKey: KEY, WebSocket: FakeSocket, ...options });
  const events = [];
  const names = "status open authenticated refused subscribed failed tick notice order reply error close";
  for (const name of names.split(" ")) client.on(name, (event) => events.push([name, event]));
  return { client, sockets, events };
}

/** Requests without what differs from run to run. */
export const plain = (requests) => requests.map(({ request_id, ...rest }) => rest);
