"""What the jobs count, for Prometheus."""

from prometheus_client import Counter, Gauge, Histogram

outbox_sent = Counter("mizumori_outbox_sent", "Messages that the broker acknowledged.")
outbox_waiting = Gauge("mizumori_outbox_waiting", "Messages that wait to be sent.")
outbox_age_s = Gauge("mizumori_outbox_age_seconds", "Age of the oldest message that waits.")
outbox_delay_s = Histogram(
    "mizumori_outbox_delay_seconds",
    "From the commit that wrote a message to the broker's acknowledgement.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 300),
)
rollup_hours = Counter("mizumori_rollup_hours", "Hours whose rollup was renewed.")
rollup_waiting = Gauge("mizumori_rollup_waiting", "Hours whose rollup is out of date.")
replayed = Counter(
    "mizumori_quarantine_replayed", "Refused messages that were sent again after an approval."
)
conflicts_settled = Counter(
    "mizumori_conflicts_settled", "Conflicts that were settled.", ["changed"]
)
links_changed = Counter("mizumori_links_changed", "Links that the watch changed.", ["state"])
task_failures = Counter("mizumori_task_failures", "Tasks or pieces of them that failed.", ["task"])
settled = Counter("mizumori_settled", "Datastreams whose alerts were decided anew from storage.")
settlement_waiting = Gauge(
    "mizumori_settlement_waiting", "Datastreams whose alerts wait to be decided anew."
)
settlement_age_s = Gauge(
    "mizumori_settlement_age_seconds", "For how long the first of them has been waiting."
)
settlement_s = Histogram(
    "mizumori_settlement_seconds",
    "Time to decide one datastream anew.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
derived_values = Counter("mizumori_derived_values", "Derived values that were new or changed.")
reviewed = Counter("mizumori_reviewed", "Datastreams that a review looked back on.", ["work"])
review_waiting = Gauge(
    "mizumori_review_waiting", "Datastreams that wait for a review to look back.", ["work"]
)
review_s = Histogram(
    "mizumori_review_seconds",
    "Time to look back on what is looked at together.",
    ["work"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30),
)
set_aside = Gauge(
    "mizumori_set_aside", "Datastreams whose work failed and is tried again later.", ["work"]
)
flags_revised = Counter("mizumori_flags_revised", "Flags that were appended since.", ["source"])
