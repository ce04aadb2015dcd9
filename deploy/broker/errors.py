"""What can go wrong with the broker, in sentences for the person who runs it."""


class BrokerError(Exception):
    """Base of all errors of this package."""


class BrokerConfigError(BrokerError):
    """The configuration cannot be written from these rows and settings."""


class BrokerUnreachableError(BrokerError):
    """The broker does not answer, or not to this administrator."""


class ProvisioningError(BrokerError):
    """A town could not be set up at the broker; its devices stay outside."""


class AccountUnknownError(BrokerError):
    """The broker does not know the account yet, or knows another password."""
