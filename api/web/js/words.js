// The page's two languages, and how numbers and times are written in them.
// The dictionaries are words/ja.json and words/en.json; a city may edit them.
import { recall, remember } from "./memory.js";

const LANGUAGES = ["ja", "en"];
let language = "ja";
let dictionary = {};
let zone = "Asia/Tokyo";
const formats = new Map();

/** Choose the language (remembered, or the browser's) and load its dictionary. */
export async function loadWords(wanted = recall("language") ?? preferred()) {
  language = LANGUAGES.includes(wanted) ? wanted : "en";
  const answer = await fetch(new URL(`../words/${language}.json`, import.meta.url));
  if (!answer.ok) throw new Error(`words/${language}.json: ${answer.status}`);
  dictionary = await answer.json();
  formats.clear();
  document.documentElement.lang = language;
}

function preferred() {
  const first = (navigator.languages ?? [navigator.language]).find((tag) => /^(ja|en)\b/i.test(tag));
  return first?.slice(0, 2).toLowerCase() ?? "en";
}

/** Change to the other language and remember it. */
export async function switchLanguage() {
  await loadWords(language === "ja" ? "en" : "ja");
  remember("language", language);
}

/** Times are written in the town's zone, wherever the browser is. */
export function useZone(timeZone) {
  zone = timeZone;
  formats.clear();
}

export function shownZone() {
  return zone;
}

/** The text of a key, with `{name}` filled in. A key that is missing shows itself. */
export function say(key, values = {}) {
  const text = dictionary[key] ?? key;
  if (text === key) console.warn(`There are no words for ${key}`);
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** True when the dictionary knows the key. */
export function knows(key) {
  return key in dictionary;
}

/** The text of `{ja, en}` in the page's language, or in the other one where it is empty. */
export function inLanguage(text) {
  if (!text) return "";
  return text[language] || text.ja || text.en || "";
}

/** Fill in every element of the page that names its words. */
export function sayPage(root = document) {
  for (const node of root.querySelectorAll("[data-word]")) node.textContent = say(node.dataset.word);
  for (const node of root.querySelectorAll("[data-word-label]")) {
    node.setAttribute("aria-label", say(node.dataset.wordLabel));
  }
  for (const node of root.querySelectorAll("[data-word-placeholder]")) {
    node.setAttribute("placeholder", say(node.dataset.wordPlaceholder));
  }
}

/** A number with a fixed count of decimals. */
export function writeNumber(value, digits = 0) {
  const format = formatOf(`n${digits}`, () => new Intl.NumberFormat(language, {
    minimumFractionDigits: digits, maximumFractionDigits: digits,
  }));
  // −0 would read as a fall.
  return format.format(Number(value.toFixed(digits)) === 0 ? 0 : value).replace("-", "−");
}

/** A whole number that says which way it goes: +30, −5. */
export function writeSigned(value) {
  const digits = writeNumber(value);
  return Math.round(value) > 0 ? `+${digits}` : digits;
}

/** The order of two names: "Pond 9" comes before "Pond 10". */
export function compareNames(one, other) {
  return formatOf("names", () => new Intl.Collator(language, { numeric: true })).compare(one, other);
}

/** 14:05, with the day before it when that is not today. */
export function writeTime(time, now = Date.now()) {
  const clock = formatOf("clock", () => new Intl.DateTimeFormat(language, {
    timeZone: zone, hour: "2-digit", minute: "2-digit", hourCycle: "h23",
  })).format(time);
  const day = formatOf("day", () => new Intl.DateTimeFormat(language, {
    timeZone: zone, month: "numeric", day: "numeric",
  }));
  const shownDay = day.format(time);
  return shownDay === day.format(now) ? clock : `${shownDay} ${clock}`;
}

/** 14:05:09, for the clock and the last message. */
export function writeClock(time) {
  return formatOf("seconds", () => new Intl.DateTimeFormat(language, {
    timeZone: zone, hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
  })).format(time);
}

/** How long ago, in one unit. */
export function writeAge(ms) {
  const minutes = Math.floor(ms / 60_000);
  if (minutes < 1) return say("age.seconds");
  if (minutes < 60) return say("age.minutes", { n: minutes });
  if (minutes < 48 * 60) return say("age.hours", { n: Math.floor(minutes / 60) });
  return say("age.days", { n: Math.floor(minutes / 1440) });
}

/** How long, in the largest unit that leaves a whole number or one decimal. */
export function writeSpan(seconds) {
  for (const [unit, length] of [["days", 86_400], ["hours", 3_600], ["minutes", 60]]) {
    if (seconds >= length) {
      const n = seconds / length;
      return say(`span.${unit}`, { n: writeNumber(n, Number.isInteger(n) || n >= 10 ? 0 : 1) });
    }
  }
  return say("span.seconds", { n: writeNumber(seconds) });
}

function formatOf(name, make) {
  if (!formats.has(name)) formats.set(name, make());
  return formats.get(name);
}
