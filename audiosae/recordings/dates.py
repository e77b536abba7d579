"""Date and time at which recordings began, from file names or headers; recorders may write them in several forms."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo

from audiosae.errors import InputError
from audiosae.recordings.date_headers import KINDS, header_times
from audiosae.recordings.date_names import FIRST_YEAR, MOST, Named, forms_of, has_digit, match_names, why_none
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from pathlib import Path

    from audiosae.recordings.date_names import DateOrder

    Starts = Sequence[datetime | None]

When = Literal["auto", "name", "metadata", "none"]
_NAMES = "file names: "
_SAME = timedelta(seconds=2)
_LARGEST_SHIFT = timedelta(hours=26)  # between a name and a header that time zones can explain
_NAMED = 3  # recordings that a message names
_REASONS = 2  # reasons that a message gives
_CLOCK = "the clock was not set"
_ONE_NAME = "a single name is too little evidence for a form"


@dataclass(frozen=True)
class DateGroup:
    """Recordings whose date and time have the same form.

    Attributes
    ----------
    form
        Where the dates were read, such as "file names: YYYYMMDD_HHMMSS"; "" if the recordings have none.
    members
        Positions of the recordings in the sequence that was read.
    starts
        One per member; None for a member without a date.
    reason
        Why the recordings have no date, or "".
    unset
        Whether each member has the date of a clock that was not set.
    doubtful
        Whether a part of the recordings would not be more certain than all of them.
    """

    form: str
    members: tuple[int, ...]
    starts: tuple[datetime | None, ...]
    reason: str = ""
    unset: tuple[bool, ...] = ()
    doubtful: bool = False

    @property
    def dated(self) -> list[datetime]:
        """The dates of the members that have one."""
        return [start for start in self.starts if start]

    def dropped(self, reason: str) -> DateGroup:
        """Return the group without its dates."""
        return replace(self, form="", starts=(None,) * len(self.members), reason=reason)


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
    groups = _Reader(paths, when, date_order, now).groups()
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
    found = {member: start for group in groups for member, start in zip(group.members, group.starts, strict=True)}
    return Dates(" and ".join(forms), [found[member] for member in range(len(paths))], note, groups)


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


@dataclass
class _Reader:
    """Dates of the recordings of one survey, in groups."""

    paths: Sequence[Path]
    when: When
    order: DateOrder | None
    now: datetime | None
    _headers: dict[int, dict[str, datetime | None]] = field(default_factory=dict)

    def groups(self) -> list[DateGroup]:
        """Return all recordings as one group if they have one form, else in groups of equal form, folder or headers."""
        folders = [path.parent for path in self.paths]
        keys = (
            lambda member: forms_of(self.paths[member]) if self.when != "metadata" else None,
            lambda member: folders[member],
            lambda member: self._header_kinds(member) if self.when != "name" else None,
        )
        groups = self._split(range(len(self.paths)), keys)
        undated = {folders[member] for group in groups if not group.form for member in group.members}
        groups = [
            group.dropped(_ONE_NAME)
            if group.form.startswith(_NAMES) and len(group.members) == 1 and folders[group.members[0]] in undated
            else group
            for group in groups
        ]
        if not any(group.form for group in groups):  # those with a reason of their own first, the others as one group
            certain = [group for group in groups if group.reason]
            others = [member for group in groups if not group.reason for member in group.members]
            groups = [*certain, *([_undated(others)] if others or not certain else [])]
        return [group if group.form or group.reason else group.dropped(self._why(group.members)) for group in groups]

    def _split(self, members: Sequence[int], keys: Sequence[Callable[[int], Hashable]]) -> list[DateGroup]:
        found = self._read(members)
        if found.form:
            rest = [
                member
                for member, start, unset in zip(members, found.starts, found.unset, strict=True)
                if start is None and not unset
            ]
            return [_without(found, rest), *(self._split(rest, keys) if rest else [])]
        for number, key in enumerate(keys if not found.doubtful else ()):
            parts: dict[Hashable, list[int]] = {}
            for member in members:
                parts.setdefault(key(member), []).append(member)
            if len(parts) > 1:
                return [group for part in parts.values() for group in self._split(part, keys[number + 1 :])]
        return [found]

    def _read(self, members: Sequence[int]) -> DateGroup:
        """Return recordings as one group, with dates if nearly all have the same form of date and time."""
        latest = (self.now or datetime.now(UTC)).year + 1
        paths = [self.paths[member] for member in members]
        named = Named()
        if self.when != "metadata":
            named = match_names(paths, order=self.order, now=self.now)
        stated, kind, unset = ((), "", ()) if self.when == "name" else self._header_starts(members, latest)
        none = _undated(members)
        if named.form and kind:
            pairs = zip(named.starts, stated, strict=True)
            if any(name and header and _difference(name, header) > _LARGEST_SHIFT for name, header in pairs):
                why = (
                    f"file names ({named.form}) and headers ({kind}) disagree; choose with --when name or "
                    "--when metadata"
                )
                return none.dropped(why)
        if named.form:
            starts = _with_zones(named.starts, stated) if kind else named.starts
            unset = named.unset or none.unset
            return replace(none, form=f"{_NAMES}{named.form}", starts=tuple(starts), unset=tuple(unset))
        if kind:
            return replace(none, form=f"headers: {kind}", starts=tuple(stated), unset=tuple(unset))
        return replace(none, reason=self._with_headers(named.reason, members), doubtful=named.doubtful)

    def _why(self, members: Sequence[int]) -> str:
        """Return why recordings have no form of date and time."""
        reason = "no file header states date and time"
        if self.when != "metadata":
            reason = why_none([self.paths[member] for member in members], now=self.now)
        return self._with_headers(reason, members)

    def _with_headers(self, reason: str, members: Sequence[int]) -> str:
        """Add to a reason, if there is one, that headers of known kinds give no dates."""
        seen = [kind for kind in KINDS if any(kind in self._headers.get(member, ()) for member in members)]
        return f"{reason}; the headers ({', '.join(seen)}) state none that can be used" if reason and seen else reason

    def _header(self, member: int) -> dict[str, datetime | None]:
        if member not in self._headers:
            self._headers[member] = header_times(self.paths[member])
        return self._headers[member]

    def _header_kinds(self, member: int) -> frozenset[tuple[str, bool]]:
        """Return the kinds of headers of a recording, each with whether its time has a zone."""
        return frozenset((kind, bool(start and start.tzinfo)) for kind, start in self._header(member).items())

    def _header_starts(self, members: Sequence[int], latest: int) -> tuple[Starts, str, Sequence[bool]]:
        """Return the starts in the first kind of header that nearly all files have, this kind, and unset clocks."""
        stated: list[dict[str, datetime | None]] = []
        without = 0
        for member in members:
            stated.append(self._header(member))
            without += not any(stated[-1].values())
            if len(members) - without < MOST * len(members):  # no kind of header can be that of nearly all files
                return (), "", ()
        for kind in KINDS:
            times = [each.get(kind) for each in stated]
            unset = [bool(time and not FIRST_YEAR <= time.year <= latest) for time in times]
            starts = [None if bad else time for time, bad in zip(times, unset, strict=True)]
            known = [start for start in starts if start]
            enough = known and len(known) >= MOST * (len(members) - sum(unset))
            if enough and len({start.tzinfo is None for start in known}) == 1:
                return starts, kind, unset
        return (), "", ()


def _undated(members: Sequence[int]) -> DateGroup:
    return DateGroup("", tuple(members), (None,) * len(members), unset=(False,) * len(members))


def _without(group: DateGroup, members: Sequence[int]) -> DateGroup:
    """Return a group without some of its members."""
    left = set(members)
    rows = zip(group.members, group.starts, group.unset, strict=True)
    kept, starts, unset = zip(*(row for row in rows if row[0] not in left), strict=True)
    return replace(group, members=kept, starts=starts, unset=unset)


def _difference(one: datetime, other: datetime) -> timedelta:
    return abs(one.replace(tzinfo=None) - other.replace(tzinfo=None))


def _with_zones(named: Starts, stated: Starts) -> Starts:
    """Add to the times of names the zone that headers state, if name and header of every file have the same time."""
    pairs = [*zip(named, stated, strict=True)]
    if all(b and b.tzinfo and a.tzinfo is None and _difference(a, b) <= _SAME for a, b in pairs if a):
        return [a and b and a.replace(tzinfo=b.tzinfo) for a, b in pairs]
    return named


def _in_zone(group: DateGroup, zone: tzinfo | None, *, local: bool) -> DateGroup:
    """Return a group with its times in a zone: converted if they state one, else taken as times in it.

    Without a zone, `local` removes the zones that are stated, because the times of other groups state none.
    """

    def converted(start: datetime) -> datetime:
        if zone is None:
            return start.replace(tzinfo=None) if local else start
        if start.tzinfo:
            return start.astimezone(zone)
        return later(start.replace(tzinfo=zone), 0)  # moves a skipped hour to the next one

    return replace(group, starts=tuple(start and converted(start) for start in group.starts))


def _zone_note(groups: Sequence[DateGroup], zone: tzinfo | None, name: str | None) -> str:
    """Return a message on the time zone of the dates; `name` is that of the zone."""
    local = [start for group in groups for start in group.dated if not start.tzinfo]
    stated = sum(start.tzinfo is not None for group in groups for start in group.dated)
    if local and not zone:
        some = f"; {stated} of them state one, which is not used because the others state none" if stated else ""
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
    shown = [f"{_some(some)} ({reason})" for reason, some in names.items()][:_REASONS]
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


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(" ".join(name.split()) for name in names[:_NAMED]) + more  # a name may have a line break


def _clock_changes(starts: Sequence[datetime]) -> str:
    """Return a message on times in hours that clocks repeat or skip, and how they were read."""
    changed = [start for start in starts if start.utcoffset() != start.replace(fold=1).utcoffset()]
    shown = [start.astimezone(UTC).astimezone(start.tzinfo) for start in changed]  # differ in a skipped hour
    skipped = sum(a.replace(tzinfo=None) != b.replace(tzinfo=None) for a, b in zip(changed, shown, strict=True))
    repeated = len(changed) - skipped
    return (f"; {repeated} in an hour that clocks repeat (the first is taken)" if repeated else "") + (
        f"; {skipped} in an hour that clocks skip (standard time is taken)" if skipped else ""
    )
