"""What a file says twice: the same, another value, and what only looks like either."""

import pytest

from deploy.import_repeats import Known, Repeats, Taken
from gateway.codecs.reading import Fix, Reading

PLACE = Fix(38.9, 140.3, 20.0, None, 1.2, None)


@pytest.mark.parametrize(("first", "second", "known"), [
    (Reading(1, m={"ph": 7.0}), Reading(1, m={"ph": 7.0}), Known.SAME),
    (Reading(1, m={"ph": 7.0}), Reading(1, seq=4, m={"ph": 7.0}), Known.NOT),
    (Reading(1, seq=4, m={"ph": 7.0}), Reading(1, seq=4, m={"ph": 7.0}), Known.SAME),
    (Reading(1, m={"ph": None}), Reading(1, m={"ph": None}), Known.SAME),
    (Reading(1, m={"ph": -0.0}), Reading(1, m={"ph": 0.0}), Known.SAME),
    (Reading(1, m={"ph": 7.0}), Reading(1, m={"ph": 7.1}), Known.OTHER),
    (Reading(1, m={"ph": 7.0}), Reading(2, m={"ph": 7.0}), Known.NOT),
    (Reading(1, m={"ph": 7.0}), Reading(1, m={"do": 7.0}), Known.NOT),
    (Reading(1, m={"ph": 7.0}), Reading(1, m={"ph": 7.0, "do": 7.0}), Known.NOT),
    (Reading(1, m={"ph": 7.0}), Reading(1, m={"ph": 7.5, "do": 7.0}), Known.OTHER),
    (Reading(1, fix=PLACE), Reading(1, fix=PLACE), Known.SAME),
    (Reading(1, fix=PLACE), Reading(1, fix=Fix(38.9, 140.3, 21.0, None, 1.2)), Known.OTHER),
    (Reading(1, seq=1, fix=PLACE), Reading(1, seq=1, fix=PLACE), Known.SAME),
    (Reading(1, seq=1, fix=PLACE), Reading(1, seq=2, fix=PLACE), Known.NOT),
    (Reading(1, fix=PLACE), Reading(1, seq=2, fix=PLACE), Known.NOT),
    (Reading(1, fix=PLACE), Reading(1, m={"ph": 7.0}), Known.NOT),
])  # fmt: skip
def test_what_is_known_of_a_reading(first, second, known):
    repeats = Repeats()
    assert repeats.look(Taken(1, "a", first)) is Known.NOT
    assert repeats.look(Taken(2, "b", second)) is Known.NOT
    assert repeats.look(Taken(3, "a", second)) is known
    assert repeats.look(Taken(4, "a", second)) is Known.SAME
