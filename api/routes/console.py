"""What the console must know before it draws."""

from importlib.metadata import version

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from api.settings import ApiSettings

router = APIRouter(tags=["console"])


class ConsoleSettings(BaseModel):
    """Settings of the console."""

    tiles_url: str | None = Field(description="null: the offline map alone")
    attribution: str | None = Field(description="What the tiles' licence asks to be shown")
    version: str


@router.get("/console-settings")
async def console_settings(request: Request) -> ConsoleSettings:
    """Show the settings of the console."""
    settings = request.app.state.settings
    assert isinstance(settings, ApiSettings)
    return ConsoleSettings(
        tiles_url=settings.tiles_url or None,
        attribution=settings.tiles_attribution or None,
        version=version("mizumori"),
    )
