"""Options of the places of recordings, of ``audiosae survey``: sites and coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from audiosae.errors import InputError
from audiosae.recordings.date_headers import header_place, parsed_place
from audiosae.sounds.effort import overlap_note
from audiosae.sounds.sites import SiteRule
from audiosae.system.parameters import Option
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable

    from audiosae.commands.reading import Reading
    from audiosae.sounds.effort import Place
    from audiosae.sounds.results import Survey

Site = Annotated[
    str | None,
    Option(
        "Site of each recording: folder (the first folder below SOURCE), or a regular expression for its name with the "
        "named group site, such as '(?P<site>[A-Z]+[0-9]+)_'.",
        "Input",
        metavar="folder|REGEX",
    ),
]
Coordinates = Annotated[
    str | Sequence[float] | None,
    Option(
        "Latitude and longitude in degrees, such as 52.5,13.4, to tell day, dawn, dusk and night.",
        "Input",
        metavar="LAT,LON",
        typed=str,
        python="Also a pair of numbers.",
        default="those of GUANO or Wildlife Acoustics metadata",
    ),
]


def parse_place(coordinates: str | Sequence[float] | None) -> Place | None:
    """Return the option as latitude and longitude; raise InputError if it is no place."""
    if coordinates is None:
        return None
    text = coordinates if isinstance(coordinates, str) else ",".join(map(str, coordinates))
    if place := parsed_place(text):
        return place
    raise InputError(
        f"--coordinates {text}: wanted LAT,LON in degrees, north and east positive, such as 52.5,13.4 or -33.9,151.2"
    )


def with_sites(survey: Survey, sites: dict[str, str], place: Place | None, say: Callable[[str], None]) -> Survey:
    """Return the survey with the site and the place of each recording; report what is not known.

    Parameters
    ----------
    sites
        Site of each recording by its name; empty without sites.
    place
        Place of all recordings; None reads it from their headers.
    """
    if sites:
        survey = replace(survey, sites=[sites[record.file] for record in survey.records])
    places = [place] * len(survey.records)
    if place is None and survey.dated:
        places = [header_place(Path(record.path)) for record in survey.records]
    if any(places):
        survey = replace(survey, places=places)
        if note := _zone_note(survey):
            say(note)
    if note := overlap_note(survey):
        say(note)
    return survey


def sites_by_name(site: str | None, job: Reading, arguments: Sequence[Path]) -> dict[str, str]:
    """Return the site of each recording by its name; empty without the option."""
    return {} if site is None else SiteRule.parse(site).sites_of(job.sources, arguments, job.notes.say)


def _zone_note(survey: Survey) -> str:
    """Return a message on the recordings with a place for which day and night cannot be known."""
    dated = [time for time, place in zip(survey.times, survey.places, strict=False) if time and place]
    without = sum(time.tzinfo is None for time in dated)
    if without:
        return (
            f"day and night are not known for {counted(without, 'recording')} with coordinates: their times have no "
            "time zone; give that of the recorder's clock with --time-zone, such as UTC or Europe/Berlin"
        )
    return "" if dated else "day and night are not known: no recording with coordinates has a date"
