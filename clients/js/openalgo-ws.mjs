// A client of an openalgo-ws server, for browsers and Node (20 or newer), in one file without dependencies.
//
//   import { OpenAlgoClient } from "./openalgo-ws.mjs";
//   const client = new OpenAlgoClient("ws://127.0.0.1:8765", { apiKey, format: "binary" });
//   client.on("tick", (tick) => console.log(tick.symbol, tick.data.ltp));
//   client.subscribe(["NSE:RELIANCE"], { mode: "Depth" });
//   client.connect();
//
// A lost connection is made again, and what was subscribed is subscribed again. The ticks of both formats
// are alike. Protocol: docs/protocol.md.

const MODES = { 1: "LTP", 2: "Quote", 3: "Depth" };
const ABSENT = -(2n ** 63n);
const HEADER = 8;
const FULL = 128;
const LEVEL = 16;
const SNAPSHOT = 1;

/** Symbols in one request: a request stays well below the server's limit for a message. */
const PER_REQUEST = 500;
/** The powers of ten that are exact; ** need not be. */
const POWERS = Array.from({ length: 23 }, (_, scale) => Number(`1e${scale}`));

/**
 * The records of a binary message, as `[{id, mode, snapshot, data}]`. Throws a RangeError for what is no
 * message of this format. `data` is as in JSON: prices are numbers, times epoch milliseconds.
 */
export function decode(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < HEADER || view.getUint16(0, true) !== 0x414f || view.getUint8(2) !== 1) {
    throw new RangeError("not a message of the binary format, version 1");
  }
  const kind = view.getUint8(3);
  const count = view.getUint16(4, true);
  const size = view.getUint16(6, true);
  const fits = { 1: size === 64, 2: size === FULL, 3: size > FULL && (size - FULL) % (2 * LEVEL) === 0 };
  if (!fits[kind] || view.byteLength !== HEADER + count * size) {
    throw new RangeError("the size is not that of the records announced");
  }
  const records = [];
  for (let at = HEADER; at < view.byteLength; at += size) records.push(readRecord(view, at, kind, size));
  return records;
}

function readRecord(view, at, kind, size) {
  const mode = view.getUint8(at + 4);
  const priceScale = view.getUint8(at + 5);
  const qtyScale = view.getUint8(at + 6);
  const data = {};
  const price = (name, offset) => put(data, name, view.getBigInt64(at + offset, true), priceScale);
  const quantity = (name, offset) => put(data, name, view.getBigInt64(at + offset, true), qtyScale);
  const time = (name, offset) => {
    const microseconds = view.getBigUint64(at + offset, true);
    if (microseconds) data[name] = Number(microseconds) / 1000;
  };
  price("ltp", 16);
  if (kind > 1) time("ltt", 64);
  time("timestamp", 8);
  price("open", 24);
  price("high", 32);
  price("low", 40);
  price("close", 48);
  quantity("volume", 56);
  if (kind > 1) {
    quantity("last_trade_quantity", 120);
    price("avg_trade_price", 72);
    quantity("total_buy_quantity", 80);
    quantity("total_sell_quantity", 88);
    quantity("oi", 96);
    price("upper_circuit", 104);
    price("lower_circuit", 112);
  }
  if (kind === 3) {
    const half = (size - FULL) / 2;
    data.depth = {
      buy: readSide(view, at + FULL, half, priceScale, qtyScale),
      sell: readSide(view, at + FULL + half, half, priceScale, qtyScale),
    };
  }
  if (mode > 1) derive(data);
  return { id: view.getUint32(at, true), mode, snapshot: (view.getUint8(at + 7) & SNAPSHOT) !== 0, data };
}

function readSide(view, start, length, priceScale, qtyScale) {
  const levels = [];
  let known = 0;
  for (let at = start; at < start + length; at += LEVEL) {
    const units = view.getBigInt64(at, true);
    const quantity = view.getUint32(at + 8, true);
    const orders = view.getUint32(at + 12, true);
    const level = { price: scaled(units, priceScale), quantity: scaled(BigInt(quantity), qtyScale) };
    if (orders) level.orders = orders;
    levels.push(level);
    // What is all zero at the end of a side is no level.
    if (units || quantity || orders) known = levels.length;
  }
  levels.length = known;
  return levels;
}

function put(data, name, units, scale) {
  if (units !== ABSENT) data[name] = scaled(units, scale);
}

