"""Adding an operator that speaks for many devices of a town."""

from deploy.broker.secrets import hash_secret, new_secret
from deploy.settings import Settings
from deploy.writing import writing
from gateway.codecs.binding import CODECS
from gateway.operator_topics import overlap, parse_topics
from gateway.sparkplug.topic import SparkplugGroup
from store import audit, config_channel, operators
from store.errors import RefusedError
from store.operators import NewOperator, Operator
from store.town_catalog import Tenant


def add_operator(
    settings: Settings, town: Tenant, code: str, codec: str, device_field: str, topic: str
) -> str:
    """Add an operator; return its secret, of which only hashes are kept.

    Raises
    ------
    RefusedError
        Codec or topic cannot be, or the topic could be another operator's as well.
    StoreError
        The database refuses or does not answer.
    """
    if codec not in CODECS:
        raise RefusedError(f"There is no codec {codec!r}; there are {', '.join(CODECS)}.")
    secret = new_secret()
    new = NewOperator(
        code,
        codec,
        device_field,
        topic or None,
        operators.token_hash(secret),
        hash_secret(secret) if topic else None,
    )
    with writing(settings) as connection:
        if topic:
            # Without accounts, towns share the topics of one broker.
            town_id = town.tenant_id if settings.broker.kind == "nats" else None
            _check_topic(topic, codec, operators.operators(connection, town_id))
        operators.add(connection, town.tenant_id, new)
        change = {"codec": codec, "device_field": device_field, "topic": topic}
        audit.record(connection, town.tenant_id, "operator.add", [(code, change)])
        config_channel.notify(connection, "broker")
    return secret


def revoke_operator(settings: Settings, town: Tenant, code: str) -> None:
    """Take an operator's token away, and its account at the broker.

    Raises
    ------
    RefusedError
        The town has no operator of this name.
    StoreError
        The database does not answer.
    """
    with writing(settings) as connection:
        operators.revoke(connection, town.tenant_id, code)
        audit.record(connection, town.tenant_id, "operator.revoke", [(code, {})])
        config_channel.notify(connection, "broker")


def _check_topic(text: str, codec: str, others: list[Operator]) -> None:
    try:
        topic = parse_topics(text)
    except ValueError as error:
        raise RefusedError(f"The topic cannot be: {error}.") from error
    if isinstance(topic, SparkplugGroup) != (codec == "sparkplug-b"):
        raise RefusedError("spBv1.0/GROUP/# and the codec sparkplug-b go together.")
    for other in others:
        if other.topic is not None and overlap(topic, parse_topics(other.topic)):
            raise RefusedError(
                f"A message could be of this topic and of {other.topic}, which the operator "
                f"{other.tenant_code}/{other.code} has."
            )
