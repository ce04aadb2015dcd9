// A rule tried on what is stored: what would it have raised? Nothing is changed by it; what was tried
// with other levels may be saved after it.
import { askWith } from "./api.js";
import { el, setText } from "./element.js";
import { quantityName, shownAs, writeValue } from "./quantity.js";
import { RuleSave } from "./rulesave.js";
import { labelOf } from "./ruletext.js";
import { rulesFor } from "./standing.js";
import { TrialChart } from "./trialchart.js";
import { inLanguage, say, writeNumber, writeSpan, writeTime } from "./words.js";

const CAN_BE_TRIED = ["threshold", "rate_of_rise"];
const DAYS = [7, 30, 365];
const DAY_MS = 86_400_000;
const SHOWN_ALERTS = 50;

/** The form, and below it the answer. `node` is null where no rule can be tried. */
export class Trial {
  constructor(town, device) {
    Object.assign(this, { town, device });
    this.rules = tryable(device, town.rules);
    this.node = this.rules.length ? this.build() : null;
  }

  /** The town was loaded anew: go on with what stands in the form, if the rules are the same ones. */
  renew(device) {
    const rules = tryable(device, this.town.rules);
    if (!this.node || rules.map(({ code }) => code).join() !== this.rules.map(({ code }) => code).join()) return false;
    Object.assign(this, { device, rules });
    return true;
  }

  build() {
    this.choice = el("select", { id: "trial-rule", onchange: () => this.showLimits() },
      this.rules.map((rule, i) => el("option", { value: i }, `${quantityName(rule.property)} · ${say(`trial.kind.${rule.kind}`)} (${rule.code})`)));
    this.days = el("select", { id: "trial-days" },
      DAYS.map((days) => el("option", { value: days, selected: days === 30 }, say("span.days", { n: days }))));
    this.limits = el("tbody", { oninput: () => this.saving.withdraw() });
    this.limitHead = el("tr");
    this.button = el("button", { type: "submit", class: "tool" }, say("trial.run"));
    this.said = el("p", { class: "trial-said", role: "status" });
    this.result = el("div", { class: "trial-result" });
    this.saving = new RuleSave(this.town, this.device);
    this.showLimits();
    return el("details", { class: "panel-trial" },
      el("summary", {}, el("h3", {}, say("trial.title"))),
      el("p", { class: "quiet" }, say("trial.explain")),
      el("form", { onsubmit: (event) => { event.preventDefault(); this.run(); } },
        el("label", { for: "trial-rule" }, say("trial.rule")), this.choice,
        el("table", {}, el("thead", {}, this.limitHead), this.limits),
        el("label", { for: "trial-days" }, say("trial.days")), this.days,
        this.button),
      this.said, this.result, this.saving.node);
  }

  get rule() {
    return this.rules[Number(this.choice.value)];
  }

  get shown() {
    const stream = this.device.datastreams.find(({ property }) => property === this.rule.property);
    return shownAs(this.rule.property, stream?.unit);
  }

  /** The numbers of the rule as it stands, to be changed. */
  showLimits() {
    const { rule, shown } = this;
    this.saving.withdraw();
    const names = rule.kind === "threshold" ? ["on", "off"] : ["limit"];
    const unit = rule.kind === "threshold" ? shown.unit : `${shown.unit}/h`;
    this.limitHead.replaceChildren(
      el("th", { scope: "col" }, say("trial.level")),
      ...names.map((name) => el("th", { scope: "col" }, `${say(`trial.${name}`)}${unit ? ` (${unit})` : ""}`)));
    const rows = rule.kind === "threshold" ? rule.params.levels.map(({ on, off }) => [on, off]) : rule.params.limits_per_h.map((limit) => [limit]);
    this.limits.replaceChildren(...rows.map((numbers, i) => {
      const label = inLanguage(labelOf(rule, i + 1).label);
      return el("tr", {}, el("th", { scope: "row" }, label), ...numbers.map((number, k) => el("td", {}, el("input", {
        type: "number", step: "any", required: true, value: rounded(number * shown.factor),
        "aria-label": `${label} ${say(`trial.${names[k]}`)}`,
      }))));
    }));
  }

  /** What is asked for: null leaves the rule as it stands, with each datastream's own version. */
  params() {
    const { rule, shown } = this;
    const rows = [...this.limits.rows].map((row) => [...row.querySelectorAll("input")].map((input) => rounded(Number(input.value) / shown.factor)));
    if (rule.kind === "rate_of_rise") {
      const limits = rows.map(([limit]) => limit);
      return same(limits, rule.params.limits_per_h) ? null : { ...rule.params, limits_per_h: limits };
    }
    const levels = rule.params.levels.map((level, i) => ({ ...level, on: rows[i][0], off: rows[i][1] }));
    const before = rule.params.levels.flatMap(({ on, off }) => [on, off]);
    return same(levels.flatMap(({ on, off }) => [on, off]), before) ? null : { ...rule.params, levels };
  }

