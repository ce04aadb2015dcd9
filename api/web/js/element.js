// The few lines of DOM that every part of the page needs.

/**
 * An element with attributes and children. Text is set as text: nothing here parses HTML.
 * `on…` attributes take listeners, `undefined`, `null` and `false` leave an attribute out.
 */
export function el(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Set text only when it differs, so that an unchanged page causes no layout. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Set or remove an attribute only when it differs. */
export function setAttribute(node, name, value) {
  if (value === null || value === undefined) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) {
    node.setAttribute(name, String(value));
  }
}

/**
 * Bring a parent's children in line with `items`, keeping the nodes of items that stay: focus,
 * scroll position and a screen reader's place survive an update.
 *
 * `rows` is a Map from key to row; a row is `{node, update(item)}`.
 */
export function reconcile(parent, items, keyOf, rows, create) {
  const wanted = new Set(items.map(keyOf));
  for (const [key, row] of rows) {
    if (!wanted.has(key)) {
      row.node.remove();
      rows.delete(key);
    }
  }
  let previous = null;
  for (const item of items) {
    const key = keyOf(item);
    let row = rows.get(key);
    if (!row) {
      row = create(item);
      rows.set(key, row);
    }
    row.update(item);
    const place = previous ? previous.nextSibling : parent.firstChild;
    if (row.node !== place) {
      const focused = row.node.contains(document.activeElement) ? document.activeElement : null;
      parent.insertBefore(row.node, place);
      focused?.focus({ preventScroll: true }); // moving a node drops its focus
    }
    previous = row.node;
  }
}
