// What this browser remembers: the language and the theme. Storage may be blocked or full; the
// page works without.

/** The remembered value, or null. */
export function recall(name) {
  try {
    return localStorage.getItem(`mizumori.${name}`);
  } catch {
    return null;
  }
}

/** Remember a value where that is possible. */
export function remember(name, value) {
  try {
    localStorage.setItem(`mizumori.${name}`, value);
  } catch {
    // a private window: the choice lasts as long as the page
  }
}
