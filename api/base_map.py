"""The offline base map: outlines that are drawn without a request to the outside."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeAlias

from api.errors import StartError

BUNDLED = Path(__file__).parent / "web" / "basemap" / "tohoku.geojson"
# Half of the window around a town's centre. At 38 degrees north both are about 75 km: a town with
# its neighbours, and far enough to drag the map.
HALF_HEIGHT_DEG = 0.68
HALF_WIDTH_DEG = 0.86

Box: TypeAlias = tuple[float, float, float, float]  # west, south, east, north


@dataclass(frozen=True)
class BaseMap:
    """A GeoJSON file in memory, with the box around each feature."""

    attribution: dict[str, str]
    features: list[dict[str, Any]]
    boxes: list[Box]

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read a base map, the bundled one without a path.

        Raises
        ------
        StartError
            If the file cannot be read or is no GeoJSON collection of features.
        """
        path = path or BUNDLED
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            features = list(document["features"])
            boxes = [_box(feature["geometry"]["coordinates"]) for feature in features]
            attribution = document.get("attribution") or {}
            attribution = {"ja": attribution.get("ja", ""), "en": attribution.get("en", "")}
        except OSError as error:
            raise StartError(
                f"The base map {path} cannot be read ({error.strerror}): correct api.base_map."
            ) from error
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise StartError(
                f"The base map {path} is not a GeoJSON collection of lines and areas: "
                "correct api.base_map, or leave it empty for the bundled map."
            ) from error
        return cls(attribution, features, boxes)

    def around(self, lat: float, lon: float) -> list[dict[str, Any]]:
        """Return the features that touch the window around a town's centre."""
        west, east = lon - HALF_WIDTH_DEG, lon + HALF_WIDTH_DEG
        south, north = lat - HALF_HEIGHT_DEG, lat + HALF_HEIGHT_DEG
        return [
            feature
            for feature, box in zip(self.features, self.boxes, strict=True)
            if box[0] <= east and box[2] >= west and box[1] <= north and box[3] >= south
        ]


def _box(coordinates: list[Any]) -> Box:
    if isinstance(coordinates[0], int | float):
        lon, lat = float(coordinates[0]), float(coordinates[1])
        return lon, lat, lon, lat
    boxes = [_box(part) for part in coordinates]
    return (
        min(box[0] for box in boxes),
        min(box[1] for box in boxes),
        max(box[2] for box in boxes),
        max(box[3] for box in boxes),
    )
