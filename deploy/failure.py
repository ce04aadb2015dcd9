"""What went wrong, as one sentence for the person at the terminal."""

import errno

from api.errors import StartError
from deploy.broker.errors import BrokerError
from deploy.embedded.errors import EmbeddedError
from deploy.grafana.errors import GrafanaSyncError
from deploy.import_item import ImportFileError
from deploy.settings import SettingsError
from firmware_sim.errors import SimulatorError
from gateway.errors import GatewayError
from store.errors import StoreError

SPOKEN = (
    SettingsError,
    EmbeddedError,
    BrokerError,
    StoreError,
    GatewayError,
    GrafanaSyncError,
    ImportFileError,
    SimulatorError,
    StartError,
)


def sentence(error: Exception) -> str | None:
    """Return the sentence for an error that we know; None: it is a mistake of ours."""
    if isinstance(error, SPOKEN):
        return str(error)
    if isinstance(error, OSError):
        where = f" ({error.filename})" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return f"The disk is full{where}: make room and run the command again."
        if error.errno in (errno.EROFS, errno.EIO):
            return (
                f"The disk is read-only or broken{where}: look into the system's log, repair it "
                "and mount it again; what runs goes on by itself then."
            )
        if error.errno in (errno.EACCES, errno.EPERM):
            return (
                f"This account may not do that{where}: run the command as the account that owns "
                "the data folder."
            )
    return None
