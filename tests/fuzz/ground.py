"""A town in a real database, for what cannot be judged without one."""

import psycopg

from gateway.registry import Registry, load
from store import broker_accounts, device_catalog, operators, town_catalog
from store.broker_accounts import BrokerAccount
from store.database import Database
from store.device_catalog import NewDevice
from store.operators import NewOperator
from store.town_catalog import NewTenant
from tests.fixtures.database import DatabaseDsn
from tests.fuzz.decoded import PROPERTIES
from tests.fuzz.seeds import FORMATS

STREAMS = tuple((name, "m") for name in PROPERTIES)
TOKEN = "a-token-of-a-test-{}"
# Code, codec, and where a body names its device.
OPERATORS = (
    ("own", "native", ""),
    ("lora", "chirpstack", "deviceInfo.devEui"),
    ("things", "tts", "end_device_ids.device_id"),
)


class Ground:
    """The town of the decoder's cases, with operators, in `dsn`."""

    def __init__(self, dsn: DatabaseDsn) -> None:
        self.dsn = dsn
        self.owner = psycopg.connect(dsn.owner, autocommit=True)
        # A loaded machine may take its time: what is away is tried elsewhere.
        self.gateway = Database(dsn.gateway, name="fuzz", answer_within_s=120)
        with self.owner.transaction():
            tenant = town_catalog.add_tenant(
                self.owner, NewTenant(code="kawabe", name_ja="川辺町", name_en="Kawabe")
            )
            self.tenant_id = tenant.tenant_id
            town_catalog.set_tenant(self.owner, self.tenant_id, {"register_per_day": 1000})
            device_catalog.add_devices(self.owner, self.tenant_id, [
                NewDevice("calm", "flood_level", "静", "Calm", 60, datastreams=STREAMS),
                *(
                    NewDevice(f"dev-{number}", "plow", "機", "Device", 60, codec=codec,
                              codec_params=params, datastreams=STREAMS)
                    for number, (codec, params, _) in enumerate(FORMATS, 1)
                ),
            ])  # fmt: skip
            for code, codec, field in OPERATORS:
                token = operators.token_hash(TOKEN.format(code))
                operators.add(
                    self.owner, self.tenant_id, NewOperator(code, codec, field, None, token, None)
                )
            self.account = BrokerAccount(
                self.tenant_id, "kawabe", 1, 100, 15, 1_000_000, "gateway", "no broker", "none"
            )
            broker_accounts.add_account(self.owner, self.account)

    def registry(self) -> Registry:
        with self.gateway.transaction() as conn:
            return load(conn)

    def close(self) -> None:
        self.gateway.close()
        self.owner.close()
