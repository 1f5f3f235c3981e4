import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { inspect } from "node:util";
import { OpenAlgoClient, OpenAlgoError, parseSymbol } from "../../../clients/js/openalgo-ws.mjs";
import { clientOf, KEY, plain } from "./sockets.mjs";

beforeEach(() => {
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
  mock.method(Math, "random", () => 1);
});
afterEach(() => {
  mock.timers.reset();
  mock.restoreAll();
});

/** A client that is connected and authenticated. */
function connected(options) {
  const all = clientOf(options);
  all.client.connect();
  all.sockets[0].welcome();
  all.sockets[0].take();
  return { ...all, socket: all.sockets[0] };
}

const named = (events, name) => events.filter(([each]) => each === name).map(([, event]) => event);

test("a new connection subscribes to what was held: modes, levels and throttles", () => {
  const { client, sockets, socket } = connected();
  client.subscribe(["NSE:SBIN", "NSE:TCS"], { mode: "Depth", depth: 20, throttleMs: 250 });
  client.subscribe(["NSE:SBIN"], { mode: "LTP", throttleMs: 0 });
  client.subscribe([" nse:INFY", "NSE:INFY"], { mode: "quote" });
  client.subscribe(["NSE:ITC"]);
  client.unsubscribe(["NSE:ITC"]);
  client.unsubscribe(["NSE:TCS"], { mode: "Quote" });
  client.subscribeOrders();
  const expected = [
    { action: "subscribe", symbols: ["NSE:SBIN", "NSE:TCS"], mode: "Depth", depth: 20, throttle_ms: 250 },
    { action: "subscribe", symbols: ["NSE:SBIN"], mode: "LTP", throttle_ms: 0 },
    { action: "subscribe", symbols: ["NSE:INFY"], mode: "Quote" },
  ];
  assert.deepEqual(plain(socket.take()), [
    ...expected,
    { action: "subscribe", symbols: ["NSE:ITC"], mode: "Quote" },
    { action: "unsubscribe", symbols: ["NSE:ITC"] },
    { action: "unsubscribe", symbols: ["NSE:TCS"], mode: "Quote" },
    { action: "subscribe_orders" },
  ]);
  socket.end(1006);
  mock.timers.tick(1000);
  sockets[1].welcome();
  const [authenticate, ...again] = plain(sockets[1].take());
  assert.equal(authenticate.action, "authenticate");
  assert.deepEqual(again, [...expected, { action: "subscribe_orders" }]);
});

test("the wait doubles up to its limit, begins anew after a success, and is longest after 4429", () => {
  const { client, sockets } = clientOf({ backoffMs: [1000, 5000] });
  client.connect();
  const waitIs = (wait) => {
    const before = sockets.length;
    mock.timers.tick(wait - 1);
    assert.equal(sockets.length, before);
    mock.timers.tick(1);
    assert.equal(sockets.length, before + 1);
  };
  for (const wait of [1000, 2000, 4000, 5000, 5000]) {
    sockets.at(-1).onerror();
    waitIs(wait);
  }
  sockets.at(-1).welcome();
  sockets.at(-1).end(1001);
  waitIs(1000);
  sockets.at(-1).welcome();
  sockets.at(-1).end(4429);
  waitIs(5000);
  Math.random.mock.mockImplementation(() => 0);
  sockets.at(-1).end(4429);
  waitIs(2500);
});

for (const code of [4401, 4403]) {
  test(`after ${code} there is no further attempt until the next connect`, () => {
    const { client, sockets, socket, events } = connected();
    socket.end(code, "the key was replaced");
    mock.timers.tick(3_600_000);
    assert.equal(sockets.length, 1);
    assert.equal(client.status, "refused");
    const why = { code: "AUTHENTICATION_ERROR", message: "the key was replaced" };
    assert.deepEqual(named(events, "refused"), [why]);
    assert.deepEqual(named(events, "close"), [{ code, reason: "the key was replaced" }]);
    client.connect();
    assert.equal(sockets.length, 2);
  });
}

