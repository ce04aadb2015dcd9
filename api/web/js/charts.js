// The charts of a device, side by side in time, with their range, their signs in words and the CSV.
import { address } from "./api.js";
import { Chart } from "./chart.js";
import { el, setText } from "./element.js";
import { mainStreams, quantityName, shownAs } from "./quantity.js";
import { placeName } from "./rows.js";
import { thresholdsOf } from "./ruletext.js";
import { say } from "./words.js";

const RANGES_H = [3, 24, 168];

/** `node` holds them; `load(town, device)` draws, `append(reading)` goes on, `close()` ends. */
export class Charts {
  constructor(hours) {
    this.hours = hours;
    this.charts = [];
    this.ranges = el("div", { class: "ranges", role: "group", "aria-label": say("panel.range") },
      RANGES_H.map((range) => el("button", {
        type: "button", "data-hours": range, "aria-pressed": String(range === hours),
        onclick: () => this.choose(range),
      }, say(`panel.range_${range}`))));
    this.box = el("div", { class: "panel-charts" });
    this.signs = el("p", { class: "chart-signs" });
    this.csv = el("p", { class: "csv" });
    this.node = el("section", { class: "panel-chart" }, this.ranges, this.box, this.signs, this.csv);
  }

  choose(hours) {
    this.hours = hours;
    for (const button of this.ranges.children) {
      button.setAttribute("aria-pressed", String(Number(button.dataset.hours) === hours));
    }
    this.load(this.town, this.device);
  }

  async load(town, device) {
    this.close();
    Object.assign(this, { town, device });
    const streams = mainStreams(device);
    this.abort = new AbortController();
    const { signal } = this.abort;
    this.charts = streams.map((stream) => this.add(stream, streams.length > 1 ? 168 : 250));
    this.showCsv(streams);
    await Promise.all(this.charts.map(async (chart) => {
      try {
        const n = await chart.load(this.hours, signal);
        setText(chart.note, n ? "" : say("chart.nothing"));
        chart.note.hidden = n > 0;
      } catch (error) {
        if (!signal.aborted) setText(chart.note, say("chart.problem", { reason: error.message }));
      }
    }));
    if (!signal.aborted) this.showSigns();
  }

  add(stream, height) {
    const { town, device } = this;
    const box = el("div", { class: "chart" });
    const note = el("p", { class: "quiet chart-note" }, say("chart.loading"));
    this.box.append(el("figure", {}, el("figcaption", {}, withUnit(stream)), box, note));
    const chart = new Chart(box, {
      town, device, stream, height,
      thresholds: thresholdsOf(device, stream, town.rules),
      label: say("chart.label", { place: placeName(device), quantity: quantityName(stream.property) }),
    });
    chart.note = note;
    return chart;
  }

  showSigns() {
    const signs = this.charts.map((chart) => chart.signs());
    const some = (name) => signs.some((sign) => sign[name]);
    const words = [
      some("threshold") && `┄ ${say("chart.threshold")}`,
      some("suspect") && `△ ${say("chart.suspect")}`,
      some("failed") && `× ${say("chart.failed")}`,
      some("band") && say("chart.band"),
      say("chart.gap"),
    ];
    setText(this.signs, words.filter(Boolean).join("　"));
  }

  showCsv(streams) {
    const now = this.town.now();
    const from = new Date(now - this.hours * 3_600_000).toISOString();
    this.csv.replaceChildren(say("panel.csv"), ...streams.flatMap((stream, i) => [
      i ? " / " : "",
      el("a", {
        href: address(`${this.town.about.code}/datastreams/${stream.id}/observations`, {
          from, to: new Date(now).toISOString(), format: "csv",
        }),
        download: `${this.device.code}-${stream.property}.csv`,
      }, quantityName(stream.property)),
    ]));
  }

  /** A live reading: the chart that shows its datastream grows. */
  append(reading) {
    for (const chart of this.charts) if (chart.stream.id === reading.datastream) chart.append(reading);
  }

  close() {
    this.abort?.abort();
    for (const chart of this.charts) chart.destroy();
    this.charts = [];
    this.box.replaceChildren();
  }
}

function withUnit({ property, unit }) {
  const shown = shownAs(property, unit).unit;
  return shown ? `${quantityName(property)} (${shown})` : quantityName(property);
}
