"""Versions, scopes and times of rules in a real database."""

from datetime import UTC, datetime, timedelta

import pytest

from store import device_catalog, level_labels, rule_profile, rules, rules_in_force
from store.errors import RefusedError
from store.times import milliseconds
from tests.store.write import write_readings

LEVELS = {"levels": [{"on": 0.2, "off": 0.1}, {"on": 0.4, "off": 0.3}]}
DAY = timedelta(days=1)


def save(conn, town, code="street-depth", **change):
    wanted = {"kind": "threshold", "observed_property": "depth_m", "params": LEVELS, **change}
    return rules.save(conn, town.tenant_id, code, **wanted)


def version_at(conn, at, stream, code="street-depth"):
    return {
        r.code: r.version
        for r in rules_in_force.of_datastreams(conn, at)
        if r.datastream_id == stream
    }.get(code)


def test_defaults_reach_the_datastreams_they_are_made_for(roles, streams):
    with roles.gateway.transaction() as conn:
        found = rules_in_force.of_datastreams(conn, datetime.now(UTC))
        links = {(r.device_id, r.code) for r in rules_in_force.of_links(conn, datetime.now(UTC))}
    codes = {
        key: {r.code for r in found if r.datastream_id == stream} for key, stream in streams.items()
    }
    assert {"street-depth", "street-rise", "depth-range"} <= codes["f1", "depth_m"]
    assert "street-contact" not in codes["f1", "depth_m"]  # for contact sensors
    assert {"pond-temp-high", "pond-temp-low"} <= codes["p1", "water_temp_c"]
    assert codes["f1", "battery_v"] == set()
    assert {code for _, code in links} == {"level-silence", "pond-silence", "plow-silence"}


def test_device_that_stands_at_no_site_yet_has_the_rules_of_its_kind(roles, town):
    new = device_catalog.NewDevice("f2", "flood_level", "冠水2", "Flood 2", 60)
    with roles.owner.transaction() as conn:
        (device,) = device_catalog.add_devices(conn, town.tenant_id, [new])
        found = {
            r.code
            for r in rules_in_force.of_datastreams(conn, datetime.now(UTC))
            if r.device_id == device.device_id
        }
    assert "street-depth" in found
    assert "street-contact" not in found


def test_defaults_apply_to_recordings_of_the_past(roles, streams):
    with roles.gateway.transaction() as conn:
        past = datetime(2023, 9, 29, tzinfo=UTC)
        assert version_at(conn, past, streams["f1", "depth_m"]) == 1


def test_adding_defaults_again_changes_nothing(roles, town):
    with roles.owner.transaction() as conn:
        before = rules.versions(conn, town.tenant_id)
        assert rules.add_defaults(conn, town.tenant_id) == []
        assert rules.versions(conn, town.tenant_id) == before


def test_a_default_that_a_town_s_own_rule_does_already_is_added_switched_off(roles, town):
    """Of gross ranges one counts, the first by its code: an upgrade must not take the place."""
    own = {"kind": "gross_range", "params": {"sensor_span": [0, 2]}}
    with roles.owner.transaction() as conn:
        conn.execute("delete from rule where code = 'depth-range'")
        save(conn, town, "own-range", device_kind="flood_level", **own)
        [added] = rules.add_defaults(conn, town.tenant_id)
        assert (added.code, added.version, added.enabled) == ("depth-range", 2, False)
        assert rules.add_defaults(conn, town.tenant_id) == []


def test_new_version_is_never_backdated(roles, town, streams):
    stream = streams["f1", "depth_m"]
    with roles.owner.transaction() as conn:
        before = datetime.now(UTC)
        saved = save(conn, town, valid_from=before - 30 * DAY)
        assert saved.valid_from > before
        assert version_at(conn, before - DAY, stream) == 1
        later = save(conn, town, valid_from=before + DAY)
        assert later.valid_from == before + DAY
        assert version_at(conn, before + DAY / 2, stream) == 2
        assert version_at(conn, before + 2 * DAY, stream) == 3
        assert rules_in_force.next_change(conn, before + DAY / 2) == before + DAY


