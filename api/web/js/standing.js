// How each device stands now: alert, unknown, calm or idle. One rule for list, map and panel.
// Unknown is never shown as calm, and an alert whose sensor fell silent stays an alert.
import { byForemost, mainStreams } from "./quantity.js";

// The API decides by the same rule (api/standing.py); the page needs it as well, because it must go
// on judging while the API cannot be reached: what it shows grows old by itself.

const NOT_EVALUATED = 2;
const FAILED = 4;
const MISSING = 9;
const MOVING_KMH = 3.6; // 1 m/s: slower is a stop
const LIFTED_OUT = "lifted_out_min"; // the derived property that says that probes are in the air
const WATCHING = ["threshold", "rate_of_rise"]; // kinds of rules that raise alerts

const found = new WeakMap(); // the rules of each device, as long as the snapshot lives

/** The rules that apply to a device: of each code the narrowest scope, unless it is switched off. */
export function rulesFor(device, rules) {
  const known = found.get(device);
  if (known?.rules === rules) return known.own;
  const byCode = new Map();
  for (const rule of rules) {
    const covers =
      (!rule.device || rule.device === device.code) &&
      (!rule.site || rule.site === device.site?.code) &&
      (!rule.device_kind || rule.device_kind === device.kind) &&
      // Where a device belongs to no site, the rules of every kind of site watch it.
      (!rule.site_kinds || !device.site || rule.site_kinds.includes(device.site.kind)) &&
      (rule.property === "link" || device.datastreams.some((stream) => stream.property === rule.property));
    const other = byCode.get(rule.code);
    if (covers && (!other || narrowness(rule) > narrowness(other))) byCode.set(rule.code, rule);
  }
  const own = [...byCode.values()].filter((rule) => rule.enabled !== false);
  found.set(device, { rules, own });
  return own;
}

function narrowness(rule) {
  return rule.device ? 2 : rule.site ? 1 : 0;
}

/** Does a rule look at how fast a datastream rises? A contact sensor has no rate to know. */
export function hasRate(device, stream, rules) {
  return rulesFor(device, rules).some(({ kind, property }) => kind === "rate_of_rise" && property === stream.property);
}

/** Datastreams of a device that a rule watches, the foremost first. */
export function watchedStreams(device, rules) {
  const properties = new Set(
    rulesFor(device, rules).filter((rule) => WATCHING.includes(rule.kind)).map((rule) => rule.property),
  );
  return byForemost(device.datastreams.filter((stream) => properties.has(stream.property)));
}

/**
 * The standing of a device.
 *
 * `{device, state, blind, reason, level, alert, alerts, stream, value, rate, time}`; `state` is
 * "alert", "unknown", "calm" or "idle"; `blind` is an alert whose sensor says nothing about now;
 * `reason` says why (a key of words, after "unknown.").
 */
export function standingOf(device, town) {
  const alerts = town.alertsOf(device.code).filter((alert) => !alert.clear);
  // That probes are out of the water is no alert of the water: it makes it unknown.
  const alert = gravest(alerts.filter(({ property }) => property !== LIFTED_OUT));
  const watched = watchedStreams(device, town.rules);
  const stream = device.datastreams.find((one) => one.id === alert?.datastream)
    ?? watched[0] ?? mainStreams(device)[0];
  const reason = whyUnknown(device, watched, town);
  const idle = ["maintenance", "out_of_season"].includes(device.state);
  return {
    device, alert, alerts, reason, stream,
    state: idle ? "idle" : alert ? "alert" : reason ? "unknown" : "calm",
    blind: Boolean(alert && reason),
    level: alert?.level ?? 0,
    value: stream?.latest?.value ?? null,
    rate: stream?.latest?.rate_per_h ?? null,
    time: stream?.latest?.time ?? town.plows.get(device.code)?.time ?? null,
  };
}

