// One row of the list: a device, how it stands in words and shape, and its value now.
import { forecastWords } from "./ahead.js";
import { el, setAttribute, setText } from "./element.js";
import { mainStreams, quantityName, writeRate, writeValue } from "./quantity.js";
import { hasRate, plowDoes, rulesFor, whyDoubted } from "./standing.js";
import { lookKey, lookOf, svgLook } from "./symbols.js";
import { shownTheme } from "./theme.js";
import { inLanguage, knows, say, writeAge, writeNumber, writeTime } from "./words.js";

const HEADINGS = ["n", "ne", "e", "se", "s", "sw", "w", "nw"];

/** What people call the place of a device: its site, or a vehicle's own name. */
export function placeName(device) {
  const site = device.kind === "plow" ? null : device.site;
  return inLanguage(site?.name ?? device.name) || device.code;
}

/** How a standing is said in words, such as the label of the level. */
export function standingWords({ device, state, alert, ended }) {
  if (state === "alert") return inLanguage(alert.label) || say("state.alert");
  if (state === "unknown") return say("state.unknown");
  if (state === "idle") return say(`state.${device.state}`);
  if (ended) return inLanguage(ended.label);
  return say(device.kind === "pond_probe" ? "state.calm_pond" : "state.calm");
}

/** When a device was last heard: its link says so, or, where no link was kept, its readings. */
export function lastReceived({ link, datastreams }) {
  return link?.last_received ?? datastreams.map(({ latest }) => latest?.received ?? "").sort().at(-1) ?? "";
}

/** What a plow does, in words. */
export function plowWords(fix) {
  if (!fix) return say("blade.unknown");
  const blade = fix.blade === true ? "down" : fix.blade === false ? "up" : "unknown";
  return `${say(`plow.${plowDoes(fix)}`)} · ${say(`blade.${blade}`)}`;
}

/** "to the north-east, 24 km/h". */
export function plowMotion(fix) {
  if (!Number.isFinite(fix?.speed_kmh)) return say("speed.unknown");
  const speed = writeNumber(fix.speed_kmh);
  if (plowDoes(fix) === "stopped" || !Number.isFinite(fix.course_deg)) return say("row.speed_only", { speed });
  const heading = say(`heading.${HEADINGS[Math.round(fix.course_deg / 45) % 8]}`);
  return say("row.heading", { heading, speed });
}

/** A row `{node, update, show(standing, context)}` for `reconcile`. */
export function makeRow({ device }, { onPick, onPoint }) {
  const mark = el("span", { class: "row-mark" });
  const training = el("span", { class: "training-mark", hidden: true });
  const ahead = el("span", { class: "row-ahead" });
  const place = el("span", { class: "row-place" });
  const says = el("span", { class: "row-says" });
  const value = el("span", { class: "row-value" });
  const rate = el("span", { class: "row-rate" });
  const meta = el("span", { class: "row-meta" });
  const figures = el("span", { class: "row-figures" });
  const button = el(
    "button",
    {
      type: "button",
      class: "row",
      "data-device": device.code,
      onclick: () => onPick(device.code, button),
      onmouseenter: () => onPoint(device.code),
      onmouseleave: () => onPoint(null),
      onfocus: () => onPoint(device.code),
      onblur: () => onPoint(null),
    },
    mark,
    el("span", { class: "row-main" }, place, says),
    el("span", { class: "row-numbers" }, value, rate),
    figures,
    ahead,
    el("span", { class: "row-last" }, training, meta),
  );
  let drawn = "";
  return {
    node: el("li", {}, button),
    update: () => {},
    show: (standing, { town, picked }) => {
      const fix = town.plows.get(standing.device.code);
      const look = lookOf(standing, fix);
      const key = lookKey(look) + shownTheme();
      if (drawn !== key) {
        mark.replaceChildren(svgLook(look));
        drawn = key;
      }
      setAttribute(button, "data-state", standing.state);
      setAttribute(button, "data-level", standing.level);
      setAttribute(button, "aria-current", picked === standing.device.code ? "true" : null);
      button.style.setProperty("--level", standing.alert?.colour ?? "transparent");
      training.hidden = !(standing.alert?.training || town.about.training) || standing.state !== "alert";
      setText(training, say("training.mark"));
      setText(place, placeName(standing.device));
      const numbers = numbersOf(standing, fix, town.rules);
      setText(says, numbers.says);
      setText(value, numbers.value ?? "");
      setAttribute(value, "data-words", standing.blind ? "" : null);
      setText(rate, numbers.rate ?? "");
      setAttribute(rate, "data-rising", standing.rate > 0 && standing.state === "alert" && numbers.rate?.startsWith("+") ? "" : null);
      setText(ahead, forecastWords(town.ahead.get(standing.device.code), town.now()) ?? "");
      setParts(meta, metaOf(standing, town));
      showFigures(figures, standing, town);
    },
  };
}

