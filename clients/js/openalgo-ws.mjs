// A client of an openalgo-ws server, for browsers and Node (20 or newer), without dependencies.
//
//   import { OpenAlgoClient } from "./openalgo-ws.mjs";
//   const client = new OpenAlgoClient("ws://127.0.0.1:8765", { apiKey, format: "binary" });
//   client.on("tick", (tick) => console.log(tick.symbol, tick.data.ltp));
//   client.subscribe(["NSE:RELIANCE"], { mode: "Depth" });
//   client.connect();
//
// A lost connection is made again, and what was subscribed is subscribed again. The ticks of both formats
// are alike. Protocol: docs/protocol.md.

import { decode } from "./binary.mjs";
import { MODES, modeNamed, parseSymbol } from "./symbols.mjs";

export { decode, parseSymbol };

const EVENTS = new Set(
  "status open authenticated refused subscribed failed tick notice order reply error close".split(" "),
);
const FORMATS = { json: "openalgo", binary: "binary" };
const DEFAULTS = {
  format: "json",
  notices: true,
  backoffMs: [1000, 30000],
  pingMs: 15000,
  requestTimeoutMs: 10000,
};

/** Symbols in one request: a request stays well below the server's limit for a message. */
const PER_REQUEST = 500;
/** Refusals that asking again can't change. */
const FINAL = new Set(["SYMBOL_NOT_FOUND", "INVALID_MODE", "INVALID_PARAMETERS"]);
/** The key was replaced, revoked or not shown in time; too many keys were wrong. */
const REFUSALS = new Set([4401, 4403]);
const TOO_MANY = 4429;

/** A request that failed: `code` is one of the protocol's, "TIMEOUT" or "NOT_CONNECTED". */
export class OpenAlgoError extends Error {
  name = "OpenAlgoError";

  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** One client: holds what is subscribed, over as many connections as it takes. */
export class OpenAlgoClient {
  #url;
  #options;
  #socket = null;
  #status = "closed";
  /** By event: arrays that are replaced, never changed, so that a listener may end another one. */
  #listeners = new Map();
  #wanted = new Map();
  #orders = false;
  #names = new Map();
  #waiting = new Map();
  #lastId = 0;
  #running = false;
  #attempt = 0;
  #retry;
  #watch;
  #heard = false;
  #open = false;

