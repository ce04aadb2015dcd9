"""What can go wrong between us and Grafana."""


class GrafanaSyncError(Exception):
    """Grafana does not answer or refuses; the message says what a person can do."""
