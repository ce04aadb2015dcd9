// The console: puts the parts of the page together.
import { Announcer } from "./announce.js";
import { ask } from "./api.js";
import { ConnectionView } from "./connection.js";
import { Feed } from "./feed.js";
import { el, reconcile, setAttribute, setText } from "./element.js";
import { showLegend } from "./legend.js";
import { TownMap } from "./map.js";
import { Panel } from "./panel.js";
import { DESKS, addressOf, go, readRoute } from "./route.js";
import { List } from "./sections.js";
import { standingsOf } from "./standing.js";
import { shownTheme, switchTheme } from "./theme.js";
import { Town } from "./town.js";
import { showProblem, showWelcome } from "./welcome.js";
import { inLanguage, loadWords, say, sayPage, switchLanguage, useZone, writeClock } from "./words.js";

const AGE_MS = 5_000; // how often ages are written anew and old values become unknown
const STRANGERS_MS = 20_000; // how soon a device that was added shows up
const AHEAD_MS = 20_000; // how often it is asked what is ahead of the flood sensors
const REST = 9; // after each picture, so many times as long as it took: a large town in a storm
const REST_MOST_MS = 500; // keeps the page busy for a tenth of the time, not for all of it
const CREDIT_FROM = 760; // pixels of map in which the credit is one line
const NARROW = matchMedia("(max-width: 760px)");

const $ = (id) => document.getElementById(id);

class Console {
  constructor() {
    this.list = new List({
      counts: $("counts"),
      sections: $("sections"),
      onPick: (code) => this.pick(code, { focus: true }),
      onPoint: (code) => this.map.point(code),
    });
    this.panel = new Panel($("panel"), { onClose: () => this.pick(null) });
    this.map = new TownMap($("map"), { onPick: (code) => this.pick(code, { focus: NARROW.matches, reveal: true }) });
    this.announcer = new Announcer({ polite: $("say-polite"), assertive: $("say-now") });
    this.connection = new ConnectionView({
      chip: $("connection"), text: $("connection-text"), last: $("connection-last"), banner: $("lost"), bannerText: $("lost-text"),
    });
    this.query = "";
    this.desk = "flood";
    this.picked = null;
    this.rested = 0;
    this.tabs = new Map();
  }

  async start() {
    this.sayAll();
    this.listen();
    setInterval(() => this.showClock(), 1_000);
    setInterval(() => this.age(), AGE_MS);
    setInterval(() => this.lookAhead(), AHEAD_MS);
    await this.findTowns();
  }

