"""Put the gateway together from the settings, and run it."""

import sys

from deploy.compose_database import open_database
from deploy.settings import Settings
from deploy.signals import stop_event
from deploy.structured_log import configure_log
from gateway.service import new_member, run
from store.gateways import session_name

# The gateway's threads take turns. With Python's 5 ms, each of a commit's ten answers from the
# database would wait so long for an intake that takes messages apart.
GATEWAY_SWITCH_S = 0.0005


def run_gateway(settings: Settings, name: str = "", metrics_port: int | None = None) -> None:
    """Take readings in until SIGINT or SIGTERM; what was taken is committed first.

    Parameters
    ----------
    settings
        Of all gateways.
    name, metrics_port
        Of this one; `gateway.metrics_port` unless given.
    """
    configure_log(settings.log, "gateway")
    sys.setswitchinterval(GATEWAY_SWITCH_S)
    stop = stop_event()
    member = new_member(name)
    own = settings.gateway
    if metrics_port is not None:
        own = own.model_copy(update={"metrics_port": metrics_port})
    session = session_name(member.gateway_id)
    # The worker, its signs of life, the relays, and two threads of the HTTP listener.
    with open_database(settings, "gateway", name=session, max_size=6) as database:
        run(settings.broker, own, database, member, stop)
