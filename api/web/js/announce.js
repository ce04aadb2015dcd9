// What a screen reader is told when an alert changes: once, politely; the top levels at once.
import { placeName } from "./rows.js";
import { inLanguage, say } from "./words.js";
import { writeValue } from "./quantity.js";

const AT_ONCE_FROM = 3; // the levels at which somebody must act
const SPOKEN_MS = 1_500; // alerts within this time are said together

/** Says changes of alerts into two live regions. */
export class Announcer {
  constructor({ polite, assertive }) {
    this.regions = { polite, assertive };
    this.levels = new Map();
    this.waiting = { polite: [], assertive: [] };
  }

  /** What stands already is not news. */
  settle(town) {
    this.levels = new Map([...town.alerts.values()].map((alert) => [alert.id, levelOf(alert)]));
  }

  /** What changed while nobody told, such as during a lost connection, is news. */
  catchUp(town) {
    for (const alert of town.alerts.values()) this.tell(alert, town);
  }

  /** Tell an alert if its level rose, or if it ended. */
  tell(alert, town) {
    const device = town.devices.get(alert.device);
    if (!device) return; // added since: it is told once the town was loaded anew
    const before = this.levels.get(alert.id) ?? 0;
    const level = levelOf(alert);
    this.levels.set(alert.id, level);
    if (level === before || (level < before && level > 0)) return;
    // The alert comes before the reading that raised it: the value is looked up when it is said.
    const compose = () => {
      const place = placeName(device);
      const { latest } = device.datastreams.find((stream) => stream.id === alert.datastream) ?? {};
      const text = level === 0
        ? say("announce.cleared", { place })
        : say("announce.raised", {
          place, label: inLanguage(alert.label), value: writeValue(alert.property, latest?.value, alert.unit) ?? "",
        });
      return alert.training || town.about.training ? say("announce.training", { text }) : text;
    };
    this.queue(level >= AT_ONCE_FROM ? "assertive" : "polite", compose);
  }

  queue(manner, compose) {
    this.waiting[manner].push(compose);
    this.timer ??= setTimeout(() => this.speak(), SPOKEN_MS);
  }

  speak() {
    this.timer = null;
    for (const [manner, parts] of Object.entries(this.waiting)) {
      if (parts.length) this.regions[manner].textContent = parts.map((compose) => compose()).join(". ");
      this.waiting[manner] = [];
    }
  }
}

function levelOf(alert) {
  return alert.clear || alert.withdrawn || alert.merged_into ? 0 : alert.level;
}
