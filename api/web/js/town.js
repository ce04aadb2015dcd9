// One town as the page knows it: a snapshot of the API, kept up to date by its live events.
import { ask } from "./api.js";
import { bearsOut } from "./standing.js";

const ENDED_MS = 24 * 3600_000; // how long ended alerts stay in the list
const TRACK_MS = 120 * 60_000; // how much of a plow's way is drawn
const TRACK_GAP_MS = 120_000; // a longer pause between two fixes is not joined by a line

/**
 * `devices` by code, `alerts` by id, `plows` (last fix) and `tracks` (parts of a way) by device.
 * After each change `onChange(codes)` is called with the codes it touched, or null for all.
 */
export class Town {
  constructor(about, onChange) {
    this.about = about;
    this.onChange = onChange;
    this.devices = new Map();
    this.alerts = new Map();
    this.plows = new Map();
    this.tracks = new Map();
    this.rules = [];
    this.labels = [];
    this.ahead = new Map(); // device code to {forecast, crew, under_water}
    this.streams = new Map(); // datastream id to {device, stream}
    this.byDevice = new Map(); // device code to the ids of its alerts
    this.strangers = false; // an event named a device that the snapshot did not have
    this.clockAhead = 0; // the server's clock minus this one's, in ms
  }

  /** Now, by the server's clock: a terminal's clock may be wrong. */
  now() {
    return Date.now() + this.clockAhead;
  }

  /** Load everything again. Nothing of the old snapshot survives. */
  async load() {
    const code = this.about.code;
    const [devices, open, ended, plows, tracks, rules] = await Promise.all([
      ask(`${code}/devices`),
      ask(`${code}/alerts`, { state: "open", limit: 1000 }),
      ask(`${code}/alerts`, { state: "ended", limit: 100 }),
      ask(`${code}/map/plows`),
      ask(`${code}/map/plows/tracks`, { minutes: TRACK_MS / 60_000 }),
      ask(`${code}/rules`),
    ]);
    this.devices = new Map();
    this.streams = new Map();
    for (const device of listOf(devices)) {
      if (device.state === "retired") continue;
      this.devices.set(device.code, device);
      for (const stream of device.datastreams) this.streams.set(stream.id, { device, stream });
    }
    this.strangers = false;
    this.alerts = new Map();
    this.byDevice = new Map();
    for (const alert of [...listOf(open), ...listOf(ended)]) this.keepAlert(alert);
    this.plows = new Map();
    for (const { geometry, properties } of plows.features) {
      if (!geometry) continue;
      const [lon, lat] = geometry.coordinates;
      this.plows.set(properties.device, { ...properties, lat, lon });
    }
    this.tracks = new Map();
    for (const { geometry, properties } of tracks.features) {
      this.partsOf(properties.device).push({
        blade: properties.blade,
        from: Date.parse(properties.from),
        to: Date.parse(properties.to),
        points: geometry.coordinates.map(([lon, lat]) => [lat, lon]),
      });
    }
    this.rules = listOf(rules);
    this.onChange(null);
  }

  /** Ask what is ahead of the flood sensors: it changes with the clock, so no event says it. */
  async lookAhead() {
    const items = await ask(`${this.about.code}/ahead`);
    this.ahead = new Map(items.map((item) => [item.device, item]));
    this.onChange(null);
  }

  /** Take one live event. */
  take(kind, data) {
    if (data.time && (kind === "hello" || kind === "heartbeat")) {
      this.clockAhead = Date.parse(data.time) - Date.now();
    }
    const touched = {
      reading: () => this.takeReading(data),
      position: () => this.takePosition(data),
      alert: () => this.takeAlert(data),
      link: () => this.takeLink(data),
    }[kind]?.();
    if (touched) this.onChange([touched]);
  }

  takeReading({ datastream, time, received, value, flag, revised_flag: revised, rate_per_h: rate }) {
    const found = this.streams.get(datastream);
    if (!found) return this.meetStranger();
    const { device, stream } = found;
    this.hear(device, received ?? null);
    if (!stream.latest || Date.parse(time) >= Date.parse(stream.latest.time)) {
      stream.latest = { time, received, value, flag, revised_flag: revised ?? null, rate_per_h: rate };
    }
    for (const alert of this.alertsOf(device.code)) {
      if (alert.unconfirmed && alert.datastream === datastream && bearsOut(alert, device, { time, value, flag }, this.rules)) {
        alert.unconfirmed = null;
      }
    }
    return device.code;
  }

  takePosition(fix) {
    const device = this.devices.get(fix.device);
    if (!device) return this.meetStranger();
    this.hear(device, fix.received ?? null);
    const before = this.plows.get(fix.device);
    if (before && Date.parse(before.time) >= Date.parse(fix.time)) return device.code;
    this.plows.set(fix.device, { ...before, ...fix });
    this.lengthenTrack(fix);
    return device.code;
  }

  // As the API splits (api/tracks.py): at gaps, and where the blade moved; the stretch on which
  // it moved belongs to the position it had before.
  lengthenTrack(fix) {
    const parts = this.partsOf(fix.device);
    const time = Date.parse(fix.time);
    const gap = Math.max(TRACK_GAP_MS, 4_000 * this.devices.get(fix.device).expected_interval_s);
    const point = [fix.lat, fix.lon];
    const last = parts.at(-1);
    const joined = last && time - last.to <= gap;
    if (joined) {
      last.points.push(point);
      last.to = time;
    }
    if (!joined || last.blade !== fix.blade) {
      parts.push({ blade: fix.blade, from: time, to: time, points: [point] });
    }
    while (parts.length && parts[0].to < this.now() - TRACK_MS) parts.shift();
  }

  takeAlert(alert) {
    this.keepAlert(alert);
    return alert.device;
  }

  takeLink({ device: code, state, since, last_received: received, reason, router }) {
    const device = this.devices.get(code);
    if (!device) return this.meetStranger();
    device.link = { state, since, last_received: received ?? device.link?.last_received ?? null, reason, router };
    return code;
  }

  /** A message is proof of a link, whatever the last link event said. */
  hear(device, received) {
    const at = received ?? new Date(this.now()).toISOString();
    const link = device.link ?? { state: "online", since: at };
    device.link = link.state === "online"
      ? { ...link, last_received: at }
      : { state: "online", since: at, last_received: at };
  }

  /** A device was added after the snapshot: the page loads a new one in its own time. */
  meetStranger() {
    this.strangers = true;
    return null;
  }

  keepAlert(alert) {
    const ids = this.byDevice.get(alert.device) ?? new Set();
    this.byDevice.set(alert.device, ids);
    const old = alert.clear && Date.parse(alert.clear) < this.now() - ENDED_MS;
    if (old || alert.withdrawn || alert.merged_into) {
      this.alerts.delete(alert.id);
      ids.delete(alert.id);
    } else {
      this.alerts.set(alert.id, alert);
      ids.add(alert.id);
    }
  }

  /** Forget what left the 24 hours of the list. */
  prune() {
    for (const alert of [...this.alerts.values()]) this.keepAlert(alert);
  }

  partsOf(code) {
    if (!this.tracks.has(code)) this.tracks.set(code, []);
    return this.tracks.get(code);
  }

  /** Alerts of a device, open ones first, then by level and onset. */
  alertsOf(code) {
    return [...(this.byDevice.get(code) ?? [])]
      .map((id) => this.alerts.get(id))
      .sort((a, b) => Boolean(a.clear) - Boolean(b.clear) || b.level - a.level
        || Date.parse(b.onset) - Date.parse(a.onset));
  }
}

function listOf(answer) {
  return Array.isArray(answer) ? answer : answer.items;
}
