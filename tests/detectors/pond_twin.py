"""What is derived at a pond, in plain loops over one reading at a time: slow, and easy to check."""

import functools
import math
import statistics

import numpy as np

from detectors.slope import guarded_slopes

HOUR = 3_600_000
MINUTE = 60_000
JUMP = {"water_temp_c": 1.0, "ph": 0.3, "dissolved_oxygen_mg_l": 0.8}
SPAN = {"water_temp_c": (-5, 60), "ph": (0, 14), "dissolved_oxygen_mg_l": (0, 30),
        "total_ammonia_mg_l": (0, 100)}  # fmt: skip
NAN = math.nan


class PondTwin:
    """One device with its probes: {property: [(time_ms, value)]}."""

    def __init__(self, probes):
        self.probes = {
            name: [(t, v) for t, v in rows if SPAN[name][0] <= v <= SPAN[name][1]]
            for name, rows in probes.items()
        }
        self.all = probes
        self.lifts = list(self._lifts())
        self.water = {
            name: [(t, v) for t, v in rows if self.quiet(t) == 0]
            for name, rows in self.probes.items()
        }

    def _jumps(self, name):
        rows = list(self.sure(self.probes[name], 10 * MINUTE))
        for i, (t, v) in enumerate(rows):
            near = [w for s, w in rows[:i] if t - s <= 5 * MINUTE]
            if i and t - rows[i - 1][0] <= 15 * MINUTE:
                near.append(rows[i - 1][1])
            if any(abs(v - w) >= JUMP[name] for w in near):
                yield t

    def _lifts(self):
        jumps = {name: list(self._jumps(name)) for name in JUMP if name in self.probes}
        if len(jumps) < 2:
            return
        for e in sorted({t for times in jumps.values() for t in times}):
            last = []
            for name, times in jumps.items():
                if not any(e - HOUR <= t <= e for t, _ in self.probes[name]):
                    continue
                before = [t for t in times if e - HOUR <= t <= e]
                last.append(before[-1] if before else None)
            if len(last) >= 2 and None not in last and max(last) - min(last) <= 5 * MINUTE:
                yield min(last), max(last) + 30 * MINUTE

    def quiet(self, t):
        left = [until - t for since, until in self.lifts if since <= t < until]
        return min(max(left, default=0), 30 * MINUTE)

    @functools.cache  # noqa: B019 - a twin lives for one test
    def hour(self, name, hour):
        return [v for t, v in self.water[name] if t // HOUR == hour]

    @functools.cache  # noqa: B019 - a twin lives for one test
    def usual_hour(self, name, hour):
        hours = [self.hour(name, hour - 24 * day) for day in range(1, 8)]
        days = [statistics.median(own) for own in hours if own]
        return statistics.median(days) if len(days) >= 3 else NAN

    def usual(self, name, t):
        hour = (t - HOUR // 2) // HOUR
        low, high = self.usual_hour(name, hour), self.usual_hour(name, hour + 1)
        return low + (t - HOUR // 2 - hour * HOUR) / HOUR * (high - low)

    @staticmethod
    def sure(rows, within=2 * HOUR):
        for i, (t, v) in enumerate(rows):
            three = rows[max(i - 2, 0) : i + 1]
            if len(three) == 3 and t - three[0][0] <= within:
                yield t, statistics.median(w for _, w in three)
            else:
                yield t, v

    def at(self, name, t, within):
        found = [v for s, v in self.water.get(name, []) if t - within <= s <= t]
        return found[-1] if found else NAN

    def derive(self, sunrise):
        """Return {property: {time: value}}; `sunrise(t)` are the hours to sunrise, NaN by day."""
        out = {}
        if "water_temp_c" in self.water:
            rows = [
                (t, v, self.usual("water_temp_c", t))
                for t, v in self.sure(self.water["water_temp_c"])
            ]
            for t, v, u in rows:
                for name, span in (("temp_change_1h_c", HOUR), ("temp_change_24h_c", 24 * HOUR)):
                    before = [(w, c) for s, w, c in rows if t - span <= s < t]
                    beyond = [abs(v - u - (w - c)) for w, c in before if not math.isnan(c)]
                    value = max(beyond) if beyond and not math.isnan(u) else NAN
                    if math.isnan(value) and span == HOUR and before:
                        value = max(abs(v - w) for w, _ in before)
                    out.setdefault(name, {})[t] = value
        if "ph" in self.water:
            rows = list(self.sure(self.water["ph"]))
            for t, v in rows:
                day = [(s, w) for s, w in rows if t - 24 * HOUR < s <= t]
                known = len({s // HOUR for s, _ in day}) >= 12
                swing = max(w for _, w in day) - min(w for _, w in day)
                temp = self.at("water_temp_c", t, HOUR)
                total = self.at("total_ammonia_mg_l", t, 24 * HOUR)
                share = 1 / (1 + 10 ** (0.09018 + 2729.92 / (273.15 + temp) - v))
                excess = max(v - 8.8, 0.0) if temp > 25 else NAN if math.isnan(temp) else 0.0
                for name, value in (
                    ("ph_swing_24h", swing if known else NAN),
                    ("ph_off_usual", abs(v - self.usual("ph", t))),
                    ("warm_ph_excess", excess),
                    ("total_ammonia_limit_mg_l", 0.02 / share),
                    ("nh3_n_mg_l", share * total),
                ):
                    out.setdefault(name, {})[t] = value
        for t, v in self.water.get("dissolved_oxygen_mg_l", []):
            temp = self.at("water_temp_c", t, HOUR)
            short = max(5 - v, 0.0) if temp > 28 else NAN if math.isnan(temp) else 0.0
            out.setdefault("warm_oxygen_short_mg_l", {})[t] = short
            out.setdefault("oxygen_until_sunrise_mg_l", {})[t] = self._until(t, v, sunrise(t))
        times = sorted({t for name in JUMP for t, _ in self.all.get(name, [])})
        if sum(name in self.probes for name in JUMP) > 1:
            out["lifted_out_min"] = {t: self.quiet(t) / MINUTE for t in times}
        return out

    def _until(self, t, v, hours):
        if math.isnan(hours):
            return v
        points = []
        for step in range(12):
            at = t - step * 15 * MINUTE
            own = [(s, w) for s, w in self.water["dissolved_oxygen_mg_l"]
                   if at - 15 * MINUTE < s <= at]  # fmt: skip
            points.append(own[-1] if own else None)
        column = np.array([[0.0 if p is None else (p[0] - t) / HOUR] for p in points])
        rise = np.array([[0.0 if p is None else p[1] - v] for p in points])
        usable = np.array([[p is not None] for p in points])
        noise, inflation = np.array([0.1]), np.array([math.sqrt(1.3 / 0.7)])
        slope = guarded_slopes(column, rise, usable, noise, inflation, 0.3)
        scatter = math.sqrt(0.01 + (slope.error[0] * hours) ** 2)
        bound = v + slope.per_h[0] * hours - 0.8416212335729143 * scatter
        return NAN if math.isnan(bound) else min(v, max(bound, 0.0))
