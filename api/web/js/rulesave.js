// A rule that was tried is saved, for a device, its site or the whole town, with a token of the
// town. The token stands in its field and nowhere else, and is gone once it has served.
import { askWith } from "./api.js";
import { el, setText } from "./element.js";
import { say, writeTime } from "./words.js";

const TOKEN_REFUSED = 401;

/** The form. `offer(rule, params)` shows it, `withdraw()` hides it. */
export class RuleSave {
  constructor(town, device) {
    Object.assign(this, { town, device });
    const places = ["device", ...(device.site ? ["site"] : []), "town"];
    this.where = el("select", { id: "save-where" }, places.map((place) => el("option", { value: place }, say(`save.${place}`))));
    this.token = el("input", {
      id: "save-token", type: "password", required: true, autocomplete: "off", autocapitalize: "off", spellcheck: "false",
    });
    this.button = el("button", { type: "submit", class: "tool" }, say("save.run"));
    this.form = el("form", { onsubmit: (event) => { event.preventDefault(); this.save(); } },
      el("h4", {}, say("save.title")),
      el("p", { class: "quiet" }, say("save.explain")),
      el("label", { for: "save-where" }, say("save.where")), this.where,
      el("label", { for: "save-token" }, say("save.token")), this.token,
      this.button);
    this.said = el("p", { class: "trial-said", role: "status" });
    this.node = el("div", { class: "rule-save" }, this.form, this.said);
    this.withdraw();
  }

  /** These parameters were tried: they may be saved. */
  offer(rule, params) {
    Object.assign(this, { rule, params });
    this.form.hidden = false;
    setText(this.said, "");
  }

  withdraw() {
    this.form.hidden = true;
    this.token.value = "";
    setText(this.said, "");
  }

  async save() {
    const { rule, params, town, device } = this;
    const place = this.where.value;
    this.button.disabled = true;
    setText(this.said, say("save.running"));
    try {
      const saved = await askWith(`${town.about.code}/rules`, {
        code: rule.code, params, ...(place === "device" && { device: device.code }), ...(place === "site" && { site: device.site.code }),
      }, { token: this.token.value });
      this.withdraw();
      const time = writeTime(Date.parse(saved.valid_from), town.now());
      setText(this.said, say("save.done", { code: saved.code, version: saved.version, place: say(`save.${place}`), time }));
    } catch (error) {
      setText(this.said, error.status === TOKEN_REFUSED ? say("save.token_refused") : say("save.refused", { reason: error.message }));
    } finally {
      this.button.disabled = false;
    }
  }
}
