// Decodes binary messages: a line of hexadecimal digits in, a line of JSON out (null if it is refused).
import { createInterface } from "node:readline";
import { decode } from "../../clients/js/openalgo-ws.mjs";

for await (const line of createInterface({ input: process.stdin })) {
  let records = null;
  try {
    records = decode(Uint8Array.from(Buffer.from(line, "hex")).buffer);
  } catch (problem) {
    if (!(problem instanceof RangeError)) throw problem;
  }
  console.log(JSON.stringify(records));
}
