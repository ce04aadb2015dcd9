// How each observed property is written for people: unit, decimals, and rate.
import { knows, say, writeNumber } from "./words.js";

// Street depth is spoken of in centimetres, a river's stage in metres.
const SHOWN = {
  depth_m: { factor: 100, unit: "cm", digits: 0, rateDigits: 0 },
  stage_m: { factor: 1, unit: "m", digits: 2, rateDigits: 2 },
  water_temp_c: { factor: 1, unit: "°C", digits: 1, rateDigits: 1 },
  dissolved_oxygen_mg_l: { factor: 1, unit: "mg/L", digits: 1, rateDigits: 1 },
  ph: { factor: 1, unit: "", digits: 1, rateDigits: 1 },
  temp_change_1h_c: { factor: 1, unit: "°C", digits: 1, rateDigits: 1 },
  temp_change_24h_c: { factor: 1, unit: "°C", digits: 1, rateDigits: 1 },
  ph_swing_24h: { factor: 1, unit: "", digits: 1, rateDigits: 1 },
  ph_off_usual: { factor: 1, unit: "", digits: 1, rateDigits: 1 },
  oxygen_until_sunrise_mg_l: { factor: 1, unit: "mg/L", digits: 1, rateDigits: 1 },
  warm_oxygen_short_mg_l: { factor: 1, unit: "mg/L", digits: 1, rateDigits: 1 },
  warm_ph_excess: { factor: 1, unit: "", digits: 1, rateDigits: 1 },
  total_ammonia_mg_l: { factor: 1, unit: "mg/L", digits: 2, rateDigits: 2 },
  total_ammonia_limit_mg_l: { factor: 1, unit: "mg/L", digits: 2, rateDigits: 2 },
  nh3_n_mg_l: { factor: 1, unit: "mg/L", digits: 3, rateDigits: 3 },
  lifted_out_min: { factor: 1, unit: "min", digits: 0, rateDigits: 0 },
  battery_v: { factor: 1, unit: "V", digits: 2, rateDigits: 2 },
  orp_mv: { factor: 1, unit: "mV", digits: 0, rateDigits: 0 },
};

// What a desk reads first; the rest is in the panel's table of latest values.
const FOREMOST = ["depth_m", "stage_m", "dissolved_oxygen_mg_l", "water_temp_c", "ph"];

/** `{factor, unit, digits, rateDigits}`; an unknown property is shown as it was declared. */
export function shownAs(property, unit = "") {
  return SHOWN[property] ?? { factor: 1, unit, digits: 2, rateDigits: 2 };
}

/** The property's name in the page's language. */
export function quantityName(property) {
  const key = `quantity.${property}`;
  return knows(key) ? say(key) : property;
}

/** "23 cm", or null when there is no value. */
export function writeValue(property, value, unit = "") {
  if (value === null || value === undefined || !Number.isFinite(value)) return null;
  const shown = shownAs(property, unit);
  return withUnit(writeNumber(value * shown.factor, shown.digits), shown.unit);
}

/** A limit as it was set: "2.5 cm", where a reading would be written "3 cm". */
export function writeExactly(property, value, unit = "") {
  const shown = shownAs(property, unit);
  const scaled = Number((value * shown.factor).toPrecision(6));
  const digits = Math.max(shown.digits, (String(scaled).split(".")[1] ?? "").length);
  return withUnit(writeNumber(scaled, digits), shown.unit);
}

/** "+42 cm/h", or null when the rate was not evaluated. */
export function writeRate(property, rate, unit = "") {
  if (rate === null || rate === undefined || !Number.isFinite(rate)) return null;
  const shown = shownAs(property, unit);
  const scaled = rate * shown.factor;
  const text = writeNumber(scaled, shown.rateDigits);
  const sign = scaled > 0 && Number(scaled.toFixed(shown.rateDigits)) !== 0 ? "+" : "";
  return withUnit(sign + text, `${shown.unit}/h`);
}

function withUnit(text, unit) {
  return unit ? `${text}\u202f${unit}` : text;
}

/** Datastreams in the order in which people look at them. */
export function byForemost(streams) {
  const place = ({ property }) => (FOREMOST.includes(property) ? FOREMOST.indexOf(property) : FOREMOST.length);
  return [...streams].sort((a, b) => place(a) - place(b) || a.id - b.id);
}

/** The datastreams of a device that its chart and its row show, in order. */
export function mainStreams(device) {
  const ordered = byForemost(device.datastreams);
  const main = ordered.filter(({ property }) => FOREMOST.includes(property));
  return main.length || device.kind === "plow" ? main : ordered.slice(0, 1);
}
