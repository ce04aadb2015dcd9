"""A session's client: how it logs in, and that the broker keeps the session when it goes."""

import ssl

from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from gateway.buffered_client import BufferedClient
from gateway.session import Session

# MQTT 5: the broker keeps the session for so long after we went away. The longest it can say:
# an expired session loses what devices were told is safe.
SESSION_EXPIRY_S = 0xFFFFFFFF


def client_of(session: Session) -> BufferedClient:
    """Return the client of a session, not connected; acknowledgements are sent by hand."""
    client = BufferedClient(
        CallbackAPIVersion.VERSION2,
        client_id=session.client_id,
        clean_session=None if session.mqtt5 else False,
        protocol=MQTTProtocolVersion.MQTTv5 if session.mqtt5 else MQTTProtocolVersion.MQTTv311,
        manual_ack=True,
    )
    client.username_pw_set(session.user, session.password)
    if session.tls_ca is not None:
        client.tls_set(ca_certs=str(session.tls_ca), cert_reqs=ssl.CERT_REQUIRED)
    return client


def connect(client: BufferedClient, session: Session) -> None:
    """Connect, going on with what the broker has kept.

    Raises
    ------
    OSError, ValueError
        The broker cannot be reached.
    """
    properties: Properties | None = None
    if session.mqtt5:
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = session.window_messages
    client.connect(
        session.host,
        session.port,
        keepalive=session.keepalive_s,
        clean_start=False if session.mqtt5 else 3,  # 3: paho's "not MQTT 5"
        properties=properties,
    )


def disconnect(client: BufferedClient, session: Session) -> None:
    """Say goodbye; the broker keeps a session that was opened to be kept."""
    if session.mqtt5:
        properties = Properties(PacketTypes.DISCONNECT)
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        client.disconnect(properties=properties)
    else:
        client.disconnect()
