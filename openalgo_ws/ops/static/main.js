// The status page: what the server tells once a second, and the watch-list.

import { Connection } from "./connection.js";
import { $, age, bytes, count, make, millis, number, row, state } from "./format.js";
import { Plots } from "./plots.js";
import { WatchList, parse } from "./watch.js";

const USER = "openalgo-ws user";
const KEY = "openalgo-ws key";
const EVENTS = 300;

const plots = new Plots($("plot-rate"), $("plot-latency"));
const before = { at: 0, feeds: new Map(), conflated: 0 };
let lastEvent = 0;

const connection = new Connection({
  opened() {
    // The server tells all of them again; after a restart it counts anew.
    lastEvent = 0;
    $("events").replaceChildren();
    pill($("link"), "connected", "good");
  },
  closed() {
    pill($("link"), "reconnecting", "bad");
    $("ready").hidden = true;
  },
  message(message) {
    const handle = handlers[message.type];
    if (handle) handle(message);
  },
});
const watch = new WatchList((request) => connection.send(request));

const handlers = {
  history(message) {
    plots.replace(message.samples);
    $("key-form").hidden = !message.key_needed;
    if (!message.key_needed) watch.opened();
    else if (key()) authenticate(key());
  },
  auth(message) {
    const good = message.status === "success";
    $("key-form").hidden = good;
    $("key-said").hidden = good;
    $("key-said").textContent = message.message;
    if (good) watch.opened();
    else sessionStorage.removeItem(KEY);
  },
  server_status: show,
  events: (message) => message.events.forEach(addEvent),
  market_data: (message) => watch.ticked(message),
  subscribe: (message) => watch.answered(message),
};

// Where no admin token protects the page prices need an API key. It is kept for this tab alone.
function key() {
  return sessionStorage.getItem(KEY);
}

function authenticate(apiKey) {
  sessionStorage.setItem(KEY, apiKey);
  connection.send({ action: "authenticate", api_key: apiKey });
}

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  authenticate($("key").value);
  $("key").value = "";
});

function pill(element, text, kind) {
  element.textContent = text;
  element.className = `pill ${kind}`;
  element.hidden = false;
}

function show(status) {
  $("version").textContent = status.version;
  $("uptime").textContent = `up ${age(status.uptime)} on ${status.event_loop}`;
  pill($("ready"), status.ready ? "ready" : "not ready", status.ready ? "good" : "bad");
  const passed = status.uptime - before.at;
  const fresh = passed > 0 && passed < 10;
  const sample = status.sample;
  if (sample) {
    plots.add(sample);
    $("n-ticks").textContent = count(sample[1]);
    $("n-deliveries").textContent = count(sample[2]);
    $("n-lag").textContent = millis(sample[5]);
  }
  $("n-clients").textContent = count(status.clients);
  $("n-p50").textContent = millis(status.latency_ms.p50);
  $("n-p99").textContent = millis(status.latency_ms.p99);
  $("n-backlog").textContent = count(status.backlog);
  $("n-conflated").textContent = fresh ? count(Math.max(0, (status.conflated - before.conflated) / passed)) : "–";
  fill("feeds", "no feed is open", feeds(status, fresh, passed));
  fill("pools", "no connection is open", pools(status));
  fill("clients", "nobody is connected", clients(status));
  fill("busiest", "nothing ticks", busiest(status));
  before.at = status.uptime;
  before.conflated = status.conflated;
  before.feeds = new Map(status.feeds.map((feed) => [feed.tag, feed.ticks]));
}

function fill(id, empty, rows) {
  const body = $(id).tBodies[0];
  if (rows.length) {
    body.replaceChildren(...rows);
    return;
  }
  const cell = make("td", "muted", empty);
  cell.colSpan = $(id).tHead.rows[0].cells.length;
  body.replaceChildren(row(cell));
}

function feeds(status, fresh, passed) {
  const ages = new Map();
  for (const account of status.accounts) {
    const found = account.pools.flatMap((pool) => pool.connections.map((one) => one.tick_age)).filter((one) => one !== null);
    ages.set(account.account, found.length ? Math.min(...found) : null);
  }
  return status.feeds.map((feed) => {
    const found = feed.accounts.map((account) => ages.get(account)).filter((one) => one !== null && one !== undefined);
    const rate = fresh && before.feeds.has(feed.tag) ? (feed.ticks - before.feeds.get(feed.tag)) / passed : null;
    const shown = state(feed.state, feed.state !== "connected" && !feed.in_session);
    if (feed.message) shown.title = feed.message;
    return row(feed.tag, feed.broker ?? "–", shown, number(age(found.length ? Math.min(...found) : null)), number(count(rate)), number(count(feed.held)));
  });
}

function pools(status) {
  return status.accounts.flatMap((account) =>
    account.pools.flatMap((pool) =>
      pool.connections.map((one) => {
        const filled = make("td");
        const meter = document.createElement("meter");
        meter.max = Math.max(1, pool.capacity / pool.limit);
        meter.value = one.load;
        meter.high = meter.max * 0.9;
        filled.append(meter, make("span", "muted", ` ${count(one.load)} of ${count(meter.max)}`));
        const shown = state(one.state);
        if (one.message) shown.title = one.message;
        return row(`${account.account} at ${account.broker}`, `${pool.feed} ${one.number}`, shown, number(age(one.tick_age)), filled);
      }),
    ),
  );
}

function clients(status) {
  return status.connections.map((one) =>
    row(
      one.user ?? "(not authenticated)",
      one.address,
      one.format,
      number(count(one.subscriptions)),
      make("td", one.slow ? "n bad" : "n", one.slow ? `slow, ${bytes(one.waiting)}` : bytes(one.waiting)),
      number(bytes(one.bytes_sent)),
      number(age(one.connected)),
    ),
  );
}

function busiest(status) {
  return status.busiest.map((one) => {
    const tr = row(`${one.exchange}:${one.symbol}`, one.feed || "(bus)", number(count(one.rate)));
    tr.addEventListener("click", () => watch.add({ exchange: one.exchange, symbol: one.symbol }));
    return tr;
  });
}

function addEvent(event) {
  if (event.number <= lastEvent) return;
  lastEvent = event.number;
  const item = make("li");
  const time = make("time", "", new Date(event.at * 1000).toLocaleTimeString());
  item.append(time, make("span", { warn: "warn", error: "bad" }[event.level] ?? "", event.text));
  $("events").prepend(item);
  while ($("events").children.length > EVENTS) $("events").lastChild.remove();
}

async function begin() {
  let users = [];
  let trusted = false;
  try {
    const answer = await fetch("/api/users", { cache: "no-store" });
    if (answer.ok) {
      const told = await answer.json();
      users = told.users;
      trusted = told.login;
      $("logout").hidden = !trusted;
    }
  } catch {
    // The connection says that the server is not there.
  }
  const choice = $("watch-user");
  choice.replaceChildren(...users.map((user) => new Option(user, user)));
  choice.hidden = users.length < 2 || !trusted;
  const kept = localStorage.getItem(USER);
  if (users.includes(kept)) choice.value = kept;
  choice.addEventListener("change", () => {
    localStorage.setItem(USER, choice.value);
    connection.dial(choice.value);
  });
  const first = new URLSearchParams(location.search).get("watch");
  if (first && parse(first)) watch.add(parse(first));
  connection.dial(choice.value);
}

begin();
