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

/** Write `[{value, label}]` after the readings, so that a steep line does not strike them out. */
export function nameLevels({ ctx, bbox, valToPos }, levels, shown) {
  const ratio = devicePixelRatio;
  ctx.save();
  ctx.font = `${11.5 * ratio}px ${getComputedStyle(document.body).fontFamily}`;
  ctx.textBaseline = "bottom";
  ctx.textAlign = "left"; // uPlot leaves its own alignment behind
  let lastWords = Infinity;
  for (const { value, label } of [...levels].sort((a, b) => a.value - b.value)) {
    const y = Math.round(valToPos(value * shown.factor, "y", true));
    if (y < bbox.top || y > bbox.top + bbox.height) continue;
    if (lastWords - y < 14 * ratio) continue; // words would cover each other
    lastWords = y;
    const words = `${writeNumber(value * shown.factor, shown.digits)} ${inLanguage(label)}`;
    ctx.globalAlpha = 0.88;
    ctx.fillStyle = paint("surface");
    ctx.fillRect(bbox.left + 3 * ratio, y - 15.5 * ratio, ctx.measureText(words).width + 6 * ratio, 13.5 * ratio);
    ctx.globalAlpha = 1;
    ctx.fillStyle = paint("ink");
    ctx.fillText(words, bbox.left + 6 * ratio, y - 3 * ratio);
  }
  ctx.restore();
}

function line(ctx, from, to, y) {
  ctx.beginPath();
  ctx.moveTo(from, y);
  ctx.lineTo(to, y);
  ctx.stroke();
}
