// Numbers and elements for people.

export function $(id) {
  return document.getElementById(id);
}

/** An element with a class and a text (never markup: what comes from outside stays text). */
export function make(name, className, text) {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

export function row(...cells) {
  const tr = document.createElement("tr");
  for (const cell of cells) {
    tr.append(cell instanceof Node ? cell : make("td", "", cell));
  }
  return tr;
}

export function number(text) {
  return make("td", "n", text);
}

export function count(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1e7) return `${(value / 1e6).toFixed(1)} M`;
  if (size >= 1e5) return `${(value / 1e3).toFixed(0)} k`;
  return size >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en-IN") : value.toFixed(1);
}

export function millis(value) {
  if (value === null || value === undefined) return "–";
  return value < 10 ? value.toFixed(2) : value.toFixed(0);
}

export function bytes(value) {
  if (value < 1024) return `${value} B`;
  if (value < 1048576) return `${(value / 1024).toFixed(1)} KB`;
  return `${(value / 1048576).toFixed(1)} MB`;
}

export function age(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

const GOOD = new Set(["connected", "live"]);
const BAD = new Set(["auth_failed", "auth failed", "disconnected", "failed", "stale"]);

export function state(text, asleep) {
  const td = make("td");
  const kind = asleep ? "muted" : GOOD.has(text) ? "good" : BAD.has(text) ? "bad" : "warn";
  td.append(make("span", `pill ${kind}`, asleep ? "asleep" : text));
  return td;
}
