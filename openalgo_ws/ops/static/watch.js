// The watch-list and the ladder of the symbol that is chosen in it, in the gateway's own protocol.

import { $, count, make, number, row } from "./format.js";

const STORE = "openalgo-ws watch-list";
/** A person can't read faster. */
const THROTTLE = 250;
const LEVELS = 20;
const MOST = 50;

/** "nse:reliance" or "RELIANCE" → {exchange, symbol}. */
export function parse(text) {
  const [first, ...rest] = text.trim().toUpperCase().split(":");
  if (!first) return null;
  return rest.length ? { exchange: first, symbol: rest.join(":") } : { exchange: "NSE", symbol: first };
}

function price(value) {
  return value === undefined ? "–" : value.toLocaleString("en-IN", { minimumFractionDigits: 2, maximumFractionDigits: 6 });
}

export class WatchList {
  constructor(send) {
    this.send = send;
    this.entries = new Map();
    this.chosen = null;
    $("watch-form").addEventListener("submit", (event) => {
      event.preventDefault();
      const wanted = parse($("watch-symbol").value);
      $("watch-symbol").value = "";
      if (wanted) this.add(wanted);
    });
    for (const text of stored()) this.add(parse(text), false);
  }

  add(wanted, choose = true) {
    const key = `${wanted.exchange}:${wanted.symbol}`;
    if (!this.entries.has(key) && this.entries.size < MOST) {
      this.entries.set(key, { ...wanted, data: {}, row: this.makeRow(key) });
      this.ask("subscribe", key, "Quote");
    }
    if (choose) this.choose(key);
    this.keep();
  }

  remove(key) {
    const entry = this.entries.get(key);
    if (!entry) return;
    if (this.chosen === key) this.choose(null);
    this.ask("unsubscribe", key, "Quote");
    entry.row.remove();
    this.entries.delete(key);
    this.keep();
  }

  /** Only the chosen symbol's book is asked for: it is the dearest thing to ask a broker for. */
  choose(key) {
    if (this.chosen === key) return;
    if (this.chosen) {
      this.ask("unsubscribe", this.chosen, "Depth");
      this.entries.get(this.chosen).row.classList.remove("chosen");
    }
    this.chosen = this.entries.has(key) ? key : null;
    $("ladder").hidden = this.chosen === null;
    if (this.chosen) {
      this.entries.get(key).row.classList.add("chosen");
      $("ladder-name").textContent = key;
      $("ladder-depth").textContent = "waiting for the book";
      $("ladder").querySelector("tbody").replaceChildren();
      this.ask("subscribe", key, "Depth");
    }
  }

  /** There is a new connection: ask for everything again. */
  opened() {
    for (const key of this.entries.keys()) this.ask("subscribe", key, "Quote");
    if (this.chosen) this.ask("subscribe", this.chosen, "Depth");
  }

  ask(action, key, mode) {
    const { symbol, exchange } = this.entries.get(key);
    this.send({ action, symbols: [{ symbol, exchange, mode, depth: LEVELS, throttle_ms: THROTTLE }] });
  }

  answered(reply) {
    for (const one of reply.subscriptions) {
      const entry = this.entries.get(`${one.exchange}:${one.symbol}`);
      if (entry && one.status === "error") this.say(entry, one.message);
      else if (entry && one.pending && !entry.data.ltp) this.say(entry, "waiting for the feed");
    }
  }

  ticked(message) {
    const key = `${message.exchange}:${message.symbol}`;
    const entry = this.entries.get(key);
    if (!entry) return;
    if (message.mode === 3) {
      if (key === this.chosen) this.drawLadder(message.data.depth);
      return;
    }
    const before = entry.data.ltp;
    entry.data = message.data;
    this.drawRow(entry, before);
  }

  makeRow(key) {
    const cells = ["", "n", "n", "n", "n", "n", "n"].map((kind) => make("td", kind));
    cells[0].textContent = key;
    cells[1].textContent = "–";
    const tr = row(...cells);
    tr.dataset.symbol = key;
    const remove = make("button", "quiet", "×");
    remove.type = "button";
    remove.setAttribute("aria-label", `Remove ${key}`);
    remove.addEventListener("click", (event) => {
      event.stopPropagation();
      this.remove(key);
    });
    cells[6].append(remove);
    tr.addEventListener("click", () => this.choose(this.chosen === key ? null : key));
    $("watch").tBodies[0].append(tr);
    return tr;
  }

  say(entry, text) {
    entry.row.cells[1].textContent = text;
    entry.row.cells[1].className = "muted";
  }

  drawRow(entry, before) {
    const { data, row: tr } = entry;
    const last = tr.cells[1];
    last.textContent = price(data.ltp);
    last.className = before === undefined || data.ltp === before ? "n last" : data.ltp > before ? "n last rose" : "n last fell";
    const change = tr.cells[2];
    change.textContent = data.change_percent === undefined ? "–" : `${data.change_percent > 0 ? "+" : ""}${data.change_percent.toFixed(2)} %`;
    change.className = data.change_percent < 0 ? "n down" : "n up";
    tr.cells[3].textContent = price(data.bid_price);
    tr.cells[4].textContent = price(data.ask_price);
    tr.cells[5].textContent = count(data.volume);
  }

  drawLadder(book) {
    if (!book) return;
    const levels = Math.max(book.buy.length, book.sell.length);
    const most = Math.max(1, ...book.buy.map((level) => level.quantity), ...book.sell.map((level) => level.quantity));
    const rows = [];
    for (let index = 0; index < levels; index += 1) {
      const [buy, sell] = [book.buy[index], book.sell[index]];
      rows.push(
        row(
          number(buy ? count(buy.orders) : ""),
          quantity(buy, most, "buy"),
          make("td", "n up", buy ? price(buy.price) : ""),
          make("td", "n down", sell ? price(sell.price) : ""),
          quantity(sell, most, "sell"),
          number(sell ? count(sell.orders) : ""),
        ),
      );
    }
    $("ladder-depth").textContent = `${levels} levels`;
    $("ladder").querySelector("tbody").replaceChildren(...rows);
  }

  keep() {
    $("watch-empty").hidden = this.entries.size > 0;
    localStorage.setItem(STORE, JSON.stringify([...this.entries.keys()]));
  }
}

function quantity(level, most, side) {
  const td = make("td", `n ${side}`);
  if (level) {
    const bar = make("div", "bar");
    bar.style.width = `${Math.round((100 * level.quantity) / most)}%`;
    td.append(bar, make("span", "", count(level.quantity)));
  }
  return td;
}

function stored() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "[]");
    return Array.isArray(kept) ? kept.filter((text) => typeof text === "string" && text).slice(0, MOST) : [];
  } catch {
    return [];
  }
}
