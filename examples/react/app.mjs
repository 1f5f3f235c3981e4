// A watch-list, and the book of the symbol that is selected in it. The address may name another server and
// the format: ?server=ws://127.0.0.1:8765&format=binary
import { createElement as h, memo, StrictMode, useEffect, useRef, useState } from "react";
import { createRoot } from "react-dom/client";
import { parseSymbol } from "openalgo-ws-client";
import { OpenAlgoProvider, useConnection, useMarketData } from "openalgo-ws-client/react";

const asked = new URLSearchParams(location.search);
const SERVER = asked.get("server") ?? "ws://127.0.0.1:8765";
const FORMAT = asked.get("format") === "binary" ? "binary" : "json";
/** The demo's. A page for others asks its user for a key, and keeps it out of its source. */
const API_KEY = "openalgo-ws-demo-key";
const LEVELS = 5;

// A change of -0.001 % is told as -0, which would be shown with its sign.
const number = (value, decimals = 2) =>
  value === undefined ? "–" : (value + 0).toLocaleString("en-IN", { minimumFractionDigits: decimals });

function Connection() {
  const { status, error } = useConnection();
  const said = error ? `${status}: ${error.message}` : status;
  return h("output", { id: "status", className: status }, said);
}

/** "up" or "down", as the price went when it last changed. */
function useDirection(price) {
  const before = useRef({ price, direction: "" });
  const { current } = before;
  const direction = price > current.price ? "up" : price < current.price ? "down" : current.direction;
  useEffect(() => {
    before.current = { price, direction };
  });
  return direction;
}

// Each tick stays the same object until the next one, so a row renders for its own symbol alone.
const Row = memo(function Row({ symbol, tick, error, selected, onSelect, onRemove }) {
  const { ltp, change_percent: change, volume } = tick?.data ?? {};
  const direction = useDirection(ltp);
  const cells = error
    ? h("td", { colSpan: 3, className: "error" }, error.message)
    : [
        h("td", { key: "last", className: `last ${direction}` }, number(ltp)),
        h("td", { key: "change", className: change < 0 ? "down" : "up" }, `${number(change)} %`),
        h("td", { key: "volume" }, number(volume, 0)),
      ];
  return h(
    "tr",
    { "data-symbol": symbol, "aria-selected": selected },
    h("th", { scope: "row" }, h("button", { onClick: () => onSelect(symbol) }, symbol)),
    cells,
    h("td", null, h("button", { "aria-label": `Remove ${symbol}`, onClick: () => onRemove(symbol) }, "×")),
  );
});

function WatchList({ symbols, selected, onSelect, onRemove }) {
  const { ticks, errors, status } = useMarketData(symbols, "Quote");
  const heads = ["Symbol", "Last", "Change", "Volume", ""].map((text) => h("th", { key: text }, text));
  const rows = symbols.map((symbol) =>
    h(Row, {
      key: symbol,
      symbol,
      tick: ticks[symbol],
      error: errors[symbol],
      selected: symbol === selected,
      onSelect,
      onRemove,
    }),
  );
  const look = status === "connected" ? "" : "old";
  return h(
    "table",
    { id: "watch", className: look },
    h("thead", null, h("tr", null, heads)),
    h("tbody", null, rows),
  );
}

function Book({ symbol }) {
  const { ticks } = useMarketData([symbol], "Depth", { depth: LEVELS });
  const { buy = [], sell = [] } = ticks[symbol]?.data.depth ?? {};
  const rows = Array.from({ length: Math.max(buy.length, sell.length) }, (_, level) =>
    h(
      "tr",
      { key: level },
      h("td", null, number(buy[level]?.quantity, 0)),
      h("td", { className: "bid" }, number(buy[level]?.price)),
      h("td", { className: "ask" }, number(sell[level]?.price)),
      h("td", null, number(sell[level]?.quantity, 0)),
    ),
  );
  const heads = ["Quantity", "Bid", "Ask", "Quantity "].map((text) => h("th", { key: text }, text));
  return h(
    "table",
    { id: "book" },
    h("caption", null, symbol),
    h("thead", null, h("tr", null, heads)),
    h("tbody", null, rows),
  );
}

function AddSymbol({ onAdd }) {
  const [text, setText] = useState("");
  const [problem, setProblem] = useState("");
  const submit = (event) => {
    event.preventDefault();
    try {
      onAdd(parseSymbol(text));
      setText("");
      setProblem("");
    } catch (error) {
      setProblem(error.message);
    }
  };
  return h(
    "form",
    { id: "add", onSubmit: submit },
    h("input", {
      value: text,
      "aria-label": "Symbol",
      placeholder: "NSE:ITC",
      onChange: (event) => setText(event.target.value),
    }),
    h("button", null, "Watch"),
    problem && h("p", { role: "alert" }, problem),
  );
}

function App() {
  const [symbols, setSymbols] = useState(["NSE:RELIANCE", "NSE:SBIN", "NSE:INFY", "NSE_INDEX:NIFTY"]);
  const [selected, select] = useState("NSE:RELIANCE");
  const add = (symbol) => setSymbols((held) => (held.includes(symbol) ? held : [...held, symbol]));
  // Made once, as it is given to rows that are memoised.
  const [remove] = useState(() => (symbol) => setSymbols((held) => held.filter((each) => each !== symbol)));
  return h(
    OpenAlgoProvider,
    { url: SERVER, apiKey: API_KEY, format: FORMAT },
    h("header", null, h("h1", null, "Watch-list"), h(Connection)),
    h(WatchList, { symbols, selected, onSelect: select, onRemove: remove }),
    h(AddSymbol, { onAdd: add }),
    h(Book, { symbol: selected }),
  );
}

createRoot(document.getElementById("root")).render(h(StrictMode, null, h(App)));
