"""What the gateway counts, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

MESSAGES = Counter("mizumori_gateway_messages", "Messages taken in and acknowledged.")
READINGS = Counter("mizumori_gateway_readings", "Readings stored; positions apart.")
POSITIONS = Counter("mizumori_gateway_positions", "Positions stored.")
DUPLICATES = Counter(
    "mizumori_gateway_duplicates", "Readings and positions that were already stored."
)
CONFLICTS = Counter(
    "mizumori_gateway_conflicts",
    "Readings and positions that differ from the stored one of that time.",
)
LATE = Counter("mizumori_gateway_late", "Readings that were too late to be decided on live.")
LINES_SKIPPED = Counter(
    "mizumori_gateway_lines_skipped", "Lines of NMEA messages that were left out.", ["reason"]
)
QUARANTINE_OVERFLOW = Counter(
    "mizumori_gateway_quarantine_overflow",
    "Refused messages that were counted and not kept: their device exceeds its rate.",
)
PUSHES = Counter(
    "mizumori_gateway_pushes",
    "Requests of operators that push: stored, quarantined, ignored, or the status of a refusal.",
    ["outcome"],
)
RELAYED = Counter(
    "mizumori_gateway_relayed",
    "Messages of operators that were handed on to their devices' topics.",
)
QUARANTINED = Counter("mizumori_gateway_quarantined", "Messages in quarantine.", ["reason"])
TRANSITIONS = Counter("mizumori_gateway_transitions", "Alert transitions written to the ledger.")
BATCH_SECONDS = Histogram(
    "mizumori_gateway_batch_seconds",
    "From taking a batch to its commit.",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)
DATABASE_OUTAGES = Counter("mizumori_gateway_database_outages", "Times the database was away.")
CONNECTED = Gauge(
    "mizumori_gateway_connected", "Whether an intake is subscribed at the broker.", ["intake"]
)
SESSIONS_LOST = Counter(
    "mizumori_gateway_sessions_lost",
    "Times the broker had forgotten an intake's session: confirmed readings may be lost.",
    ["intake"],
)
STALE_ACKNOWLEDGEMENTS = Counter(
    "mizumori_gateway_stale_acknowledgements",
    "Acknowledgements that were not sent because their connection had ended.",
)
DUPLICATES_OUTSTANDING = Counter(
    "mizumori_gateway_duplicates_outstanding",
    "Messages the broker sent again while the first was still being worked on.",
)
HELD = Gauge("mizumori_gateway_partitions_held", "Partitions of towns that this gateway reads.")
LOST = Counter(
    "mizumori_gateway_partitions_lost",
    "Times another gateway took a partition over because this one did not answer.",
)
STATES_UNREADABLE = Counter(
    "mizumori_gateway_states_unreadable",
    "Stored detector states that could not be read: a job makes them anew from the readings.",
)
