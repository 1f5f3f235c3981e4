import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { MarketDataStore, MarketDataView } from "../../../clients/js/store.mjs";
import { clientOf, plain } from "./sockets.mjs";

const LINGER = 250;
const FRAME = 16;
const MODE = "Quote";

beforeEach(() => mock.timers.enable({ apis: ["setTimeout", "setInterval"] }));
afterEach(() => mock.timers.reset());

/** What is asked for at the end of the turn has been asked for. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

function connected() {
  const { client, sockets } = clientOf();
  const store = new MarketDataStore(client, { lingerMs: LINGER });
  client.connect();
  sockets[0].welcome();
  sockets[0].take();
  return { client, store, sockets, socket: sockets[0] };
}

const view = (store, symbols, mode = MODE, options = {}) =>
  new MarketDataView(store, symbols, mode, { depth: 5, refreshMs: 0, ...options });

test("views that want the same share a subscription, given back when the last has gone", async () => {
  const { store, socket } = connected();
  const ends = [["NSE:SBIN", "NSE:TCS"], ["NSE:SBIN"]].map((each) =>
    view(store, each).subscribe(() => undefined),
  );
  await settled();
  assert.deepEqual(plain(socket.grant()), [
    { action: "subscribe", symbols: ["NSE:SBIN", "NSE:TCS"], mode: "Quote" },
  ]);
  ends[0]();
  await settled();
  mock.timers.tick(LINGER);
  assert.deepEqual(plain(socket.take()), [{ action: "unsubscribe", symbols: ["NSE:TCS"], mode: "Quote" }]);
  ends[1]();
  await settled();
  mock.timers.tick(LINGER - 1);
  assert.deepEqual(socket.take(), []);
  mock.timers.tick(1);
  assert.deepEqual(plain(socket.take()), [{ action: "unsubscribe", symbols: ["NSE:SBIN"], mode: "Quote" }]);
  assert.equal(store.get("NSE:SBIN", MODE), undefined);
});

test("who leaves and comes back at once asks for nothing", async () => {
  const { store, socket } = connected();
  const one = view(store, ["NSE:SBIN"]);
  one.subscribe(() => undefined)();
  let end = one.subscribe(() => undefined);
  await settled();
  assert.equal(socket.grant().length, 1);
  // In the same turn, and in another one within the linger; the linger begins anew with each going.
  for (const wait of [0, LINGER - 1, LINGER - 1]) {
    end();
    await settled();
    mock.timers.tick(wait);
    end = one.subscribe(() => undefined);
    await settled();
  }
  mock.timers.tick(10 * LINGER);
  assert.deepEqual(socket.take(), []);
  end();
  await settled();
  mock.timers.tick(LINGER);
  assert.equal(socket.take().length, 1);
});

test("one who came and went within a turn has asked for nothing", async () => {
  const { store, socket } = connected();
  view(store, ["NSE:SBIN"]).subscribe(() => undefined)();
  await settled();
  mock.timers.tick(LINGER);
  assert.deepEqual(socket.take(), []);
});

test("modes are held side by side, with the deepest book and the shortest throttle", async () => {
  const { store, socket } = connected();
  const seen = [];
  const none = () => undefined;
  const quotes = view(store, ["NSE:SBIN"]);
  quotes.subscribe(() => seen.push(quotes.getSnapshot().ticks["NSE:SBIN"].data.ltp));
  view(store, ["NSE:SBIN"], "Depth", { depth: 5 }).subscribe(none);
  const deep = view(store, ["NSE:SBIN"], "Depth", { depth: 20, throttleMs: 0 }).subscribe(none);
  const subscribe = { action: "subscribe", symbols: ["NSE:SBIN"] };
  await settled();
  assert.deepEqual(plain(socket.grant()), [
    { ...subscribe, mode: "Quote" },
    { ...subscribe, mode: "Depth", depth: 20, throttle_ms: 0 },
  ]);
  socket.tick("NSE:SBIN", 1, { mode: 3 });
  mock.timers.tick(FRAME);
  assert.deepEqual(seen, []);
  deep();
  await settled();
  assert.deepEqual(plain(socket.grant()), [{ ...subscribe, mode: "Depth", depth: 5 }]);
  socket.tick("NSE:SBIN", 2);
  mock.timers.tick(FRAME);
  assert.deepEqual(seen, [2]);
});

test("a throttle longer than the server's default doesn't slow those who named none", async () => {
  const { store, socket } = connected();
  const slow = view(store, ["NSE:SBIN"], MODE, { throttleMs: 1000 }).subscribe(() => undefined);
  const end = view(store, ["NSE:SBIN"]).subscribe(() => undefined);
  await settled();
  assert.equal(socket.grant()[0].throttle_ms, undefined);
  end();
  await settled();
  assert.equal(socket.grant()[0].throttle_ms, 1000);
  slow();
});

test("a snapshot changes once a frame, with the latest values, and only what has changed in it", async () => {
  const { store, socket } = connected();
  const one = view(store, ["NSE:SBIN", "NSE:TCS"]);
  let calls = 0;
  one.subscribe(() => (calls += 1));
  await settled();
  socket.grant();
  for (const ltp of [1, 2, 3]) socket.tick("NSE:SBIN", ltp);
  socket.tick("NSE:TCS", 9);
  const before = one.getSnapshot();
  assert.deepEqual(before.ticks, {});
  mock.timers.tick(FRAME);
  assert.equal(calls, 1);
  const after = one.getSnapshot();
  assert.deepEqual([after.ticks["NSE:SBIN"].data.ltp, after.ticks["NSE:TCS"].data.ltp], [3, 9]);
  assert.equal(after, one.getSnapshot());
  mock.timers.tick(10 * FRAME);
  assert.equal(calls, 1);
  socket.tick("NSE:SBIN", 4);
  mock.timers.tick(FRAME);
  assert.notEqual(one.getSnapshot(), after);
  assert.equal(one.getSnapshot().ticks["NSE:TCS"], after.ticks["NSE:TCS"]);
});

test("what changes nothing for a view leaves its snapshot as it is", async () => {
  const { store, socket } = connected();
  const one = view(store, ["NSE:SBIN"]);
  const before = one.getSnapshot();
  let calls = 0;
  one.subscribe(() => (calls += 1));
  await settled();
  socket.grant();
  socket.say({ type: "feed_status", broker: "any", status: "connected", message: "" });
  mock.timers.tick(FRAME);
  assert.equal(one.getSnapshot(), before);
  assert.equal(calls, 0);
});

test("a view may change more rarely than a frame", async () => {
  const { store, socket } = connected();
  const one = view(store, ["NSE:SBIN"], MODE, { refreshMs: 1000 });
  const seen = [];
  one.subscribe(() => seen.push(one.getSnapshot().ticks["NSE:SBIN"].data.ltp));
  await settled();
  for (let tenths = 1; tenths <= 25; tenths += 1) {
    socket.tick("NSE:SBIN", tenths);
    mock.timers.tick(100);
  }
  assert.deepEqual(seen, [10, 20]);
});

test("a last known value doesn't replace a newer one", async () => {
  const { store, socket } = connected();
  const one = view(store, ["NSE:SBIN"]);
  one.subscribe(() => undefined);
  await settled();
  const shown = () => {
    mock.timers.tick(FRAME);
    return one.getSnapshot().ticks["NSE:SBIN"].data.ltp;
  };
  socket.tick("NSE:SBIN", 1, { snapshot: true, timestamp: 100 });
  assert.equal(shown(), 1);
  socket.tick("NSE:SBIN", 2, { timestamp: 200 });
  socket.tick("NSE:SBIN", 3, { snapshot: true, timestamp: 150 });
  assert.equal(shown(), 2);
  socket.tick("NSE:SBIN", 4, { snapshot: true, timestamp: 300 });
  assert.equal(shown(), 4);
});

test("who comes later begins with what is known", async () => {
  const { store, socket } = connected();
  view(store, ["NSE:SBIN"]).subscribe(() => undefined);
  const late = view(store, ["NSE:SBIN"]);
  await settled();
  socket.tick("NSE:SBIN", 7);
  assert.equal(view(store, ["NSE:SBIN"]).getSnapshot().ticks["NSE:SBIN"].data.ltp, 7);
  assert.deepEqual(late.getSnapshot().ticks, {});
  late.subscribe(() => undefined);
  assert.equal(late.getSnapshot().ticks["NSE:SBIN"].data.ltp, 7);
});

test("a refusal is told to those who want the symbol, and who comes later has it asked for again", async () => {
  const { store, socket } = connected();
  const [one, other] = [view(store, ["NSE:GONE", "NSE:SBIN"]), view(store, ["NSE:SBIN"])];
  one.subscribe(() => undefined);
  other.subscribe(() => undefined);
  await settled();
  const refuse = () => {
    const [{ request_id }] = socket.take();
    const why = { status: "error", code: "BROKER_ERROR", message: "no session" };
    const subscriptions = [{ symbol: "GONE", exchange: "NSE", ...why }];
    socket.say({ type: "subscribe", status: "partial", subscriptions, request_id });
    mock.timers.tick(FRAME);
  };
  refuse();
  const problem = { code: "BROKER_ERROR", message: "no session", symbol: "GONE", exchange: "NSE" };
  assert.deepEqual(one.getSnapshot().errors, { "NSE:GONE": problem });
  assert.deepEqual(one.getSnapshot().error, problem);
  assert.equal(other.getSnapshot().error, null);
  const end = view(store, ["NSE:GONE"]).subscribe(() => undefined);
  await settled();
  assert.deepEqual(socket.grant()[0].symbols, ["NSE:GONE"]);
  mock.timers.tick(FRAME);
  assert.deepEqual([one.getSnapshot().errors, one.getSnapshot().error], [{}, null]);
  socket.say({
    type: "error",
    status: "error",
    code: "CAPACITY_EXCEEDED",
    message: "full",
    symbol: "GONE",
    exchange: "NSE",
  });
  mock.timers.tick(FRAME);
  assert.equal(one.getSnapshot().error.code, "CAPACITY_EXCEEDED");
  end();
});

test("what failed is not asked for at the next connection once nobody wants it", async () => {
  const { store, sockets, socket } = connected();
  const end = view(store, ["NSE:SBIN"]).subscribe(() => undefined);
  await settled();
  const [{ request_id }] = socket.take();
  const subscriptions = [
    { symbol: "SBIN", exchange: "NSE", status: "error", code: "BROKER_ERROR", message: "" },
  ];
  socket.say({ type: "subscribe", status: "error", subscriptions, request_id });
  end();
  await settled();
  mock.timers.tick(LINGER);
  socket.end(1006);
  mock.timers.tick(1000);
  sockets[1].welcome();
  assert.deepEqual(
    sockets[1].take().map(({ action }) => action),
    ["authenticate"],
  );
});

test("prices stay while the connection is made again, and the state is told", async () => {
  const { store, sockets, socket } = connected();
  const one = view(store, ["NSE:SBIN"]);
  one.subscribe(() => undefined);
  await settled();
  socket.tick("NSE:SBIN", 7);
  socket.end(1006);
  mock.timers.tick(FRAME);
  assert.equal(one.getSnapshot().status, "reconnecting");
  assert.equal(one.getSnapshot().ticks["NSE:SBIN"].data.ltp, 7);
  mock.timers.tick(1000);
  sockets[1].welcome();
  assert.deepEqual(sockets[1].take()[1].symbols, ["NSE:SBIN"]);
  mock.timers.tick(FRAME);
  assert.equal(one.getSnapshot().status, "connected");
  let told = 0;
  const end = store.listen(() => (told += 1));
  sockets[1].say({ type: "feed_status", broker: "any", status: "stale", message: "silent" });
  assert.deepEqual(store.connection.feed, { broker: "any", status: "stale", message: "silent" });
  sockets[1].end(4401, "the key was revoked");
  assert.deepEqual(store.connection.error, { code: "AUTHENTICATION_ERROR", message: "the key was revoked" });
  assert.equal(store.connection.status, "refused");
  assert(told >= 3);
  end();
});

test("the client is connected while somebody uses it", () => {
  const { client, sockets } = clientOf();
  const store = new MarketDataStore(client, { lingerMs: LINGER });
  store.use()();
  const end = store.use();
  mock.timers.tick(LINGER);
  assert.equal(sockets.length, 1);
  assert.equal(client.status, "connecting");
  end();
  end();
  mock.timers.tick(LINGER);
  assert.equal(client.status, "closed");
  store.use();
  assert.equal(sockets.length, 2);
});
