"""How a vehicle drives a tour: speed, stops and blade, second by second."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from firmware_sim.chance import Chance
from firmware_sim.roads import Leg, distance_m, offset_m

ACCELERATION_MS2 = 0.7  # a loaded truck on snow
BRAKING_MS2 = 1.0
CORNER_KMH = 10.0
WORK_KMH = 22.0  # fresh snow is pushed at 20 to 25
TURN_S = 12.0  # turning round: stop, blade up, reverse
DEPOT_S = 240.0
REST_S = 75.0  # waiting at a crossing, letting cars pass
REST_SHARE = 0.06


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a vehicle is at one second of its tour.

    Parameters
    ----------
    lon, lat
        Position without the receiver's error.
    speed_kmh, course_deg
        Motion; the course is kept while the vehicle stands.
    blade
        True: down.
    """

    lon: float
    lat: float
    speed_kmh: float
    course_deg: float
    blade: bool


@dataclass(slots=True)
class _Piece:
    start: tuple[float, float]
    end: tuple[float, float]
    length_m: float
    course_deg: float
    limit_ms: float
    blade: bool
    exit_ms: float = 0.0  # speed at which its end may be passed
    stop_s: float = 0.0  # how long the vehicle stands there


def drive(tour: Sequence[tuple[Leg, bool]], chance: Chance) -> list[Moment]:
    """Drive a tour from depot to depot.

    Parameters
    ----------
    tour
        Legs with whether the blade is down, as `RoadNetwork.tour` gives them.
    chance
        Where the vehicle has to wait.

    Returns
    -------
    list of Moment
        One a second; after the last the tour starts again.
    """
    pieces = _pieces(tour, chance)
    moments: list[Moment] = []
    speed = 0.0
    for piece in pieces:
        done_m = 0.0
        while done_m < piece.length_m:
            left_m = piece.length_m - done_m
            may = math.sqrt(piece.exit_ms**2 + 2 * BRAKING_MS2 * left_m)
            # Never quite 0: a vehicle that creeps up to a corner does arrive.
            speed = max(0.5, min(speed + ACCELERATION_MS2, piece.limit_ms, may))
            done_m += speed
            part = min(1.0, done_m / piece.length_m)
            moments.append(_moment(piece, part, speed))
        stand = _moment(piece, 1.0, 0.0)
        if piece.stop_s:
            speed = 0.0
            moments += [stand] * int(piece.stop_s)
    return moments


def _pieces(tour: Sequence[tuple[Leg, bool]], chance: Chance) -> list[_Piece]:
    pieces: list[_Piece] = []
    for number, (leg, blade) in enumerate(tour):
        limit_kmh = WORK_KMH if blade else leg.road.speed_kmh
        for start, end in pairwise(leg.line):
            east, north = offset_m(start, end)
            course = math.degrees(math.atan2(east, north)) % 360
            length = distance_m(start, end)
            pieces.append(_Piece(start, end, length, course, limit_kmh / 3.6, blade))
        if chance.uniform("rest?", number) < REST_SHARE:
            pieces[-1].stop_s = REST_S * chance.uniform("rest", number, 0.5, 1.5)
    for piece, following in pairwise(pieces):
        turn = abs((following.course_deg - piece.course_deg + 180) % 360 - 180)
        if turn > 150:
            piece.stop_s = max(piece.stop_s, TURN_S)
        elif turn > 35:
            piece.exit_ms = CORNER_KMH / 3.6
        else:
            piece.exit_ms = min(piece.limit_ms, following.limit_ms)
        if piece.stop_s:
            piece.exit_ms = 0.0
    pieces[-1].stop_s = DEPOT_S
    pieces[-1].exit_ms = 0.0
    # A short piece before a stop has to be entered slowly enough already.
    for piece, following in zip(pieces[-2::-1], pieces[:0:-1], strict=False):
        reach = math.sqrt(following.exit_ms**2 + 2 * BRAKING_MS2 * following.length_m)
        piece.exit_ms = min(piece.exit_ms, reach)
    return pieces


def _moment(piece: _Piece, part: float, speed_ms: float) -> Moment:
    (lon_a, lat_a), (lon_b, lat_b) = piece.start, piece.end
    return Moment(
        lon=lon_a + (lon_b - lon_a) * part,
        lat=lat_a + (lat_b - lat_a) * part,
        speed_kmh=speed_ms * 3.6,
        course_deg=piece.course_deg,
        blade=piece.blade,
    )
