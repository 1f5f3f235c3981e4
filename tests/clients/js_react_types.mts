// Compiled, never run: the declarations say what the hooks take and give.
import { createElement, type ReactElement } from "react";
import { OpenAlgoClient } from "openalgo-ws-client";
import { OpenAlgoProvider, useConnection, useMarketData } from "openalgo-ws-client/react";

const client = new OpenAlgoClient("ws://127.0.0.1:1");

export function Price(): ReactElement {
  const { ticks, errors, status, error } = useMarketData(["NSE:SBIN"] as const, "Depth", {
    depth: 20,
    throttleMs: 0,
    refreshMs: 250,
    client,
  });
  const price: number | undefined = ticks["NSE:SBIN"]?.data.depth?.buy[0]?.price;
  const why: string | undefined = errors["NSE:SBIN"]?.message ?? error?.code;
  const { feed } = useConnection();
  return createElement("p", null, status, price, why, feed?.status);
}

export const own = createElement(
  OpenAlgoProvider,
  { url: "ws://127.0.0.1:1", apiKey: "key", format: "binary", throttleMs: 0 },
  createElement(Price),
);
export const given = createElement(OpenAlgoProvider, { client }, own, "text");

// @ts-expect-error: it needs a client or an address
export const neither = createElement(OpenAlgoProvider, { apiKey: "key" });

export function Wrong(): ReactElement {
  // @ts-expect-error: there is no such mode
  const { ticks } = useMarketData(["NSE:SBIN"], "Everything");
  // @ts-expect-error: a symbol may have had no value yet
  const price: number = ticks["NSE:SBIN"].data.ltp;
  return createElement("p", null, price);
}
