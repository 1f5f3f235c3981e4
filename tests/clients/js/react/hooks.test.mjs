// The hooks in a document of jsdom's. Run in a folder where `react`, `react-dom` and `jsdom` are installed.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { JSDOM } from "jsdom";
import { act, createElement, memo, StrictMode } from "react";
import { createRoot, hydrateRoot } from "react-dom/client";
import { renderToString } from "react-dom/server";
import { OpenAlgoProvider, useConnection, useMarketData } from "../../../../clients/js/react.mjs";
import { clientOf, plain } from "../sockets.mjs";

const LINGER = 250;
const { window } = new JSDOM("<!doctype html><body></body>");
Object.assign(globalThis, { window, document: window.document, IS_REACT_ACT_ENVIRONMENT: true });

let frames;
let complaints;
let roots;

beforeEach(() => {
  [frames, complaints, roots] = [[], [], []];
  globalThis.requestAnimationFrame = (callback) => frames.push(callback);
  mock.method(console, "error", (...said) => {
    // Node's own, about the mocked timers.
    if (!said.join(" ").includes("ExperimentalWarning")) complaints.push(said.join(" "));
  });
  mock.timers.enable({ apis: ["setTimeout", "setInterval"] });
});
afterEach(async () => {
  for (const root of roots) await act(() => root.unmount());
  mock.timers.reset();
  mock.restoreAll();
  assert.deepEqual(complaints, []);
});

/** What was received until now is shown. */
const frame = () => act(() => frames.splice(0).forEach((callback) => callback()));

async function show(element, root) {
  if (!root) {
    const container = document.createElement("div");
    root = Object.assign(createRoot(container), { container });
    roots.push(root);
  }
  await act(() => root.render(element));
  return root;
}

function connected() {
  const all = clientOf();
  all.client.connect();
  all.sockets[0].welcome();
  all.sockets[0].take();
  return { ...all, socket: all.sockets[0] };
}

const provided = (client, ...children) => createElement(OpenAlgoProvider, { client }, ...children);

/** A component that shows prices, and counts its renders in `renders`. */
function prices(renders = { count: 0 }) {
  return ({ symbols, mode, options }) => {
    const { ticks, status } = useMarketData([...symbols], mode, options);
    renders.count += 1;
    return [status, ...symbols.map((symbol) => ticks[symbol]?.data.ltp ?? "?")].join(" ");
  };
}

test("prices move, and two components share a subscription", async () => {
  const { client, socket } = connected();
  const Prices = prices();
  const both = [1, 2].map((key) => createElement(Prices, { key, symbols: ["NSE:SBIN"] }));
  const root = await show(createElement(StrictMode, null, provided(client, both)));
  assert.equal(root.container.textContent, "connected ?connected ?");
  mock.timers.tick(10 * LINGER);
  assert.deepEqual(plain(socket.grant()), [{ action: "subscribe", symbols: ["NSE:SBIN"], mode: "Quote" }]);
  socket.tick("NSE:SBIN", 842.35);
  await frame();
  assert.equal(root.container.textContent, "connected 842.35connected 842.35");
  await show(createElement(StrictMode, null, provided(client, both[0])), root);
  mock.timers.tick(LINGER);
  assert.deepEqual(socket.take(), []);
  await show(null, root);
  mock.timers.tick(LINGER);
  assert.deepEqual(plain(socket.take()), [{ action: "unsubscribe", symbols: ["NSE:SBIN"], mode: "Quote" }]);
});

test("a list written into the component doesn't subscribe anew; one that differs does", async () => {
  const { client, socket } = connected();
  const Prices = prices();
  const root = await show(provided(client, createElement(Prices, { symbols: ["NSE:SBIN", "nse:TCS"] })));
  socket.grant();
  for (let times = 0; times < 3; times += 1) {
    await show(provided(client, createElement(Prices, { symbols: ["NSE:SBIN", "nse:TCS"] })), root);
  }
  mock.timers.tick(10 * LINGER);
  assert.deepEqual(socket.take(), []);
  socket.tick("NSE:TCS", 3500);
  await frame();
  await show(provided(client, createElement(Prices, { symbols: ["NSE:TCS", "NSE:ITC"] })), root);
  assert.equal(root.container.textContent, "connected 3500 ?");
  mock.timers.tick(LINGER);
  assert.deepEqual(plain(socket.take()), [
    { action: "subscribe", symbols: ["NSE:ITC"], mode: "Quote" },
    { action: "unsubscribe", symbols: ["NSE:SBIN"], mode: "Quote" },
  ]);
});

test("a thousand ticks between two frames are one render of each component", async () => {
  const { client, socket } = connected();
  const [first, second] = [{ count: 0 }, { count: 0 }];
  const symbols = ["NSE:SBIN", "NSE:TCS"];
  const both = [first, second].map((renders, key) => createElement(prices(renders), { key, symbols }));
  const root = await show(provided(client, both));
  const before = first.count;
  for (let number = 0; number < 1000; number += 1) socket.tick(symbols[number % 2], number);
  assert.equal(frames.length, 1);
  await frame();
  assert.equal(first.count, before + 1);
  assert.equal(second.count, before + 1);
  assert.equal(root.container.textContent, "connected 998 999connected 998 999");
  await frame();
  assert.equal(first.count, before + 1);
});

