"""A message as it lies with the worker."""

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from gateway.intake import Intake


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message as the broker handed it over, not yet acknowledged.

    Packet ids start at 1: a message of quality of service 0 has none, which is 0 here, and needs
    no acknowledgement. Others may have overtaken one that comes `again`.
    """

    intake: "Intake"
    generation: int
    mid: int
    topic: bytes
    payload: bytes
    received_ms: int
    retained: bool = False
    again: bool = False
