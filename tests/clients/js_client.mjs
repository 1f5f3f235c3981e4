// The JavaScript client against a server:  node js_client.mjs URL API_KEY FORMAT
// Prints the first tick of each mode and a line for each loss, then ticks again after every line of input.
import { createInterface } from "node:readline";
import { OpenAlgoClient } from "../../clients/js/openalgo-ws.mjs";

const [url, apiKey, format] = process.argv.slice(2);
const say = (what) => console.log(JSON.stringify(what));
const client = new OpenAlgoClient(url, { apiKey, format, backoffMs: [50, 200], throttleMs: 0 });
const seen = new Set();

client.on("authenticated", (who) => say({ authenticated: who }));
client.on("refused", (why) => say({ refused: why }));
client.on("failed", (entry) => say({ failed: entry }));
client.on("error", (problem) => say({ error: problem }));
client.on("tick", (tick) => {
  if (tick.snapshot || seen.has(tick.mode)) return;
  seen.add(tick.mode);
  say({ tick });
});
client.on("close", ({ code }) => {
  if (seen.size) say({ closed: code });
  seen.clear();
});
for (const mode of ["LTP", "Quote", "Depth"]) client.subscribe(["NSE:RELIANCE"], { mode });
client.subscribe(["NSE:NOSUCHSHARE"]);
client.connect();

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "close") client.close();
}
