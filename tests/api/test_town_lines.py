"""A town's own lines over the outlines."""

import json

from api.town_lines import TownLines
from tests.api.conftest import serving

STREET = {
    "type": "Feature",
    "properties": {"kind": "road", "name_ja": "駅前通り"},
    "geometry": {"type": "LineString", "coordinates": [[139.84, 38.91], [139.85, 38.91]]},
}


def test_a_towns_streets_are_drawn_with_their_credit(database_dsn, seed, tmp_path):
    document = {"attribution": {"ja": "道路：市", "en": "Streets: city"}, "features": [STREET]}
    (tmp_path / f"{seed.town.code}.geojson").write_text(json.dumps(document), "utf-8")
    other = seed.add_town("minami")
    with serving(database_dsn.api, town_maps=tmp_path) as api:
        own = api.ok(f"/{seed.town.code}/map/base")
        theirs = api.ok(f"/{other.code}/map/base")
    assert own["features"][-1] == STREET
    assert own["attribution"]["ja"].endswith(" / 道路：市")
    assert STREET not in theirs["features"]
    assert "道路：市" not in theirs["attribution"]["ja"]


def test_a_broken_file_leaves_the_outlines(tmp_path):
    for text in ("", "[]", "{}", '{"features": 1}', '{"features": [1]}', '{"features": [{}]}'):
        (tmp_path / "sakata.geojson").write_text(text, "utf-8")
        assert TownLines.read(tmp_path, "sakata").features == []
    assert TownLines.read(tmp_path, "nowhere").features == []
    assert TownLines.read(None, "sakata").features == []