test("a wrong key ends it; a server that can't check keys is asked again", () => {
  const { client, sockets, events } = clientOf();
  client.connect();
  sockets[0].onopen();
  sockets[0].say({ type: "auth", status: "error", code: "RATE_LIMITED", message: "try again" });
  assert.equal(client.status, "reconnecting");
  assert(!sockets[0].open);
  mock.timers.tick(1000);
  sockets[1].onopen();
  sockets[1].say({ type: "auth", status: "error", code: "AUTHENTICATION_ERROR", message: "Invalid API key" });
  mock.timers.tick(3_600_000);
  assert.equal(sockets.length, 2);
  assert(!sockets[1].open);
  assert.deepEqual(
    named(events, "status").map(({ status }) => status),
    ["connecting", "reconnecting", "refused"],
  );
});

test("a connection that says nothing is asked, and then given up", () => {
  const { client, sockets, socket, events } = connected({ pingMs: 10_000 });
  mock.timers.tick(20_000);
  assert.deepEqual(socket.take(), [{ action: "ping" }]);
  socket.say({ type: "pong", status: "success" });
  mock.timers.tick(20_000);
  assert.deepEqual(socket.take(), [{ action: "ping" }]);
  mock.timers.tick(10_000);
  assert(!socket.open);
  assert.deepEqual(named(events, "close"), [{ code: 1006, reason: "no answer" }]);
  assert.equal(client.status, "reconnecting");
  mock.timers.tick(1000);
  assert.equal(sockets.length, 2);
});

test("a dial that nobody answers is given up", () => {
  const { client, sockets, events } = clientOf({ pingMs: 10_000 });
  client.connect();
  mock.timers.tick(9_999);
  assert(sockets[0].open);
  mock.timers.tick(1);
  assert(!sockets[0].open);
  assert.deepEqual(sockets[0].take(), []);
  assert.deepEqual(named(events, "close"), [{ code: 1006, reason: "no answer" }]);
  mock.timers.tick(1000);
  assert.equal(sockets.length, 2);
});

test("an exception in a listener keeps nothing from the others, and is not swallowed", () => {
  const { client, socket } = connected();
  const later = mock.method(globalThis, "queueMicrotask", () => undefined);
  const seen = [];
  const end = client.on("tick", () => {
    end();
    throw new Error("the listener's own");
  });
  client.on("tick", ({ data }) => seen.push(data.ltp));
  socket.tick("NSE:SBIN", 1);
  socket.tick("NSE:SBIN", 2);
  assert.deepEqual(seen, [1, 2]);
  assert.equal(later.mock.callCount(), 1);
  assert.throws(later.mock.calls[0].arguments[0], { message: "the listener's own" });
  assert.equal(end(), false);
});

test("a request resolves to its reply, whatever comes before it", async () => {
  const { client, socket, events } = connected();
  const [info, held] = [{ action: "server_info" }, { action: "subscriptions" }].map((it) => client.request(it));
  const [first, second] = socket.take();
  socket.say({ type: "subscriptions", status: "success", subscriptions: [], request_id: second.request_id });
  socket.say({
    type: "error",
    status: "error",
    code: "SERVER_ERROR",
    message: "no",
    request_id: first.request_id,
  });
  assert.deepEqual((await held).subscriptions, []);
  await assert.rejects(info, { name: "OpenAlgoError", code: "SERVER_ERROR", message: "no" });
  assert.deepEqual([...named(events, "reply"), ...named(events, "error")], []);
});

test("a request is not waited for without end", async () => {
  const { client, socket } = connected();
  await assert.rejects(clientOf().client.request({ action: "server_info" }), { code: "NOT_CONNECTED" });
  const slow = client.request({ action: "server_info" }, { timeoutMs: 500 });
  const lost = client.request({ action: "server_info" });
  mock.timers.tick(500);
  await assert.rejects(slow, { code: "TIMEOUT", message: "no reply to server_info within 500 ms" });
  socket.end(1006);
  await assert.rejects(lost, (problem) => problem instanceof OpenAlgoError && problem.code === "NOT_CONNECTED");
});

test("a subscribe without a reply is told as an error, and asked again at the next connection", () => {
  const { client, sockets, socket, events } = connected({ requestTimeoutMs: 300 });
  client.subscribe(["NSE:SBIN"]);
  mock.timers.tick(300);
  assert.equal(named(events, "error")[0].code, "TIMEOUT");
  socket.end(1006);
  mock.timers.tick(1000);
  sockets[1].welcome();
  assert.deepEqual(sockets[1].take()[1].symbols, ["NSE:SBIN"]);
});

