"""Real recordings through the real system, seen in a real browser."""

import contextlib
import csv
import gzip
import math
import re
import shlex
import shutil
import signal
import subprocess
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from deploy.demo.recorded_town import register_recording
from firmware_sim.recording import read_recording
from tests.acceptance.played import (
    FLOODS,
    PLOWS,
    POND,
    ledger_offline,
    ms,
    replayed,
    rows,
    stored,
)
from tests.chaos.alert_ledger import episodes
from tests.fixtures.broker import wait_until
from tests.fixtures.browser import WIDE
from tests.fixtures.system import MIZUMORI, run_mosquitto_pub

ROOT = Path(__file__).parents[2]
# The hours in which the storm of 2023-09-29 came: at 600 times the speed, 18 seconds.
STORM = ("2023-09-29T11:30", "2023-09-29T14:30")
# How many pixels of each colour the map's marks have.
COLOURS = """() => {
  const found = {};
  for (const canvas of document.querySelectorAll("#map canvas")) {
    // Often read itself, it would be complained of.
    const copy = new OffscreenCanvas(canvas.width, canvas.height)
      .getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, canvas.width, canvas.height);
    for (let i = 0; i < data.length; i += 4) {
      if (data[i + 3] < 255) continue;
      const hex = [0, 1, 2].map((k) => data[i + k].toString(16).padStart(2, "0")).join("");
      found["#" + hex] = (found["#" + hex] ?? 0) + 1;
    }
  }
  return found;
}"""


@pytest.fixture(scope="module")
def storm(tmp_path_factory):
    """The storm's hours of the recording, with its devices' names and places."""
    path = tmp_path_factory.mktemp("cut") / "storm.csv.gz"
    with gzip.open(FLOODS, "rt", newline="") as whole, gzip.open(path, "wt", newline="") as cut:
        lines = csv.DictReader(whole)
        writer = csv.DictWriter(cut, lines.fieldnames)
        writer.writeheader()
        writer.writerows(row for row in lines if STORM[0] <= row["time_utc"] < STORM[1])
    listed = FLOODS.with_name(FLOODS.name.removesuffix(".csv.gz") + ".devices.csv")
    shutil.copy(listed, path.with_name("storm.devices.csv"))
    return path


