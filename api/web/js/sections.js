// The list beside the map: counts at the top, then sections of rows, what needs a person first.
import { el, reconcile, setText } from "./element.js";
import { makeRow, placeName } from "./rows.js";
import { byNeed, plowDoes } from "./standing.js";
import { compareNames, inLanguage, say } from "./words.js";

const SECTION_OF = { plow_working: "plows_working", plow_deadhead: "plows_working", plow_stopped: "plows_stopped" };
const OPEN_UP_TO = 40; // a longer section of calm places starts folded

/** The list of one desk. `onPick(code)` and `onPoint(code or null)` tell what a person does. */
export class List {
  constructor({ counts, sections, onPick, onPoint }) {
    this.counts = counts;
    this.sections = sections;
    this.onPick = onPick;
    this.onPoint = onPoint;
    this.parts = new Map();
    this.tiles = new Map();
    this.folded = new Map(); // what a person folded or unfolded, by section
  }

  /** Start again: another desk, town or language. */
  clear() {
    for (const map of [this.parts, this.tiles]) map.clear();
    this.counts.replaceChildren();
    this.sections.replaceChildren();
  }

  /** Bring the list in line with the standings of a desk. */
  show({ town, desk, standings, picked, query }) {
    const found = query ? standings.filter((standing) => matches(standing, query)) : standings;
    const sections = sectionsOf(desk, found, town);
    const focused = this.sections.contains(document.activeElement) ? document.activeElement.dataset.device : null;
    this.showCounts(countsOf(desk, standings, town));
    reconcile(
      this.sections,
      sections,
      (section) => section.key,
      this.parts,
      (section) => this.makeSection(section),
    );
    for (const section of sections) this.parts.get(section.key).fill(section, { town, desk, picked });
    this.showNote(noteOf(standings, found, query));
    if (focused && !this.sections.contains(document.activeElement)) this.follow(focused, sections);
  }

  // A row that went to another section takes the focus along, or leaves it with that section's heading.
  follow(code, sections) {
    const row = this.sections.querySelector(`.row[data-device="${CSS.escape(code)}"]`);
    const section = sections.find(({ items }) => items.some(({ device }) => device.code === code)) ?? sections[0];
    (row ?? this.parts.get(section?.key)?.heading)?.focus({ preventScroll: true });
  }

  showCounts(counts) {
    reconcile(this.counts, counts, (count) => count.key, this.tiles, ({ key }) => {
      const number = el("b");
      const words = el("span");
      const node = el("a", { class: `count count-${key}`, href: `#section-${SECTION_OF[key] ?? key}` }, number, words);
      node.addEventListener("click", (event) => {
        event.preventDefault(); // the address belongs to the route
        const part = this.parts.get(SECTION_OF[key] ?? key) ?? this.parts.values().next().value;
        if (!part) return;
        part.open();
        part.node.scrollIntoView({ block: "start" });
        part.heading.focus();
      });
      return {
        node,
        update: ({ n, said }) => {
          setText(number, String(n));
          setText(words, say(`count.${said ?? key}`));
          node.toggleAttribute("data-some", n > 0);
        },
      };
    });
  }

  makeSection({ key }) {
    const words = el("span");
    const count = el("span", { class: "section-count" });
    const heading = el("summary", {}, el("h2", {}, words, " ", count));
    const rows = new Map();
    const list = el("ul", { class: "rows" });
    const note = el("p", { class: "section-note" });
    const node = el("details", { class: `section section-${key}`, id: `section-${key}` }, heading, note, list);
    let section = null;
    let context = null;
    const fillRows = () => {
      // A folded section of a thousand rows costs nothing.
      const items = node.open ? section.items : [];
      reconcile(list, items, (item) => item.device.code, rows, (item) =>
        makeRow(item, { onPick: this.onPick, onPoint: this.onPoint }),
      );
      for (const item of items) rows.get(item.device.code).show(item, context);
    };
    node.addEventListener("toggle", () => {
      if (section) fillRows();
    });
    heading.addEventListener("click", () => this.folded.set(key, node.open));
    return {
      node,
      heading,
      open: () => {
        node.open = true;
      },
      update: () => {},
      fill: (next, nextContext) => {
        section = next;
        context = nextContext;
        const folded = this.folded.get(key);
        node.open = folded === undefined ? next.open : !folded;
        setText(words, say(`section.${key}`));
        setText(count, next.items.length ? String(next.items.length) : "");
        setText(note, next.note ?? "");
        note.hidden = !next.note;
        fillRows();
      },
    };
  }

