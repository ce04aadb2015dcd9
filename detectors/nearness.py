"""Which sensors of a town stand near each other."""

from typing import Final

import numpy as np
from scipy.spatial import KDTree

from detectors.arrays import Floats, Index

_EARTH_M: Final = 6_371_008.8  # mean radius (IUGG)


def near_pairs(lat: Floats, lon: Floats, within_m: float) -> tuple[Index, Index, Floats]:
    """Who stands near whom.

    Parameters
    ----------
    lat, lon : float64[n]
        Degrees; NaN where the position is not known.
    within_m : float

    Returns
    -------
    owner, other : int64[e]
        Each pair in both directions, ordered by owner and other.
    distance_m : float64[e]

    Notes
    -----
    In a plane that touches the earth in the middle of the town: over 30 km the distances of
    neighbours are right to a few in a thousand.
    """
    there = np.flatnonzero(np.isfinite(lat) & np.isfinite(lon))
    if len(there) < 2:
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    east = np.radians(lon[there]) * np.cos(np.radians(np.mean(lat[there]))) * _EARTH_M
    plane = np.column_stack([east, np.radians(lat[there]) * _EARTH_M])
    pairs = KDTree(plane).query_pairs(within_m, output_type="ndarray")
    distance = np.hypot(*(plane[pairs[:, 0]] - plane[pairs[:, 1]]).T)
    owner = there[np.concatenate([pairs[:, 0], pairs[:, 1]])]
    other = there[np.concatenate([pairs[:, 1], pairs[:, 0]])]
    order = np.lexsort([other, owner])
    return owner[order], other[order], np.concatenate([distance, distance])[order]
