// The signs of the map in words.
import { el, svg } from "./element.js";
import { lookOf, svgLook } from "./symbols.js";
import { paint } from "./theme.js";
import { say } from "./words.js";

const NOBODY = { device: { kind: "flood_level" }, state: "calm", alert: null, blind: false };
const LEVELS = [
  ["triangle", "#f2e700", "legend.level_1"],
  ["diamond", "#ff9900", "legend.level_2"],
  ["square", "#ff2800", "legend.level_3"],
  ["octagon", "#a80000", "legend.level_4"],
];

/** Fill the list of signs. */
export function showLegend(list) {
  const alert = (symbol, colour) => ({ ...NOBODY, state: "alert", alert: { symbol, colour } });
  const plow = { ...NOBODY, device: { kind: "plow" } };
  const signs = [
    ...[...LEVELS].reverse().map(([symbol, colour, words]) => [lookOf(alert(symbol, colour)), words]),
    [lookOf({ ...NOBODY, state: "unknown" }), "legend.unknown"],
    [lookOf(NOBODY), "legend.calm"],
    [lookOf({ ...NOBODY, device: { kind: "pond_probe" } }), "legend.pond"],
    [lookOf({ ...NOBODY, state: "idle" }), "legend.idle"],
    [lookOf(plow, { blade: true, course_deg: 0 }), "legend.plow_down"],
    [lookOf(plow, { blade: false, course_deg: 0 }), "legend.plow_up"],
  ];
  list.replaceChildren(
    ...signs.map(([look, words]) => el("li", {}, svgLook(look, 20), say(words))),
    el("li", {}, way(4, null), say("legend.track_down")),
    el("li", {}, way(2, "3 6"), say("legend.track_up")),
  );
}

function way(width, dashes) {
  const path = svg("path", { d: "M0 10h20", stroke: paint("track"), "stroke-width": width, "stroke-dasharray": dashes });
  return svg("svg", { viewBox: "0 0 20 20", width: 20, height: 20, "aria-hidden": "true" }, path);
}
