// The live feed of one town: server-sent events with a state that people can see.
// The browser's own reconnecting is not used: after a break the snapshot must be loaded again,
// and how long the data has been old must be known.
import { address } from "./api.js";

const KINDS = ["hello", "reading", "position", "alert", "link", "heartbeat", "reload"];
const SILENCE_MS = 25_000; // the API sends a heartbeat every 10 s: two in a row were missed
const WAITS_MS = [1_000, 2_000, 4_000, 8_000, 10_000];

/**
 * Calls `onEvent(kind, data)` for each event and `onState(feed)` when `feed.state` changes:
 * "connecting" (never yet live), "live", or "lost" since `feed.lastMessage`, by `now()`, the server's
 * clock.
 * `load` is awaited after each hello and reload; events that arrive meanwhile are held back until it
 * is done. A heartbeat that says that the database is away makes the feed "lost" as well: the
 * connection stands, but nothing new can come over it.
 */
export class Feed {
  constructor(town, { load, onEvent, onState, now }) {
    this.town = town;
    this.now = now;
    this.load = load;
    this.onEvent = onEvent;
    this.onState = onState;
    this.state = "connecting";
    this.lastMessage = null;
    this.problem = null; // the API's own sentence, where it gave one
    this.attempt = 0;
    this.onWake = () => document.visibilityState === "visible" && this.check();
    this.onOnline = () => this.retryNow();
  }

  /** Connect, and stay connected until `close`. */
  open() {
    document.addEventListener("visibilitychange", this.onWake);
    window.addEventListener("online", this.onOnline);
    this.watchdog = setInterval(() => this.check(), 1_000);
    this.connect();
  }

  close() {
    document.removeEventListener("visibilitychange", this.onWake);
    window.removeEventListener("online", this.onOnline);
    clearInterval(this.watchdog);
    clearTimeout(this.timer);
    this.source?.close();
    this.closed = true;
  }

  /** Do not wait for the next attempt. */
  retryNow() {
    if (this.state !== "live" && !this.closed) this.connect();
  }

  connect() {
    clearTimeout(this.timer);
    this.source?.close();
    const source = new EventSource(address(`${this.town}/live`));
    this.source = source;
    this.opened = Date.now();
    let held = []; // null once the snapshot stands
    const current = () => this.source === source && !this.closed;

    let loading = false;
    let again = false; // a second reload while the first is under way: its answer may be too old

    const reload = async () => {
      held ??= [];
      again = loading;
      if (loading) return;
      loading = true;
      let loaded = await this.loadOnce(current);
      while (loaded && again) {
        again = false;
        loaded = await this.loadOnce(current);
      }
      loading = false;
      if (!loaded) return;
      const waiting = held;
      held = null;
      for (const [kind, data] of waiting) this.onEvent(kind, data);
      this.attempt = 0;
      this.problem = null;
      this.become("live");
    };

    const receive = async (kind, event) => {
      if (!current()) return;
      const data = event.data ? JSON.parse(event.data) : {};
      const away = data.database === "away";
      this.heard = Date.now();
      if (kind === "hello") this.onEvent(kind, data); // from it on the server's clock is known
      if (!away) this.lastMessage = this.now();
      if (kind === "hello" || kind === "reload") await reload();
      else if (held) held.push([kind, data]);
      else this.onEvent(kind, data);
      if (kind !== "heartbeat" || held) return;
      if (away !== (this.state === "lost")) {
        if (away) this.become("lost");
        else await reload();
      } else {
        this.onState(this);
      }
    };
    for (const kind of KINDS) source.addEventListener(kind, (event) => receive(kind, event));
    source.onerror = () => current() && this.fail();
  }

  async loadOnce(current) {
    try {
      await this.load();
      return current();
    } catch (error) {
      if (current()) {
        this.problem = error.status ? error.message : null;
        this.fail();
      }
      return false;
    }
  }

  check() {
    const since = Math.max(this.heard ?? 0, this.opened ?? 0);
    if (this.source && Date.now() - since > SILENCE_MS) this.fail();
  }

  fail() {
    this.source?.close();
    this.source = null;
    clearTimeout(this.timer);
    const wait = WAITS_MS[Math.min(this.attempt, WAITS_MS.length - 1)];
    this.attempt += 1;
    // A town's terminals all lose the server together: they come back spread over a second.
    this.timer = setTimeout(() => this.connect(), wait + Math.random() * 1_000);
    this.become("lost");
  }

  become(state) {
    this.state = state;
    this.onState(this);
  }
}
