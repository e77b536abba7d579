"""Date and time at which recordings began, from the names of a folder's files as a whole or from their headers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from audiosae.errors import InputError
from audiosae.recordings.date_headers import KINDS, header_times
from audiosae.recordings.date_names import FIRST_YEAR, MOST, Named, read_names
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    Starts = Sequence[datetime | None]

When = Literal["auto", "name", "metadata", "none"]
_SAME = timedelta(seconds=2)
_LARGEST_SHIFT = timedelta(hours=26)  # between a name and a header that time zones can explain


@dataclass(frozen=True)
class Dates:
    """Date and time at which recordings began.

    Attributes
    ----------
    form
        Where the dates were read, such as "file names: YYYYMMDD_HHMMSS"; "" if there are none.
    starts
        One per file, with a zone if it is known; None for a file without a date.
    note
        Message for the user, one line.
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
        Files of one survey, whose names have one form.
    when
        Where to look: ``name``, ``metadata`` (GUANO, Wildlife Acoustics, AudioMoth, Broadcast Wave), ``auto`` (names,
        else headers), or ``none``.
    time_zone
        Zone such as "Europe/Berlin" or "UTC" of times that state none; times that state one are converted to it.
    now
        Current time, by default the clock's; dates later than the next year are not accepted.

    Raises
    ------
    InputError
        The time zone is unknown.
    """
    zone, none = _zone(time_zone), [None] * len(paths)
    if when == "none":
        return Dates("", [*none], "no dates: --when none")
    latest = (now or datetime.now(UTC)).year + 1
    named = read_names(paths, now=now) if when in {"auto", "name"} else Named()
    stated, kind = _header_starts(paths, latest) if when in {"auto", "metadata"} else ([], "")
    if named.form and kind:
        pairs = zip(named.starts, stated, strict=True)
        if any(name and header and _difference(name, header) > _LARGEST_SHIFT for name, header in pairs):
            reason = (
                f"file names ({named.form}) and headers ({kind}) disagree; choose with --when name or --when metadata"
            )
            return Dates("", [*none], f"no dates: {reason}")
    if named.form:
        starts = _with_zones(named.starts, stated) if kind else named.starts
        return _in_zone(f"file names: {named.form}", starts, zone, time_zone)
    if kind:
        return _in_zone(f"headers: {kind}", stated, zone, time_zone)
    return Dates("", [*none], f"no dates: {named.reason or 'no file header states date and time'}")


def later(start: datetime, seconds: float) -> datetime:
    """Return the date and time `seconds` after `start`, also across a change to or from daylight saving time."""
    if start.tzinfo is None:
        return start + timedelta(seconds=seconds)
    return (start.astimezone(UTC) + timedelta(seconds=seconds)).astimezone(start.tzinfo)


def stamps(
    names: Sequence[str],
    paths: Sequence[Path],
    *,
    when: When = "auto",
    time_zone: str | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Callable[[str, float], str] | None:
    """Return a function that converts a recording's name and a time in it to date and time in ISO 8601.

    Parameters
    ----------
    names, paths
        Recordings, in the same order.
    when, time_zone
        As for `read_dates`.
    say
        Called with the note on the dates, if there are any.

    Returns
    -------
    callable or None
        Function of (name, seconds) that returns "" for a recording without a date. None if no recording has one.
    """
    dates = read_dates(paths, when=when, time_zone=time_zone)
    if not dates.form:
        return None
    say(dates.note)
    starts = {name: start for name, start in zip(names, dates.starts, strict=True) if start}
    return lambda file, seconds: later(starts[file], seconds).isoformat() if file in starts else ""


def _zone(name: str | None) -> tzinfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise InputError(
            f"--time-zone {name}: unknown time zone; wanted a name such as Europe/Berlin or UTC"
        ) from error


def _header_starts(paths: Sequence[Path], latest: int) -> tuple[Starts, str]:
    """Return the starts in the first kind of header that nearly all files have, and this kind."""
    stated: list[dict[str, datetime]] = []
    without = 0
    for path in paths:
        stated.append(header_times(path))
        without += not stated[-1]
        if len(paths) - without < MOST * len(paths):  # no kind of header can be that of nearly all files
            return [], ""
    for kind in KINDS:
        starts = [times.get(kind) for times in stated]
        starts = [start if start and FIRST_YEAR <= start.year <= latest else None for start in starts]
        known = [start for start in starts if start]
        if known and len(known) >= MOST * len(paths) and len({start.tzinfo is None for start in known}) == 1:
            return starts, kind
    return [], ""


def _difference(one: datetime, other: datetime) -> timedelta:
    return abs(one.replace(tzinfo=None) - other.replace(tzinfo=None))


def _with_zones(named: Starts, stated: Starts) -> Starts:
    """Add to the times of names the zone that headers state, if name and header of every file have the same time."""
    pairs = [*zip(named, stated, strict=True)]
    if all(b and b.tzinfo and a.tzinfo is None and _difference(a, b) <= _SAME for a, b in pairs if a):
        return [a and b and a.replace(tzinfo=b.tzinfo) for a, b in pairs]
    return named


def _in_zone(form: str, starts: Starts, zone: tzinfo | None, name: str | None) -> Dates:
    """Return the dates with the zone called `name`: converted if they state one, else taken as times in it."""
    known = [start for start in starts if start]
    note = f"dates from {form}, {len(known)} of {counted(len(starts), 'recording')}"
    if known[0].tzinfo:
        note += f", time zone as stated{f', shown in {name}' if zone else ''}"
        return Dates(form, [start and start.astimezone(zone) if zone else start for start in starts], note)
    if not zone:
        return Dates(form, [*starts], f"{note}, no time zone; give that of the recorder's clock with --time-zone")
    starts = [start and start.replace(tzinfo=zone) for start in starts]
    note += f", taken as times in {name}{_clock_changes([start for start in starts if start])}"
    return Dates(form, [start and later(start, 0) for start in starts], note)  # moves a skipped hour to the next one


def _clock_changes(starts: Sequence[datetime]) -> str:
    """Return a message on times in hours that clocks repeat or skip, and how they were read."""
    changed = [start for start in starts if start.utcoffset() != start.replace(fold=1).utcoffset()]
    shown = [start.astimezone(UTC).astimezone(start.tzinfo) for start in changed]  # differ in a skipped hour
    skipped = sum(a.replace(tzinfo=None) != b.replace(tzinfo=None) for a, b in zip(changed, shown, strict=True))
    repeated = len(changed) - skipped
    return (f"; {repeated} in an hour that clocks repeat (the first is taken)" if repeated else "") + (
        f"; {skipped} in an hour that clocks skip (standard time is taken)" if skipped else ""
    )
