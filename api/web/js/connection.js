// How the connection stands, in words that nobody can miss.
import { setText } from "./element.js";
import { say, writeClock, writeTime } from "./words.js";

/** Shows a feed's state in the header and, when it is lost, in a banner; the page turns pale. */
export class ConnectionView {
  constructor({ chip, text, last, banner, bannerText }) {
    Object.assign(this, { chip, text, last, banner, bannerText });
  }

  show(feed) {
    this.feed = feed;
    const { state, lastMessage, attempt, problem } = feed;
    this.chip.dataset.state = state;
    document.body.dataset.connection = state;
    setText(this.text, say(`connection.${state}`));
    setText(this.last, lastMessage ? say("connection.last", { time: writeClock(lastMessage) }) : "");
    const lost = state === "lost";
    if (this.banner.hidden === lost) this.banner.hidden = !lost;
    if (!lost) return;
    const parts = [
      lastMessage ? say("connection.lost_long", { time: writeTime(lastMessage, feed.now()) }) : say("connection.never"),
      problem ? say("connection.reason", { reason: problem }) : "",
      attempt ? say("connection.retrying", { n: attempt }) : say("connection.database_away"),
    ];
    setText(this.bannerText, parts.filter(Boolean).join(" "));
  }

  /** The language changed. */
  again() {
    if (this.feed) this.show(this.feed);
  }
}
