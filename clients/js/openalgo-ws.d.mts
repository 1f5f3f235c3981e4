/** What a client may hold of a symbol. */
export type Mode = "LTP" | "Quote" | "Depth";

/** A price level of a book. */
export interface Level {
  price: number;
  quantity: number;
  orders?: number;
}

/** What is known of an instrument: prices as numbers, times in epoch milliseconds. */
export interface MarketData {
  ltp?: number;
  ltt?: number;
  timestamp?: number;
  open?: number;
  high?: number;
  low?: number;
  close?: number;
  volume?: number;
  last_trade_quantity?: number;
  avg_trade_price?: number;
  total_buy_quantity?: number;
  total_sell_quantity?: number;
  oi?: number;
  upper_circuit?: number;
  lower_circuit?: number;
  bid_price?: number;
  bid_size?: number;
  ask_price?: number;
  ask_size?: number;
  change?: number;
  change_percent?: number;
  depth?: { buy: Level[]; sell: Level[] };
}

/** A record of a binary message; `mode` is 1 (LTP), 2 (Quote) or 3 (Depth). */
export interface BinaryRecord {
  id: number;
  mode: number;
  snapshot: boolean;
  data: MarketData;
}

export interface Tick {
  symbol: string;
  exchange: string;
  broker: string;
  mode: number;
  snapshot: boolean;
  data: MarketData;
}

/** A message of the protocol, or a part of one, as the server sent it. */
export interface Message {
  [field: string]: unknown;
}

/** Where a client is: "connected" includes the authentication. */
export type Status = "closed" | "connecting" | "connected" | "reconnecting" | "refused";

/** The answer for one symbol of a subscribe request. */
export interface Subscription extends Message {
  symbol: string;
  exchange: string;
  status: string;
  mode: Mode;
}

export interface Problem extends Message {
  code?: string;
  message?: string;
}

/** What the listeners of each event are given. */
export interface Events {
  status: { status: Status };
  open: Record<string, never>;
  authenticated: { user_id: string; broker: string };
  refused: { code: string; message: string };
  subscribed: Subscription;
  failed: Subscription & { code: string; message: string };
  tick: Tick;
  notice: Message;
  order: Message;
  reply: Message;
  error: Problem;
  close: { code: number; reason: string };
}

/** The part of a WebSocket that the client uses. */
export interface SocketLike {
  binaryType: string;
  onopen: ((event: any) => void) | null;
  onmessage: ((event: any) => void) | null;
  onerror: ((event: any) => void) | null;
  onclose: ((event: any) => void) | null;
  send(data: string): void;
  close(code?: number): void;
}

export interface Options {
  apiKey?: string;
  /** "json" unless given. */
  format?: "json" | "binary";
  /** The server's default unless given. */
  throttleMs?: number;
  /** Whether the feed's state is told; true unless given. */
  notices?: boolean;
  /** Milliseconds before the first, and at most before any attempt; [1000, 30000] unless given. */
  backoffMs?: [first: number, most: number];
  /** Milliseconds for a dial, and of silence until the server is asked; 15000 unless given. */
  pingMs?: number;
  /** Milliseconds that a request waits for its reply; 10000 unless given. */
  requestTimeoutMs?: number;
  /** A class to be used instead of the global WebSocket. */
  WebSocket?: new (url: string) => SocketLike;
}

/** The records of a binary message. Throws a RangeError for what is no message of this format. */
export function decode(buffer: ArrayBuffer): BinaryRecord[];

/** "nse:SBIN" → "NSE:SBIN"; a TypeError for what is not of the form EXCHANGE:SYMBOL. */
export function parseSymbol(text: string): string;

/** A request that failed: `code` is one of the protocol's, "TIMEOUT" or "NOT_CONNECTED". */
export class OpenAlgoError extends Error {
  constructor(code: string, message: string);
  code: string;
}

/** One client: holds what is subscribed, over as many connections as it takes. */
export class OpenAlgoClient {
  constructor(url: string, options?: Options);
  /**
   * Calls `listener` with each event of that name; the result is called to end that. An exception in a
   * listener is reported as an uncaught one and keeps nothing from the others.
   */
  on<Name extends keyof Events>(name: Name, listener: (event: Events[Name]) => void): () => boolean;
  /** Makes a connection, and keeps making one until `close`. */
  connect(): void;
  /** Ends the connection for good (until the next `connect`). */
  close(): void;
  get status(): Status;
  /** Whether the present connection is through its authentication. */
  get authenticated(): boolean;
  /**
   * Holds symbols ("NSE:RELIANCE") in a mode ("Quote" unless given), over every new connection too. Throws a
   * TypeError, and holds nothing, if one is malformed.
   */
  subscribe(symbols: readonly string[], options?: { mode?: Mode; depth?: number; throttleMs?: number }): void;
  /** Gives symbols back in a mode, or in all modes; a TypeError as for `subscribe`. */
  unsubscribe(symbols: readonly string[], options?: { mode?: Mode }): void;
  /** Asks for the user's order updates ("order" events), over every new connection too. */
  subscribeOrders(): void;
  /** Ends `subscribeOrders`. */
  unsubscribeOrders(): void;
  /** Sends any other request of the protocol; its reply, or an OpenAlgoError. */
  request(request: Message, options?: { timeoutMs?: number }): Promise<Message>;
}
