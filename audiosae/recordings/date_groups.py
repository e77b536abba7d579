"""Groups of recordings whose dates have one form: all together, else by form of the names, folder or headers."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal

from audiosae.recordings.date_choice import MOST, Named
from audiosae.recordings.date_headers import KINDS, header_times
from audiosae.recordings.date_names import FIRST_YEAR, forms_of, read_names, why_none

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from pathlib import Path

    from audiosae.recordings.date_choice import DateOrder

    Starts = Sequence[datetime | None]

When = Literal["auto", "name", "metadata", "none"]
_NAMES = "file names: "
_SAME = timedelta(seconds=2)
_LARGEST_SHIFT = timedelta(hours=26)  # between a name and a header that time zones can explain
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
    members: Sequence[int]
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


@dataclass
class GroupReader:
    """Dates of the recordings of one survey, in groups."""

    paths: Sequence[Path]
    when: When
    order: DateOrder | None
    now: datetime | None
    _headers: dict[int, dict[str, datetime | None]] = field(default_factory=dict)

    def groups(self) -> list[DateGroup]:
        """Return all recordings as one group if they have one form, else in groups of equal form, folder or headers."""

        def folder(member: int) -> Path:
            return self.paths[member].parent

        keys = (
            lambda member: forms_of(self.paths[member]) if self.when != "metadata" else None,
            folder,
            lambda member: self._header_kinds(member) if self.when != "name" else None,
        )
        groups = self._split(range(len(self.paths)), keys)
        undated = {folder(member) for group in groups if not group.form for member in group.members}
        groups = [
            group.dropped(_ONE_NAME)
            if group.form.startswith(_NAMES) and len(group.members) == 1 and folder(group.members[0]) in undated
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
        named = Named()
        if self.when != "metadata":
            named = read_names(self._paths_of(members), order=self.order, now=self.now)
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
            reason = why_none(self._paths_of(members), now=self.now)
        return self._with_headers(reason, members)

    def _paths_of(self, members: Sequence[int]) -> Sequence[Path]:
        """Return the paths of some recordings; all of them are not copied."""
        return self.paths if members == range(len(self.paths)) else [self.paths[member] for member in members]

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
    own = members if isinstance(members, range) else tuple(members)
    return DateGroup("", own, (None,) * len(members), unset=(False,) * len(members))


def _without(group: DateGroup, members: Sequence[int]) -> DateGroup:
    """Return a group without some of its members."""
    if not members:
        return group
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