@contextlib.contextmanager
def playing(system, path, town, *, speed, until):
    """Hold a replay in its middle while something is looked at; in the end all is acknowledged.

    It plays by the clock: a page that takes its time would come after its end. So the player is
    held as soon as `until` is true.
    """
    command = [*MIZUMORI, "sim", "replay", str(path), "--town", town]
    player = subprocess.Popen(
        [*command, "--speed", str(speed), "--config", str(system.config)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=system.environment,
    )  # fmt: skip
    try:
        wait_until(until)
        player.send_signal(signal.SIGSTOP)
        yield
        player.send_signal(signal.SIGCONT)
        said, _ = player.communicate()
    finally:
        player.kill()
        player.wait()
    assert player.returncode == 0, said + system.logs()


def get(system, path):
    return httpx.get(f"{system.url}/api/v1{path}", timeout=60).raise_for_status().json()


def open_alerts(system, town):
    return get(system, f"/{town}/alerts?state=open&limit=1000")["items"]


def gravest(alerts):
    """By device the alert that its row shows: the highest level, the water before its rate."""
    found = {}
    for alert in sorted(alerts, key=lambda a: (a["level"], a["rule_kind"] != "rate_of_rise")):
        found[alert["device"]] = alert
    return found


def test_the_floods_of_new_york_reach_the_page_while_they_rise(system, browse, storm, tmp_path):
    town = "queens"
    register_recording(system.settings, storm, town)
    page = browse(system.url, f"/#/{town}/flood").page
    with playing(system, storm, town, speed=600, until=lambda: open_alerts(system, town)):
        expect(page.locator("#training")).to_be_visible()
        alert = page.locator(".section-alert .row")
        expect(alert.first).to_be_visible()
    recorded = read_recording(storm)
    wait_until(lambda: stored(system, "observation", town) == len(recorded.rows))

    [[first]] = rows(
        system,
        "select min(phenomenon_time) from observation join datastream using (datastream_id)"
        " join tenant using (tenant_id) where code = %s",
        town,
    )
    shift_ms = ms(first) - min(row.sample.time_ms for row in recorded.rows)
    expected = episodes(ledger_offline(recorded, shift_ms))
    answer = get(system, f"/{town}/alerts?state=all&limit=1000")["items"]
    assert sorted(
        (
            a["device"],
            a["rule"],
            ms(datetime.fromisoformat(a["onset"])),
            a["clear"] and ms(datetime.fromisoformat(a["clear"])),
            a["peak_level"],
        )
        for a in answer
    ) == sorted(expected)

    shown = gravest(open_alerts(system, town))
    assert len(shown) > 5
    assert {a["level"] for a in shown.values()} >= {1, 4}, "from the mildest to the gravest"
    expect(alert).to_have_count(len(shown))
    for device, one in shown.items():
        row = page.locator(f'.section-alert .row[data-device="{device}"]')
        expect(row).to_have_attribute("data-level", str(one["level"]))
        expect(row).to_contain_text(one["label"]["ja"])
        expect(row.locator(".training-mark")).to_have_text("訓練")
    # The replay's devices have left: what they last said is still an alert, and marked as blind.
    expect(page.locator(".section-alert .row-value").first).to_have_text("不明")
    colours = {one["colour"] for one in shown.values()}

    def drawn():
        found = page.evaluate(COLOURS)
        return all(found.get(colour, 0) > 5 for colour in colours)  # they lie close together

    wait_until(drawn, message="not each level's colour is drawn")
    page.screenshot(path=tmp_path / "storm.png")
    assert (tmp_path / "storm.png").stat().st_size > 30_000


def test_plows_of_chicago_are_on_the_map_where_they_last_were(system, browse):
    town = "cook"
    recorded = read_recording(PLOWS)
    last = {}
    for row in sorted(recorded.rows, key=lambda row: row.sample.time_ms):
        last[row.device] = (row.sample.fix.lon, row.sample.fix.lat)
    # 22 minutes in 22 seconds, all of them fresh enough to be known.
    register_recording(system.settings, PLOWS, town)
    rows(
        system,
        "update device set expected_interval_s = 3600 from tenant"
        " where tenant.tenant_id = device.tenant_id and tenant.code = %s returning device_id",
        town,
    )
    page = browse(system.url, f"/#/{town}/snow", language="en").page

    def heard():
        known = "select 1 from latest_position join tenant using (tenant_id) where code = %s"
        return len(rows(system, known, town)) >= 10

    with playing(system, PLOWS, town, speed=60, until=heard):
        expect(page.locator(".row").first).to_be_visible()
        known = page.locator('.row[data-state="calm"]')
        expect(known.nth(9)).to_be_visible()
        blue = page.evaluate(
            "getComputedStyle(document.documentElement).getPropertyValue('--plow')"
        )
        wait_until(
            lambda: page.evaluate(COLOURS).get(blue.strip(), 0) > 100, message="no arrows drawn"
        )
    wait_until(lambda: stored(system, "position", town) == len(recorded.rows))
    layer = get(system, f"/{town}/map/plows")["features"]
    assert {f["id"]: tuple(f["geometry"]["coordinates"]) for f in layer} == last
    expect(page.locator(".row")).to_have_count(len(last))
    one = next(
        t["properties"]["device"]
        for t in get(system, f"/{town}/map/plows/tracks")["features"]
        if len(t["geometry"]["coordinates"]) > 5
    )
    page.locator(f'.row[data-device="{one}"]').click()
    expect(page.locator("#panel tbody tr").first).to_contain_text("blade unknown")
    assert page.locator("#map").bounding_box()["width"] > WIDE["width"] / 4


def test_a_pond_whose_clock_steps_back_says_so_on_its_page(system, browse):
    town = "tank"
    count = replayed(system, POND, town, times="now", speed=math.inf)
    recorded = read_recording(POND)
    values = sum(len(row.sample.values) for row in recorded.rows)
    wait_until(lambda: stored(system, "observation", town) == values)
    assert count == len(recorded.rows)
    device = recorded.devices[0]
    clock = get(system, f"/{town}/devices/{device}")["clock"]
    assert clock["suspect"] > 0
    page = browse(system.url, f"/#/{town}/ponds/{device}", language="en").page
    page.locator('.ranges [data-hours="168"]').click()
    expect(page.locator("#panel .uplot canvas").first).to_be_visible()
    expect(page.locator("#panel .panel-link")).to_contain_text(
        f"{clock['suspect']} readings with a doubtful time"
    )
    for stream in get(system, f"/{town}/devices/{device}")["datastreams"]:
        answer = get(
            system, f"/{town}/datastreams/{stream['id']}/observations?from=2020-01-01T00:00:00Z"
            "&to=2100-01-01T00:00:00Z&limit=10000",
        )  # fmt: skip
        own = [r for r in recorded.rows if r.device == device]
        assert len(answer["items"]) == len(own)


def shell_lines(readme):
    """The commands of a README, one a line."""
    blocks = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]


def test_the_lines_of_the_readme_connect_a_first_device(system, browse):
    readmes = [(ROOT / name).read_text("utf-8") for name in ("README.md", "README.ja.md")]
    assert shell_lines(readmes[0])[2:4] == shell_lines(readmes[1])[2:4]
    added, device, published = map(shlex.split, shell_lines(readmes[0])[2:])
    assert added[0] == device[0] == ".venv/bin/mizumori"
    done = system.run(*added[1:])
    assert done.returncode == 0, done.stderr
    done = system.run(*device[1:])
    assert done.returncode == 0, done.stderr
    page = browse(system.url, "/#/kawabe/flood").page
    row = page.locator('.row[data-device="flood-01"]')
    expect(row).to_have_attribute("data-state", "unknown")
    secret = re.search(r"^Secret +(\w+)", done.stdout, re.MULTILINE)[1]
    own = {"1883": str(system.mqtt_port), "the secret": secret}
    assert own.keys() <= set(published)
    run_mosquitto_pub([own.get(word, word) for word in published])
    expect(row).to_have_attribute("data-level", "2")
    for part in ("駅前通り", "出動・通行止め判断", "12"):
        expect(row).to_contain_text(part)
