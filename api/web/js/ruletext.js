// Rules in sentences, and the levels that a chart draws.
import { quantityName, writeExactly, writeRate } from "./quantity.js";
import { rulesFor } from "./standing.js";
import { inLanguage, knows, say, writeSpan } from "./words.js";

/** `[{value, label, colour}]` of the threshold rules on a datastream, in its unit. */
export function thresholdsOf(device, stream, rules) {
  return rulesFor(device, rules)
    .filter((rule) => rule.kind === "threshold" && rule.property === stream.property)
    .flatMap((rule) => rule.params.levels.map((level, i) => ({
      value: level.on,
      ...labelOf(rule, i + 1),
    })));
}

/** `{label, colour}` of a level of a rule. */
export function labelOf(rule, level) {
  const found = (rule.labels ?? []).find((one) => one.level === level);
  return { label: found?.label ?? { ja: `${level}`, en: `${level}` }, colour: found?.colour ?? "#888888" };
}

/** The sentences that say what is watched at a device. */
export function ruleSentences(device, rules) {
  return rulesFor(device, rules).flatMap((rule) => sentences(rule, device));
}

function sentences(rule, device) {
  const { kind, property, params } = rule;
  const unit = device.datastreams.find((stream) => stream.property === property)?.unit ?? "";
  const quantity = quantityName(property);
  const write = (value) => writeExactly(property, value, unit);
  if (kind === "threshold") {
    return params.levels.map((level, i) => say(`rule.${params.direction ?? "rising"}`, {
      quantity,
      on: write(level.on),
      off: write(level.off),
      after: level.delay_on_s ? say("rule.after", { duration: writeSpan(level.delay_on_s) }) : "",
      duration: writeSpan(level.delay_off_s ?? 0),
      label: inLanguage(labelOf(rule, i + 1).label),
    }));
  }
  if (kind === "rate_of_rise") {
    return params.limits_per_h.map((limit, i) => say("rule.rate_of_rise", {
      quantity, on: writeRate(property, limit, unit).replace(/^\+/, ""), label: inLanguage(labelOf(rule, i + 1).label),
    }));
  }
  if (kind === "gross_range") {
    const [low, high] = params.sensor_span;
    return [say("rule.gross_range", { quantity, low: write(low), high: write(high) })];
  }
  if (kind === "silence") return [say("rule.silence", { duration: writeSpan(device.unknown_after_s) })];
  return [knows(`rule.${kind}`) ? say(`rule.${kind}`, { quantity }) : say("rule.other", { quantity, kind })];
}
