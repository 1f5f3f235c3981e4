// Compiled, never run: the declarations say what the client takes and gives.
import { decode, OpenAlgoClient, OpenAlgoError, parseSymbol, type Status } from "openalgo-ws-client";

const client = new OpenAlgoClient("ws://127.0.0.1:1", { apiKey: "key", format: "binary", WebSocket });
const end: () => boolean = client.on("tick", ({ symbol, data }) => `${symbol} ${data.ltp?.toFixed(2)}`);
client.on("refused", ({ message }) => message.length);
client.subscribe(["NSE:SBIN"], { mode: "Depth", depth: 20 });
const first: number | undefined = decode(new ArrayBuffer(8))[0]?.data.depth?.buy[0]?.price;
const status: Status = client.status;
client.on("failed", ({ mode, code }) => `${mode} ${code}`);
client.subscribeOrders();
client.request({ action: "server_info" }, { timeoutMs: 1000 }).then(
  ({ version }) => String(version),
  (problem: unknown) => problem instanceof OpenAlgoError && problem.code.length,
);
export { end, first, status };
export const symbol: string = parseSymbol("nse:SBIN");

// @ts-expect-error: there is no such mode
client.subscribe(["NSE:SBIN"], { mode: "Everything" });
// @ts-expect-error: there is no such event
client.on("tock", () => undefined);