  /**
   * `url` is `ws://…` or `wss://…`. Options: `apiKey`; `format`, "json" (the default) or "binary";
   * `throttleMs`, the server's default if it is absent; `notices`, true by default; `backoffMs`, the wait
   * before the first and at most before any attempt ([1000, 30000]); `pingMs`, how long a dial may take, and
   * a connection be silent before the server is asked, and then again before it counts as lost (15000);
   * `requestTimeoutMs`, how long a request waits for its reply (10000); `WebSocket`, a class to be used
   * instead of the global one.
   *
   * Events: "status" {status}; "open"; "authenticated" {user_id, broker}; "refused" {code, message}, after
   * which there is no further attempt; "subscribed", "failed" (an entry of the reply each); "tick" {symbol,
   * exchange, mode, broker, snapshot, data}; "notice" (the feed's state, an alert), "order", "reply" (to
   * anything that was not asked by `request`), "error" {code, message, …}; "close" {code, reason}.
   */
  constructor(url, options = {}) {
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    this.#url = url;
    this.#options = { ...DEFAULTS, ...Object.fromEntries(given) };
    if (!Object.hasOwn(FORMATS, this.#options.format)) {
      throw new TypeError(`the format must be one of ${Object.keys(FORMATS).join(", ")}`);
    }
  }

  /**
   * Calls `listener` with each event of that name; the result is called to end that. An exception in a
   * listener is reported as an uncaught one and keeps nothing from the others.
   */
  on(name, listener) {
    if (!EVENTS.has(name)) throw new TypeError(`there is no event ${JSON.stringify(name)}`);
    const entry = { listener };
    this.#listeners.set(name, [...(this.#listeners.get(name) ?? []), entry]);
    return () => {
      const others = this.#listeners.get(name).filter((each) => each !== entry);
      const ended = others.length < this.#listeners.get(name).length;
      this.#listeners.set(name, others);
      return ended;
    };
  }

  /** Makes a connection, and keeps making one until `close`. */
  connect() {
    if (this.#running) return;
    this.#attempt = 0;
    this.#dial();
    this.#running = true;
    this.#become("connecting");
  }

  /** Ends the connection for good (until the next `connect`). */
  close() {
    this.#end("closed", 1000, "");
  }

  /** "closed", "connecting", "connected" (and authenticated), "reconnecting" or "refused". */
  get status() {
    return this.#status;
  }

  /** Whether the present connection is through its authentication. */
  get authenticated() {
    return this.#status === "connected";
  }

  /**
   * Holds symbols ("NSE:RELIANCE") in a mode ("LTP", "Quote", "Depth"), with `depth` levels of the book, now
   * and over every new connection, until `unsubscribe`. A symbol may be held in several modes. Throws a
   * TypeError, and holds nothing, if a symbol or the mode is malformed. What the server refuses comes as
   * "failed"; it is asked for again at the next connection, unless there is no such symbol.
   */
  subscribe(symbols, { mode = "Quote", depth = 5, throttleMs = this.#options.throttleMs } = {}) {
    const name = modeNamed(mode);
    const parsed = [...new Set(Array.from(symbols, parseSymbol))];
    const wish = { mode: name };
    if (name === "Depth") wish.depth = depth;
    if (throttleMs !== undefined) wish.throttle_ms = throttleMs;
    for (const symbol of parsed) this.#wanted.set(`${name} ${symbol}`, { symbol, wish });
    if (this.authenticated) this.#subscribe(parsed, wish);
  }

  /** Gives symbols back in a mode, or in all modes; a TypeError as for `subscribe`. */
  unsubscribe(symbols, { mode } = {}) {
    const modes = mode === undefined ? MODES : [modeNamed(mode)];
    const parsed = [...new Set(Array.from(symbols, parseSymbol))];
    for (const each of modes) for (const symbol of parsed) this.#wanted.delete(`${each} ${symbol}`);
    if (!this.authenticated) return;
    const which = mode === undefined ? {} : { mode: modes[0] };
    for (const some of batches(parsed)) this.#ask({ action: "unsubscribe", symbols: some, ...which });
  }

  /** Asks for the user's order updates ("order" events), now and over every new connection. */
  subscribeOrders() {
    this.#orders = true;
    if (this.authenticated) this.#ask({ action: "subscribe_orders" });
  }

  /** Ends `subscribeOrders`. */
  unsubscribeOrders() {
    this.#orders = false;
    if (this.authenticated) this.#ask({ action: "unsubscribe_orders" });
  }

  /**
   * Sends any other request of the protocol, such as {action: "server_info"}, and resolves to its reply. It
   * is not repeated over a new connection. Rejects with an OpenAlgoError: the server's, "TIMEOUT" after
   * `timeoutMs`, or "NOT_CONNECTED" if there is no connection or it is lost meanwhile.
   */
  request(request, { timeoutMs } = {}) {
    return new Promise((resolve, reject) => {
      if (!this.authenticated) return reject(new OpenAlgoError("NOT_CONNECTED", "there is no connection"));
      this.#ask(request, { answered: resolve, failed: reject, timeoutMs });
    });
  }

  #dial() {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    if (!Socket) throw new TypeError("there is no WebSocket here: give a class as the option WebSocket");
    const socket = (this.#socket = new Socket(this.#url));
    const mine = (handler) => (event) => this.#socket === socket && handler(event);
    socket.binaryType = "arraybuffer";
    socket.onopen = mine(() => this.#opened());
    socket.onmessage = mine(({ data }) => this.#received(data));
    // A close (1006) should follow; after a dial that failed, Node 20 leaves it out.
    socket.onerror = mine(() => this.#drop("the connection failed"));
    socket.onclose = mine(({ code, reason }) => this.#closed(code, reason));
    this.#watchOver();
  }

  /** A browser can't send the pings of WebSocket, and waits minutes for a server that doesn't answer a dial. */
  #watchOver() {
    let asked = false;
    this.#heard = false;
    this.#watch = setInterval(() => {
      if (this.#heard) asked = false;
      else if (asked || !this.#open) return this.#drop("no answer");
      else {
        asked = true;
        this.#send({ action: "ping" });
      }
      this.#heard = false;
    }, this.#options.pingMs);
  }

  #opened() {
    const { apiKey, notices, format } = this.#options;
    this.#send({ action: "authenticate", api_key: apiKey, notices, format: FORMATS[format] });
    this.#open = true;
    this.#emit("open", {});
  }

  /** Gives a connection up, without waiting for a server that may not be there. */
  #drop(reason) {
    const socket = this.#socket;
    this.#closed(1006, reason);
    socket.close();
  }

  #closed(code, reason) {
    if (REFUSALS.has(code)) return this.#refuse("AUTHENTICATION_ERROR", reason || `closed with ${code}`, code);
    this.#forget();
    const [first, most] = this.#options.backoffMs;
    const wait = code === TOO_MANY ? most : Math.min(most, first * 2 ** this.#attempt++);
    // A server that comes back is not to be met by all its clients at once.
    this.#retry = setTimeout(() => this.#dial(), wait * (0.5 + Math.random() / 2));
    this.#become("reconnecting");
    this.#emit("close", { code, reason });
  }

  #refuse(code, message, closeCode = 1000) {
    this.#end("refused", closeCode, message, () => this.#emit("refused", { code, message }));
  }

  #end(status, code, reason, first = () => undefined) {
    const socket = this.#socket;
    this.#running = false;
    clearTimeout(this.#retry);
    // Whatever the old socket still says is not heard: a `connect` may come before it has closed.
    this.#forget();
    socket?.close(1000);
    this.#become(status);
    first();
    if (socket) this.#emit("close", { code, reason });
  }

  /** What was known of a connection goes with it. */
  #forget() {
    this.#socket = null;
    this.#open = false;
    this.#names.clear();
    clearInterval(this.#watch);
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const { timer, failed } of waiting) {
      clearTimeout(timer);
      failed?.(new OpenAlgoError("NOT_CONNECTED", "the connection was lost"));
    }
  }

  #received(message) {
    this.#heard = true;
    try {
      if (typeof message === "string") this.#read(parse(message));
      else this.#ticks(decode(message));
    } catch (problem) {
      this.#emit("error", { code: "MALFORMED", message: String(problem?.message) });
    }
  }

  #ticks(records) {
    const socket = this.#socket;
    for (const { id, mode, snapshot, data } of records) {
      const name = this.#names.get(id);
      if (name) this.#emit("tick", { ...name, mode, snapshot, data });
      else this.#emit("error", { code: "MALFORMED", message: `an id that was not named: ${id}` });
      // A listener may have closed the client.
      if (this.#socket !== socket) return;
    }
  }

  #read(message) {
    const { type, status } = message;
    if (type === "market_data") {
      const { symbol, exchange, broker, mode, snapshot = false, data } = message;
      return this.#emit("tick", { symbol, exchange, broker, mode, snapshot, data });
    }
    if (type === "auth") return this.#authentication(message);
    if (type === "feed_status" || type === "alert") return this.#emit("notice", message);
    if (type === "order_update") return this.#emit("order", message);
    const waiting = this.#waiting.get(message.request_id);
    if (waiting) {
      this.#waiting.delete(message.request_id);
      clearTimeout(waiting.timer);
      // An entry of a list may have failed without the request having failed.
      if (type !== "error") return waiting.answered?.(message);
      if (waiting.failed) return waiting.failed(new OpenAlgoError(message.code, message.message));
    }
    if (type !== "pong") this.#emit(status === "error" ? "error" : "reply", message);
  }

  #authentication(message) {
    const { status, code, message: text, user_id, broker } = message;
    if (status !== "success") {
      // Anything but a wrong key may be right at the next attempt.
      return code === "AUTHENTICATION_ERROR" ? this.#refuse(code, text) : this.#drop(text);
    }
    this.#attempt = 0;
    const groups = new Map();
    for (const { symbol, wish } of this.#wanted.values()) {
      const key = JSON.stringify(wish);
      if (!groups.has(key)) groups.set(key, { wish, symbols: [] });
      groups.get(key).symbols.push(symbol);
    }
    for (const { wish, symbols } of groups.values()) this.#subscribe(symbols, wish);
    if (this.#orders) this.#ask({ action: "subscribe_orders" });
    // Only now: a listener may subscribe to more, or close the client.
    this.#become("connected");
    this.#emit("authenticated", { user_id, broker });
  }

  #subscribe(symbols, wish) {
    for (const some of batches(symbols)) {
      const answered = ({ subscriptions }) => {
        subscriptions.forEach((entry, index) => this.#subscription(entry, some[index], wish));
      };
      this.#ask({ action: "subscribe", symbols: some, ...wish }, { answered });
    }
  }

  #subscription(entry, asked, wish) {
    const { symbol, exchange, broker, status, id, code } = entry;
    if (status === "success") {
      if (id !== undefined) this.#names.set(id, { symbol, exchange, broker });
      return this.#emit("subscribed", entry);
    }
    if (FINAL.has(code)) this.#giveUp(`${wish.mode} ${asked}`, wish);
    this.#emit("failed", { ...entry, mode: wish.mode });
  }

