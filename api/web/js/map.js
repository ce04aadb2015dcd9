// The map: an offline base drawn from GeoJSON, the devices as canvas marks, the plows' tracks.
/* global L */
import { ask } from "./api.js";
import { drawLook, lookKey, lookOf } from "./symbols.js";
import { paint } from "./theme.js";
import { writeValue } from "./quantity.js";
import { placeName } from "./rows.js";
import { say } from "./words.js";

const NAMES_FROM_ZOOM = 14; // names of calm places would cover each other when further out,
const NAMES_UP_TO = 8; // unless they are few
const LABEL_BOX = [70, 34]; // half width and height in pixels that a mark with its words may need

// A mark is a circle marker with another drawing: hit test and redraw regions are Leaflet's.
const Mark = L.CircleMarker.extend({
  _updateBounds() {
    const [w, h] = LABEL_BOX;
    this._pxBounds = L.bounds(this._point.subtract([w, h]), this._point.add([w, h]));
  },
  _updatePath() {
    if (!this._renderer._drawing || this._empty()) return;
    drawMark(this._renderer._ctx, this._point, this.options);
  },
});

function drawMark(ctx, { x, y }, { look, words, picked, pointed }) {
  ctx.save();
  if (picked || pointed) {
    ctx.beginPath();
    ctx.arc(x, y, look.radius + 6, 0, 2 * Math.PI);
    ctx.lineWidth = picked ? 3.5 : 2;
    ctx.strokeStyle = paint("accent");
    ctx.stroke();
  }
  drawLook(ctx, x, y, look);
  if (words) {
    ctx.font = `600 12px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "top";
    ctx.lineWidth = 4;
    ctx.lineJoin = "round";
    ctx.strokeStyle = paint("map-halo");
    ctx.fillStyle = paint("ink");
    ctx.strokeText(words, x, y + look.radius + 5);
    ctx.fillText(words, x, y + look.radius + 5);
  }
  ctx.restore();
}

/** The map of one town. `onPick(code)` is called when a mark is clicked. */
export class TownMap {
  constructor(element, { onPick }) {
    this.onPick = onPick;
    this.marks = new Map();
    this.ways = new Map();
    this.map = L.map(element, {
      preferCanvas: true,
      attributionControl: false,
      zoomControl: false,
      zoomSnap: 0.25,
      minZoom: 5,
      maxZoom: 19,
      zoomAnimation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      fadeAnimation: false,
    });
    for (const [pane, z] of [["base", 250], ["tracks", 350], ["marks", 450]]) {
      this.map.createPane(pane).style.zIndex = z;
    }
    this.baseRenderer = L.canvas({ pane: "base", padding: 0.5 });
    this.trackRenderer = L.canvas({ pane: "tracks", padding: 0.3 });
    this.markRenderer = L.canvas({ pane: "marks", padding: 0.3, tolerance: 6 });
    this.map.on("moveend", () => this.placeWords());
    // Once a person has moved the map, it stays where they put it.
    for (const event of ["pointerdown", "wheel", "keydown"]) {
      element.addEventListener(event, () => {
        this.moved = true;
      }, { passive: true, capture: true });
    }
    this.addZoom();
  }

  addZoom() {
    this.zoom = L.control.zoom({ position: "topright", zoomInTitle: "+", zoomOutTitle: "−" });
    this.zoom.addTo(this.map);
    this.sayZoom();
  }

  sayZoom() {
    for (const [part, key] of [["in", "map.zoom_in"], ["out", "map.zoom_out"]]) {
      const button = this.zoom.getContainer().querySelector(`.leaflet-control-zoom-${part}`);
      button.title = say(key);
      button.setAttribute("aria-label", say(key));
    }
  }

  /** Show a town's base map and go to where its devices are. Returns the credit line, {ja, en}. */
  async show(town, { tiles_url: tiles, attribution }) {
    const { lat, lon, zoom } = town.about.map;
    this.map.setView([lat, lon], zoom);
    this.moved = false;
    this.tiles?.remove();
    this.base?.remove();
    if (tiles) {
      this.tiles = L.tileLayer(tiles, { pane: "base", maxZoom: 19 }).addTo(this.map);
    }
    const collection = await ask(`${town.about.code}/map/base`);
    this.base = L.geoJSON(collection, {
      pane: "base",
      renderer: this.baseRenderer,
      interactive: false,
      style: (feature) => baseStyle(feature),
      pointToLayer: (feature, at) => L.circleMarker(at, { radius: 2, renderer: this.baseRenderer }),
    }).addTo(this.map);
    this.drawAll(town, new Map());
    this.fit();
    const credit = (text) => [text, attribution].filter(Boolean).join(" / ");
    return { ja: credit(collection.attribution?.ja), en: credit(collection.attribution?.en) };
  }

  /** Fit the marks and ways that are shown. */
  fit() {
    this.moved = false;
    const places = [...this.marks.values()].map((mark) => mark.getLatLng());
    for (const way of this.ways.values()) places.push(...way.getLatLngs());
    if (!places.length) return;
    this.map.fitBounds(L.latLngBounds(places), {
      paddingTopLeft: [32, 36], paddingBottomRight: [52, 64], maxZoom: 17, animate: false,
    });
  }

  /** Bring all marks in line with the standings, a Map from code to standing. */
  drawAll(town, standings) {
    for (const code of [...this.marks.keys()]) {
      if (!standings.has(code)) this.removeMark(code);
    }
    for (const standing of standings.values()) this.draw(town, standing);
    this.placeWords();
    const order = [...this.marks.values()].map(rank).join("");
    if (order !== this.order) this.raise(); // a thousand marks change their order rarely
    this.order = order;
  }

  draw(town, standing) {
    const { device } = standing;
    const fix = town.plows.get(device.code);
    const lat = fix?.lat ?? device.lat ?? device.site?.lat;
    const lon = fix?.lon ?? device.lon ?? device.site?.lon;
    if (!Number.isFinite(lat) || !Number.isFinite(lon)) return this.removeMark(device.code);
    const look = lookOf(standing, fix);
    let mark = this.marks.get(device.code);
    if (!mark) {
      mark = new Mark([lat, lon], { renderer: this.markRenderer, pane: "marks", look });
      mark.on("click", (event) => {
        L.DomEvent.stop(event);
        this.onPick(device.code);
      });
      this.marks.set(device.code, mark);
      mark.standing = standing;
      this.refresh(mark, look);
      return void mark.addTo(this.map);
    }
    mark.standing = standing;
    const before = mark.getLatLng();
    if (before.lat !== lat || before.lng !== lon) mark.setLatLng([lat, lon]);
    this.refresh(mark, look);
  }

  refresh(mark, look) {
    mark.options.look = look;
    mark.options.radius = look.radius;
    mark._radius = look.radius;
    const key = lookKey(look) + mark.options.words;
    if (mark.key === key) return;
    mark.key = key;
    mark.redraw();
  }

  // The value of an alert gives way to other alerts alone, the lower to the higher; other words are
  // written where they cover nothing.
  placeWords() {
    const names = this.map.getZoom() >= NAMES_FROM_ZOOM || this.marks.size <= NAMES_UP_TO;
    const view = this.map.getBounds().pad(0.1);
    const taken = [];
    const bodies = this.bodies(view);
    const byRank = [...this.marks.values()].sort((a, b) => rank(b) - rank(a));
    for (const mark of byRank) {
      const alert = mark.standing.state === "alert";
      const valued = alert && !mark.standing.blind;
      let words = "";
      if (alert) words = valueWords(mark.standing);
      else if (names && view.contains(mark.getLatLng())) words = placeName(mark.standing.device);
      if (words) {
        const box = wordsBox(this.map.latLngToLayerPoint(mark.getLatLng()), words, mark.options.look);
        const covers = (other) => other.intersects(box);
        const hides = (body) => body.mark !== mark && (valued ? body.core : body.box).intersects(box)
          && (!valued || rank(body.mark) >= rank(mark));
        if (taken.some(covers) || bodies.some(hides)) words = "";
        else taken.push(box);
      }
      mark.options.words = words;
      this.refresh(mark, mark.options.look);
    }
  }

  bodies(view) {
    return [...this.marks.values()].filter((mark) => view.contains(mark.getLatLng())).map((mark) => {
      const at = this.map.latLngToLayerPoint(mark.getLatLng());
      const { radius } = mark.options.look;
      const around = (reach) => L.bounds(at.subtract([reach, reach]), at.add([reach, reach]));
      return { mark, box: around(radius), core: around(radius / 2) };
    });
  }

  /** What needs a person lies on top. */
  raise() {
    for (const mark of [...this.marks.values()].sort((a, b) => rank(a) - rank(b))) mark.bringToFront();
  }

  removeMark(code) {
    this.marks.get(code)?.remove();
    this.marks.delete(code);
  }

  /** Draw the ways of the plows: worked parts thick, others thin and dashed. */
  drawTracks(town, shown, picked) {
    const wanted = new Set();
    for (const code of shown) {
      for (const part of town.tracks.get(code) ?? []) {
        if (part.points.length < 2) continue;
        wanted.add(part);
        const faint = picked && picked !== code;
        const opacity = faint ? 0.15 : shadeOf(town.now() - part.to);
        const key = `${part.points.length} ${opacity} ${paint("track")}`;
        const way = this.ways.get(part) ?? this.addWay(part);
        if (way.key === key) continue;
        way.key = key;
        way.setLatLngs(part.points);
        way.setStyle({ ...trackStyle(part.blade), opacity });
      }
    }
    for (const [part, way] of this.ways) {
      if (wanted.has(part)) continue;
      way.remove();
      this.ways.delete(part);
    }
  }

  addWay(part) {
    const way = L.polyline(part.points, {
      renderer: this.trackRenderer, pane: "tracks", interactive: false, ...trackStyle(part.blade),
    }).addTo(this.map);
    this.ways.set(part, way);
    return way;
  }

  /** Ring the picked mark, and bring it into view if it is not. */
  pick(code, { move = true } = {}) {
    this.setRing("picked", code);
    if (!move) return;
    const mark = this.marks.get(code);
    if (mark && !this.map.getBounds().pad(-0.1).contains(mark.getLatLng())) {
      this.map.panTo(mark.getLatLng(), { animate: false });
    }
  }

  /** Ring the mark whose row is under the pointer or has the focus. */
  point(code) {
    this.setRing("pointed", code);
  }

  setRing(ring, code) {
    for (const [one, mark] of this.marks) {
      const on = one === code;
      if (Boolean(mark.options[ring]) === on) continue;
      mark.options[ring] = on;
      mark.redraw();
      if (on) mark.bringToFront();
    }
  }

  /** The element changed its size. */
  resize() {
    this.map.invalidateSize({ animate: false });
    if (this.base && !this.moved) this.fit();
  }

  /** The theme changed: every colour is read again. */
  repaint(town, standings) {
    this.base?.setStyle((feature) => baseStyle(feature));
    for (const mark of this.marks.values()) mark.key = null;
    for (const way of this.ways.values()) way.key = null;
    this.drawAll(town, standings);
  }
}

function rank({ standing: { state, level } }) {
  return { idle: 0, calm: 1, unknown: 2, alert: 3 }[state] + level;
}

function valueWords({ stream, value, blind }) {
  return (stream && !blind && writeValue(stream.property, value, stream.unit)) || say("state.unknown");
}

function wordsBox({ x, y }, words, { radius }) {
  const width = [...words].reduce((sum, sign) => sum + (sign > "\u2e80" ? 12 : 7), 0);
  return L.bounds([x - width / 2, y + radius + 4], [x + width / 2, y + radius + 18]);
}

// What was cleared lately stands out: where it snows, an hour ago is long ago.
function shadeOf(age) {
  return [[20, 0.9], [60, 0.6]].find(([minutes]) => age < minutes * 60_000)?.[1] ?? 0.35;
}

function trackStyle(blade) {
  return blade === true
    ? { color: paint("track"), weight: 4, dashArray: null }
    : { color: paint("track"), weight: 2, dashArray: "3 6" };
}

function baseStyle({ geometry, properties }) {
  const kind = properties?.kind ?? "";
  const area = geometry.type.endsWith("Polygon");
  const line = { fill: false, weight: 1, opacity: 1 };
  if (kind === "river" || kind === "canal") return { ...line, color: paint("map-water"), weight: 2.5, fill: area, fillColor: paint("map-water"), fillOpacity: 1 };
  if (kind === "water" || kind === "pond" || kind === "lake") return { ...line, color: paint("map-water"), fill: area, fillColor: paint("map-water"), fillOpacity: 1 };
  if (kind === "coast") return { ...line, color: paint("map-coast"), weight: 1.5 };
  if (kind === "road") return { ...line, color: paint("map-road"), weight: properties.major ? 5 : 3 };
  if (kind === "rail") return { ...line, color: paint("map-rail"), weight: 2, dashArray: "7 5" };
  if (area) return { color: paint("map-line"), weight: 1, fill: true, fillColor: paint("map-land"), fillOpacity: 1 };
  return { ...line, color: paint("map-line") };
}
