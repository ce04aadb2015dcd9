"""What can go wrong in the gateway, in sentences for a person."""


class GatewayError(Exception):
    """Base of every error that the gateway raises on purpose."""


class RefusedReadingError(GatewayError):
    """A message cannot be accepted; it goes to quarantine with this reason.

    Parameters
    ----------
    reason
        Why, as the quarantine names it.
    detail
        What a person needs to find the fault, without secrets.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail
