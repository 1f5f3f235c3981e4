// The page's WebSocket: one connection, dialled again for as long as the page is open.

const FIRST = 500;
const LONGEST = 5000;

export class Connection {
  /** `handlers`: opened(), closed(), message(object). */
  constructor(handlers) {
    this.handlers = handlers;
    this.pause = FIRST;
    this.user = "";
    this.socket = null;
    this.timer = null;
  }

  /** Connect, or connect anew, as this user. */
  dial(user) {
    this.user = user;
    clearTimeout(this.timer);
    const old = this.socket;
    this.socket = null;
    if (old) old.close();
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    const socket = new WebSocket(`${scheme}//${location.host}/api/live?user=${encodeURIComponent(user)}`);
    this.socket = socket;
    socket.onopen = () => {
      this.pause = FIRST;
      this.handlers.opened();
    };
    socket.onmessage = (event) => this.handlers.message(JSON.parse(event.data));
    socket.onclose = () => {
      // Another one has taken its place.
      if (socket !== this.socket) return;
      this.socket = null;
      this.handlers.closed();
      this.timer = setTimeout(() => this.again(), this.pause);
      this.pause = Math.min(this.pause * 2, LONGEST);
    };
  }

  /** The token may have changed meanwhile: a browser doesn't tell a page why a WebSocket was refused. */
  async again() {
    try {
      const answer = await fetch("/api/users", { cache: "no-store" });
      if (answer.status === 401) location.reload();
    } catch {
      // The server is not there; dialling says the same.
    }
    if (this.socket === null) this.dial(this.user);
  }

  send(request) {
    if (this.socket && this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(request));
  }
}
