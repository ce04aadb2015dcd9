// The picture of a trial: the readings as a band, the levels tried, and when alerts would have stood.
import uPlot from "../vendor/uPlot.esm.js";
import { decimals } from "./chart.js";
import { drawLevels, nameLevels } from "./levels.js";
import { quantityName, shownAs } from "./quantity.js";
import { labelOf } from "./ruletext.js";
import { paint } from "./theme.js";
import { say, shownZone, writeNumber, writeTime } from "./words.js";

const HEIGHT = 240;
const LANE = 16; // of the alerts, above the readings
const SIGNS = { same: "=", changed: "≠", new: "+", gone: "−" }; // colour is never the only signal

export class TrialChart {
  constructor(element, { answer, stream, rows, rule, levels, now }) {
    Object.assign(this, { element, answer, stream, rows, rule, levels, now });
    this.shown = shownAs(stream.property, stream.unit);
    this.plot = new uPlot(this.options(), this.data(), element);
    this.plot.root.setAttribute("role", "img");
    this.plot.root.setAttribute("aria-label", say("trial.picture", { quantity: quantityName(stream.property), n: rows.length }));
    this.resizer = new ResizeObserver(() => this.plot.setSize({ width: this.width(), height: HEIGHT }));
    this.resizer.observe(element);
  }

  data() {
    const scaled = (value) => (value === null ? null : value * this.shown.factor);
    const { series } = this.stream;
    return [
      series.map(({ time }) => Date.parse(time) / 1_000),
      series.map(({ min }) => scaled(min)),
      series.map(({ max }) => scaled(max)),
    ];
  }

  options() {
    const axis = {
      stroke: paint("ink-2"),
      grid: { stroke: paint("line"), width: 1 },
      ticks: { stroke: paint("line"), width: 1, size: 4 },
      font: `12px ${getComputedStyle(document.body).fontFamily}`,
    };
    const write = (plot, value) => (value === null ? "—" : writeNumber(value, this.shown.digits));
    const line = { stroke: paint("chart-line"), width: 1, points: { show: false }, value: write };
    const span = { min: Date.parse(this.answer.since) / 1_000, max: Date.parse(this.answer.until) / 1_000 };
    return {
      width: this.width(),
      height: HEIGHT,
      padding: [LANE + 6, 8, 0, 0],
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), shownZone()),
      cursor: { drag: { x: false, y: false } },
      legend: { show: true, live: true, markers: { show: false } },
      scales: { x: { range: () => [span.min, span.max] }, y: { range: (plot, min, max) => this.range(min, max) } },
      axes: [
        { ...axis, size: 32, space: 56, values: (plot, ticks) => ticks.map((tick) => this.writeDay(tick)) },
        { ...axis, size: 46, space: 34, values: (plot, ticks) => ticks.map((tick) => writeNumber(tick, decimals(ticks))) },
      ],
      series: [
        { label: say("panel.at"), value: (plot, at) => (at === null ? "—" : writeTime(at * 1_000, this.now)) },
        { ...line, label: say("chart.min") },
        { ...line, label: say("chart.max") },
      ],
      bands: [{ series: [2, 1], fill: paint("chart-band") }],
      hooks: {
        drawAxes: [(plot) => drawLevels(plot, this.levels, this.shown)],
        draw: [(plot) => nameLevels(plot, this.levels, this.shown), (plot) => this.drawAlerts(plot)],
      },
    };
  }

  range(min, max) {
    const values = [min, max, ...this.levels.map(({ value }) => value * this.shown.factor)].filter(Number.isFinite);
    const low = Math.min(...values, 0);
    const high = Math.max(...values, 10 ** -this.shown.digits);
    return [low, high + (high - low) * 0.12];
  }

  // A bar for each alert, as long as it stood, with a sign for what the ledger says of it.
  drawAlerts({ ctx, bbox, valToPos }) {
    const ratio = devicePixelRatio;
    const top = bbox.top - (LANE + 2) * ratio;
    const height = LANE * ratio;
    ctx.save();
    ctx.font = `700 ${12 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    let free = -Infinity;
    for (const row of [...this.rows].reverse()) {
      const from = Math.max(bbox.left, valToPos(Date.parse(row.onset) / 1_000, "x", true));
      const until = row.clear ? Date.parse(row.clear) : Date.parse(this.answer.until);
      const to = Math.min(bbox.left + bbox.width, Math.max(valToPos(until / 1_000, "x", true), from + 3 * ratio));
      ctx.globalAlpha = 1;
      ctx.fillStyle = row.standing === "gone" ? "transparent" : labelOf(this.rule, row.peak_level).colour;
      ctx.strokeStyle = paint("ink-2");
      ctx.lineWidth = 1.25 * ratio;
      ctx.setLineDash(row.standing === "gone" ? [3 * ratio, 2 * ratio] : []);
      ctx.fillRect(from, top, to - from, height / 2);
      ctx.strokeRect(from, top, to - from, height / 2);
      const sign = SIGNS[row.standing];
      if (from < free) continue; // signs would cover each other; the table has them all
      ctx.fillStyle = paint("ink");
      ctx.fillText(sign, from, top + height * 0.82);
      free = from + 12 * ratio;
    }
    ctx.restore();
  }

  writeDay(seconds) {
    return new Intl.DateTimeFormat(document.documentElement.lang, { month: "numeric", day: "numeric", timeZone: shownZone() })
      .format(seconds * 1_000);
  }

  width() {
    return Math.max(240, this.element.clientWidth);
  }

  destroy() {
    this.resizer.disconnect();
    this.plot.destroy();
  }
}
