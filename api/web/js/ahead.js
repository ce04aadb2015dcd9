// What is ahead of a flood sensor, in words. Where the API says nothing, nothing is said.
import { writeValue } from "./quantity.js";
import { inLanguage, say, writeTime } from "./words.js";

/** "Deep enough to close may be reached about 23:41 (23:35 to 23:55)", or null. */
export function forecastWords(ahead, now) {
  const said = ahead?.forecast;
  if (!said || Date.parse(said.at) < now) return null; // it should have come: the next answer says
  const write = (time) => writeTime(Date.parse(time), now);
  return say(`ahead.${said.reach}`, {
    level: inLanguage(said.label) || say("state.alert"),
    at: write(said.at),
    span: said.latest
      ? say("ahead.between", { earliest: write(said.earliest), latest: write(said.latest) })
      : say("ahead.from", { earliest: write(said.earliest) }),
  });
}

/** "About 24 cm (18 to 31 cm) when a crew that leaves now arrives in 8 min", or null. */
export function crewWords(ahead) {
  const crew = ahead?.crew;
  if (!crew) return null;
  const [depth, low, high] = [crew.depth_m, crew.low_m, crew.high_m].map((metres) => writeValue("depth_m", metres));
  return say("ahead.crew", { minutes: crew.minutes, depth, low, high });
}