test("what does not exist is forgotten in its mode alone; what fails otherwise is asked for again", () => {
  const { client, sockets, socket, events } = connected();
  client.subscribe(["NSE:GONE"], { mode: "LTP" });
  socket.grant();
  client.subscribe(["NSE:GONE", "NSE:LATER"], { mode: "Depth" });
  const [{ request_id }] = socket.take();
  const subscriptions = [
    { symbol: "GONE", exchange: "NSE", status: "error", code: "SYMBOL_NOT_FOUND", message: "" },
    { symbol: "LATER", exchange: "NSE", status: "error", code: "BROKER_ERROR", message: "" },
  ];
  socket.say({ type: "subscribe", status: "error", subscriptions, request_id });
  assert.deepEqual(
    named(events, "failed").map(({ symbol, mode }) => [symbol, mode]),
    [
      ["GONE", "Depth"],
      ["LATER", "Depth"],
    ],
  );
  socket.end(1006);
  mock.timers.tick(1000);
  sockets[1].welcome();
  assert.deepEqual(plain(sockets[1].take().slice(1)), [
    { action: "subscribe", symbols: ["NSE:GONE"], mode: "LTP" },
    { action: "subscribe", symbols: ["NSE:LATER"], mode: "Depth", depth: 5 },
  ]);
});

test("a long list goes out in parts that a server accepts", () => {
  const { client, socket } = connected();
  client.subscribe(Array.from({ length: 1200 }, (_, number) => `NFO:NIFTY26NOV${number}CE`));
  assert.deepEqual(
    socket.take().map(({ symbols }) => symbols.length),
    [500, 500, 200],
  );
});

test("closing in a listener ends the ticks of the same message", () => {
  const { client, socket, events } = connected({ format: "binary" });
  client.subscribe(["NSE:SBIN"]);
  const [{ request_id }] = socket.take();
  const subscriptions = [{ symbol: "SBIN", exchange: "NSE", status: "success", mode: "Quote", id: 7 }];
  socket.say({ type: "subscribe", status: "success", subscriptions, request_id });
  const frame = new DataView(new ArrayBuffer(8 + 2 * 64));
  [0x414f, 0x0101, 2, 64].forEach((value, place) => frame.setUint16(2 * place, value, true));
  for (const at of [8, 72]) {
    frame.setUint32(at, 7, true);
    frame.setUint8(at + 4, 2);
    frame.setUint8(at + 7, 1);
    frame.setBigInt64(at + 16, 5n, true);
  }
  client.on("tick", () => client.close());
  socket.onmessage({ data: frame.buffer });
  const [tick, ...more] = named(events, "tick");
  assert.deepEqual([tick.symbol, tick.snapshot, tick.data.ltp, more], ["SBIN", true, 5, []]);
  assert.deepEqual(named(events, "error"), []);
  assert.equal(client.status, "closed");
});

test("nothing that a client tells holds its key", async () => {
  const { client, socket, events } = connected();
  socket.say(`{"api_key": "${KEY}"`);
  socket.say("[]");
  socket.say("null");
  const failed = await Promise.allSettled([
    client.request({ action: "x" }, { timeoutMs: 1 }),
    mock.timers.tick(1),
  ]);
  socket.end(1006);
  const told = inspect([client, events, failed], { depth: null, showHidden: true });
  assert(named(events, "error").length >= 2);
  assert(!told.includes(KEY), told);
});

test("what is malformed is refused where it is said", () => {
  const { client } = connected();
  for (const text of ["SBIN", ":SBIN", "NSE:", "NSE: "]) assert.throws(() => parseSymbol(text), TypeError);
  assert.equal(parseSymbol("crypto:A:B"), "CRYPTO:A:B");
  assert.throws(() => client.subscribe("NSE:SBIN"), TypeError);
  assert.throws(() => client.subscribe(["NSE:SBIN"], { mode: "Everything" }), TypeError);
  assert.throws(() => client.on("tock", () => undefined), TypeError);
  assert.throws(() => new OpenAlgoClient("ws://127.0.0.1:1", { format: "flat" }), TypeError);
  const global = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  delete globalThis.WebSocket;
  const homeless = new OpenAlgoClient("ws://127.0.0.1:1");
  assert.throws(() => homeless.connect(), /no WebSocket here/);
  assert.equal(homeless.status, "closed");
  if (global) Object.defineProperty(globalThis, "WebSocket", global);
});
