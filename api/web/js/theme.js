// Light and dark. The system decides until a person does; the choice is remembered.
import { remember } from "./memory.js";

const system = window.matchMedia("(prefers-color-scheme: dark)");

/** "dark" or "light", as shown now. */
export function shownTheme() {
  return document.documentElement.dataset.theme ?? (system.matches ? "dark" : "light");
}

/** Change to the other one. */
export function switchTheme() {
  const theme = shownTheme() === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  remember("theme", theme);
  window.dispatchEvent(new Event("themechange"));
}

system.addEventListener("change", () => window.dispatchEvent(new Event("themechange")));


const paints = new Map();
window.addEventListener("themechange", () => paints.clear());

/** A colour of palette.css as the canvas needs it. Read once a theme: a thousand marks ask. */
export function paint(name) {
  if (!paints.has(name)) {
    paints.set(name, getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim());
  }
  return paints.get(name);
}

/** Black or white, whichever reads better on a colour like #f2e700 (WCAG relative luminance). */
export function inkOn(colour) {
  const channels = [1, 3, 5].map((i) => parseInt(colour.slice(i, i + 2), 16) / 255);
  const [r, g, b] = channels.map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000000" : "#ffffff";
}
