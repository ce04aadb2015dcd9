"""The application: routes, errors and the console, put together."""

import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import anyio.to_thread
from fastapi import APIRouter, FastAPI

from api import problems
from api.base_map import BaseMap
from api.body_limit import BodyLimit
from api.compression import Compression
from api.guard import Guard
from api.headers import SecurityHeaders
from api.live import LiveFeed
from api.lookout import Lookout
from api.metrics import ApiMetrics
from api.provisioning import Provisioning
from api.readiness import Check, Watch
from api.routes import (
    ahead,
    alerts,
    backtest,
    console,
    device_writes,
    devices,
    live,
    observations,
    operations,
    quarantine,
    rules,
    sites,
    towns,
)
from api.routes import map as maps
from api.settings import ApiSettings
from api.town import Access
from api.town_metrics import TownMetrics
from store.database import Database

BASE = "/api/v1"
WEB = Path(__file__).parent / "web"
# The server gives a statement up before the request's own limit, and frees its thread.
STATEMENT_SHARE = 0.8
DESCRIPTION = """
A small town's water: street floods, carp ponds and snowplows.

Times are ISO 8601 in UTC. Values are in the datastream's unit. What is not known is `null` and has
the state `unknown`; it never means that all is well. Errors are RFC 9457 problem details with a
`detail` that says what to do. Each town is read on its own: `{tenant}` is its code. Sites and
devices are written with a token of the town (`mizumori token add`).
"""


def create_app(
    settings: ApiSettings,
    database: Database,
    checks: Mapping[str, Check] | None = None,
    provisioning: Provisioning | None = None,
) -> FastAPI:
    """Put the application together.

    Parameters
    ----------
    settings
        The section ``api`` of the settings.
    database
        Transactions of the role ``mizumori_api``; the caller closes it.
    checks
        What else ``/ready`` asks, by name; each says what is wrong, or None.
    provisioning
        What the routes borrow that write devices; None: they are not there.

    Raises
    ------
    StartError
        If the base map that the settings name cannot be used.
    """
    metrics = ApiMetrics()
    feed = LiveFeed(database, settings, metrics)
    access = Access(database, settings.request_timeout_s * STATEMENT_SHARE)
    metrics.registry.register(TownMetrics(access))

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = settings.threads
        async with feed.running():
            yield

    app = FastAPI(
        title="Mizumori",
        summary="One backend for a small town's water",
        description=DESCRIPTION,
        version=version("mizumori"),
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        openapi_url=f"{BASE}/openapi.json",
        docs_url=None,  # its pages load scripts from a CDN; closed networks have none
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
    )
    app.state.settings = settings
    app.state.access = access
    app.state.metrics = metrics
    app.state.provisioning = provisioning
    app.state.feed = feed
    app.state.lookout = Lookout()
    app.state.backtests = threading.Lock()
    app.state.base_map = BaseMap.read(settings.base_map)
    app.state.watch = Watch(database, feed, dict(checks or {}))
    problems.install(app)
    base = APIRouter(prefix=BASE)
    parts = [towns, console, sites, devices, observations, alerts, maps, ahead, rules, quarantine]
    if provisioning is not None:
        parts.append(device_writes)
    for part in (*parts, backtest, live):
        base.include_router(part.router)
    app.include_router(base)
    app.include_router(operations.router)
    app.frontend("/", directory=WEB, fallback=None)
    # The one added last is the outermost.
    app.add_middleware(Compression)
    app.add_middleware(BodyLimit, most_bytes=settings.max_body_bytes)
    app.add_middleware(Guard, metrics=metrics, timeout_s=settings.request_timeout_s, prefix=BASE)
    app.add_middleware(SecurityHeaders, tiles_url=settings.tiles_url)
    problems.describe(app)
    return app
