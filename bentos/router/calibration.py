"""What was measured of a router: router.json, written by `python -m tasks.route <variant>`.

{"workload": "sentiment", "models": ["small-int8", "teacher"], "level": 0.83, "floor": 0.98,
 "confidence": 0.95, "kept": [0.7, 0.3], "rows": 250, "recommended": true, "why": "…",
 "expires": "2027-02-24", "system": "Is this movie review positive or negative?"}
"""

from datetime import date
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from bentos.router.predictor import Predictor
from bentos.web import json_file

FILE = "router.json"


class Calibration(BaseModel):
    """A level of confidence and what it is worth.

    Attributes:
        models: the cheapest first; the last one's quality is what the floor is a share of.
        level: confidence below which the next model is asked; None where no level was shown to
            keep the floor.
        floor: share of the last model's quality that is kept, with probability `confidence`.
        kept: shares of the requests to the cheapest model that each model's answer was good enough
            for.
        rows: requests that `kept` was measured on.
        predictor: tells which requests go to the last model at once; None: no predictor is shown
            to save anything, or none was asked for.
        recommended: whether it beats what needs no router.
        why: in words.
        evidence: what it is worth on rows that did not calibrate it; None without a level.
        expires: after that day data may have changed: calibrate again.
        system: the workload's system message, which requests that have none get: all was measured
            with it, and a model that is no Bento of this workload does not know it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    workload: str
    models: tuple[str, ...] = Field(min_length=2)
    level: float | None = Field(ge=0, le=1)
    floor: float = Field(gt=0, le=1)
    confidence: float = Field(gt=0, lt=1)
    kept: tuple[float, ...]
    rows: int = Field(ge=0)
    predictor: Predictor | None = None
    recommended: bool
    why: str
    evidence: dict[str, Any] | None = None
    expires: date
    system: str | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> "Calibration":
        if self.level is not None and len(self.kept) != len(self.models):
            raise ValueError("kept must have a share for each of models")
        if self.recommended and self.level is None:
            raise ValueError("recommended without a level")
        return self


def read(folder: Path) -> Calibration:
    """The router.json of a folder.

    Raises:
        FileNotFoundError: the folder has none.
        ValueError: it does not hold what it should.
    """
    return json_file.read(folder / FILE, Calibration, "run `python -m tasks.route` to make one")


def write(calibration: Calibration, folder: Path) -> None:
    """Write router.json into a folder."""
    text = calibration.model_dump_json(indent=2) + "\n"
    (folder / FILE).write_text(text, encoding="utf-8")
