// The panel of what is picked: how it stands, its charts, values, alerts and rules.
import { ask } from "./api.js";
import { Charts } from "./charts.js";
import { crewWords, forecastWords } from "./ahead.js";
import { el, setText } from "./element.js";
import { byForemost, quantityName, writeRate, writeValue } from "./quantity.js";
import { lastReceived, peakWords, placeName, plowMotion, plowWords, standingWords } from "./rows.js";
import { ruleSentences } from "./ruletext.js";
import { flagOf, hasRate, standingOf } from "./standing.js";
import { lookOf, svgLook } from "./symbols.js";
import { Trial } from "./trial.js";
import { inLanguage, knows, say, writeAge, writeNumber, writeSigned, writeSpan, writeTime } from "./words.js";

const SHOWN_ALERTS_MS = 7 * 86_400_000;

/** `open(town, code)`, `update()` after each change, `close()`; `onClose()` when a person closes. */
export class Panel {
  constructor(element, { onClose }) {
    this.element = element;
    this.onClose = onClose;
    element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") onClose();
    });
  }

  /**
   * Show a device; with `focus` the keyboard goes to the panel's title. `again` shows the one that is
   * there as it is now, and leaves a person where they are.
   */
  open(town, code, { focus = false, again = false } = {}) {
    const device = town.devices.get(code);
    const scroll = again ? this.element.scrollTop : 0;
    const focused = this.element.contains(document.activeElement) ? document.activeElement : null;
    const trial = again && device && this.trial?.renew(device) ? this.trial : null;
    if (trial) this.trial = null; // not to be closed
    this.release();
    if (!device) return this.hide();
    this.town = town;
    this.code = code;
    this.trial = trial ?? new Trial(town, device);
    this.build(device);
    this.element.hidden = false;
    this.element.scrollTop = scroll;
    if (focused && again) (this.element.contains(focused) ? focused : this.title).focus({ preventScroll: true });
    if (focus) this.title.focus({ preventScroll: true });
    if (device.kind !== "plow") this.charts.load(town, device);
    this.loadAlerts();
  }

  build(device) {
    this.mark = el("span", { class: "panel-mark" });
    this.title = el("h2", { id: "panel-title", tabindex: "-1" }, placeName(device));
    this.training = el("span", { class: "training-mark" }, say("training.mark"));
    const site = device.site ? `${say(`site.${device.site.kind}`)} · ` : "";
    this.state = el("p", { class: "panel-state" });
    this.says = el("p", { class: "panel-says" });
    this.hints = el("ul", { class: "panel-hints" });
    this.values = el("tbody");
    this.link = el("p", { class: "panel-link" });
    this.alerts = el("div", { class: "panel-alerts" }, el("p", { class: "quiet" }, say("chart.loading")));
    this.element.replaceChildren(
      el("header", { class: "panel-head" },
        this.mark,
        el("div", { class: "panel-titles" }, this.title, el("p", { class: "panel-kind" }, `${site}${say(`device.${device.kind}`)}`)),
        el("button", { type: "button", class: "tool panel-close", "aria-label": say("panel.close"), onclick: () => this.onClose() }, "×")),
      el("div", { class: "panel-now" }, this.training, this.state, this.says, this.hints),
      device.kind === "plow" ? this.wayPart() : this.chartPart(device),
      this.latestPart(device),
      el("section", {}, el("h3", {}, say("panel.link")), this.link),
      device.kind === "plow" ? "" : el("section", {}, el("h3", {}, say("panel.alerts")), this.alerts),
      this.rulePart(device),
      this.trial.node ?? "",
      this.sitePart(device),
    );
    this.update();
  }

  chartPart(device) {
    this.charts = new Charts(this.charts?.hours ?? (device.kind === "pond_probe" ? 24 : 3));
    return this.charts.node;
  }

  /** A live reading of the device. */
  append(reading) {
    this.charts?.append(reading);
  }

  latestPart(device) {
    if (!device.datastreams.length) return "";
    const head = ["quantity", "value", "at", "flag"].map((key) => el("th", { scope: "col" }, say(`panel.${key}`)));
    return el("section", { class: "panel-latest" },
      el("table", {}, el("caption", {}, say("panel.latest")), el("thead", {}, el("tr", {}, head)), this.values));
  }

  rulePart(device) {
    const sentences = ruleSentences(device, this.town.rules);
    const body = sentences.length
      ? el("ul", { class: "rules" }, sentences.map((text) => el("li", {}, text)))
      : el("p", { class: "quiet" }, say("panel.rules_none"));
    return el("details", { class: "panel-rules" }, el("summary", {}, el("h3", {}, say("panel.rules"))), body);
  }

  sitePart(device) {
    const facts = [];
    const { site } = device;
    if (site && site.close_at_m !== null && site.close_at_m !== undefined) {
      facts.push(say("panel.close_at", { value: writeValue("depth_m", site.close_at_m) }));
    }
    if (site?.crew_minutes) facts.push(say("panel.crew", { n: site.crew_minutes }));
    facts.push(say("panel.interval", { n: writeSpan(device.expected_interval_s) }));
    facts.push(say("panel.code", { code: device.code }));
    return el("section", {}, el("h3", {}, say("panel.site")), el("p", { class: "quiet" }, facts.join(" · ")));
  }

  wayPart() {
    this.way = el("tbody");
    this.wayNone = el("p", { class: "quiet" }, say("panel.no_track"));
    const head = ["at", "duration", "blade"].map((key) => el("th", { scope: "col" }, say(`panel.${key}`)));
    this.wayTable = el("table", {}, el("caption", {}, say("panel.blade_track")), el("thead", {}, el("tr", {}, head)), this.way);
    return el("section", {}, this.wayTable, this.wayNone);
  }

  /** The town changed: bring the words and values up to date. */
  update() {
    if (this.element.hidden && !this.title) return;
    const device = this.town?.devices.get(this.code);
    if (!device) return;
    const { town } = this;
    const standing = standingOf(device, town);
    const fix = town.plows.get(device.code);
    this.mark.replaceChildren(svgLook(lookOf(standing, fix), 34));
    this.training.hidden = !(town.about.training || standing.alert?.training);
    this.element.dataset.state = standing.state;
    this.element.style.setProperty("--level", standing.alert?.colour ?? "transparent");
    setText(this.state, device.kind === "plow" && standing.state === "calm" ? plowWords(fix) : standingWords(standing));
    setText(this.says, this.explain(standing, fix));
    this.showHints(standing);
    this.showValues(device, standing);
    this.showLink(device);
    if (device.kind === "plow") this.showWay(device);
  }

  explain(standing, fix) {
    const { device, state, stream, value, rate, blind, reason, alert } = standing;
    const parts = [];
    if (blind) parts.push(say("state.alert_unknown"));
    else if (state === "unknown" && knows(`unknown.${reason}`)) parts.push(say(`unknown.${reason}`));
    if (device.kind === "plow") {
      if (state !== "unknown") parts.push(plowMotion(fix));
      return parts.join(" · ");
    }
    const now = stream && !reason && writeValue(stream.property, value, stream.unit);
    if (now) parts.push(`${quantityName(stream.property)} ${now}`);
    if (now && alert && hasRate(device, stream, this.town.rules)) {
      const speed = writeRate(stream.property, rate, stream.unit);
      parts.push(speed ? say("alert.rate", { rate: speed }) : say("alert.no_rate"));
    }
    if (now) parts.push(peakWords(standing, this.town.rules));
    if (alert) {
      const onset = Date.parse(alert.onset);
      parts.push(say("alert.onset", { time: writeTime(onset, this.town.now()), age: writeAge(this.town.now() - onset) }));
    }
    return parts.filter(Boolean).join(" · ");
  }

  // What is ahead, and what speaks against the alert.
  showHints({ device, alert }) {
    const ahead = this.town.ahead.get(device.code);
    const hints = [
      forecastWords(ahead, this.town.now()),
      crewWords(ahead),
      alert?.unconfirmed && `△ ${say("alert.unconfirmed_long")}`,
      ...(alert?.doubts ?? []).map(({ label }) => `△ ${inLanguage(label)}`),
    ].filter(Boolean);
    this.hints.replaceChildren(...hints.map((words) => el("li", {}, words)));
  }

  showValues(device) {
    const now = this.town.now();
    const rowsOf = (derived) => byForemost(device.datastreams).filter((stream) => Boolean(stream.derived) === derived).map((stream) => valueRow(stream, now));
    const derived = rowsOf(true);
    const head = el("tr", {}, el("th", { scope: "colgroup", colspan: 4, class: "quiet" }, say("panel.derived")));
    this.values.replaceChildren(...rowsOf(false), ...(derived.length ? [head, ...derived] : []));
  }

  showLink(device) {
    const { link, unknown_after_s: bound } = device;
    const now = this.town.now();
    const heard = Date.parse(lastReceived(device));
    const parts = [link?.since
      ? say("panel.link_since", { state: say(`link.${link.state}`), time: writeTime(Date.parse(link.since), now) })
      : say("link.unknown")];
    parts.push(Number.isFinite(heard)
      ? say("panel.received", { time: writeTime(heard, now), age: writeAge(now - heard) })
      : say("panel.received_never"));
    if (bound) parts.push(say("rule.silence", { duration: writeSpan(bound) }));
    const { clock } = device;
    if (clock && clock.state !== "right") {
      parts.push(say(`panel.clock.${clock.state}`, {
        offset: writeNumber(Math.abs(clock.offset_s)),
        ahead: writeSigned(clock.offset_s),
        drift: writeSigned(clock.drift_s_per_day ?? 0),
      }));
    }
    if (clock?.last) {
      const last = writeTime(Date.parse(clock.last), now);
      parts.push(say("panel.clock", { suspect: clock.suspect, refused: clock.refused_early + clock.refused_future, last }));
    }
    setText(this.link, parts.join(" · "));
  }

  showWay(device) {
    const parts = [...(this.town.tracks.get(device.code) ?? [])].reverse().filter((part) => part.points.length > 1);
    this.wayTable.hidden = !parts.length;
    this.wayNone.hidden = parts.length > 0;
    this.way.replaceChildren(...parts.slice(0, 12).map((part) => el("tr", {},
      el("td", {}, `${writeTime(part.from, this.town.now())}–${writeTime(part.to, this.town.now())}`),
      el("td", { class: "number" }, writeSpan(Math.max(1, (part.to - part.from) / 1_000))),
      el("td", {}, say(`blade.${part.blade === true ? "down" : part.blade === false ? "up" : "unknown"}`)))));
  }

  /** The course of the device's alerts, newest first. */
  async loadAlerts() {
    const { town, code } = this;
    const recent = town.alertsOf(code).filter(
      (alert) => !alert.clear || Date.parse(alert.clear) > town.now() - SHOWN_ALERTS_MS);
    try {
      const full = await Promise.all(recent.slice(0, 5).map((alert) => ask(`${town.about.code}/alerts/${alert.id}`)));
      if (this.code !== code) return;
      this.alerts.replaceChildren(...(full.length ? full.map((alert) => this.alertTable(alert)) : [el("p", { class: "quiet" }, say("panel.no_alert"))]));
    } catch (error) {
      if (this.code === code) this.alerts.replaceChildren(el("p", { class: "quiet" }, say("chart.problem", { reason: error.message })));
    }
  }

  alertTable(alert) {
    const now = this.town.now();
    const mark = alert.training ? `【${say("training.mark")}】` : "";
    const head = ["at", "change", "value_at"].map((key) => el("th", { scope: "col" }, say(`panel.${key}`)));
    const rows = [...alert.transitions].reverse().map((step) => el("tr", {},
      el("td", {}, writeTime(Date.parse(step.time), now)),
      el("td", {}, step.to_level === 0 ? say("transition.cleared") : inLanguage(step.label), unconfirmed(step)),
      el("td", { class: "number" }, writeValue(alert.property, step.value, alert.unit) ?? "—")));
    const corrected = alert.corrections.at(-1);
    const parts = [quantityName(alert.property), `${alert.rule} ${say("rule.version", { n: alert.rule_version })}`];
    if (corrected) parts.push(say("panel.corrected", { time: writeTime(Date.parse(corrected.said), now) }));
    return el("table", {},
      el("caption", {}, mark + parts.join(" · ")),
      el("thead", {}, el("tr", {}, head)), el("tbody", {}, rows));
  }

  release() {
    this.charts?.close();
    this.trial?.close();
    this.trial = null;
    this.code = null;
  }

  hide() {
    this.release();
    this.title = null;
    this.charts = null;
    this.element.hidden = true;
    this.element.replaceChildren();
  }
}

function valueRow({ property, unit, latest, derived }, now) {
  // What never came, or needs days of readings before it can be computed, is not missing.
  const none = derived && (latest?.value ?? null) === null ? "panel.not_yet" : latest ? null : "unknown.never_seen";
  if (none) {
    return el("tr", {},
      el("th", { scope: "row" }, quantityName(property)), el("td", { colspan: 3, class: "quiet" }, say(none)));
  }
  return el("tr", {},
    el("th", { scope: "row" }, quantityName(property)),
    el("td", { class: "number" }, writeValue(property, latest.value, unit) ?? say("panel.no_value")),
    el("td", {}, writeTime(Date.parse(latest.time), now)),
    el("td", { "data-flag": flagOf(latest) }, flagWords(latest)));
}

function flagWords(latest) {
  const words = say(`flag.${flagOf(latest)}`);
  return latest.revised_flag ? say("flag.revised", { flag: words }) : words;
}

// A leaf or a parked car passes; told at once all the same, since water would stay.
function unconfirmed({ evidence }) {
  return evidence?.unconfirmed ? el("small", { class: "unconfirmed" }, say("transition.unconfirmed")) : null;
}