function numbersOf(standing, fix, rules) {
  const { device, state, stream, value, blind, reason } = standing;
  if (device.kind === "plow") {
    if (state !== "calm") return { says: unknownWords(standing) };
    return { says: plowWords(fix), value: null, rate: plowMotion(fix) };
  }
  const shown = stream && writeValue(stream.property, value, stream.unit);
  if (state === "alert") {
    if (blind) return { says: `${standingWords(standing)} · ${say(`unknown.${reason}`)}`, value: say("state.unknown") };
    return {
      says: standingWords(standing),
      value: shown,
      rate: peakWords(standing, rules) ?? rateWords(standing, rules),
    };
  }
  if (state === "unknown") return { says: unknownWords(standing) };
  if (device.kind === "pond_probe") return { says: standingWords(standing) };
  return { says: standingWords(standing), value: shown };
}

/** "peak 38 cm" of an open alert whose water fell since, or is below its level: why it is what it is. */
export function peakWords({ device, alert, stream, value, rate }, rules) {
  const peak = alert && writeValue(alert.property, alert.peak_value, alert.unit);
  if (!peak || stream.id !== alert.datastream || peak === writeValue(stream.property, value, stream.unit)) return null;
  const params = paramsOf(alert, device, rules);
  const falling = params?.direction === "falling";
  const worse = falling ? rate < 0 : rate > 0 && !(value < params?.levels?.[alert.level - 1]?.on);
  return worse ? null : sayPeak(alert, device, rules);
}

// What is gravest of a falling quantity, such as oxygen, is its lowest.
function sayPeak(alert, device, rules) {
  const value = writeValue(alert.property, alert.peak_value, alert.unit);
  const falling = paramsOf(alert, device, rules)?.direction === "falling";
  return value && say(falling ? "alert.lowest" : "alert.peak", { value });
}

function paramsOf(alert, device, rules) {
  return rulesFor(device, rules).find(({ code }) => code === alert.rule)?.params;
}

function rateWords({ device, stream, rate }, rules) {
  return hasRate(device, stream, rules) ? (writeRate(stream.property, rate, stream.unit) ?? say("alert.no_rate")) : "";
}

function unknownWords({ device, state, reason }) {
  if (state === "idle") return say(`state.${device.state}`);
  const key = `unknown.${reason}`;
  return knows(key) ? `${say("state.unknown")} · ${say(key)}` : say("state.unknown");
}

function metaOf(standing, town) {
  const { device, state, alert, stream, value, ended, time } = standing;
  const now = town.now();
  const heard = lastReceived(device);
  const received = heard
    ? say("row.received", { time: writeTime(Date.parse(heard), now) })
    : say("panel.received_never");
  const parts = [];
  if (alert && state === "alert") {
    const onset = Date.parse(alert.onset);
    parts.push(say("alert.onset", { time: writeTime(onset, now), age: writeAge(now - onset) }));
    const link = say(`link.${device.link?.state ?? "unknown"}`);
    parts.push(heard ? say("row.link", { link, time: writeTime(Date.parse(heard), now) }) : link);
    if (alert.unconfirmed) parts.push(`△ ${say("alert.unconfirmed")}`);
    if (alert.doubts?.length) parts.push(`△ ${inLanguage(alert.doubts[0].label)}`);
    return parts;
  }
  if (ended) {
    parts.push(say("alert.cleared", { time: writeTime(Date.parse(ended.clear), now) }));
    const peak = sayPeak(ended, device, town.rules);
    return peak ? [...parts, peak] : parts;
  }
  if (state === "unknown") {
    const last = stream && writeValue(stream.property, value, stream.unit);
    if (last && time) parts.push(say("unknown.last", { value: last, time: writeTime(Date.parse(time), now) }));
    parts.push(received);
    return parts;
  }
  return [...parts, say(`link.${device.link?.state ?? "unknown"}`), received];
}

// Parts that stay whole when the line breaks.
function setParts(node, parts) {
  while (node.childElementCount > parts.length) node.lastChild.remove();
  parts.forEach((part, i) => setText(node.children[i] ?? node.appendChild(el("span")), part));
}

// A pond is temperature, oxygen and pH at once, each with its own state in words.
function showFigures(node, standing, town) {
  const { device, alerts, state } = standing;
  if (device.kind !== "pond_probe" || state === "idle") {
    node.hidden = true;
    return;
  }
  node.hidden = false;
  const streams = mainStreams(device);
  while (node.childElementCount > streams.length) node.lastChild.remove();
  streams.forEach((stream, i) => {
    const figure = node.children[i] ?? node.appendChild(
      el("span", { class: "figure" }, el("small"), el("b"), el("i")),
    );
    const alert = alerts.find((one) => one.datastream === stream.id);
    const linkLost = ["silent", "under_water", "offline", "never_heard", "link_unknown", "quarantined"].includes(standing.reason);
    const doubt = linkLost ? standing.reason : whyDoubted(stream.latest, device, town.now());
    const [name, number, words] = figure.children;
    setText(name, quantityName(stream.property));
    setText(number, doubt ? "—" : writeValue(stream.property, stream.latest.value, stream.unit));
    setText(words, alert ? inLanguage(alert.label) : say(doubt ? "state.unknown" : "state.calm_pond"));
    setAttribute(figure, "data-state", alert ? "alert" : doubt ? "unknown" : "calm");
    figure.style.setProperty("--level", alert?.colour ?? "transparent");
  });
}
