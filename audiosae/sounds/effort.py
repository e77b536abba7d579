"""Recording effort: recorded time by site, date and hour, with its noise floor, and by day, dawn, dusk and night."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, timedelta
from typing import TYPE_CHECKING

import numpy as np

from audiosae.recordings.dates import later
from audiosae.recordings.sun import LIGHTS, light
from audiosae.sounds.broadband import FLOOR_SECONDS
from audiosae.sounds.timeline import MICRO, hours, micros
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

    from audiosae.sounds.surveyed import Surveyed

Place = tuple[float, float]  # latitude and longitude, degrees
Key = tuple[str, date | None, int | None]  # site, date and hour of the day; None for recordings without a date

LIGHT_COLUMNS = tuple(f"{name}_seconds" for name in LIGHTS)
_TOLERANCE = timedelta(seconds=1)  # clocks and headers round
_PIECE = 60 * MICRO  # whose middle decides whether it is day or night


@dataclass
class Effort:
    """Recorded time in one hour of a site.

    Attributes
    ----------
    length
        Recorded time in microseconds.
    files
        Number of the recordings with a part in this hour.
    lights
        Microseconds of day, dawn, dusk and night; None if the place or the time zone of a recording is not known.
    floor
        Sum of the noise floor (dB) over the minutes with a known one, and the microseconds of these.
    """

    length: int = 0
    files: int = 0
    lights: list[int] | None = field(default_factory=lambda: [0] * len(LIGHTS))
    floor: list[float] = field(default_factory=lambda: [0.0, 0.0])

    @property
    def floor_db(self) -> float | None:
        """Mean noise floor in dB; None if it is not known."""
        return self.floor[0] / self.floor[1] if self.floor[1] else None


def effort_of(survey: Surveyed) -> dict[Key, Effort]:
    """Return the recorded time of each hour of each site, and of the recordings without a date.

    The time of recordings that overlap counts for each of them: the sum is the duration of all recordings.

    Returns
    -------
    dict
        In order of site, date and hour; recordings without a date are the last of their site.
    """
    found: dict[Key, Effort] = {}
    for index, record in enumerate(survey.records):
        site = survey.sites[index] if survey.sites else ""
        start = survey.times[index] if index < len(survey.times) else None
        floors = survey.floors[index] if survey.floors else np.empty(0, np.float32)
        lights = _Lights(start, survey.places[index] if survey.places else None)
        at, length = 0, micros(record.extent)
        whole = hours(start, length) if start else iter([(None, length)])
        for cell, part in whole:
            row = found.setdefault((site, *(cell or (None, None))), Effort())
            row.length += part
            row.files += 1
            _add_floor(row, floors, at, part)
            _add_lights(row, lights, at, part)
            at += part
    return dict(sorted(found.items(), key=lambda item: (item[0][0], item[0][1] or date.max, item[0][2] or 0)))


@dataclass(frozen=True)
class _Lights:
    """Day and night of a recording that begins at a time in a place, if both are known."""

    start: datetime | None
    place: Place | None

    def of(self, at: int, length: int) -> list[int] | None:
        """Return the microseconds of day, dawn, dusk and night in a part of the recording."""
        if self.place is None or self.start is None or self.start.tzinfo is None:
            return None
        edges = np.append(np.arange(0, length, _PIECE), length)
        middles = self.start.timestamp() + (at + (edges[1:] + edges[:-1]) / 2) / MICRO
        kinds = light(middles, *self.place)
        return [int(np.diff(edges)[kinds == number].sum()) for number in range(len(LIGHTS))]


def _add_lights(row: Effort, lights: _Lights, at: int, length: int) -> None:
    own = lights.of(at, length)
    row.lights = None if own is None or row.lights is None else [a + b for a, b in zip(row.lights, own, strict=True)]


def _add_floor(row: Effort, floors: NDArray[np.float32], at: int, length: int) -> None:
    """Add the noise floor of a part of a recording; the values are of parts of `FLOOR_SECONDS`."""
    first, last = (int(edge / (FLOOR_SECONDS * MICRO)) for edge in (at, max(at, at + length - 1)))
    for number in range(first, min(last + 1, len(floors))):
        low, high = (edge * FLOOR_SECONDS * MICRO for edge in (number, number + 1))
        inside = min(high, at + length) - max(low, at)
        if np.isfinite(floors[number]):
            row.floor[0] += float(floors[number]) * inside
            row.floor[1] += inside


def effort_rows(survey: Surveyed) -> Iterator[list[object]]:
    """Yield the header and the rows of effort.csv."""
    found = effort_of(survey)
    lit = any(row.lights is not None for row in found.values())
    site = ["site"] if survey.sites else []
    yield [*site, "date", "hour", "recorded_seconds", "files", *(LIGHT_COLUMNS if lit else ())]
    for (name, day, hour), row in found.items():
        lights = [part / MICRO for part in row.lights] if row.lights else [None] * len(LIGHTS)
        yield [*([name] if site else []), day, hour, row.length / MICRO, row.files, *(lights if lit else ())]


def overlap_note(survey: Surveyed) -> str:
    """Return a message on recordings of the same site that overlap in time, or ""."""
    overlapping = 0
    for site in dict.fromkeys(survey.sites or [""]):
        end = None
        for start, stop in sorted(_spans(survey, site)):
            overlapping += end is not None and start + _TOLERANCE < end
            end = stop if end is None else max(end, stop)
    if not overlapping:
        return ""
    of_site, cause = ("", "several recorders? --site gives each a site")
    if survey.sites:
        of_site, cause = " of the same site", "two recorders at one site?"
    return (
        f"{overlapping:,} of {counted(len(survey.records), 'recording')} begin before an earlier one{of_site} ends "
        f"({cause}); the time of each counts as recorded"
    )


def _spans(survey: Surveyed, site: str) -> Iterator[tuple[datetime, datetime]]:
    """Yield start and end of the dated recordings of a site, in UTC if their time zone is known."""
    sites: Sequence[str] = survey.sites or [""] * len(survey.records)
    for own, start, record in zip(sites, survey.times, survey.records, strict=False):
        if own == site and start is not None:
            began = start.astimezone(UTC) if start.tzinfo else start
            yield began, later(began, record.extent)