  showNote(text) {
    this.note ??= el("p", { class: "list-note" });
    setText(this.note, text ?? "");
    if (text) this.sections.append(this.note);
    else this.note.remove();
  }
}

function matches({ device }, query) {
  const text = [device.code, inLanguage(device.name), inLanguage(device.site?.name)].join(" ");
  return text.toLowerCase().includes(query.toLowerCase());
}

function noteOf(standings, found, query) {
  if (!standings.length) return say("list.nothing");
  return found.length || !query ? null : say("list.none_found", { query });
}

function sectionsOf(desk, standings, town) {
  const of = (state) => standings.filter((standing) => standing.state === state);
  const byName = (a, b) => compareNames(placeName(a.device), placeName(b.device));
  if (!standings.length) return [];
  const alerts = of("alert").sort(byNeed);
  const unknown = of("unknown").sort(byName);
  const idle = { key: "idle", items: of("idle").sort(byName), open: false };
  const sections = [{
    key: "alert", items: alerts, open: true,
    note: alerts.length ? null : say("alert.none") + (unknown.length ? ` ${say("alert.none_unknown", { n: unknown.length })}` : ""),
  }];
  const calm = of("calm").sort(byName);
  const unknownSection = { key: "unknown", items: unknown, open: true };
  if (desk === "snow") {
    const moving = calm.filter((one) => plowDoes(town.plows.get(one.device.code)) !== "stopped");
    const stopped = calm.filter((one) => !moving.includes(one));
    if (!alerts.length) sections.pop();
    sections.push(
      { key: "plows_working", items: moving, open: true },
      unknownSection,
      { key: "plows_stopped", items: stopped, open: true },
    );
  } else if (desk === "ponds") {
    // The farmer looks for a pond, not for a state: every pond is one list, trouble first.
    const ponds = [...alerts, ...unknown, ...calm];
    return [{ key: "ponds", items: ponds, open: true }, idle].filter((one) => one.items.length);
  } else {
    sections.push(unknownSection, { key: "calm", items: calm, open: calm.length <= OPEN_UP_TO });
  }
  sections.push({ key: "ended", items: desk === "snow" ? [] : endedOf(standings, town), open: false }, idle);
  return sections.filter((section) => section.items.length || section.note);
}

// Places whose alert ended lately; those with another one open are in the first section.
function endedOf(standings, town) {
  return standings
    .filter((standing) => standing.state !== "alert")
    .map((standing) => ({ ...standing, ended: town.alertsOf(standing.device.code).find((alert) => alert.clear) }))
    .filter((standing) => standing.ended)
    .sort((a, b) => Date.parse(b.ended.clear) - Date.parse(a.ended.clear));
}

function countsOf(desk, standings, town) {
  const n = (state) => standings.filter((standing) => standing.state === state).length;
  const counts = [{ key: "alert", n: n("alert") }, { key: "unknown", n: n("unknown") }];
  if (desk === "snow") {
    const does = (what) => standings.filter((one) => one.state === "calm"
      && plowDoes(town.plows.get(one.device.code)) === what).length;
    return [
      { key: "plow_working", n: does("working") },
      { key: "plow_deadhead", n: does("deadhead") },
      { key: "plow_stopped", n: does("stopped") },
      counts[1],
    ];
  }
  return [...counts, { key: "calm", n: n("calm"), said: desk === "ponds" ? "calm_pond" : "calm" }, { key: "idle", n: n("idle") }];
}
