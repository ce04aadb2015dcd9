"""What was stored a moment ago is known again, and nothing else is."""

import numpy as np
import pytest

from gateway.recent import Recent

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
    known = recent.look(*rows(*[(*one, 0) for one in asked])[:3])
    return known.same.tolist(), known.other.tolist(), known.seq.tolist()


def test_what_was_stored_is_known_by_key_time_and_value():
    recent = Recent(1 << 10)
    recent.remember(*rows((7, AT_MS, 0.5, 3), (8, AT_MS, -0.0, -1), (9, AT_MS, np.nan, 4)))
    asked = [(7, AT_MS, 0.5), (8, AT_MS, 0.0), (9, AT_MS, np.nan)]
    assert look(recent, *asked) == ([True] * 3, [False] * 3, [3, -1, 4])
    asked = [(7, AT_MS, 0.6), (8, AT_MS, np.nan), (9, AT_MS, 0.0)]
    assert look(recent, *asked) == ([False] * 3, [True] * 3, [3, -1, 4])
    same, other, _ = look(recent, (7, AT_MS + 1, 0.5), (6, AT_MS, 0.5), (1, 0, 0.0))
    assert not any(same + other)


def test_of_two_in_one_place_the_last_stays():
    recent = Recent(1)
    recent.remember(*rows((7, AT_MS, 0.5, 3), (8, AT_MS, 0.7, 4)))
    same, other, seq = look(recent, (7, AT_MS, 0.5), (8, AT_MS, 0.7))
    assert (same, other, seq[1]) == ([False, True], [False, False], 4)


def test_nothing_is_known_at_first_nor_after_it_is_forgotten():
    recent = Recent(1 << 10)
    for _ in range(2):
        assert look(recent, (7, AT_MS, 0.5), (7, 0, 0.0))[:2] == ([False] * 2, [False] * 2)
        recent.remember(*rows((7, AT_MS, 0.5, 3)))
        assert look(recent, (7, AT_MS, 0.5))[0] == [True]
        recent.forget()


@pytest.mark.parametrize("every_ms", [1000, 10_000, 60_000, 3_600_000])
@pytest.mark.parametrize("apart", [1, 7, 1024])
def test_readings_in_step_find_places_of_their_own(every_ms, apart):
    recent = Recent(1 << 14)
    key = np.tile(apart * np.arange(1, 129, dtype=np.int32), 64)
    time_ms = AT_MS + every_ms * np.repeat(np.arange(64), 128)
    value, seq = np.zeros(len(key)), np.zeros(len(key), np.int64)
    recent.remember(key, time_ms, value, seq)
    # As many as the half of the places: were they chosen by chance, 79 % would stay.
    assert recent.look(key, time_ms, value).same.mean() > 0.7


def test_the_number_of_places_is_a_power_of_two():
    with pytest.raises(ValueError, match="power of two"):
        Recent(1000)
