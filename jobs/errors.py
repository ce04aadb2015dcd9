"""What can go wrong in the jobs."""


class JobsError(Exception):
    """Base of every error that the jobs raise on purpose."""


class BrokerAwayError(JobsError):
    """The broker does not take our messages now; the same work may succeed later."""
