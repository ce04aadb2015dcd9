"""What the API measures of itself, for Prometheus. docs/metrics.md explains each one."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# From a cached page to the point where a person looks up; the timeout is 15 s.
SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)


class ApiMetrics:
    """The metrics of one application, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "mizumori_api_requests_total",
            "Requests answered, by route and status",
            ["route", "status"],
            registry=self.registry,
        )
        self.seconds = Histogram(
            "mizumori_api_request_seconds",
            "Time to the end of the answer, by route; the live feed is not among them",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.live_clients = Gauge(
            "mizumori_api_live_clients",
            "Browsers that hold the live feed open, by town",
            ["town"],
            registry=self.registry,
        )
        self.live_events = Counter(
            "mizumori_api_live_events_total",
            "Events handed to browsers, by kind",
            ["event"],
            registry=self.registry,
        )
        self.live_dropped = Counter(
            "mizumori_api_live_dropped_total",
            "Browsers that read too slowly and were told to load the page anew",
            registry=self.registry,
        )
