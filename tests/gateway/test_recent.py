"""What was stored a moment ago is known again, and nothing else is."""

import numpy as np
import pytest

from gateway.recent import Recent, equal

AT_MS = 1_763_760_000_000


def rows(*rows):
    """Columns of (key, time_ms, value, seq)."""
    key, time_ms, value, seq = zip(*rows, strict=True)
    return (
        np.array(key, np.int32),
        np.array(time_ms, np.int64),
        np.array(value, np.float64),
        np.array(seq, np.int64),
    )


def look(recent, *asked):
    """What is known of (key, time_ms): its value and number, None of what is not."""
    columns = recent.look(*rows(*[(*one, 0, 0) for one in asked])[:2])
    found = zip(*(column.tolist() for column in columns), strict=True)
    return [(value, seq) if known else None for known, value, seq in found]


def test_what_was_stored_is_known_by_key_and_time():
    recent = Recent(1 << 10)
    recent.remember(*rows((7, AT_MS, 0.5, 3), (8, AT_MS, 0.0, -1), (9, AT_MS + 1, 0.7, 4)))
    asked = [(9, AT_MS + 1), (7, AT_MS), (8, AT_MS)]
    assert look(recent, *asked) == [(0.7, 4), (0.5, 3), (0.0, -1)]
    assert look(recent, (7, AT_MS + 1), (6, AT_MS), (1, 0)) == [None] * 3


def test_of_two_in_one_place_the_last_stays():
    recent = Recent(1)
    recent.remember(*rows((7, AT_MS, 0.5, 3), (8, AT_MS, 0.7, 4)))
    assert look(recent, (7, AT_MS), (8, AT_MS)) == [None, (0.7, 4)]


def test_nothing_is_known_at_first_nor_after_it_is_forgotten():
    recent = Recent(1 << 10)
    for _ in range(2):
        assert look(recent, (7, AT_MS), (7, 0)) == [None, None]
        recent.remember(*rows((7, AT_MS, 0.5, 3)))
        assert look(recent, (7, AT_MS)) == [(0.5, 3)]
        recent.forget()


def test_values_are_equal_where_they_mean_the_same():
    values = np.array([0.5, 0.0, -0.0, np.nan, 0.5, np.nan])
    others = np.array([0.5, -0.0, 0.0, -np.nan, np.nan, 0.5])
    assert equal(values, others).tolist() == [True] * 4 + [False] * 2


@pytest.mark.parametrize("every_ms", [1000, 10_000, 60_000, 3_600_000])
@pytest.mark.parametrize("apart", [1, 7, 1024])
def test_readings_in_step_find_places_of_their_own(every_ms, apart):
    recent = Recent(1 << 14)
    key = np.tile(apart * np.arange(1, 129, dtype=np.int32), 64)
    time_ms = AT_MS + every_ms * np.repeat(np.arange(64), 128)
    value, seq = np.zeros(len(key)), np.zeros(len(key), np.int64)
    recent.remember(key, time_ms, value, seq)
    # As many as the half of the places: were they chosen by chance, 79 % would stay.
    assert recent.look(key, time_ms)[0].mean() > 0.7


def test_the_number_of_places_is_a_power_of_two():
    with pytest.raises(ValueError, match="power of two"):
        Recent(1000)
