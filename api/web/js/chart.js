// The chart of one datastream: observations, what is missing or doubtful, and the rules' levels.
import uPlot from "../vendor/uPlot.esm.js";
import { askAll } from "./api.js";
import { drawLevels, nameLevels } from "./levels.js";
import { shownAs, quantityName } from "./quantity.js";
import { flagOf } from "./standing.js";
import { paint } from "./theme.js";
import { say, shownZone, writeNumber, writeTime } from "./words.js";

const SUSPECT = 3;
const FAILED = 4;
const MISSING = 9;
const RAW_UP_TO = 50_000; // more expected readings than this are asked for in buckets of 10 minutes
const HOUR_S = 3600;
const AXIS_PX = 32;
const PADDING_PX = 17; // uPlot's own, above the highest grid line and its number
const MARK_PX = 4.5; // half a mark's width and height
const EDGE_PX = 28; // a line of words and a mark above it

/** A chart of `stream`, drawn into `element`. `load` fetches, `append` takes live readings. */
export class Chart {
  constructor(element, { town, device, stream, thresholds, height, label }) {
    Object.assign(this, { element, town, device, stream, thresholds, height, label });
    this.shown = shownAs(stream.property, stream.unit);
    this.points = { time: [], value: [], flag: [], low: [], high: [] };
    this.resizer = new ResizeObserver(() => this.fitWidth());
    this.resizer.observe(element);
  }

  /** Fetch the last `hours` and draw them. */
  async load(hours, signal) {
    this.hours = hours;
    const to = this.town.now();
    const from = to - hours * HOUR_S * 1_000;
    const expected = (hours * HOUR_S) / this.device.expected_interval_s;
    this.bucket = expected > RAW_UP_TO ? "10m" : "raw";
    const items = await askAll(
      `${this.town.about.code}/datastreams/${this.stream.id}/observations`,
      { from: new Date(from).toISOString(), to: new Date(to + 60_000).toISOString(), bucket: this.bucket, limit: 10_000 },
      { signal, most: RAW_UP_TO * 2 },
    );
    this.points = { time: [], value: [], flag: [], low: [], high: [] };
    for (const item of items) this.keep(item);
    this.draw();
    return items.length;
  }

  keep(item) {
    const { time, value, flag, low, high } = this.points;
    const at = Date.parse(item.time) / 1_000;
    const raw = this.bucket === "raw";
    time.push(at);
    value.push((raw ? item.value : item.mean) ?? null);
    flag.push(raw ? flagOf(item) : 1);
    low.push(raw ? null : (item.min ?? null));
    high.push(raw ? null : (item.max ?? null));
  }

  /** Take a live reading; late ones come with the next load. */
  append(reading) {
    if (this.bucket !== "raw" || !this.plot) return;
    const at = Date.parse(reading.time) / 1_000;
    if (at <= (this.points.time.at(-1) ?? -Infinity)) return;
    this.keep(reading);
    this.pending ??= requestAnimationFrame(() => {
      this.pending = null;
      this.setData();
    });
  }

  /** Columns for uPlot; a pause longer than the device's silence bound breaks the line. */
  data() {
    const { time, value, flag, low, high } = this.points;
    const gap = this.bucket === "raw" ? this.device.unknown_after_s : 1_500;
    const columns = [[], [], [], []];
    for (let i = 0; i < time.length; i += 1) {
      if (i && time[i] - time[i - 1] > gap) push(columns, time[i - 1] + 1, null, null, null);
      const usable = flag[i] !== FAILED && flag[i] !== MISSING && value[i] !== null;
      push(columns, time[i], usable ? this.scaled(value[i]) : null, this.scaled(low[i]), this.scaled(high[i]));
    }
    return this.bucket === "raw" ? columns.slice(0, 2) : columns;
  }

  scaled(value) {
    return value === null ? null : value * this.shown.factor;
  }

  setData() {
    this.plot.setData(this.data(), false);
    this.plot.setScale("x", this.span());
  }

  span() {
    const to = this.town.now() / 1_000;
    return { min: to - this.hours * HOUR_S, max: to };
  }

  draw() {
    this.plot?.destroy();
    this.element.replaceChildren();
    this.plot = new uPlot(this.options(), this.data(), this.element);
    this.plot.setScale("x", this.span());
    this.plot.root.setAttribute("role", "img");
    this.plot.root.setAttribute("aria-label", this.label);
  }

