"""What is refused of a depth names metres and centimetres; nothing else changes."""

import pytest

from detectors.errors import ParameterError
from detectors.rules import rule_from_params
from detectors.spoken_depth import spoken


def refused(params, observed_property, kind="threshold"):
    with pytest.raises(ParameterError) as error:
        rule_from_params(kind, params)
    return error.value, spoken(error.value, observed_property)


@pytest.mark.parametrize(
    ("kind", "params", "said"),
    [
        ("threshold", {"levels": [{"on": 0.07, "off": 0.07}]},
         "level 1 comes on at 0.07 m (7 cm), so it must go off below that, got 0.07 m (7 cm)"),
        ("rate_of_rise", {"limits_per_h": [-1]},
         "must be greater than 0 m/h (0 cm/h), got -1 m/h (-100 cm/h)"),
        ("gross_range", {"sensor_span": [1, 0.5]},
         "the lowest (1 m (100 cm)) is above the highest (0.5 m (50 cm))"),
    ],
)  # fmt: skip
def test_a_depth_is_named_as_it_is_written_and_as_it_is_filled_in(kind, params, said):
    before, after = refused(params, "depth_m", kind)
    assert after.reason == said
    assert after.reason.template == before.reason.template


@pytest.mark.parametrize(
    ("params", "observed_property"),
    [
        ({"levels": [{"on": 2.5, "off": 3.0}]}, "stage_m"),
        ({"levels": [{"on": 0.1, "off": 0.0, "delay_on_s": -5}]}, "depth_m"),
        ({"levels": [{"on": "deep", "off": 0.0}]}, "depth_m"),
        ({"levels": [{"on": float("nan"), "off": 0.0}]}, "depth_m"),
        ({"levels": [], "odd": 1}, "depth_m"),
    ],
)
def test_what_is_no_depth_stays_as_it_was_said(params, observed_property):
    before, after = refused(params, observed_property)
    assert str(after) == str(before)