/** The number that is nearest to units × 10^-scale. */
function scaled(units, scale) {
  const number = Number(units);
  // A quotient of two exact numbers is rounded once; beyond that the decimal text is read.
  if (scale < POWERS.length && Number.isSafeInteger(number)) return number / POWERS[scale];
  return Number(`${units}e-${scale}`);
}

function derive(data) {
  const book = data.depth;
  if (book?.buy[0]?.quantity) [data.bid_price, data.bid_size] = [book.buy[0].price, book.buy[0].quantity];
  if (book?.sell[0]?.quantity) [data.ask_price, data.ask_size] = [book.sell[0].price, book.sell[0].quantity];
  if (data.close && data.ltp !== undefined) {
    const change = data.ltp - data.close;
    data.change = cents(change);
    data.change_percent = cents((change / data.close) * 100);
  }
}

/** Two decimals; a tie goes to the even one, as on the server. */
function cents(value) {
  const rounded = Number(value.toFixed(2));
  // Only an odd number of eighths lies in the middle between two hundredths.
  if (Math.abs(value * 8) % 2 !== 1) return rounded;
  const below = Math.floor(Math.abs(value) * 100);
  return (Math.sign(value) * (below + (below % 2))) / 100;
}

/** One client: holds what is subscribed, over as many connections as it takes. */
export class OpenAlgoClient {
  #url;
  #options;
  #socket = null;
  #listeners = new Map();
  #wanted = new Map();
  #names = new Map();
  #authenticated = false;
  #running = false;
  #attempt = 0;
  #retry;
  #watch;
  #heard = false;

  /**
   * `url` is `ws://…` or `wss://…`. Options: `apiKey`; `format`, "json" (the default) or "binary";
   * `throttleMs`, the server's default if it is absent; `notices`, true by default; `backoffMs`, the wait
   * before the first and at most before any attempt ([1000, 30000]); `pingMs`, how long a connection may be
   * silent before the server is asked, and then again before it counts as lost (15000); `WebSocket`, a class
   * to be used instead of the global one.
   *
   * Events: "open"; "authenticated" {user_id, broker}; "refused" {code, message}, after which there is no
   * further attempt; "subscribed", "failed" (an entry of the reply each); "tick" {symbol, exchange, mode,
   * broker, snapshot, data}; "notice" (the feed's state), "order", "reply" (to any other request), "error"
   * {code, message, …}; "close" {code, reason}.
   */
  constructor(url, options) {
    this.#url = url;
    this.#options = { format: "json", notices: true, backoffMs: [1000, 30000], pingMs: 15000, ...options };
  }

