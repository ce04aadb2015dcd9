"""The live feed as server-sent events."""

from fastapi import APIRouter, Request
from fastapi.responses import Response, StreamingResponse

from api.errors import Kind
from api.live import LiveFeed
from api.problems import responses
from api.town import HasTown

router = APIRouter(tags=["live"])


@router.get(
    "/{tenant}/live",
    response_class=Response,  # EventSourceResponse would have FastAPI iterate the function
    responses={
        **responses(Kind.UNKNOWN_TOWN, Kind.FULL),
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    },
)
async def live(request: Request, here: HasTown) -> StreamingResponse:
    """Send what changes in the town as it is stored.

    `hello` comes first: load the page's data after it, and apply the events that follow. Then
    `reading`, `position`, `alert`, `link`, and `heartbeat` every 10 s. `reload` says that events
    were missed: load everything anew. After a break connect again and load everything anew:
    events are not repeated.
    """
    feed = request.app.state.feed
    assert isinstance(feed, LiveFeed)
    return StreamingResponse(
        feed.subscribe(here.town),
        media_type="text/event-stream",
        # nginx would hold events back until its buffer is full.
        headers={"X-Accel-Buffering": "no", "Cache-Control": "no-store"},
    )