  options() {
    const axis = {
      stroke: paint("ink-2"),
      grid: { stroke: paint("line"), width: 1 },
      ticks: { stroke: paint("line"), width: 1, size: 4 },
      font: `12px ${getComputedStyle(document.body).fontFamily}`,
    };
    const { digits } = this.shown;
    const raw = this.bucket === "raw";
    const write = (value) => (value === null ? "—" : writeNumber(value, digits));
    return {
      width: this.width(),
      height: this.height,
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1_000), shownZone()),
      cursor: { sync: { key: "panel" }, points: { size: 7 }, drag: { x: false, y: false } },
      legend: { show: true, live: true, markers: { show: false } },
      scales: { y: { range: (plot, min, max) => this.range(min, max) } },
      axes: [
        { ...axis, size: AXIS_PX, space: 64, values: (plot, ticks) => ticks.map((tick) => this.writeTick(tick)) },
        { ...axis, size: 46, space: 34, values: (plot, ticks) => ticks.map((tick) => writeNumber(tick, decimals(ticks))) },
      ],
      series: [
        { label: say("panel.at"), value: (plot, at) => (at === null ? "—" : writeTime(at * 1_000, this.town.now())) },
        {
          label: quantityName(this.stream.property),
          stroke: paint("chart-line"), width: 1.75, spanGaps: false,
          points: { show: (plot) => this.points.time.length < 60, size: 4, fill: paint("chart-line") },
          value: (plot, value) => write(value),
        },
        ...(raw ? [] : [
          { label: say("chart.min"), stroke: "transparent", points: { show: false }, value: (plot, value) => write(value) },
          { label: say("chart.max"), stroke: "transparent", points: { show: false }, value: (plot, value) => write(value) },
        ]),
      ],
      bands: raw ? [] : [{ series: [3, 2], fill: paint("chart-band") }],
      hooks: {
        drawAxes: [(plot) => drawLevels(plot, this.thresholds, this.shown)],
        draw: [(plot) => {
          const marks = this.doubtful(plot);
          nameLevels(plot, this.thresholds, this.shown, marks);
          drawMarks(plot, marks);
        }],
      },
    };
  }

  // Room for the readings and for the first level beyond them: how far is it?
  range(min, max) {
    const values = [min, max].filter((value) => value !== null && Number.isFinite(value));
    const levels = this.thresholds.map(({ value }) => value * this.shown.factor);
    if (!values.length) values.push(0, ...levels);
    let low = Math.min(...values);
    let high = Math.max(...values);
    const reach = Math.max((high - low) * 1.5, Math.abs(high) * 0.25, 10 ** -this.shown.digits * 12);
    for (const level of levels) {
      if (level > high && level - high <= reach) high = level;
      if (level < low && low - level <= reach) low = level;
    }
    const room = Math.max((high - low) * 0.08, 10 ** -this.shown.digits);
    low -= room * (low === 0 ? 0.4 : 1);
    high += room * 1.6;
    // Marks of readings beyond the range lie at its edge: above the words of the highest level.
    const { flag, value } = this.points;
    const beyond = flag.some((one, i) => isDoubtful(one) && value[i] !== null && this.scaled(value[i]) > high);
    const share = EDGE_PX / (this.height - AXIS_PX - PADDING_PX);
    for (const level of beyond ? levels.sort((a, b) => a - b) : []) {
      if (level > low && level <= high) high = Math.max(high, (level - share * low) / (1 - share));
    }
    return [low, high];
  }

  // Where suspect and failed readings lie, at the edge where they are beyond it.
  doubtful({ bbox, valToPos, scales }) {
    const size = MARK_PX * devicePixelRatio;
    const { time, value, flag } = this.points;
    const marks = [];
    for (let i = 0; i < time.length; i += 1) {
      if (!isDoubtful(flag[i]) || value[i] === null || time[i] < scales.x.min || time[i] > scales.x.max) continue;
      const y = valToPos(this.scaled(value[i]), "y", true);
      marks.push({
        x: valToPos(time[i], "x", true),
        y: Math.min(Math.max(y, bbox.top + size), bbox.top + bbox.height - size),
        size,
        failed: flag[i] === FAILED,
      });
    }
    return marks;
  }

  writeTick(seconds) {
    const format = this.hours > 48
      ? { month: "numeric", day: "numeric" }
      : { hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
    return new Intl.DateTimeFormat(document.documentElement.lang, { ...format, timeZone: shownZone() })
      .format(seconds * 1_000);
  }

  width() {
    return Math.max(240, this.element.clientWidth);
  }

  fitWidth() {
    if (this.plot && this.plot.width !== this.width()) this.plot.setSize({ width: this.width(), height: this.height });
  }

  /** Which signs the chart holds, for its legend in words. */
  signs() {
    return {
      suspect: this.points.flag.includes(SUSPECT),
      failed: this.points.flag.includes(FAILED),
      band: this.bucket !== "raw",
      threshold: this.thresholds.length > 0,
    };
  }

  destroy() {
    this.resizer.disconnect();
    if (this.pending) cancelAnimationFrame(this.pending);
    this.plot?.destroy();
  }
}

function isDoubtful(flag) {
  return flag === SUSPECT || flag === FAILED;
}

// Suspect readings as hollow triangles, failed ones as crosses.
function drawMarks({ ctx }, marks) {
  ctx.save();
  ctx.lineWidth = 1.75 * devicePixelRatio;
  for (const { x, y, size, failed } of marks) {
    ctx.strokeStyle = paint(failed ? "failed" : "suspect");
    ctx.beginPath();
    if (failed) {
      ctx.moveTo(x - size, y - size);
      ctx.lineTo(x + size, y + size);
      ctx.moveTo(x + size, y - size);
      ctx.lineTo(x - size, y + size);
    } else {
      ctx.moveTo(x, y - size);
      ctx.lineTo(x + size, y + size);
      ctx.lineTo(x - size, y + size);
      ctx.closePath();
    }
    ctx.stroke();
  }
  ctx.restore();
}

function push(columns, ...row) {
  row.forEach((cell, i) => columns[i].push(cell));
}

/** How many decimals the ticks of an axis need. */
export function decimals(ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : 1;
  return [0, 1, 2].find((digits) => Math.abs(step - Number(step.toFixed(digits))) < 1e-9) ?? 3;
}
