// React hooks (18 or newer) over a client. Components that want the same share one subscription.
//
//   createElement(OpenAlgoProvider, { url: "ws://127.0.0.1:8765", apiKey }, createElement(Price))
//   function Price() {
//     const { ticks, status } = useMarketData(["NSE:RELIANCE"], "LTP");
//     return `${status} ${ticks["NSE:RELIANCE"]?.data.ltp}`;
//   }

import { createContext, createElement, useContext, useEffect, useMemo, useSyncExternalStore } from "react";
import { OpenAlgoClient } from "./openalgo-ws.mjs";
import { MarketDataStore, MarketDataView } from "./store.mjs";
import { modeNamed, parseSymbol } from "./symbols.mjs";

const Context = createContext(null);

/** All who name a client share what it holds; a store goes with its client. */
const stores = new WeakMap();

function storeOf(client) {
  if (!stores.has(client)) stores.set(client, new MarketDataStore(client));
  return stores.get(client);
}

/**
 * Gives a client to the hooks below it: one of its own, made of `url` and the client's options and connected
 * while it is mounted, or `client`, whose owner connects and closes it.
 */
export function OpenAlgoProvider({ client, url, apiKey, format, throttleMs, children }) {
  const store = useMemo(
    () => storeOf(client ?? new OpenAlgoClient(url, { apiKey, format, throttleMs })),
    [client, url, apiKey, format, throttleMs],
  );
  const own = !client;
  useEffect(() => (own ? store.use() : undefined), [store, own]);
  return createElement(Context.Provider, { value: store }, children);
}

function useStore(client) {
  const provided = useContext(Context);
  const store = client ? storeOf(client) : provided;
  if (!store) throw new Error("there is neither an OpenAlgoProvider above this component nor a client");
  return store;
}

const NOTHING = Object.freeze({});
const ON_THE_SERVER = Object.freeze({ ticks: NOTHING, errors: NOTHING, status: "connecting", error: null });
const CONNECTION_ON_THE_SERVER = Object.freeze({ status: "connecting", error: null, feed: null });

/**
 * The latest ticks of symbols ("NSE:RELIANCE") in a mode: {ticks, errors, status, error}. `ticks` and `errors`
 * are by "EXCHANGE:SYMBOL"; `error` is the connection's, or one of a symbol's; `status` is as the client's. The
 * object is the same until something has changed; so is each tick in it.
 *
 * Options: `depth` (5), at least so many levels of the book; `throttleMs`; `refreshMs`, the least time between
 * two renders, an animation frame by default; `client`, instead of the provider's.
 */
export function useMarketData(symbols, mode = "Quote", options = NOTHING) {
  const { depth = 5, throttleMs, refreshMs = 0, client } = options;
  const store = useStore(client);
  const name = modeNamed(mode);
  // A list that is written into the component is another one at each render.
  const list = useMemo(() => [...new Set(Array.from(symbols, parseSymbol))].join("\n"), [symbols]);
  const view = useMemo(
    () => new MarketDataView(store, list ? list.split("\n") : [], name, { depth, throttleMs, refreshMs }),
    [store, list, name, depth, throttleMs, refreshMs],
  );
  return useSyncExternalStore(view.subscribe, view.getSnapshot, () => ON_THE_SERVER);
}

/**
 * The connection: {status, error, feed}. `feed` is what the server last told of the user's feed, {broker,
 * status, message}, or null. `client` instead of the provider's, if it is given.
 */
export function useConnection({ client } = NOTHING) {
  const store = useStore(client);
  const [listen, get] = useMemo(() => [(each) => store.listen(each), () => store.connection], [store]);
  return useSyncExternalStore(listen, get, () => CONNECTION_ON_THE_SERVER);
}
