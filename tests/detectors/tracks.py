"""The filter behind the time to a threshold, led along one series."""

import numpy as np

from detectors.forecast import TimeToThreshold, Tracks, follow

RULE = TimeToThreshold()
ONE = np.array([0])


def followed(values, rule=RULE, step_s=60):
    """What the filter knows after readings in even steps from time 0 on."""
    tracks = Tracks.empty(1)
    for k, value in enumerate(values):
        tracks = follow(tracks, rule, ONE, np.array([k * step_s * 1000]), np.array([value]))
    return tracks