  /** Forgets what can't be had, unless it was subscribed in another way since. */
  #giveUp(key, wish) {
    const held = this.#wanted.get(key);
    if (held && JSON.stringify(held.wish) === JSON.stringify(wish)) this.#wanted.delete(key);
  }

  /** Sends a request; without `failed`, that it failed is an "error" event. */
  #ask(request, { answered, failed, timeoutMs = this.#options.requestTimeoutMs } = {}) {
    const id = ++this.#lastId;
    const timer = setTimeout(() => {
      this.#waiting.delete(id);
      const { action } = request;
      const message = `no reply to ${action} within ${timeoutMs} ms`;
      if (failed) failed(new OpenAlgoError("TIMEOUT", message));
      else this.#emit("error", { code: "TIMEOUT", message });
    }, timeoutMs);
    this.#waiting.set(id, { answered, failed, timer });
    this.#send({ ...request, request_id: id });
  }

  #send(request) {
    this.#socket.send(JSON.stringify(request));
  }

  #become(status) {
    if (this.#status === status) return;
    this.#status = status;
    this.#emit("status", { status });
  }

  #emit(name, event) {
    for (const { listener } of this.#listeners.get(name) ?? []) {
      try {
        listener(event);
      } catch (problem) {
        queueMicrotask(() => {
          throw problem;
        });
      }
    }
  }
}

/** JSON's own complaint would quote the message. */
function parse(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    throw new SyntaxError("the server sent something that is not JSON");
  }
  if (message === null || typeof message !== "object") throw new SyntaxError("the server sent no object");
  return message;
}

function* batches(symbols) {
  for (let start = 0; start < symbols.length; start += PER_REQUEST) {
    yield symbols.slice(start, start + PER_REQUEST);
  }
}
