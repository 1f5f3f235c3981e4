// A WebSocket as browsers have it (Node has the same since 20.10, behind a flag until 22; otherwise the
// `ws` package) against a server:  node node_client.cjs URL API_KEY
const WebSocketClass = globalThis.WebSocket ?? require("ws");
const [url, key] = process.argv.slice(2);
const end = (code, said) => { console.log(JSON.stringify(said)); process.exit(code); };
setTimeout(() => end(1, { error: "nothing came" }), 20000);

const socket = new WebSocketClass(url);
socket.onerror = (event) => end(1, { error: String(event.message ?? event) });
socket.onopen = () => socket.send(JSON.stringify({ action: "authenticate", api_key: key }));
socket.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message.type === "auth") {
    socket.send(JSON.stringify({ action: "subscribe", symbols: ["NSE:RELIANCE"], mode: "Quote" }));
  } else if (message.type === "market_data") {
    end(0, message);
  }
};
