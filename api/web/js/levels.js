// The levels of rules in a chart: dashed lines with their names.
import { paint } from "./theme.js";
import { inLanguage, writeNumber } from "./words.js";

/** Draw `[{value, colour}]`, in the datastream's unit, below the readings. */
export function drawLevels({ ctx, bbox, valToPos }, levels, shown) {
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.setLineDash([6 * ratio, 4 * ratio]);
  for (const { value, colour } of levels) {
    const y = Math.round(valToPos(value * shown.factor, "y", true));
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    // An edge below it: yellow on white and dark red on black are lines as well.
    for (const [width, ink, alpha] of [[3.5, paint("ink-2"), 0.55], [2, colour, 1]]) {
      ctx.globalAlpha = alpha;
      ctx.lineWidth = width * ratio;
      ctx.strokeStyle = ink;
      line(ctx, bbox.left, bbox.left + bbox.width, y);
    }
  }
  ctx.restore();
}

/**
 * Write `[{value, label}]` after the readings, so that a steep line does not strike them out, and
 * beside the marks `[{x, y, size}]` that are drawn after them.
 */
export function nameLevels({ ctx, bbox, valToPos }, levels, shown, marks = []) {
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11.5 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left"; // uPlot leaves its own alignment behind
  let lowerWords = Infinity;
  for (const { value, label } of [...levels].sort((a, b) => a.value - b.value)) {
    const y = Math.round(valToPos(value * shown.factor, "y", true));
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    if (lowerWords - y < 14 * ratio) continue; // words would cover each other
    const words = `${writeNumber(value * shown.factor, shown.digits)} ${inLanguage(label)}`;
    const width = ctx.measureText(words).width + 6 * ratio;
    // Above the line; below it where marks lie all along and the words of the lower level leave room.
    const height = 13.5 * ratio;
    const above = y - height - 2 * ratio;
    const below = y + 2 * ratio;
    const roomBelow = Math.min(lowerWords - height - 2 * ratio, bbox.top + bbox.height) >= below + height;
    const left = bbox.left + 3 * ratio;
    const right = bbox.left + bbox.width;
    const free = (top) => freePlace(marks, { left, right, top, bottom: top + height, width });
    const [x, top] = [[free(above), above], roomBelow ? [free(below), below] : []].find(([at]) => at >= 0) ?? [left, above];
    ctx.globalAlpha = 0.88;
    ctx.fillStyle = paint("surface");
    ctx.fillRect(x, top, width, height);
    ctx.globalAlpha = 1;
    ctx.fillStyle = paint("ink");
    ctx.fillText(words, x + 3 * ratio, top + height - ratio);
    lowerWords = y;
  }
  ctx.restore();
}

// The leftmost place for words on which no mark lies; NaN where there is none.
function freePlace(marks, { left, right, top, bottom, width }) {
  let x = left;
  for (const mark of [...marks].sort((a, b) => a.x - b.x)) {
    if (mark.y + mark.size < top || mark.y - mark.size > bottom || mark.x + mark.size < x) continue;
    if (mark.x - mark.size > x + width) break;
    x = mark.x + mark.size + 2;
  }
  return x + width > right ? NaN : x;
}

function line(ctx, from, to, y) {
  ctx.beginPath();
  ctx.moveTo(from, y);
  ctx.lineTo(to, y);
  ctx.stroke();
}
