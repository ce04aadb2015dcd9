"""Errors of the embedded services."""


class EmbeddedError(Exception):
    """An embedded service cannot do what was asked; the message says what a person can do."""
