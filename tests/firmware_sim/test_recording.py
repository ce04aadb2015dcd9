import gzip
import itertools
import math
from pathlib import Path

import pytest

from firmware_sim.errors import RecordingError
from firmware_sim.recording import read_recording

DATA = Path(__file__).parents[1] / "data"


def written(tmp_path, text):
    path = tmp_path / "recording.csv"
    path.write_text(text)
    return path


def test_readings_are_read_and_an_empty_cell_is_not_a_missing_value(tmp_path):
    recording = read_recording(
        written(
            tmp_path,
            "time_utc,device,depth_m,battery_v\n"
            "2023-09-29T12:00:00Z,a,0.127,3.6\n"
            "2023-09-29T21:00:01.5+09:00,a,0.2,\n"
            "2023-09-29T12:00:02Z,a,nan,\n",
        )
    )
    samples = [row.sample for row in recording.rows]
    assert [sample.time_ms for sample in samples] == [1695988800000 + n for n in (0, 1500, 2000)]
    assert samples[1].values == {"depth_m": 0.2}
    assert math.isnan(samples[2].values["depth_m"])
    assert [sample.seq for sample in samples] == [1, 2, 3]
    assert recording.properties == {"a": ("battery_v", "depth_m")}


def test_a_clock_that_steps_back_keeps_its_place_in_the_file(tmp_path):
    recording = read_recording(
        written(
            tmp_path,
            "time_utc,device,ph\n"
            "2020-01-01T00:00:10Z,a,1\n"
            "2020-01-01T00:00:20Z,a,2\n"
            "2020-01-01T00:00:05Z,a,3\n"
            "2020-01-01T00:00:30Z,a,4\n"
            "2020-01-01T00:00:15Z,b,5\n",
        )
    )
    order = [(row.device, row.sample.values["ph"]) for row in recording.rows]
    assert order == [("a", 1), ("b", 5), ("a", 2), ("a", 3), ("a", 4)]
    assert recording.rows[3].due_ms == recording.rows[2].due_ms
    assert recording.span_ms == 20_000


def test_the_samples_are_what_their_attribution_says():
    floods = read_recording(DATA / "nyc_street_floods_2023-09-29.csv.gz")
    assert (len(floods.rows), len(floods.devices)) == (8181, 24)
    with gzip.open(DATA / "nyc_street_floods_2023-09-29.csv.gz", "rt") as lines:
        depths = {line.rstrip().rsplit(",", 1)[1] for line in lines}
    assert "0.912114" in depths  # the deepest, 35.91 inches, times 0.0254 without rounding
    plows = read_recording(DATA / "chicago_plows_2015-12-02.csv.gz")
    assert (len(plows.rows), len(plows.devices)) == (904, 76)
    assert all(row.sample.fix is not None for row in plows.rows)
    pond = read_recording(DATA / "pond_clock_steps_2020-01.csv.gz")
    assert (len(pond.rows), len(pond.devices)) == (2000, 2)
    for device in pond.devices:
        times = [row.sample.time_ms for row in pond.rows if row.device == device]
        assert sum(b < a for a, b in itertools.pairwise(times)) == 2


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "columns must be time_utc, device .* not nothing"),
        ("time,device,ph\n", "columns must be time_utc"),
        ("time_utc,device\n", "columns must be"),
        ("time_utc,device,pH\n", "'pH' is no property"),
        ("time_utc,device,lat\n", "has lat and lon"),
        ("time_utc,device,lat,lon,ph\n", "has lat and lon"),
        ("time_utc,device,ph\n", "holds no reading"),
        ("time_utc,device,ph\n2020-01-01T00:00:00Z,a\n", "line 2: 2 cells instead of 3"),
        ("time_utc,device,ph\n2020-01-01T00:00:00Z,a/b,1\n", "'a/b' is no device code"),
        ("time_utc,device,ph\n2020-01-01T00:00:00,a,1\n", "names no time zone"),
        ("time_utc,device,ph\nyesterday,a,1\n", "no time in ISO 8601"),
        ("time_utc,device,ph\n2020-01-01T00:00:00Z,a,wet\n", "ph is 'wet', which is no number"),
        ("time_utc,device,ph\n2020-01-01T00:00:00Z,a,inf\n", "ph is infinite"),
        ("time_utc,device,lat,lon\n2020-01-01T00:00:00Z,a,1,\n", "lat or lon is empty"),
        (
            "time_utc,device,lat,lon,blade\n2020-01-01T00:00:00Z,a,1,2,x\n",
            "blade is 'x'; write 1, 0 or nothing",
        ),
        ('time_utc,device,ph\n"2020', "cannot be read"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, text, sentence):
    with pytest.raises(RecordingError, match=sentence):
        read_recording(written(tmp_path, text))


def test_files_that_are_no_recording_are_one_sentence(tmp_path):
    with pytest.raises(RecordingError, match="cannot be read"):
        read_recording(tmp_path / "missing.csv")
    broken = tmp_path / "broken.csv.gz"
    broken.write_bytes(b"not gzip")
    with pytest.raises(RecordingError, match="cannot be read"):
        read_recording(broken)
    whole = (DATA / "chicago_plows_2015-12-02.csv.gz").read_bytes()
    broken.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RecordingError, match="cannot be read"):
        read_recording(broken)