  async run() {
    const until = this.town.now();
    this.button.disabled = true;
    this.clear();
    this.saving.withdraw();
    setText(this.said, say("trial.running"));
    this.abort = new AbortController();
    const { signal } = this.abort;
    const { rule } = this;
    const params = this.params();
    try {
      this.asked = {
        rule: rule.code, params, device: this.device.code,
        since: new Date(until - Number(this.days.value) * DAY_MS).toISOString(), until: new Date(until).toISOString(),
      };
      const answer = await askWith(`${this.town.about.code}/backtest`, this.asked, { signal });
      setText(this.said, this.summary(answer));
      this.show(answer, rule, params ?? rule.params);
      if (params) this.saving.offer(rule, rule.kind === "threshold" ? { levels: params.levels } : { limits_per_h: params.limits_per_h });
    } catch (error) {
      if (!signal.aborted) setText(this.said, say("trial.refused", { reason: error.message }));
    } finally {
      this.button.disabled = false;
    }
  }

  summary(answer) {
    if (!answer.readings) return say("chart.nothing");
    const parts = [say("trial.summary", { n: answer.alerts.length, readings: writeNumber(answer.readings) })];
    if (answer.rate) {
      parts.push(say("trial.rate", {
        rate: writeNumber(answer.rate.per_sensor_month, 2), low: writeNumber(answer.rate.low, 2), high: writeNumber(answer.rate.high, 2),
      }));
    }
    parts.push(say("trial.compared", { same: answer.same, changed: answer.changed, added: answer.new, gone: answer.gone.length }));
    return parts.join(" ");
  }

  show(answer, rule, params) {
    const levels = rule.kind === "threshold" ? params.levels.map((level, i) => ({ value: level.on, ...labelOf(rule, i + 1) })) : [];
    const rows = [
      ...answer.alerts.map((alert) => ({ ...alert, standing: alert.ledger })),
      ...answer.gone.map((alert) => ({ ...alert, standing: "gone" })),
    ].sort((a, b) => Date.parse(b.onset) - Date.parse(a.onset));
    const stream = answer.datastreams.find(({ series }) => series.length);
    if (stream && answer.readings) {
      const box = el("div", { class: "chart" });
      const keep = el("button", { type: "button", class: "tool", onclick: () => this.savePicture(keep) }, say("trial.save_picture"));
      this.result.append(el("figure", {}, box, el("figcaption", { class: "quiet" }, say("trial.signs"))), keep);
      this.chart = new TrialChart(box, { answer, stream, rows, rule, levels, now: this.town.now() });
    }
    if (!rows.length) return;
    const head = ["onset", "lasted", "peak", "ledger"].map((key) => el("th", { scope: "col" }, say(`trial.${key}`)));
    this.result.append(el("table", { class: "trial-alerts" },
      el("caption", {}, say(rows.length > SHOWN_ALERTS ? "trial.newest" : "trial.alerts", { n: SHOWN_ALERTS })),
      el("thead", {}, el("tr", {}, head)),
      el("tbody", {}, rows.slice(0, SHOWN_ALERTS).map((row) => this.rowOf(row, rule, stream)))));
  }

  /** The same as a picture for paper, drawn by the server. */
  async savePicture(button) {
    const { asked } = this;
    button.disabled = true;
    try {
      const picture = await askWith(`${this.town.about.code}/backtest`, asked, { query: { format: "svg" }, read: "blob" });
      const href = URL.createObjectURL(picture);
      el("a", { href, download: `${asked.device}-${asked.rule}.svg` }).click();
      URL.revokeObjectURL(href);
    } catch (error) {
      setText(this.said, say("trial.refused", { reason: error.message }));
    } finally {
      button.disabled = false;
    }
  }

  rowOf(row, rule, stream) {
    const label = inLanguage(labelOf(rule, row.peak_level).label);
    const peak = writeValue(rule.property, row.peak_value, stream?.unit) ?? "—";
    const lasted = row.clear ? writeSpan((Date.parse(row.clear) - Date.parse(row.onset)) / 1_000) : say("trial.not_over");
    return el("tr", {},
      el("td", {}, writeTime(Date.parse(row.onset), this.town.now())),
      el("td", {}, lasted),
      el("td", {}, `${peak} ${label}`),
      el("td", {}, say(`trial.standing.${row.standing}`)));
  }

  clear() {
    this.chart?.destroy();
    this.chart = null;
    this.result.replaceChildren();
  }

  close() {
    this.abort?.abort();
    if (this.node) this.clear();
  }
}

// Values before their rate of rise.
function tryable(device, rules) {
  const order = ({ kind }) => CAN_BE_TRIED.indexOf(kind);
  return rulesFor(device, rules).filter((rule) => order(rule) >= 0).sort((a, b) => order(a) - order(b));
}

// Metres to centimetres and back leave no 30.000000000000004.
function rounded(number) {
  return Number(number.toPrecision(12));
}

function same(some, others) {
  return some.length === others.length && some.every((number, i) => rounded(number) === rounded(others[i]));
}
