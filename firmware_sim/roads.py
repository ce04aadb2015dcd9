"""A road network that vehicles drive on."""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

EARTH_M_PER_DEG = 111_194.9  # mean sphere of 6,371,008.8 m: π R / 180


@dataclass(frozen=True, slots=True)
class Road:
    """One road between two junctions, drivable both ways.

    Parameters
    ----------
    code
        Its code in the town.
    route
        The work section (工区) it belongs to.
    speed_kmh
        Usual speed with the blade up.
    line
        Points as (lon, lat), as GeoJSON has them.
    """

    code: str
    route: str
    speed_kmh: float
    line: tuple[tuple[float, float], ...]

    @property
    def ends(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """First and last point."""
        return self.line[0], self.line[-1]

    @property
    def length_m(self) -> float:
        """Length along the road."""
        return sum(distance_m(a, b) for a, b in pairwise(self.line))


@dataclass(frozen=True, slots=True)
class Leg:
    """One road, driven in one direction."""

    road: Road
    forward: bool

    @property
    def line(self) -> tuple[tuple[float, float], ...]:
        """Points in the direction of travel."""
        return self.road.line if self.forward else self.road.line[::-1]


class RoadNetwork:
    """Roads joined where their ends have the same coordinates.

    Parameters
    ----------
    roads
        At least one road.

    Raises
    ------
    ValueError
        If a road has fewer than two points, or two roads share a code.
    """

    def __init__(self, roads: Sequence[Road]) -> None:
        self.roads = {road.code: road for road in roads}
        if len(self.roads) != len(roads):
            raise ValueError("two roads have the same code")
        self._from: dict[tuple[float, float], list[Leg]] = {}
        for road in roads:
            if len(road.line) < 2:
                raise ValueError(f"road {road.code}: a line has at least two points")
            first, last = road.ends
            self._from.setdefault(first, []).append(Leg(road, forward=True))
            self._from.setdefault(last, []).append(Leg(road, forward=False))

    @classmethod
    def from_geojson(cls, collection: Mapping[str, Any]) -> "RoadNetwork":
        """Read a FeatureCollection of LineStrings with `code`, `route` and `speed_kmh`."""
        return cls(
            [
                Road(
                    code=feature["properties"]["code"],
                    route=feature["properties"]["route"],
                    speed_kmh=feature["properties"]["speed_kmh"],
                    line=tuple((lon, lat) for lon, lat in feature["geometry"]["coordinates"]),
                )
                for feature in collection["features"]
            ]
        )

    def nearest_junction(self, lon: float, lat: float) -> tuple[float, float]:
        """Return the junction that is closest to a place."""
        return min(self._from, key=lambda junction: distance_m(junction, (lon, lat)))

    def path(self, start: tuple[float, float], goal: tuple[float, float]) -> list[Leg]:
        """Return the quickest legs from junction to junction.

        Raises
        ------
        ValueError
            If no road leads there.
        """
        best: dict[tuple[float, float], float] = {start: 0.0}
        came: dict[tuple[float, float], Leg] = {}
        heap = [(0.0, start)]
        while heap:
            cost, here = heapq.heappop(heap)
            if here == goal:
                break
            if cost > best[here]:
                continue
            for leg in self._from[here]:
                there = leg.line[-1]
                reached = cost + leg.road.length_m / leg.road.speed_kmh
                if reached < best.get(there, math.inf):
                    best[there] = reached
                    came[there] = leg
                    heapq.heappush(heap, (reached, there))
        if goal not in best:
            raise ValueError(f"no road leads from {start} to {goal}")
        legs: list[Leg] = []
        here = goal
        while here != start:
            legs.append(came[here])
            here = came[here].line[0]
        return legs[::-1]

    def tour(self, depot: tuple[float, float], route: str) -> list[tuple[Leg, bool]]:
        """Return a round that works every road of a section once in each direction.

        Each leg comes with whether the blade is down. The nearest unworked direction is taken
        next, straight on before turning round; ways between them are deadhead.

        Raises
        ------
        ValueError
            If the section has no road.
        """
        todo = {(r.code, way) for r in self.roads.values() if r.route == route for way in (1, 0)}
        if not todo:
            raise ValueError(f"no road belongs to section {route}")
        here, tour = depot, list[tuple[Leg, bool]]()
        while todo:
            ahead = [leg for leg in self._from[here] if (leg.road.code, int(leg.forward)) in todo]
            came_by = tour[-1][0].road.code if tour else ""
            onward = [leg for leg in ahead if leg.road.code != came_by] or ahead
            if onward:
                leg = min(onward, key=lambda found: found.road.code)
            else:
                legs = [Leg(self.roads[code], bool(way)) for code, way in sorted(todo)]
                costs = [sum(x.road.length_m for x in self.path(here, y.line[0])) for y in legs]
                leg = legs[costs.index(min(costs))]
                tour += [(between, False) for between in self.path(here, leg.line[0])]
            todo.remove((leg.road.code, int(leg.forward)))
            tour.append((leg, True))
            here = leg.line[-1]
        return tour + [(between, False) for between in self.path(here, depot)]


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Return the distance of two (lon, lat) points, on a plane: fine within a town."""
    east, north = offset_m(a, b)
    return math.hypot(east, north)


def offset_m(a: tuple[float, float], b: tuple[float, float]) -> tuple[float, float]:
    """Return how far east and north of `a` the point `b` lies, in metres."""
    lat = math.radians((a[1] + b[1]) / 2)
    return (b[0] - a[0]) * EARTH_M_PER_DEG * math.cos(lat), (b[1] - a[1]) * EARTH_M_PER_DEG