  /** Calls `listener` with each event of that name; the result is called to end that. */
  on(name, listener) {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  /** Makes a connection, and keeps making one until `close`. */
  connect() {
    if (this.#running) return;
    this.#running = true;
    this.#dial();
  }

  /** Ends the connection for good (until the next `connect`). */
  close() {
    this.#running = false;
    clearTimeout(this.#retry);
    clearInterval(this.#watch);
    // A `connect` before the socket has closed must not find the state of the old connection.
    this.#authenticated = false;
    this.#names.clear();
    this.#socket?.close(1000);
  }

  /** Whether the present connection is through its authentication. */
  get authenticated() {
    return this.#authenticated;
  }

  /** Holds symbols ("NSE:RELIANCE") in a mode ("LTP", "Quote", "Depth"), with `depth` levels of the book. */
  subscribe(symbols, { mode = "Quote", depth = 5, throttleMs = this.#options.throttleMs } = {}) {
    const throttle = throttleMs === undefined ? {} : { throttle_ms: throttleMs };
    const request = { action: "subscribe", mode, depth, ...throttle };
    for (const symbol of symbols) this.#wanted.set(`${mode} ${symbol}`, { symbol, request });
    if (this.#authenticated) this.#ask(request, symbols);
  }

  /** Gives symbols back in a mode, or in all modes. */
  unsubscribe(symbols, { mode } = {}) {
    for (const symbol of symbols) {
      for (const each of mode ? [mode] : Object.values(MODES)) this.#wanted.delete(`${each} ${symbol}`);
    }
    if (this.#authenticated) this.#ask({ action: "unsubscribe", ...(mode ? { mode } : {}) }, symbols);
  }

  /** Sends any other request of the protocol, such as {action: "subscribe_orders"}; false if it can't. */
  request(request) {
    if (this.#authenticated) this.#send(request);
    return this.#authenticated;
  }

  #dial() {
    const Socket = this.#options.WebSocket ?? globalThis.WebSocket;
    const socket = (this.#socket = new Socket(this.#url));
    const mine = (handler) => (event) => this.#socket === socket && handler(event);
    socket.binaryType = "arraybuffer";
    socket.onopen = mine(() => this.#opened());
    socket.onmessage = mine(({ data }) => this.#received(data));
    // A close (1006) should follow; after a dial that failed, Node 20 leaves it out.
    socket.onerror = mine(() => this.#drop("the connection failed"));
    socket.onclose = mine(({ code, reason }) => this.#closed(code, reason));
  }

  #opened() {
    const { apiKey, notices, format, pingMs } = this.#options;
    this.#emit("open", {});
    const name = format === "binary" ? "binary" : "openalgo";
    this.#send({ action: "authenticate", api_key: apiKey, notices, format: name });
    // A browser can't send the pings of WebSocket, so a dead line would not be noticed.
    let asked = false;
    this.#heard = false;
    this.#watch = setInterval(() => {
      if (this.#heard) asked = false;
      else if (asked) return this.#drop("no answer");
      else {
        asked = true;
        this.#send({ action: "ping" });
      }
      this.#heard = false;
    }, pingMs);
  }

  /** Gives a connection up, without waiting for a server that may not be there. */
  #drop(reason) {
    const socket = this.#socket;
    this.#closed(1006, reason);
    socket.close();
  }

  #closed(code, reason) {
    this.#socket = null;
    this.#authenticated = false;
    this.#names.clear();
    clearInterval(this.#watch);
    if (this.#running) {
      const [first, most] = this.#options.backoffMs;
      const wait = Math.min(most, first * 2 ** this.#attempt++);
      // A server that comes back is not to be met by all its clients at once.
      this.#retry = setTimeout(() => this.#dial(), wait * (0.5 + Math.random() / 2));
    }
    this.#emit("close", { code, reason });
  }

  #received(message) {
    this.#heard = true;
    let events;
    try {
      events = typeof message === "string" ? this.#read(JSON.parse(message)) : this.#ticks(decode(message));
    } catch (problem) {
      events = [["error", { code: "MALFORMED", message: String(problem) }]];
    }
    for (const [name, event] of events) this.#emit(name, event);
  }

  #ticks(records) {
    return records.map(({ id, mode, snapshot, data }) => {
      const name = this.#names.get(id);
      if (!name) return ["error", { code: "MALFORMED", message: `an id that was not named: ${id}` }];
      return ["tick", { ...name, mode, snapshot, data }];
    });
  }

  #read(message) {
    const { type, status } = message;
    if (type === "market_data") {
      const { symbol, exchange, broker, mode, snapshot = false, data } = message;
      return [["tick", { symbol, exchange, broker, mode, snapshot, data }]];
    }
    if (type === "auth") return this.#authentication(message);
    if (type === "subscribe") return message.subscriptions.map((entry) => this.#subscription(entry));
    if (type === "feed_status") return [["notice", message]];
    if (type === "order_update") return [["order", message]];
    if (type === "unsubscribe" || type === "pong") return [];
    return [[status === "error" ? "error" : "reply", message]];
  }

  #authentication(message) {
    if (message.status !== "success") {
      // Anything but a wrong key may be right at the next attempt.
      if (message.code !== "AUTHENTICATION_ERROR") return this.#drop(message.message), [];
      this.close();
      return [["refused", { code: message.code, message: message.message }]];
    }
    this.#authenticated = true;
    this.#attempt = 0;
    const groups = new Map();
    for (const { symbol, request } of this.#wanted.values()) {
      const key = JSON.stringify(request);
      if (!groups.has(key)) groups.set(key, { request, symbols: [] });
      groups.get(key).symbols.push(symbol);
    }
    for (const { request, symbols } of groups.values()) this.#ask(request, symbols);
    return [["authenticated", { user_id: message.user_id, broker: message.broker }]];
  }

  #subscription(entry) {
    const { symbol, exchange, broker, status, id } = entry;
    if (status === "success") {
      if (id !== undefined) this.#names.set(id, { symbol, exchange, broker });
      return ["subscribed", entry];
    }
    for (const mode of Object.values(MODES)) this.#wanted.delete(`${mode} ${exchange}:${symbol}`);
    return ["failed", entry];
  }

  #ask(request, symbols) {
    for (let start = 0; start < symbols.length; start += PER_REQUEST) {
      this.#send({ ...request, symbols: symbols.slice(start, start + PER_REQUEST) });
    }
  }

  #send(request) {
    this.#socket.send(JSON.stringify(request));
  }

  #emit(name, event) {
    for (const listener of this.#listeners.get(name) ?? []) listener(event);
  }
}
