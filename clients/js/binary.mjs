// The binary format of market data: reads a message. Layout: docs/protocol.md.

const ABSENT = -(2n ** 63n);
const HEADER = 8;
const FULL = 128;
const LEVEL = 16;
const SNAPSHOT = 1;
/** An eighth, three, five and seven of them in hundredths. */
const EVEN_CENTS = [12, 38, 62, 88];
/** The powers of ten that are exact; ** need not be. */
const POWERS = Array.from({ length: 23 }, (_, scale) => Number(`1e${scale}`));

/**
 * The records of a binary message, as `[{id, mode, snapshot, data}]`. Throws a RangeError for what is no
 * message of this format. `data` is as in JSON: prices are numbers, times epoch milliseconds.
 */
export function decode(buffer) {
  const view = new DataView(buffer);
  if (view.byteLength < HEADER || view.getUint16(0, true) !== 0x414f || view.getUint8(2) !== 1) {
    throw new RangeError("not a message of the binary format, version 1");
  }
  const kind = view.getUint8(3);
  const count = view.getUint16(4, true);
  const size = view.getUint16(6, true);
  const fits = { 1: size === 64, 2: size === FULL, 3: size > FULL && (size - FULL) % (2 * LEVEL) === 0 };
  if (!fits[kind] || view.byteLength !== HEADER + count * size) {
    throw new RangeError("the size is not that of the records announced");
  }
  const records = [];
  for (let at = HEADER; at < view.byteLength; at += size) records.push(readRecord(view, at, kind, size));
  return records;
}

function readRecord(view, at, kind, size) {
  const mode = view.getUint8(at + 4);
  const priceScale = view.getUint8(at + 5);
  const qtyScale = view.getUint8(at + 6);
  const data = {};
  const price = (name, offset) => put(data, name, view.getBigInt64(at + offset, true), priceScale);
  const quantity = (name, offset) => put(data, name, view.getBigInt64(at + offset, true), qtyScale);
  const time = (name, offset) => {
    const microseconds = view.getBigUint64(at + offset, true);
    if (microseconds) data[name] = Number(microseconds) / 1000;
  };
  price("ltp", 16);
  if (kind > 1) time("ltt", 64);
  time("timestamp", 8);
  price("open", 24);
  price("high", 32);
  price("low", 40);
  price("close", 48);
  quantity("volume", 56);
  if (kind > 1) {
    quantity("last_trade_quantity", 120);
    price("avg_trade_price", 72);
    quantity("total_buy_quantity", 80);
    quantity("total_sell_quantity", 88);
    quantity("oi", 96);
    price("upper_circuit", 104);
    price("lower_circuit", 112);
  }
  if (kind === 3) {
    const half = (size - FULL) / 2;
    data.depth = {
      buy: readSide(view, at + FULL, half, priceScale, qtyScale),
      sell: readSide(view, at + FULL + half, half, priceScale, qtyScale),
    };
  }
  if (mode > 1) derive(data);
  return { id: view.getUint32(at, true), mode, snapshot: (view.getUint8(at + 7) & SNAPSHOT) !== 0, data };
}

function readSide(view, start, length, priceScale, qtyScale) {
  const levels = [];
  let known = 0;
  for (let at = start; at < start + length; at += LEVEL) {
    const units = view.getBigInt64(at, true);
    const quantity = view.getUint32(at + 8, true);
    const orders = view.getUint32(at + 12, true);
    const level = { price: scaled(units, priceScale), quantity: scaled(BigInt(quantity), qtyScale) };
    if (orders) level.orders = orders;
    levels.push(level);
    // What is all zero at the end of a side is no level.
    if (units || quantity || orders) known = levels.length;
  }
  levels.length = known;
  return levels;
}

function put(data, name, units, scale) {
  if (units !== ABSENT) data[name] = scaled(units, scale);
}

/** The number that is nearest to units × 10^-scale. */
function scaled(units, scale) {
  const number = Number(units);
  // A quotient of two exact numbers is rounded once; beyond that the decimal text is read.
  if (scale < POWERS.length && Number.isSafeInteger(number)) return number / POWERS[scale];
  return Number(`${units}e-${scale}`);
}

function derive(data) {
  const book = data.depth;
  if (book?.buy[0]?.quantity) [data.bid_price, data.bid_size] = [book.buy[0].price, book.buy[0].quantity];
  if (book?.sell[0]?.quantity) [data.ask_price, data.ask_size] = [book.sell[0].price, book.sell[0].quantity];
  if (data.close && data.ltp !== undefined) {
    const change = data.ltp - data.close;
    data.change = cents(change);
    data.change_percent = cents((change / data.close) * 100);
  }
}

/** Two decimals; a tie goes to the even one, as on the server. */
function cents(value) {
  const rounded = Number(value.toFixed(2));
  // Only an odd number of eighths lies in the middle between two hundredths.
  const size = Math.abs(value);
  if ((size * 8) % 2 !== 1) return rounded;
  const whole = Math.trunc(size);
  return Math.sign(value) * Number(`${whole}.${EVEN_CENTS[Math.trunc((size - whole) * 4)]}`);
}
