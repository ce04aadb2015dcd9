// The address of what is shown, so that a view can be bookmarked and sent: #/town/desk/device

export const DESKS = ["flood", "ponds", "snow", "all"];

/** `{town, desk, device}` of the page's address; what is missing is null. */
export function readRoute() {
  const [town, desk, device] = location.hash.replace(/^#\/?/, "").split("/").map(decode);
  return { town: town || null, desk: DESKS.includes(desk) ? desk : null, device: device || null };
}

/** The address of a route, for links. */
export function addressOf({ town, desk, device }) {
  return "#/" + [town, desk, device].filter(Boolean).map(encodeURIComponent).join("/");
}

/** Go there. Looking at another device replaces the entry: Back leaves the page, as people expect. */
export function go(route) {
  const address = addressOf(route);
  if (address === location.hash) return;
  history.replaceState(null, "", address);
  window.dispatchEvent(new HashChangeEvent("hashchange"));
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return ""; // a mistyped address names nothing
  }
}
