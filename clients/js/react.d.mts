import type { ReactNode } from "react";
import type { Mode, OpenAlgoClient, Options, Status, Tick } from "./openalgo-ws.mjs";

/** Why something is not to be had; with `symbol` and `exchange` if it is that of one symbol. */
export interface MarketDataProblem {
  readonly code: string;
  readonly message: string;
  readonly symbol?: string;
  readonly exchange?: string;
}

/** What is known of some symbols: the same object until something has changed, and so is each tick in it. */
export interface MarketDataSnapshot {
  /** By "EXCHANGE:SYMBOL"; what has had no value yet is absent. */
  readonly ticks: Readonly<Record<string, Tick | undefined>>;
  /** By "EXCHANGE:SYMBOL". */
  readonly errors: Readonly<Record<string, MarketDataProblem | undefined>>;
  readonly status: Status;
  /** The connection's, or one of a symbol's. */
  readonly error: MarketDataProblem | null;
}

export interface MarketDataOptions {
  /** At least so many levels of the book; 5 unless given. */
  depth?: number;
  /** Milliseconds between two messages of a symbol; the server's default unless given. */
  throttleMs?: number;
  /** Milliseconds between two renders; 0, an animation frame, unless given. */
  refreshMs?: number;
  /** Instead of the provider's. Who made it connects and closes it. */
  client?: OpenAlgoClient;
}

export interface ConnectionSnapshot {
  readonly status: Status;
  readonly error: MarketDataProblem | null;
  /** What the server last told of the user's feed. */
  readonly feed: { readonly broker: string | null; readonly status: string; readonly message: string } | null;
}

export type OpenAlgoProviderProps = { children?: ReactNode } & (
  | { client: OpenAlgoClient; url?: undefined }
  | ({ client?: undefined; url: string } & Pick<Options, "apiKey" | "format" | "throttleMs">)
);

/**
 * Gives a client to the hooks below it: one of its own, connected while it is mounted, or `client`, whose
 * owner connects and closes it.
 */
export function OpenAlgoProvider(props: OpenAlgoProviderProps): ReactNode;

/**
 * The latest ticks of symbols ("NSE:RELIANCE") in a mode ("Quote" unless given). Components that want the same
 * share one subscription.
 */
export function useMarketData(
  symbols: readonly string[],
  mode?: Mode,
  options?: MarketDataOptions,
): MarketDataSnapshot;

/** The state of the connection. */
export function useConnection(options?: { client?: OpenAlgoClient }): ConnectionSnapshot;