/** Does a reading bear out an alert that rests on one steep step? A leaf or a parked car passes. */
export function bearsOut(alert, device, { time, value, flag }, rules) {
  const { levels, direction } = rulesFor(device, rules).find(({ code }) => code === alert.rule)?.params ?? {};
  const reached = levels?.[alert.level - 1];
  if (!reached || value === null || [FAILED, MISSING].includes(flag)) return false;
  if (Date.parse(time) <= Date.parse(alert.unconfirmed)) return false;
  return direction === "falling" ? value < reached.off : value > reached.off;
}

// The highest level; the water before its rate.
function gravest(alerts) {
  const rates = (alert) => Number(alert.rule_kind === "rate_of_rise");
  return [...alerts].sort((a, b) => b.level - a.level || rates(a) - rates(b) || a.id - b.id)[0] ?? null;
}

function whyUnknown(device, watched, town) {
  if (device.state === "quarantined") return "quarantined";
  const link = device.link?.state;
  // A silent beacon may be under water: the API knows who else its network gateway hears.
  if (link === "silent" && town.ahead.get(device.code)?.under_water) return "under_water";
  if (link === "silent" || link === "offline") return link;
  if (link !== "online") {
    const latest = watched.some((stream) => stream.latest);
    return device.link?.last_received || latest || town.plows.has(device.code) ? "link_unknown" : "never_heard";
  }
  if (device.kind === "plow") {
    const fix = town.plows.get(device.code);
    return whyDoubted(fix && { ...fix, value: 0, flag: fix.flag ?? 1 }, device, town.now());
  }
  const own = watched.filter(({ derived }) => !derived);
  if (!own.length) return "no_rule";
  if (watched.some((stream) => isLiftedOut(stream, town.now()))) return "lifted_out";
  for (const stream of own) {
    const doubt = whyDoubted(stream.latest, device, town.now());
    if (doubt) return doubt;
  }
  // What is derived may not be known for days; but once it is, it must not fall behind.
  const behind = watched.some(
    ({ derived, latest }) => derived && latest && ageMs(latest, town.now()) > device.unknown_after_s * 1_000,
  );
  return behind ? "stale" : null;
}

// The value says for how many minutes nothing is told yet.
function isLiftedOut({ property, derived, latest }, now) {
  return property === LIFTED_OUT && derived && latest?.value > 0 && ageMs(latest, now) < latest.value * 60_000;
}

// A clock that runs ahead must not make an old reading look fresh.
function ageMs({ time, received }, now) {
  return now - Math.min(Date.parse(time), received ? Date.parse(received) : Infinity);
}

/** The flag that stands: what was found later speaks over what was given in real time. */
export function flagOf({ flag, revised_flag: revised }) {
  return revised ?? flag;
}

/** Why a newest reading says nothing about now, or null. */
export function whyDoubted(latest, device, now) {
  if (!latest) return "never_seen";
  const { value } = latest;
  const flag = flagOf(latest);
  if (flag === MISSING || value === null || value === undefined) return "missing";
  if (flag === FAILED) return "failed";
  if (flag === NOT_EVALUATED) return "not_evaluated";
  return ageMs(latest, now) > device.unknown_after_s * 1_000 ? "stale" : null;
}

/** "working" (blade down and moving), "deadhead", or "stopped". */
export function plowDoes(fix) {
  if (!fix || !(fix.speed_kmh >= MOVING_KMH)) return "stopped";
  return fix.blade === true ? "working" : "deadhead";
}

/** What needs a person first: highest level, then what rises fastest, then what is oldest. */
export function byNeed(a, b) {
  return (
    b.level - a.level ||
    (b.rate ?? 0) - (a.rate ?? 0) ||
    Date.parse(a.alert?.onset ?? 0) - Date.parse(b.alert?.onset ?? 0)
  );
}

const KINDS = {
  flood: ["flood_contact", "flood_level"],
  ponds: ["pond_probe"],
  snow: ["plow"],
  all: ["flood_contact", "flood_level", "pond_probe", "plow"],
};

/** The standings of one desk's devices. */
export function standingsOf(desk, town) {
  const kinds = KINDS[desk];
  return [...town.devices.values()]
    .filter((device) => kinds.includes(device.kind))
    .map((device) => standingOf(device, town));
}
