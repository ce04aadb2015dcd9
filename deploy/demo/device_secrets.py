"""The secrets of simulated devices, in a file that only its owner reads.

The database keeps hashes only, so whoever plays the devices needs the secrets from elsewhere.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path

from deploy.embedded.errors import EmbeddedError
from deploy.settings import Settings

FILE_NAME = "simulated_devices.json"


class DeviceSecrets:
    """Secrets by town and device.

    Parameters
    ----------
    path
        The file; it need not exist yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def of(cls, settings: Settings) -> "DeviceSecrets":
        """Return those that lie in the data directory."""
        return cls(settings.embedded.data_dir / FILE_NAME)

    def read(self, tenant: str) -> dict[str, str]:
        """Return the secrets of a town's simulated devices; empty if there are none.

        Raises
        ------
        EmbeddedError
            The file cannot be read, or is not ours.
        """
        return dict(self._read_all().get(tenant, {}))

    def add(self, tenant: str, secrets: Mapping[str, str]) -> None:
        """Keep more secrets: the file is replaced, whole or not at all, with mode 0600."""
        every = self._read_all()
        every[tenant] = {**every.get(tenant, {}), **secrets}
        scratch = self.path.with_suffix(".tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                json.dump(every, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(self.path)
        except OSError as error:
            raise EmbeddedError(
                f"{self.path} cannot be written ({error.strerror}): it keeps the secrets of the "
                "simulated devices; give this account the right to write there."
            ) from error

    def _read_all(self) -> dict[str, dict[str, str]]:
        try:
            every = json.loads(self.path.read_text("utf-8"))
            return {
                str(tenant): {str(code): str(secret) for code, secret in devices.items()}
                for tenant, devices in every.items()
            }
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, AttributeError) as error:
            raise EmbeddedError(
                f"{self.path} cannot be read ({error}): it keeps the secrets of the simulated "
                "devices; delete it, and new ones are made at the next start."
            ) from error
