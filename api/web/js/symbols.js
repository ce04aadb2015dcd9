// The shapes of the map and the list: one drawing for both, so that they are the same sign.
// Every state has its own shape; colour comes second.
import { svg } from "./element.js";
import { inkOn, paint } from "./theme.js";

// Outlines in a box of 24 by 24.
const SHAPES = {
  circle: "M12 2a10 10 0 1 0 0 20 10 10 0 0 0 0-20z",
  triangle: "M12 1.8 23 21.5H1z",
  square: "M3 3h18v18H3z",
  diamond: "M12 .8 23.2 12 12 23.2 .8 12z",
  hexagon: "M12 1 21.6 6.5v11L12 23l-9.6-5.5v-11z",
  octagon: "M7.6 1.5h8.8l6.1 6.1v8.8l-6.1 6.1H7.6l-6.1-6.1V7.6z",
  star: "M12.0 1.1L15.3 8.1L22.9 9.0L17.3 14.3L18.8 21.9L12.0 18.2L5.2 21.9L6.7 14.3L1.1 9.0L8.7 8.1z",
  drop: "M12 1.5c4.6 5.4 7.3 8.9 7.3 13.2a7.3 7.3 0 0 1-14.6 0C4.7 10.4 7.4 6.9 12 1.5z",
  fish: "M1.5 12c3-5.4 10-7.4 15-2.5l5.5-4c-1.6 4.3-1.6 8.7 0 13l-5.5-4c-5 4.9-12 2.9-15-2.5z",
  arrow: "M12 1 20.5 22 12 17.5 3.5 22z",
  box: "M5.5 3h13A2.5 2.5 0 0 1 21 5.5v13a2.5 2.5 0 0 1-2.5 2.5h-13A2.5 2.5 0 0 1 3 18.5v-13A2.5 2.5 0 0 1 5.5 3z",
  pause: "M4 9.5h16v5H4z",
};
const CALM = { flood_contact: "drop", flood_level: "drop", pond_probe: "fish", plow: "arrow" };
const paths = new Map();

/**
 * How a standing is drawn: `{shape, fill, edge, ink, glyph, radius, dashed, turn}`.
 * `fix` is the newest position of a plow.
 */
export function lookOf(standing, fix) {
  const { device, state, alert, blind } = standing;
  if (state === "alert") {
    const fill = alert.colour ?? paint("alert");
    return {
      shape: SHAPES[alert.symbol] ? alert.symbol : "triangle",
      fill, edge: paint("mark-edge"), ink: inkOn(fill), glyph: blind ? "?" : "!", radius: 14,
    };
  }
  if (state === "unknown") {
    return {
      shape: "box", fill: paint("unknown-fill"), edge: paint("unknown"), ink: paint("unknown"),
      glyph: "?", radius: 11, dashed: true,
    };
  }
  if (state === "idle") {
    return { shape: "pause", fill: paint("surface"), edge: paint("idle"), ink: "", glyph: "", radius: 8 };
  }
  if (device.kind === "plow") {
    const down = fix?.blade === true;
    return {
      shape: "arrow", fill: down ? paint("plow") : paint("surface"), edge: paint("plow"),
      ink: "", glyph: "", radius: 12, turn: fix?.course_deg ?? 0, blade: down,
    };
  }
  return {
    shape: CALM[device.kind] ?? "circle", fill: paint("calm-fill"), edge: paint("calm"),
    ink: "", glyph: "", radius: 9,
  };
}

/** Draw a look on a canvas, centred at (x, y). */
export function drawLook(ctx, x, y, look) {
  const scale = look.radius / 12;
  ctx.save();
  ctx.translate(x, y);
  if (look.turn) ctx.rotate((look.turn * Math.PI) / 180);
  ctx.scale(scale, scale);
  ctx.translate(-12, -12);
  ctx.lineJoin = "round";
  ctx.lineWidth = 2 / scale;
  ctx.fillStyle = look.fill;
  ctx.strokeStyle = look.edge;
  if (look.dashed) ctx.setLineDash([4, 3]);
  const path = pathOf(look.shape);
  ctx.fill(path);
  ctx.stroke(path);
  if (look.blade) {
    ctx.lineWidth = 3.5 / scale;
    ctx.beginPath();
    ctx.moveTo(3, 0);
    ctx.lineTo(21, 0);
    ctx.stroke();
  }
  ctx.restore();
  if (look.glyph) {
    ctx.fillStyle = look.ink;
    ctx.font = `700 ${Math.round(look.radius * 1.15)}px system-ui, sans-serif`;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    // A triangle's middle is lower than its box's.
    ctx.fillText(look.glyph, x, y + (look.shape === "triangle" ? look.radius * 0.22 : 1));
  }
}

/** The same look as an SVG element for the list. */
export function svgLook(look, size = 28) {
  const picture = svg("svg", {
    viewBox: "-2 -2 28 28", width: size, height: size, "aria-hidden": "true", class: "mark",
  });
  const turn = look.turn ? `rotate(${look.turn} 12 12)` : null;
  picture.append(svg("path", {
    d: SHAPES[look.shape], fill: look.fill, stroke: look.edge, "stroke-width": 2,
    "stroke-linejoin": "round", "stroke-dasharray": look.dashed ? "4 3" : null, transform: turn,
  }));
  if (look.blade) {
    picture.append(svg("path", { d: "M3 0h18", stroke: look.edge, "stroke-width": 3.5, transform: turn }));
  }
  if (look.glyph) {
    const glyph = svg("text", {
      x: 12, y: look.shape === "triangle" ? 18.8 : 17, "text-anchor": "middle", "font-size": 14,
      "font-weight": 700, "font-family": "system-ui, sans-serif", fill: look.ink,
    });
    glyph.textContent = look.glyph;
    picture.append(glyph);
  }
  return picture;
}

/** A text that changes when the drawing would. */
export function lookKey(look) {
  return [look.shape, look.fill, look.edge, look.glyph, look.radius, Math.round(look.turn ?? 0), look.blade].join();
}

function pathOf(shape) {
  if (!paths.has(shape)) paths.set(shape, new Path2D(SHAPES[shape]));
  return paths.get(shape);
}
