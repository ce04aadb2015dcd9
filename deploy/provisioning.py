"""What the API borrows of other rooms to add devices."""

from api.provisioning import Provisioning
from deploy.broker.mqtt_client import Login
from deploy.broker.secrets import hash_secret, new_secret
from deploy.device_codec import changed_codec, codec_params
from deploy.devices import publish_probe
from deploy.settings import Settings

# Of the API's request_timeout_s: the broker learns of a new device within a second or two.
KNOWN_WITHIN_S = 6.0


def provisioning(settings: Settings) -> Provisioning:
    """Put the hands together that `api.provisioning` names."""
    return Provisioning(
        new_secret=_new_secret,
        codec_params=codec_params,
        changed_codec=changed_codec,
        publish_probe=lambda user, secret, nonce: publish_probe(
            settings, Login(user, secret), nonce, KNOWN_WITHIN_S
        ),
    )


def _new_secret() -> tuple[str, str]:
    secret = new_secret()
    return secret, hash_secret(secret)
