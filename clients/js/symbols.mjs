// How symbols and modes are written.

/** What a symbol may be held in; a tick's `mode` is the place in here, from 1. */
export const MODES = Object.freeze(["LTP", "Quote", "Depth"]);

/** " nse:SBIN" → "NSE:SBIN"; a TypeError for what is not of the form EXCHANGE:SYMBOL. */
export function parseSymbol(text) {
  const [exchange, ...rest] = String(text).split(":");
  const symbol = rest.join(":").trim();
  if (!exchange.trim() || !symbol) {
    throw new TypeError(`${JSON.stringify(text)} is not of the form EXCHANGE:SYMBOL, such as NSE:RELIANCE`);
  }
  return `${exchange.trim().toUpperCase()}:${symbol}`;
}

/** "depth" → "Depth"; a TypeError for what is no mode. */
export function modeNamed(text) {
  const mode = MODES.find((each) => each.toLowerCase() === String(text).toLowerCase());
  if (!mode) throw new TypeError(`the mode must be one of ${MODES.join(", ")}, not ${JSON.stringify(text)}`);
  return mode;
}
