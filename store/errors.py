"""What can go wrong between us and the database, in sentences for a person."""


class StoreError(Exception):
    """Base of every error that the store raises on purpose."""


class DatabaseAwayError(StoreError):
    """The database does not answer now; the same work may succeed later."""


class MigrationError(StoreError):
    """The schema cannot be brought to the version that this program needs."""


class RoleError(StoreError):
    """The database roles cannot be made with the rights that we have."""


class RefusedError(StoreError):
    """What was asked for breaks a rule of the catalog or of the alert rules."""
