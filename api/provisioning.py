"""What the API needs of other rooms to add devices; `deploy` puts it together."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

from detectors.sentence import Sentence


@dataclass(frozen=True)
class Provisioning:
    """Hands that the API borrows: it imports neither gateway nor deploy.

    Attributes
    ----------
    new_secret
        Returns a new secret and the hash that the broker knows it by.
    codec_params
        Checks (codec, mapping entries, model, properties), and returns what the database holds
        of it. Raises RefusedError in words.
    changed_codec
        Does so for a change of (codec and what the database holds of it, codec, entries, model,
        properties), where None stays as it was; returns the new codec too.
    publish_probe
        Publishes (user, secret, nonce) as a device; returns None, or what the broker said.
    """

    new_secret: Callable[[], tuple[str, str]]
    codec_params: Callable[[str, Sequence[str], str, Collection[str]], dict[str, Any]]
    changed_codec: Callable[
        [
            tuple[str, dict[str, Any]],
            str | None,
            Sequence[str] | None,
            str | None,
            Collection[str],
        ],
        tuple[str, dict[str, Any]],
    ]
    publish_probe: Callable[[str, str, str], Sentence | None]