def test_device_wins_over_site_and_site_over_town(roles, town, streams):
    stream = streams["f1", "depth_m"]
    later = datetime.now(UTC) + DAY
    with roles.owner.transaction() as conn:
        device = device_catalog.device(conn, town.tenant_id, "f1")
        at_device = save(conn, town, device_id=device.device_id)
        assert version_at(conn, later, stream) == at_device.version
        save(conn, town, site_id=device.site_id)
        save(conn, town)
        assert version_at(conn, later, stream) == at_device.version
        save(conn, town, device_id=device.device_id, enabled=False)
        assert version_at(conn, later, stream) is None
        pond = streams["p1", "ph"]
        assert version_at(conn, later, pond, "pond-ph-high") == 1


def test_levels_that_do_not_nest_are_refused_in_words(roles, town):
    crossed = {"levels": [{"on": 0.4, "off": 0.3}, {"on": 0.2, "off": 0.1}]}
    with roles.owner.transaction() as conn, pytest.raises(RefusedError) as refused:
        save(conn, town, params=crossed)
    assert "level 2 must go on at 0.4 or higher" in str(refused.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"kind": "magic"}, "no rule of kind 'magic'"),
        ({"code": "Not Good"}, "a code is lower-case"),
        ({"device_id": 999_999}, "not there"),
        ({"params": {"levels": []}}, "1 to 8 levels"),
    ],
)
def test_bad_rule_is_refused_in_words(roles, town, change, says):
    with roles.owner.transaction() as conn:
        with pytest.raises(RefusedError, match=says):
            save(conn, town, **change)
        assert {r.version for r in rules.versions(conn, town.tenant_id)} == {1}


def test_rule_for_the_past_is_refused_once_readings_were_decided_on(roles, town, streams):
    write_readings(roles.gateway, streams["f1", "depth_m"], town, [(datetime.now(UTC), 0.1)])
    with roles.owner.transaction() as conn:
        with pytest.raises(RefusedError, match="were decided on without it"):
            save(conn, town, code="extra", from_the_beginning=True)
        save(conn, town, code="extra")
        save(conn, town, code="other", observed_property="battery_v", from_the_beginning=True)


@pytest.mark.usefixtures("town")
def test_labels_are_dated(roles):
    with roles.gateway.transaction() as conn:
        old = level_labels.in_force(conn, datetime(2020, 1, 1, tzinfo=UTC))["river", 2]
        new = level_labels.in_force(conn, datetime(2026, 6, 1, tzinfo=UTC))["river", 2]
    assert old.label_ja != new.label_ja


def test_a_scope_that_is_given_up_leaves_the_place_to_the_wider_one(roles, town, streams):
    stream = streams["f1", "depth_m"]
    with roles.owner.transaction() as conn:
        device = device_catalog.device(conn, town.tenant_id, "f1")
        site, own = {"site_id": device.site_id}, {"device_id": device.device_id}
        up = {"inherits": True}
        changes = (site, own, own | up, own, site | up, own | up, {})
        hours = [datetime.now(UTC) + timedelta(hours=hour) for hour in range(1, 8)]
        for change, at in zip(changes, hours, strict=True):
            save(conn, town, valid_from=at, **change)
        expected = [2, 3, 2, 5, 5, 1, 8]
        assert [version_at(conn, at, stream) for at in hours] == expected
        periods = {one.since_ms: one for one in rule_profile.timeline(conn, stream, 60.0)}
        for at, version in zip(hours, expected, strict=True):
            standing = periods[milliseconds(at)].compiled.versions
            assert {one.code: one.version for one in standing}["street-depth"] == version
        scopes = rules_in_force.in_scopes(conn, town.tenant_id, hours[-1])
        # The town's own versions cover every sensor of that kind, and the newest of all places.
        assert {one.version for one in scopes if one.code == "street-depth"} == {1, 8}


def test_a_device_s_silence_rule_can_be_given_up_too(roles, town):
    silence = {"kind": "silence", "observed_property": "link", "params": {"loss_rate": 0.2}}
    with roles.owner.transaction() as conn:
        device = device_catalog.device(conn, town.tenant_id, "f1").device_id
        versions = []
        for inherits in (False, True):
            saved = save(
                conn, town, "level-silence", device_id=device, inherits=inherits, **silence
            )
            links = rules_in_force.of_links(conn, saved.valid_from)
            versions += [(saved.version, one.version) for one in links if one.device_id == device]
        assert versions == [(2, 2), (3, 1)]


def test_what_has_nothing_wider_cannot_be_given_up(roles, town):
    with roles.owner.transaction() as conn, pytest.raises(RefusedError, match="nothing wider"):
        save(conn, town, inherits=True)
