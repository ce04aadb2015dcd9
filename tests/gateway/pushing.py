"""An operator in a test: its row in the database, and its requests."""

import http.client
import json

from deploy.broker.secrets import hash_secret, new_secret
from store import operators
from store.operators import NewOperator


def add_operator(town, code="loranet", codec="native", *, field="", topic=None):
    """Add an operator; return its secret."""
    secret = new_secret()
    operators.add(town.owner, town.tenant_id, NewOperator(
        code, codec, field, topic, operators.token_hash(secret),
        hash_secret(secret) if topic else None,
    ))  # fmt: skip
    return secret


def admit(town, code, codec, topic):
    """Add an operator with topics of its own, and let it in at the broker; return its secret."""
    secret = add_operator(town, code, codec, topic=topic)
    town.owner.execute("select pg_notify('mizumori_config', '{\"kind\": \"broker\"}')")
    [added] = [one for one in operators.at_broker(town.owner) if one.code == code]
    town.broker.let_in(added, secret)
    return secret


def push(port, path, body, token=None, *, method="POST", timeout_s=30, **headers):
    """Send one request; return status, headers and the answer's document."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        connection.request(
            method, path, body if isinstance(body, bytes) else json.dumps(body), headers
        )
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read() or b"null")
    finally:
        connection.close()
