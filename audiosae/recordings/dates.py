"""Date and time at which recordings began, from file names or headers; recorders may write them in several forms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from audiosae.errors import InputError
from audiosae.recordings.date_groups import DateGroup, GroupReader
from audiosae.recordings.date_names import has_digit
from audiosae.system.progress import counted
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from audiosae.recordings.date_choice import DateOrder
    from audiosae.recordings.date_groups import When

_REASONS = 2  # reasons that a message gives
_CLOCK = "the clock was not set"


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
    groups
        The recordings by form of date and time, and those without a date by reason.
    """

    form: str
    starts: list[datetime | None]
    note: str
    groups: Sequence[DateGroup] = ()


def read_dates(
    paths: Sequence[Path],
    *,
    when: When = "auto",
    time_zone: str | None = None,
    date_order: DateOrder | None = None,
    now: datetime | None = None,
) -> Dates:
    """Read the date and time at which recordings began.

    If all recordings together have no form of date and time, those with names of the same form, in the same folder, or
    with the same kinds of headers are read separately.

    Parameters
    ----------
    paths
        Files of one survey.
    when
        Where to look: ``name``, ``metadata`` (GUANO, Wildlife Acoustics, AudioMoth, Broadcast Wave), ``auto`` (names,
        else headers), or ``none``.
    time_zone
        Zone such as "Europe/Berlin" or "UTC" of times that state none; times that state one are converted to it.
    date_order
        Order of year, month and day in names that can be read in several ways; None to recognise it.
    now
        Current time, by default the clock's; dates later than the next year are not accepted.

    Raises
    ------
    InputError
        The time zone is unknown.
    """
    zone = _zone(time_zone)
    if when == "none":
        return Dates("", [None] * len(paths), "no dates: --when none")
    groups = GroupReader(paths, when, date_order, now).groups()
    forms: Counter[str] = Counter()
    for group in groups:
        forms.update({group.form: len(group.dated)} if group.form else {})
    if not forms:
        reasons = [*dict.fromkeys(group.reason for group in groups)]
        return Dates("", [None] * len(paths), f"no dates: {'; '.join(reasons[:_REASONS])}", groups)
    counts = [f"{form} ({count})" if len(forms) > 1 else form for form, count in forms.items()]
    note = f"dates from {', '.join(counts)}, {forms.total()} of {counted(len(paths), 'recording')}"
    note += _zone_note(groups, zone, time_zone) + _left_out(groups, paths)
    local = any(start.tzinfo is None for group in groups for start in group.dated)
    groups = [_in_zone(group, zone, local=local) for group in groups]
    starts: list[datetime | None] = [None] * len(paths)
    for group in groups:
        for member, start in zip(group.members, group.starts, strict=True):
            starts[member] = start
    return Dates(" and ".join(forms), starts, note, groups)


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
    date_order: DateOrder | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Callable[[str, float], str] | None:
    """Return a function that converts a recording's name and a time in it to date and time in ISO 8601, to 1 ms.

    Parameters
    ----------
    names, paths
        Recordings, in the same order.
    when, time_zone, date_order
        As for `read_dates`.
    say
        Called with the note on the dates, if there are any.

    Returns
    -------
    callable or None
        Function of (name, seconds) that returns "" for a recording without a date. None if no recording has one.
    """
    dates = read_dates(paths, when=when, time_zone=time_zone, date_order=date_order)
    if not dates.form:
        return None
    say(dates.note)
    starts = {name: start for name, start in zip(names, dates.starts, strict=True) if start}
    return lambda file, seconds: stamp(later(starts[file], round(seconds, 3))) if file in starts else ""


def stamp(time: datetime) -> str:
    """Return date and time in ISO 8601, always with milliseconds, so that other programs read a column as times."""
    return time.isoformat(timespec="milliseconds")


def _zone(name: str | None) -> tzinfo | None:
    try:
        return None if name is None else ZoneInfo(name)
    except (OSError, ValueError, LookupError) as error:
        raise InputError(
            f"--time-zone {name}: unknown time zone; wanted a name such as Europe/Berlin or UTC"
        ) from error


def _in_zone(group: DateGroup, zone: tzinfo | None, *, local: bool) -> DateGroup:
    """Return a group with its times in a zone: converted if they state one, else taken as times in it.

    Without a zone, `local` removes the zones that are stated, because the times of other groups state none.
    """

    def converted(start: datetime) -> datetime:
        if zone is None:
            return start.replace(tzinfo=None) if local and start.tzinfo else start
        if start.tzinfo:
            return start.astimezone(zone)
        return later(start.replace(tzinfo=zone), 0)  # moves a skipped hour to the next one

    return replace(group, starts=tuple(start and converted(start) for start in group.starts))


def _zone_note(groups: Sequence[DateGroup], zone: tzinfo | None, name: str | None) -> str:
    """Return a message on the time zone of the dates; `name` is that of the zone."""
    local = [start for group in groups for start in group.dated if not start.tzinfo]
    stated = sum(start.tzinfo is not None for group in groups for start in group.dated)
    if local and not zone:
        some = f"; that of {counted(stated, 'recording')} is not used, as the others state none" if stated else ""
        return f", no time zone; give that of the recorder's clock with --time-zone{some}"
    note = ", time zone as stated" + (f", shown in {name}" if zone else "") if stated else ""
    if local:
        others = f"; {len(local)} without one" if stated else ""
        note += f"{others}, taken as times in {name}{_clock_changes([start.replace(tzinfo=zone) for start in local])}"
    return note


def _left_out(groups: Sequence[DateGroup], paths: Sequence[Path]) -> str:
    """Return a message on the recordings without a date whose names have digits, or ""."""
    names: dict[str, list[str]] = {}
    for reason, members in undated(groups).items():
        if some := [paths[member].name for member in members if has_digit(paths[member])]:
            names[reason] = some
    shown = [f"{some_of(some)} ({reason})" for reason, some in names.items()][:_REASONS]
    more = sum(map(len, [*names.values()][_REASONS:]))
    return f"; without a date: {'; '.join(shown)}{f'; and {more} more' if more else ''}" if shown else ""


def undated(groups: Sequence[DateGroup]) -> dict[str, list[int]]:
    """Return the positions of the recordings without a date, by reason."""
    found: dict[str, list[int]] = {}
    for group in groups:
        unset = group.unset or (False,) * len(group.members)
        for member, start, clock in zip(group.members, group.starts, unset, strict=True):
            if start is None:
                found.setdefault(_CLOCK if clock else group.reason, []).append(member)
    return found


def _clock_changes(starts: Sequence[datetime]) -> str:
    """Return a message on times in hours that clocks repeat or skip, and how they were read."""
    changed = [start for start in starts if start.utcoffset() != start.replace(fold=1).utcoffset()]
    shown = [start.astimezone(UTC).astimezone(start.tzinfo) for start in changed]  # differ in a skipped hour
    skipped = sum(a.replace(tzinfo=None) != b.replace(tzinfo=None) for a, b in zip(changed, shown, strict=True))
    repeated = len(changed) - skipped
    return (f"; {repeated} in an hour that clocks repeat (the first is taken)" if repeated else "") + (
        f"; {skipped} in an hour that clocks skip (standard time is taken)" if skipped else ""
    )
