// What many views hold of one client: each (symbol, exchange, mode) is subscribed once, however many want it.
// No React in here.

import { MODES } from "./symbols.mjs";

/** The server's default, for views that name no throttle beside views that do. */
const THROTTLE_MS = 50;

const nextFrame = (callback) =>
  globalThis.requestAnimationFrame ? globalThis.requestAnimationFrame(callback) : setTimeout(callback, 16);

/**
 * Shares one client. What a turn of the event loop wants is asked for together, at its end; what nobody wants
 * any more is given back `lingerMs` later, so that who leaves and comes back at once costs nothing.
 */
export class MarketDataStore {
  #client;
  #lingerMs;
  #entries = new Map();
  #changed = new Set();
  #touched = new Set();
  #views = new Set();
  #users = 0;
  #connection;
  #connectionListeners = new Set();

  constructor(client, { lingerMs = 250 } = {}) {
    this.#client = client;
    this.#lingerMs = lingerMs;
    this.#connection = Object.freeze({ status: client.status, error: null, feed: null });
    client.on("tick", (tick) => this.#tick(tick));
    client.on("subscribed", (entry) => this.#told(entry, null));
    client.on("failed", (entry) => this.#told(entry, problemOf(entry)));
    client.on("status", ({ status }) => this.#connected({ status }));
    client.on("authenticated", () => this.#connected({ error: null }));
    client.on("refused", (problem) => this.#connected({ error: problemOf(problem) }));
    client.on("notice", ({ broker, status, message }) =>
      this.#connected({ feed: { broker, status, message } }),
    );
    client.on("error", (problem) => {
      if (problem.symbol === undefined) return this.#connected({ error: problemOf(problem) });
      for (const mode of MODES) this.#told({ ...problem, mode }, problemOf(problem));
    });
  }

  /** {status, error, feed}: another object whenever one of them has changed. */
  get connection() {
    return this.#connection;
  }

  /** Calls `listener` when `connection` has changed; the result ends that. */
  listen(listener) {
    this.#connectionListeners.add(listener);
    return () => this.#connectionListeners.delete(listener);
  }

  /** Connects the client for as long as somebody uses it; the result ends the use, once. */
  use() {
    if (this.#users++ === 0) this.#client.connect();
    let used = true;
    return () => {
      if (!used) return;
      used = false;
      this.#users -= 1;
      setTimeout(() => this.#users || this.#client.close(), this.#lingerMs);
    };
  }

  /** What is known of a symbol in a mode: {tick, error}, or undefined. */
  get(symbol, mode) {
    return this.#entries.get(`${mode} ${symbol}`);
  }

  /** A view wants `wish` ({depth, throttleMs}) of symbols in a mode, until `release`. */
  hold(view, symbols, mode, wish) {
    this.#views.add(view);
    for (const symbol of symbols) {
      const key = `${mode} ${symbol}`;
      if (!this.#entries.has(key)) this.#entries.set(key, new Entry(key, symbol, mode));
      const entry = this.#entries.get(key);
      entry.holders.set(view, wish);
      this.#settleSoon(entry);
    }
  }

  /** A view wants nothing any more. */
  release(view, symbols, mode) {
    this.#views.delete(view);
    this.#touched.delete(view);
    for (const symbol of symbols) {
      const entry = this.#entries.get(`${mode} ${symbol}`);
      entry.holders.delete(view);
      this.#settleSoon(entry);
    }
  }

  /** Calls `view.publish` in the next frame, in one go with all others. */
  publishInFrame(view) {
    if (this.#touched.size === 0) nextFrame(() => this.#frame());
    this.#touched.add(view);
  }

  #frame() {
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const view of touched) view.publish();
  }

  #settleSoon(entry) {
    if (this.#changed.size === 0) queueMicrotask(() => this.#settle());
    this.#changed.add(entry);
  }

  #settle() {
    const asked = new Map();
    const leaving = [];
    for (const entry of this.#changed) {
      entry.leaving = null;
      if (entry.holders.size === 0) {
        entry.leaving = leaving;
        leaving.push(entry);
        continue;
      }
      const wish = together(entry);
      const form = JSON.stringify(wish);
      // Who comes to what has failed has it asked for again.
      if (entry.asked === form && !entry.error) continue;
      entry.asked = form;
      if (!asked.has(form)) asked.set(form, { wish, symbols: [] });
      asked.get(form).symbols.push(entry.symbol);
    }
    this.#changed.clear();
    for (const { wish, symbols } of asked.values()) this.#client.subscribe(symbols, wish);
    if (leaving.length) setTimeout(() => this.#giveBack(leaving), this.#lingerMs);
  }

  #giveBack(leaving) {
    const given = new Map(MODES.map((mode) => [mode, []]));
    for (const entry of leaving) {
      // Somebody may have come, and even left again, meanwhile.
      if (entry.leaving !== leaving || entry.holders.size) continue;
      this.#entries.delete(entry.key);
      if (entry.asked) given.get(entry.mode).push(entry.symbol);
    }
    for (const [mode, symbols] of given) if (symbols.length) this.#client.unsubscribe(symbols, { mode });
  }

  #tick(tick) {
    const entry = this.#entries.get(`${MODES[tick.mode - 1]} ${tick.exchange}:${tick.symbol}`);
    if (!entry) return;
    // The last known value, which a new subscription is told, may be older than what another one has seen.
    if (tick.snapshot && entry.tick?.data.timestamp > tick.data.timestamp) return;
    entry.tick = tick;
    entry.error = null;
    for (const view of entry.holders.keys()) view.touch(entry);
  }

  #told({ exchange, symbol, mode }, error) {
    const entry = this.#entries.get(`${mode} ${exchange}:${symbol}`);
    if (!entry || (!error && !entry.error)) return;
    entry.error = error;
    for (const view of entry.holders.keys()) view.touch(entry);
  }

  #connected(change) {
    this.#connection = Object.freeze({ ...this.#connection, ...change });
    for (const view of this.#views) view.touch();
    for (const listener of [...this.#connectionListeners]) listener();
  }
}

/** What is shared of one symbol in one mode. */
class Entry {
  holders = new Map();
  /** The form of the wish that the client was given. */
  asked = null;
  /** The list with which it is given back, if nobody comes. */
  leaving = null;
  tick = undefined;
  error = null;

  constructor(key, symbol, mode) {
    Object.assign(this, { key, symbol, mode });
  }
}

/** The deepest book and the shortest throttle that anybody wants. */
function together({ mode, holders }) {
  const wishes = [...holders.values()];
  const wish = { mode };
  if (mode === "Depth") wish.depth = Math.max(...wishes.map(({ depth }) => depth));
  const named = wishes.map(({ throttleMs }) => throttleMs).filter((each) => each !== undefined);
  const least = Math.min(...named);
  if (named.length === wishes.length || least < THROTTLE_MS) wish.throttleMs = least;
  return wish;
}

const problemOf = ({ code, message, symbol, exchange }) =>
  Object.freeze(symbol === undefined ? { code, message } : { code, message, symbol, exchange });

const EMPTY = Object.freeze({ ticks: {}, errors: {}, status: null, error: null });

/** A stable picture of some symbols in a mode, as `useSyncExternalStore` wants it. */
export class MarketDataView {
  #store;
  #symbols;
  #mode;
  #wish;
  #refreshMs;
  #listener = null;
  #touched = new Set();
  #waiting = false;
  #timer;
  #snapshot = EMPTY;

  /** `symbols` as `parseSymbol` writes them, each once. With `refreshMs` of 0 it changes once a frame at most. */
  constructor(store, symbols, mode, { depth, throttleMs, refreshMs }) {
    this.#store = store;
    this.#symbols = symbols;
    this.#mode = mode;
    this.#wish = { depth, throttleMs };
    this.#refreshMs = refreshMs;
    this.#lookAtAll();
  }

  /** Holds the symbols, and calls `listener` when the snapshot has changed, until the result is called. */
  subscribe = (listener) => {
    this.#listener = listener;
    this.#store.hold(this, this.#symbols, this.#mode, this.#wish);
    // It may have been made some time ago.
    this.#lookAtAll();
    return () => {
      this.#listener = null;
      this.#waiting = false;
      clearTimeout(this.#timer);
      this.#store.release(this, this.#symbols, this.#mode);
    };
  };

  /** {ticks, errors, status, error}: the same object until something has changed. */
  getSnapshot = () => this.#snapshot;

  /** Something has changed: an entry of the store's, or the connection. */
  touch(entry) {
    if (entry) this.#touched.add(entry);
    if (this.#waiting) return;
    this.#waiting = true;
    if (this.#refreshMs > 0) this.#timer = setTimeout(() => this.publish(), this.#refreshMs);
    else this.#store.publishInFrame(this);
  }

  /** Shows what has changed until now. */
  publish() {
    this.#waiting = false;
    const before = this.#snapshot;
    this.#look();
    if (this.#snapshot !== before) this.#listener?.();
  }

  #lookAtAll() {
    for (const symbol of this.#symbols) {
      const entry = this.#store.get(symbol, this.#mode);
      if (entry) this.#touched.add(entry);
    }
    this.#look();
  }

  #look() {
    const before = this.#snapshot;
    let { ticks, errors } = before;
    for (const { symbol, tick, error } of this.#touched) {
      if (tick !== ticks[symbol]) {
        if (ticks === before.ticks) ticks = { ...ticks };
        ticks[symbol] = tick;
      }
      if ((error ?? undefined) !== errors[symbol]) {
        if (errors === before.errors) errors = { ...errors };
        if (error) errors[symbol] = error;
        else delete errors[symbol];
      }
    }
    this.#touched.clear();
    const { status, error: ofConnection } = this.#store.connection;
    const error = ofConnection ?? Object.values(errors)[0] ?? null;
    const now = { ticks, errors, status, error };
    if (Object.keys(now).some((name) => now[name] !== before[name])) this.#snapshot = Object.freeze(now);
  }
}
