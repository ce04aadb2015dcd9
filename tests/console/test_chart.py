"""What is written into the chart does not cover what is drawn there."""

import pytest
from playwright.sync_api import expect

from tests.api.seed import ago
from tests.fixtures.browser import NARROW, WIDE

# Crosses and triangles begin a path each; the ground of the words of a level is a filled box.
KEEP_DRAWN = """
const own = CanvasRenderingContext2D.prototype;
const kept = new WeakMap();
const keep = ({ canvas }) => {
  if (!kept.has(canvas)) kept.set(canvas, { boxes: [], marks: [], path: [] });
  return kept.get(canvas);
};
const watch = (name, see) => {
  const draw = own[name];
  own[name] = function (...given) { see(keep(this), given, this); return draw.apply(this, given); };
};
watch('clearRect', (drawn) => { drawn.boxes = []; drawn.marks = []; });
watch('fillRect', (drawn, [x, y, w, h], ctx) => {
  if (ctx.globalAlpha > 0.87 && ctx.globalAlpha < 0.89) drawn.boxes.push([x, y, x + w, y + h]);
});
watch('beginPath', (drawn) => { drawn.path = []; });
watch('moveTo', (drawn, at) => drawn.path.push(at));
watch('lineTo', (drawn, at) => drawn.path.push(at));
watch('stroke', (drawn, given, ctx) => {
  if (Math.abs(ctx.lineWidth - 1.75) > 0.05 || ![3, 4].includes(drawn.path.length)) return;
  const [xs, ys] = [0, 1].map((i) => drawn.path.map((at) => at[i]));
  drawn.marks.push([Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)]);
});
window.drawnIn = (canvas) => kept.get(canvas);
"""
DRAWN = "window.drawnIn(document.querySelector('#panel .uplot canvas'))"


@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
def test_no_mark_lies_on_the_words_of_a_level(town, visit, size):
    stream = town.streams[("deep", "depth_m")]
    doubtful = [(ago(minutes=178 - 3 * i), value) for i in range(20) for value in (0.34, 9.0)]
    town.readings(stream, [(time, value) for time, value in doubtful if value < 1], flag=3)
    far = [(time.replace(microsecond=0), value) for time, value in doubtful if value > 1]
    town.readings(stream, far, flag=4)
    watched = visit(live=False, size=size)
    page = watched.page
    page.add_init_script(KEEP_DRAWN)
    watched.open("/?kept#/kawabe/flood/deep")
    expect(page.locator("#panel .chart-signs")).to_contain_text("不良")
    drawn = page.evaluate(DRAWN)
    assert len(drawn["boxes"]) >= 3
    assert len(drawn["marks"]) >= 40
    for left, top, right, bottom in drawn["boxes"]:
        covering = [m for m in drawn["marks"]
                    if m[0] < right and m[2] > left and m[1] < bottom and m[3] > top]  # fmt: skip
        assert covering == []
