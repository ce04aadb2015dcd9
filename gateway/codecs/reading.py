"""A reading as the gateway takes it in, whatever format it came in."""

from typing import Annotated

import msgspec

# What fits into a bigint; a sequence number counts up from 0.
Sequence = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
# Within what a timestamptz and our arithmetic hold; the settings draw the narrower bounds.
Milliseconds = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
# Wide enough for any fault worth keeping (a flag tells), narrow enough for a `real` column.
MEASURE_LIMIT = 1e6
Measure = Annotated[float, msgspec.Meta(ge=-MEASURE_LIMIT, le=MEASURE_LIMIT)]
# A network gateway's EUI, or what a network calls it.
Router = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Routers = Annotated[list[Router], msgspec.Meta(max_length=32)]


class Fix(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """A position. What is absent or null was not measured."""

    lat: Measure | None = None
    lon: Measure | None = None
    speed_kmh: Measure | None = None
    course_deg: Measure | None = None
    hdop: Measure | None = None
    blade: bool | None = None


class Reading(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What a device measured at one time, property by property.

    `ts` is the phenomenon time; a device without a clock may say with `age_ms` how long before
    the message was sent it measured. With both, `ts` counts. `routers` are the network gateways
    that heard the message: a bridge may name them too.
    """

    ts: Milliseconds | None = None
    seq: Sequence | None = None
    m: dict[str, float | None] | None = None
    fix: Fix | None = None
    probe: Annotated[str, msgspec.Meta(max_length=64, pattern=r"^[!-~]+$")] | None = None
    age_ms: Milliseconds | None = None
    routers: Routers | None = None
