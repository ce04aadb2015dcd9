"""Serves many modems from one thread."""

import selectors
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from firmware_sim.modem import Modem

if TYPE_CHECKING:
    import socket


@dataclass(frozen=True, slots=True)
class Tally:
    """What became of the samples.

    Parameters
    ----------
    published
        Samples handed to the network.
    acknowledged
        Samples whose message the broker acknowledged.
    pending
        Samples without an acknowledgement, published or not.
    dropped
        Samples given up because a backlog was full.
    online
        Devices on the line.
    refused
        Device code to the broker's reason, for devices that were not let in.
    """

    published: int
    acknowledged: int
    pending: int
    dropped: int
    online: int
    refused: Mapping[str, str]


class Radio:
    """The loop that waits on the sockets of all devices.

    One thread for all keeps the order of events the same in every run, and a town of a thousand
    devices needs no thousand threads.

    Parameters
    ----------
    modems
        The devices' connections.
    """

    def __init__(self, modems: Sequence[Modem]) -> None:
        self.modems = modems

    def turn(self, wait_s: float) -> None:
        """Do what is due, then wait up to `wait_s` seconds for the network, once."""
        now_s = time.monotonic()
        for modem in self.modems:
            modem.service(now_s)
        with selectors.DefaultSelector() as selector:
            for modem in self.modems:
                line: socket.socket | None = modem.socket()
                if line is not None:
                    events = selectors.EVENT_READ
                    if modem.want_write():
                        events |= selectors.EVENT_WRITE
                    selector.register(line, events, modem)
            if not selector.get_map():
                time.sleep(wait_s)
                return
            for key, events in selector.select(wait_s):
                if events & selectors.EVENT_READ:
                    key.data.on_readable()
                if events & selectors.EVENT_WRITE and key.data.socket() is not None:
                    key.data.on_writable()

    def drain(self, timeout_s: float) -> bool:
        """Wait until every sample of the powered devices is acknowledged; False: time is up."""
        until_s = time.monotonic() + timeout_s
        while any(modem.pending for modem in self.modems if modem.powered):
            if time.monotonic() > until_s:
                return False
            self.turn(0.05)
        return True

    def close(self, timeout_s: float = 3.0) -> None:
        """Let every device say that it goes, and disconnect in order."""
        for modem in self.modems:
            modem.say_goodbye()
        until_s = time.monotonic() + timeout_s
        while any(m.online and m.unanswered for m in self.modems) and time.monotonic() < until_s:
            self.turn(0.02)
        for modem in self.modems:
            modem.close()

    def tally(self) -> Tally:
        """Count what became of the samples so far."""
        return Tally(
            published=sum(modem.published for modem in self.modems),
            acknowledged=sum(modem.acknowledged for modem in self.modems),
            pending=sum(modem.pending for modem in self.modems),
            dropped=sum(modem.backlog.dropped for modem in self.modems),
            online=sum(modem.online for modem in self.modems),
            refused={m.device: m.refusal for m in self.modems if m.refusal is not None},
        )