  listen() {
    window.addEventListener("hashchange", () => this.follow());
    window.addEventListener("themechange", () => this.repaint());
    $("theme").addEventListener("click", () => switchTheme());
    $("language").addEventListener("click", async () => {
      await switchLanguage();
      this.sayAll();
    });
    $("town-select").addEventListener("change", (event) => go({ town: event.target.value, desk: this.desk }));
    $("search").addEventListener("input", (event) => {
      this.query = event.target.value.trim();
      this.paintNow();
    });
    $("view-switch").addEventListener("click", () => this.showView($("desk").dataset.view === "map" ? "list" : "map"));
    $("lost-retry").addEventListener("click", () => this.feed?.retryNow());
    $("skip").addEventListener("click", (event) => {
      event.preventDefault(); // the address belongs to the route
      $("list").focus();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.picked) this.pick(null);
    });
    new ResizeObserver(() => {
      this.map.resize();
      this.showCredit();
    }).observe($("map"));
  }

  /** Ask which towns there are, until there is one. */
  async findTowns() {
    clearTimeout(this.townTimer);
    try {
      this.towns = await ask("towns");
      if (this.towns.length) {
        $("welcome").hidden = true;
        return this.follow();
      }
      showWelcome($("welcome"));
    } catch (error) {
      showProblem($("welcome"), error, () => this.findTowns());
    }
    $("welcome").hidden = false;
    $("desk").hidden = true;
    this.townTimer = setTimeout(() => this.findTowns(), 5_000);
  }

  /** Show what the address names. */
  follow() {
    const route = readRoute();
    const about = this.towns.find((town) => town.code === route.town) ?? this.towns[0];
    const desk = route.desk ?? "flood";
    const changedDesk = desk !== this.desk;
    this.desk = desk;
    $("desk").hidden = false;
    if (about.code !== this.town?.about.code) return this.enter(about, route.device);
    if (changedDesk) this.showDesk();
    if (route.device !== this.picked) this.showPicked(route.device);
    this.touch();
  }

  /** Go to a town: everything of the one before is dropped. */
  async enter(about, device) {
    this.feed?.close();
    this.panel.hide();
    this.picked = null;
    this.wanted = device;
    useZone(about.time_zone);
    const town = new Town(about, (codes) => town === this.town && this.touch(codes));
    this.town = town;
    this.list.clear();
    this.showTown();
    this.showDesk();
    let first = true;
    const load = async () => {
      await town.load();
      if (town !== this.town) return;
      if (first) this.announcer.settle(town);
      else this.announcer.catchUp(town);
      this.lookAhead();
      if (first) {
        first = false;
        this.mapped = this.showMap(town);
      }
      if (this.picked) this.panel.open(town, this.picked, { again: true }); // what was missed while away
    };
    this.feed = new Feed(about.code, {
      load,
      onEvent: (kind, data) => this.take(kind, data),
      onState: (feed) => feed === this.feed && this.connection.show(feed),
      now: () => town.now(),
    });
    this.connection.show(this.feed);
    this.feed.open();
  }

  async showMap(town) {
    const settings = await ask("console-settings");
    const credit = await this.map.show(town, settings).catch(() => null);
    this.credit = credit;
    this.showCredit();
    this.paintNow();
    this.map.fit();
    if (this.wanted) this.showPicked(this.wanted);
  }

  // A small map has no room for the credit: there one asks for it.
  showCredit() {
    const credit = inLanguage(this.credit);
    $("map-credit").hidden = !credit;
    const wide = $("map").clientWidth > CREDIT_FROM;
    $("map-credit").open = wide;
    $("map-credit").toggleAttribute("data-wide", wide);
    setText($("map-credit-text"), credit ? say("map.credit", { credit }) : "");
  }

  take(kind, data) {
    this.town.take(kind, data);
    if (kind === "reading" && data.device === this.picked) this.panel.append(data);
    if (kind === "alert") {
      this.announcer.tell(data, this.town);
      if (data.device === this.picked) this.panel.loadAlerts();
    }
  }

  /** Something changed: the page is brought up to date soon, once for all changes. */
  touch() {
    this.rest ??= setTimeout(() => {
      this.frame = requestAnimationFrame(() => this.paintNow());
    }, this.rested - performance.now());
  }

  paintNow() {
    clearTimeout(this.rest);
    cancelAnimationFrame(this.frame);
    this.rest = null;
    const { town, desk, picked } = this;
    if (!town) return;
    const began = performance.now();
    const standings = standingsOf(desk, town);
    this.standings = new Map(standings.map((standing) => [standing.device.code, standing]));
    this.list.show({ town, desk, standings, picked, query: this.query });
    if (this.map.base) {
      this.map.drawAll(town, this.standings);
      this.map.drawTracks(town, desk === "snow" || desk === "all" ? this.standings.keys() : [], picked);
      this.map.pick(picked, { move: false });
    }
    if (picked) this.panel.update();
    this.showTitle();
    const now = performance.now();
    this.rested = now + Math.min((now - began) * REST, REST_MOST_MS);
  }

  age() {
    this.town?.prune();
    this.connection.again();
    this.touch();
    if (this.town?.strangers && Date.now() - (this.reloaded ?? 0) > STRANGERS_MS) {
      this.reloaded = Date.now();
      const { town } = this;
      const tell = () => town === this.town && this.announcer.catchUp(town);
      town.load().then(tell, () => {}); // the feed notices an API that is away
    }
  }

  lookAhead() {
    this.town?.lookAhead().catch(() => this.town.ahead.clear()); // an old forecast is none
  }

  /** A person picked a device, or nothing. */
  pick(code, { focus = false, reveal = false } = {}) {
    const before = this.picked;
    this.focusPanel = focus;
    this.reveal = reveal;
    go({ town: this.town.about.code, desk: this.desk, device: code });
    if (!code && before) {
      document.querySelector(`.row[data-device="${CSS.escape(before)}"]`)?.focus();
    }
  }

  showPicked(code) {
    const known = code && this.town.devices.has(code) ? code : null;
    this.picked = known;
    this.wanted = known ? null : this.wanted;
    $("desk").toggleAttribute("data-panel", Boolean(known));
    if (known) this.panel.open(this.town, known, { focus: this.focusPanel });
    else this.panel.hide();
    this.focusPanel = false;
    this.paintNow();
    this.map.resize();
    this.map.pick(known);
    if (known && this.reveal) {
      document.querySelector(`.row[data-device="${CSS.escape(known)}"]`)?.scrollIntoView({ block: "nearest" });
    }
  }

  showDesk() {
    this.list.clear();
    $("sections").scrollTop = 0;
    this.showView(this.desk === "ponds" ? "list" : "both");
    this.showTabs();
    if (this.map.base) {
      this.paintNow();
      this.map.fit();
    }
  }

  showView(view) {
    $("desk").dataset.view = view;
    setText($("view-switch"), say(view === "map" ? "view.list" : "view.map"));
    this.map.resize();
  }

  showTabs() {
    const create = (desk) => {
      const node = el("a", { "data-desk": desk });
      return {
        node,
        update: () => {
          setAttribute(node, "href", addressOf({ town: this.town?.about.code, desk }));
          setAttribute(node, "aria-current", desk === this.desk ? "page" : null);
          setText(node, say(`desk.${desk}`));
        },
      };
    };
    reconcile($("desks"), DESKS, (desk) => desk, this.tabs, create);
  }

  showTown() {
    const { about } = this.town;
    const several = this.towns.length > 1;
    $("town-name").hidden = several;
    setText($("town-name"), inLanguage(about.name));
    $("town-picker").hidden = !several;
    $("town-select").replaceChildren(...this.towns.map((town) => el("option", {
      value: town.code, selected: town.code === about.code,
    }, town.training ? say("training.of", { name: inLanguage(town.name) }) : inLanguage(town.name))));
    $("training").hidden = !about.training;
  }

  showTitle() {
    const { about } = this.town;
    const open = [...this.town.alerts.values()].filter((alert) => !alert.clear).length;
    const training = about.training ? `【${say("training.mark")}】` : "";
    const title = `${open ? `(${open}) ` : ""}${training}${inLanguage(about.name)} ${say(`desk.${this.desk}`)} - ${say("brand.name")}`;
    if (document.title !== title) document.title = title;
  }

  showClock() {
    const now = new Date(this.town?.now() ?? Date.now());
    setText($("clock"), writeClock(now));
    setAttribute($("clock"), "datetime", now.toISOString().slice(0, 19) + "Z");
  }

  /** Every word of the page, in the language that was chosen. */
  sayAll() {
    sayPage();
    setText($("language"), say("language.switch"));
    setAttribute($("language"), "aria-label", say("language.switch_label"));
    setAttribute($("language"), "lang", document.documentElement.lang === "ja" ? "en" : "ja");
    setText($("theme"), say(shownTheme() === "dark" ? "theme.light" : "theme.dark"));
    showLegend($("legend-items"));
    this.map.sayZoom();
    this.showTabs();
    this.showClock();
    if (!this.towns?.length) return;
    this.showTown();
    this.showView($("desk").dataset.view);
    this.list.clear();
    this.showCredit();
    this.connection.again();
    this.paintNow();
    if (this.picked) this.panel.open(this.town, this.picked);
  }

  repaint() {
    setText($("theme"), say(shownTheme() === "dark" ? "theme.light" : "theme.dark"));
    showLegend($("legend-items"));
    if (!this.town || !this.map.base) return;
    this.map.repaint(this.town, this.standings);
    this.list.clear();
    this.paintNow();
    if (this.picked) this.panel.open(this.town, this.picked);
  }
}

await loadWords();
await new Console().start();
