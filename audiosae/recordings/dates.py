"""When recordings began: from the names of a folder's files as a whole, or from their headers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Literal

from audiosae.errors import InputError
from audiosae.recordings.date_headers import KINDS, header_times
from audiosae.recordings.date_names import FIRST_YEAR, MOST, Named, read_names

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

When = Literal["auto", "name", "metadata", "none"]
_SAME = timedelta(seconds=2)
_APART = timedelta(hours=26)  # zones cannot explain more between a name and a header


@dataclass(frozen=True)
class Dates:
    """When recordings began.

    Attributes
    ----------
    form
        How it is known, as "file names: YYYYMMDD_HHMMSS"; "" when it is not.
    starts
        One per file, with a zone where it is known; None where there is no date.
    note
        One line for a person.
    """

    form: str
    starts: list[datetime | None]
    note: str


def read_dates(
    paths: Sequence[Path], *, when: When = "auto", time_zone: str | None = None, now: datetime | None = None
) -> Dates:
    """Read the date and time at which recordings began.

    Parameters
    ----------
    paths
        Of the files of one survey, whose names have one form.
    when
        ``name``, ``metadata`` (GUANO, Wildlife Acoustics, AudioMoth, Broadcast Wave), ``auto`` (names, else headers),
        or ``none``.
    time_zone
        As "Europe/Berlin" or "UTC": of times that state no zone; times that do are converted to it.
    now
        Dates later than next year are none.

    Raises
    ------
    InputError
        An unknown time zone.
    """
    zone = _zone(time_zone)
    if when == "none":
        return Dates("", [None] * len(paths), "dates: not asked for")
    latest = (now or datetime.now(UTC)).year + 1
    named = read_names(paths, now=now) if when in {"auto", "name"} else Named()
    stated, kind = _stated(paths, latest) if when in {"auto", "metadata"} else ([], "")
    if named.form and kind and _far(named.starts, stated):
        return _none(paths, f"file names ({named.form}) and headers ({kind}) disagree: --when name or --when metadata")
    if named.form:
        starts = _with_zones(named.starts, stated) if kind else list(named.starts)
        return _placed(f"file names: {named.form}", starts, zone, time_zone)
    if kind:
        return _placed(f"headers: {kind}", stated, zone, time_zone)
    return _none(paths, named.reason or "no header states date and time")


def later(start: datetime, seconds: float) -> datetime:
    """Return the date and time `seconds` after `start`, also across a change of clocks."""
    if start.tzinfo is None:
        return start + timedelta(seconds=seconds)
    return (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(start.tzinfo)


def stamps(
    names: Sequence[str], paths: Sequence[Path], *, when: When = "auto", time_zone: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Callable[[str, float], str] | None:  # fmt: skip
    """Return a function from a recording's name and seconds in it to date and time in ISO 8601.

    Parameters
    ----------
    names, paths
        Of the recordings, in the same order.
    when, time_zone
        As for `read_dates`.

    Returns
    -------
    callable or None
        It returns "" for a recording without a date. None where no recording has one.
    """
    dates = read_dates(paths, when=when, time_zone=time_zone)
    if not dates.form:
        return None
    say(dates.note)
    starts = {name: start for name, start in zip(names, dates.starts, strict=True) if start}
    return lambda file, seconds: later(starts[file], seconds).isoformat() if file in starts else ""


def _none(paths: Sequence[Path], reason: str) -> Dates:
    return Dates("", [None] * len(paths), f"no dates: {reason}")


def _zone(name: str | None) -> tzinfo | None:
    from zoneinfo import ZoneInfo

    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise InputError(f"--time-zone {name}: no such zone here; wanted for instance Europe/Berlin or UTC") from error


def _stated(paths: Sequence[Path], latest: int) -> tuple[list[datetime | None], str]:
    """Return the starts of the first kind of header that nearly all files have."""
    found: list[dict[str, datetime]] = []
    silent = 0
    for path in paths:
        found.append(header_times(path))
        silent += not found[-1]
        if len(paths) - silent < MOST * len(paths):  # no kind can be that of nearly all: the others need no look
            return [], ""
    for kind in KINDS:
        starts = [times.get(kind) for times in found]
        starts = [start if start and FIRST_YEAR <= start.year <= latest else None for start in starts]
        known = [start for start in starts if start]
        if known and len(known) >= MOST * len(paths) and len({start.tzinfo is None for start in known}) == 1:
            return starts, kind
    return [], ""


def _apart(one: datetime, other: datetime) -> timedelta:
    return abs(one.replace(tzinfo=None) - other.replace(tzinfo=None))


def _far(named: Sequence[datetime | None], stated: Sequence[datetime | None]) -> bool:
    return any(a and b and _apart(a, b) > _APART for a, b in zip(named, stated, strict=True))


def _with_zones(named: Sequence[datetime | None], stated: Sequence[datetime | None]) -> list[datetime | None]:
    """Give times of names the zone that headers state, where the headers state the same times for all."""
    pairs = [(a, b) for a, b in zip(named, stated, strict=True) if a]
    if all(b and b.tzinfo and a.tzinfo is None and _apart(a, b) <= _SAME for a, b in pairs):
        return [a and b and a.replace(tzinfo=b.tzinfo) for a, b in zip(named, stated, strict=True)]
    return list(named)


def _placed(form: str, starts: Sequence[datetime | None], zone: tzinfo | None, name: str | None) -> Dates:
    known = [start for start in starts if start]
    told = f"{form}, {len(known)} of {len(starts)}"
    if known[0].tzinfo:
        told += f", zone as stated{f', shown in {name}' if zone else ''}"
        placed = [start and start.astimezone(zone) if zone else start for start in starts]
    elif zone:
        taken = [start and start.replace(tzinfo=zone) for start in starts]
        told += f", taken as {name}{_clock_changes([start for start in taken if start])}"
        placed = [start and later(start, 0) for start in taken]  # an hour that clocks skip is the next one
    else:
        placed, told = list(starts), f"{told}, no zone: give --time-zone, that of the recorder's clock"
    return Dates(form, placed, told)


def _clock_changes(starts: Sequence[datetime]) -> str:
    """Return what was assumed where clocks are changed."""
    skipped = twice = 0
    for start in starts:
        if start.utcoffset() != start.replace(fold=1).utcoffset():
            back = start.astimezone(UTC).astimezone(start.tzinfo)
            skipped += back.replace(tzinfo=None) != start.replace(tzinfo=None)
            twice += back.replace(tzinfo=None) == start.replace(tzinfo=None)
    return (f"; {twice} in an hour that clocks repeat (the first is taken)" if twice else "") + (
        f"; {skipped} in an hour that clocks skip (standard time is taken)" if skipped else ""
    )
