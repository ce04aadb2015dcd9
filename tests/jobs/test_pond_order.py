"""Derived values and their alerts do not depend on the order of arrival: whatever is generated."""

import itertools
import os

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from store import rules
from tests.jobs.door import Place, detector_state, ledger
from tests.jobs.ponds import MINUTES_PER_DAY, add_pond, day, derived, readings, review, stream_of

CASE = itertools.count(1)


@pytest.fixture(scope="module")
def shared(module_dsn):
    """One town for all generated cases: each brings its own pond."""
    made = Place(module_dsn)
    with made.owner.transaction() as conn:
        rules.add_defaults(conn, made.tenant_id)
    yield made
    made.close()


CASES = settings(
    max_examples=int(os.environ.get("POND_CASES", "6")),
    deadline=None,
    # A case takes seconds of a real database: making a failing one smaller takes too long.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def eventful(rng):
    """Five days of a pond with a cold shock, a lift-out, gaps, odd values and missing ones."""
    minutes = np.arange(0, 5 * MINUTES_PER_DAY, 30) + int(rng.integers(0, 30))
    values = day(minutes, temp=float(rng.uniform(18, 30)))
    after = int(rng.integers(0, len(minutes)))
    values["water_temp_c"][after:] -= 8.0
    values["dissolved_oxygen_mg_l"][after:] -= float(rng.uniform(0, 4))
    fine = minutes[int(rng.integers(100, len(minutes) - 2))] + np.arange(1, 60, 5)
    for name, jump in (("water_temp_c", 6.0), ("ph", -1.2), ("dissolved_oxygen_mg_l", 3.0)):
        lifted = np.interp(fine, minutes, values[name]) + np.where(np.arange(12) < 6, jump, 0.0)
        values[name] = np.round(np.concatenate([values[name], lifted]), 2)
    minutes = np.concatenate([minutes, fine])
    order = np.argsort(minutes, kind="stable")
    minutes, first = np.unique(minutes[order], return_index=True)
    values = {name: own[order][first] for name, own in values.items()}
    for own in values.values():
        own[rng.random(len(own)) < 0.02] = np.nan
        own[rng.random(len(own)) < 0.01] = 85.0
    return minutes, values


@CASES
@given(st.integers(0, 2**32 - 1))
def test_whatever_arrives_when_series_and_ledger_are_those_of_a_sorted_delivery(shared, seed):
    place, rng = shared, np.random.default_rng(seed)
    minutes, values = eventful(rng)
    number = next(CASE)
    ordered, mixed = (add_pond(place, f"{kind}{number}") for kind in ("o", "m"))
    place.door.load()
    rows = sorted(readings(ordered, minutes, values), key=lambda row: row[1])
    place.door.take(rows)
    review(place)
    rows = readings(mixed, minutes, values)
    delay = rng.uniform(0, 20 * 3_600_000, len(rows)) * (rng.random(len(rows)) < 0.2)
    order = np.argsort([row[1] for row in rows] + delay, kind="stable")
    for part in np.array_split(order, 6):
        place.door.take([rows[i] for i in part])
        if rng.random() < 0.7:
            review(place)
    review(place)
    expected, found = derived(place, ordered), derived(place, mixed)
    assert found == expected
    assert len(found) == 9
    told = 0
    for name in expected:
        one, two = (stream_of(place, streams, name) for streams in (ordered, mixed))
        assert ledger(place.owner, two)[:2] == ledger(place.owner, one)[:2], name
        assert detector_state(place.owner, two) == detector_state(place.owner, one), name
        told += len(ledger(place.owner, one)[0])
    assert told
