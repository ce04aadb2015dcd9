// The page before there is a town, and when the first question could not be answered.
import { el } from "./element.js";
import { say } from "./words.js";

/** There is no town: say which command adds one. */
export function showWelcome(element) {
  element.replaceChildren(
    el("img", { src: "icon.svg", alt: "", width: 72, height: 72 }),
    el("h2", {}, say("welcome.title")),
    el("p", {}, say("welcome.command")),
    el("pre", {}, el("code", {}, ".venv/bin/mizumori tenant add sakata --name-ja 酒田市 --name-en Sakata")),
    el("p", {}, say("welcome.demo")),
    el("pre", {}, el("code", {}, "make run")),
    el("p", { class: "quiet" }, say("welcome.then")),
  );
}

/** The towns could not be listed: the API's own sentence, and a way to try again. */
export function showProblem(element, error, retry) {
  element.replaceChildren(
    el("img", { src: "icon.svg", alt: "", width: 72, height: 72 }),
    el("h2", {}, say("welcome.problem_title")),
    el("p", { role: "alert" }, error.status ? error.message : say("connection.never")),
    el("button", { type: "button", class: "tool", onclick: retry }, say("welcome.reload")),
  );
}
