"""For those who run the server: is it alive, is it ready, what does it measure."""

from typing import Literal

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel

from api.errors import Kind
from api.language import HasLanguage, spoken_in
from api.metrics import ApiMetrics
from api.problems import MEDIA_TYPE, Problem, responses
from api.readiness import Readiness, Watch
from api.translation import together

router = APIRouter(tags=["operations"])


class Health(BaseModel):
    """The process answers."""

    state: Literal["alive"] = "alive"


class NotReady(Problem):
    """A problem document with the parts."""

    readiness: Readiness


@router.get("/health", responses={})
async def health() -> Health:
    """Say that the process is alive; looks at nothing else, so it never waits."""
    return Health()


@router.get("/ready", response_model=Readiness, responses=responses())
def ready(request: Request, language: HasLanguage, answer: Response) -> Response | Readiness:
    """Say in words whether everything that the API needs is there; 503 when something is not."""
    watch = request.app.state.watch
    assert isinstance(watch, Watch)
    found = watch.look(language)
    if found.state == "ready":
        answer.headers.update(spoken_in(language))
        return found
    kind = Kind.NOT_READY
    away = [part.detail for part in found.parts.values() if part.state != "ok"]
    problem = NotReady(
        type=kind.urn,
        title=kind.title_in(language),
        title_ja=kind.title_ja,
        status=kind.status,
        detail=together(away, language),
        instance=request.url.path,
        readiness=found,
    )
    return Response(
        problem.model_dump_json(),
        status_code=problem.status,
        media_type=MEDIA_TYPE,
        headers={**spoken_in(language), "Retry-After": "5"},
    )


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
def metrics(request: Request) -> Response:
    """Show the metrics of docs/metrics.md for Prometheus."""
    known = request.app.state.metrics
    assert isinstance(known, ApiMetrics)
    return Response(generate_latest(known.registry), media_type=CONTENT_TYPE_LATEST)