test("a row that is memoised renders for its own ticks alone", async () => {
  const { client, socket } = connected();
  const rendered = [];
  const Row = memo(({ name, tick }) => {
    rendered.push(name);
    return `${name} ${tick?.data.ltp} `;
  });
  const symbols = ["NSE:SBIN", "NSE:TCS"];
  function List() {
    const { ticks } = useMarketData(symbols, "LTP");
    return symbols.map((name) => createElement(Row, { key: name, name, tick: ticks[name] }));
  }
  await show(provided(client, createElement(List)));
  for (const symbol of symbols) socket.tick(symbol, 1, { mode: 1 });
  await frame();
  rendered.length = 0;
  socket.tick("NSE:TCS", 2, { mode: 1 });
  await frame();
  assert.deepEqual(rendered, ["NSE:TCS"]);
});

test("another interval, and options that are written into the component", async () => {
  const { client, socket } = connected();
  const renders = { count: 0 };
  const Prices = prices(renders);
  const element = () =>
    createElement(Prices, { symbols: ["NSE:SBIN"], mode: "Depth", options: { depth: 20, refreshMs: 1000 } });
  const root = await show(provided(client, element()));
  await show(provided(client, element()), root);
  const before = renders.count;
  assert.deepEqual(plain(socket.grant()), [
    { action: "subscribe", symbols: ["NSE:SBIN"], mode: "Depth", depth: 20 },
  ]);
  socket.tick("NSE:SBIN", 1, { mode: 3 });
  await act(() => mock.timers.tick(999));
  assert.equal(renders.count, before);
  await act(() => mock.timers.tick(1));
  assert.equal(root.container.textContent, "connected 1");
  assert.equal(frames.length, 0);
});

test("the connection's state, and a client without a provider", async () => {
  const { client, socket } = connected();
  const Prices = prices();
  function Connection() {
    const { status, error } = useConnection({ client });
    return ` ${status} ${error?.code}`;
  }
  const options = { client };
  const root = await show([
    createElement(Prices, { key: 1, symbols: ["NSE:SBIN"], options }),
    createElement(Connection, { key: 2 }),
  ]);
  socket.tick("NSE:SBIN", 5);
  await frame();
  assert.equal(root.container.textContent, "connected 5 connected undefined");
  await act(() => socket.end(4401, "revoked"));
  await frame();
  assert.equal(root.container.textContent, "refused 5 refused AUTHENTICATION_ERROR");
});

test("a provider's own client is connected while it is mounted, once for StrictMode's two mounts", async () => {
  const sockets = [];
  const { client, sockets: played } = clientOf();
  client.connect();
  const Socket = played[0].constructor;
  const before = Object.getOwnPropertyDescriptor(globalThis, "WebSocket");
  const recording = function (url) {
    sockets.push(new Socket(url));
    return sockets.at(-1);
  };
  Object.defineProperty(globalThis, "WebSocket", { value: recording, configurable: true, writable: true });
  try {
    const Prices = prices();
    const app = (apiKey) =>
      createElement(
        StrictMode,
        null,
        createElement(
          OpenAlgoProvider,
          { url: "ws://127.0.0.1:1", apiKey, format: "binary" },
          createElement(Prices, { symbols: ["NSE:SBIN"] }),
        ),
      );
    const root = await show(app("one"));
    await show(app("one"), root);
    mock.timers.tick(LINGER);
    assert.equal(sockets.length, 1);
    await act(() => sockets[0].welcome());
    assert.deepEqual(plain(sockets[0].take()), [
      { action: "authenticate", api_key: "one", notices: true, format: "binary" },
      { action: "subscribe", symbols: ["NSE:SBIN"], mode: "Quote" },
    ]);
    await show(app("another"), root);
    mock.timers.tick(LINGER);
    assert.deepEqual(
      sockets.map(({ open }) => open),
      [false, true],
    );
    await show(null, root);
    mock.timers.tick(LINGER);
    assert.deepEqual(
      sockets.map(({ open }) => open),
      [false, false],
    );
  } finally {
    delete globalThis.WebSocket;
    if (before) Object.defineProperty(globalThis, "WebSocket", before);
  }
});

test("on a server nothing is contacted, and the page takes over from there", async () => {
  const { client, socket } = connected();
  socket.take();
  const app = provided(client, createElement(prices(), { symbols: ["NSE:SBIN"] }));
  const html = renderToString(app);
  assert.equal(html, "connecting ?");
  assert.deepEqual(socket.take(), []);
  const container = document.createElement("div");
  container.innerHTML = html;
  await act(() => roots.push(hydrateRoot(container, app)));
  assert.equal(container.textContent, "connected ?");
  assert.equal(socket.grant().length, 1);
});

test("without a provider and without a client it says so", () => {
  const Prices = prices();
  assert.throws(() => renderToString(createElement(Prices, { symbols: ["NSE:SBIN"] })), /OpenAlgoProvider/);
  complaints.length = 0;
});
