"""The examples in the docstrings run and show what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import detectors
from detectors.backtest import backtest
from detectors.derived import level_rule
from detectors.pond import NightOxygen, night_level
from detectors.profile import Profile
from detectors.readings import Readings

MODULES = sorted(m.name for m in pkgutil.iter_modules(detectors.__path__, "detectors."))


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0


def test_a_rule_over_several_datastreams_becomes_alerts_by_the_same_core():
    hours = np.arange(8)
    oxygen = np.array([7.0, 6.0, 5.0, np.nan, np.nan, 4.5, 6.0, 7.0])
    level = night_level(
        NightOxygen(), oxygen, np.full(8, -0.5), np.full(8, 0.05), np.full(8, 0.1),
        np.array([6.0, 5.0, 4.0, 3.0, 2.0, 1.0, np.nan, np.nan]), np.full(8, 25.0),
    )  # fmt: skip
    profile = Profile.of([("night", level_rule(2))], max_gap_s=3 * 3600.0)
    episodes = backtest(profile, Readings.of(0, hours * 3_600_000, level)).episodes
    assert (episodes.onset_ms // 3_600_000).tolist() == [2]
    assert (episodes.clear_ms // 3_600_000).tolist() == [5]  # not while the oxygen was unknown
    assert episodes.peak_level.tolist() == [2]
