"""A town's own lines and areas over the outlines: its streets, canals and works."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("api")


@dataclass(frozen=True)
class TownLines:
    """What a town's file draws, and whom to credit."""

    attribution: dict[str, str] = field(default_factory=dict)
    features: list[dict[str, Any]] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path | None, code: str) -> "TownLines":
        """Read ``{folder}/{code}.geojson``; without such a file the outlines stand alone.

        Read at each request, so that a town may replace its file while the API runs. A broken
        file is logged and leaves the outlines: the map must not fail for its background.
        """
        if folder is None:
            return cls()
        path = folder / f"{code}.geojson"
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            features = [feature for feature in document["features"] if feature["geometry"]]
            said = document.get("attribution") or {}
            return cls({each: str(said.get(each, "")) for each in ("ja", "en")}, features)
        except FileNotFoundError:
            return cls()
        except (OSError, AttributeError, KeyError, TypeError, ValueError) as error:
            log.warning("town_map_unreadable", path=str(path), error=str(error))
            return cls()
