"""Dates and times in file names: read only if nearly all names of a folder have the same form."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from functools import cache, lru_cache
from itertools import compress
from typing import TYPE_CHECKING

from audiosae.recordings.date_choice import MOST, ORDERS, SHORT_YEARS, UNAMBIGUOUS, Named, Reading, choose
from audiosae.system.many import Many
from audiosae.system.text import one_line

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Sequence
    from pathlib import Path

    from audiosae.recordings.date_choice import DateOrder

_Pattern = tuple[str, str, re.Pattern[str]]  # form, form of its date, expression
_MOST_WITHOUT_DIGIT = 1 / 3  # of the names
FIRST_YEAR = 1990
_FIRST_SHORT_YEAR = 2005  # no recorder wrote years of two digits earlier
_FIRST_HEX_YEAR = 2015  # of AudioMoths
_EPOCHS = (1970, 1980, 2000)  # at the start of these years, the clocks of recorders begin if nobody sets them
_EPOCH_DAYS = 7  # that a recorder without a set clock is in use
_LAST_YEAR = 2107  # of the dates of the FAT file system
_LARGEST_OFFSET = 14  # hours from UTC
_DIGITS = re.compile(r"(?:\d\D*){8}")  # the fewest digits of a date and a time
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_HEXADECIMAL = "hexadecimal seconds since 1970"
_HEXADECIMAL_NAME = re.compile(r"[0-9A-F]{8}")
_DIGIT = re.compile(r"\d|^[0-9A-F]{8}$")
_SOUNDTRAP = re.compile(r"\d+\.\d{12}")  # serial number and YYMMDDHHMMSS

_DATES = {
    "YYYYMMDD": r"(?<!\d)(?P<a>\d{4})(?P<b>\d\d)(?P<c>\d\d)",
    "DDMMYYYY": r"(?<!\d)(?P<a>\d\d)(?P<b>\d\d)(?P<c>\d{4})",
    "YYMMDD": r"(?<!\d)(?P<a>\d\d)(?P<b>\d\d)(?P<c>\d\d)",
    "YYYY-MM-DD": r"(?<!\d)(?P<a>\d{4})(?P<s>[-_./])(?P<b>\d\d?)(?P=s)(?P<c>\d\d?)(?!\d)",
    "DD-MM-YYYY": r"(?<!\d)(?P<a>\d\d?)(?P<s>[-_./])(?P<b>\d\d?)(?P=s)(?P<c>\d{4})(?!\d)",
    "YY-MM-DD": r"(?<!\d)(?P<a>\d\d)(?P<s>[-_./])(?P<b>\d\d)(?P=s)(?P<c>\d\d)(?!\d)",
    "DD-Mon-YYYY": r"(?<!\d)(?P<a>\d\d?)(?P<s>[-_. ]?)(?P<b>[A-Za-z]{3,9})(?P=s)(?P<c>\d{4})(?!\d)",
}
_TIMES = {
    "HHMMSS": r"(?P<h>\d\d)(?P<m>\d\d)(?P<sec>\d\d)(?!\d)",
    "HHMM": r"(?P<h>\d\d)(?P<m>\d\d)(?!\d)",
    "HH-MM-SS": r"(?P<h>\d\d?)(?P<t>[-_.: ])(?P<m>\d\d)(?P=t)(?P<sec>\d\d)(?!\d)",
    "HHhMMmSS": r"(?P<h>\d\d?)h(?P<m>\d\d)m(?P<sec>\d\d)(?!\d)",
    "HH-MM": r"(?P<h>\d\d?)(?P<t>[-_.:h])(?P<m>\d\d)(?!\d|(?P=t)\d)",
}
_FRACTION = "HHMMSSmmm"
_ALL_TIMES = _TIMES | {_FRACTION: r"(?P<h>\d\d)(?P<m>\d\d)(?P<sec>\d\d)(?P<ms>\d{3})(?!\d)"}
_TIMES_APART = {  # after other text, the hour has two digits
    "HHMMSS": _TIMES["HHMMSS"],
    "HH-MM-SS": r"(?P<h>\d\d)(?P<t>[-_.: ])(?P<m>\d\d)(?P=t)(?P<sec>\d\d)(?!\d|(?P=t)\d)",
    "HHhMMmSS": _TIMES["HHhMMmSS"],
}
_YEAR_LAST = re.compile(_DATES["DDMMYYYY"])  # has as many digits as YYYYMMDD
_JOINED = r"(?:[\s_.$,T-]{1,3}|[\s_-]at[\s_-])"
_APART = r"[\s_.-]{1,3}[A-Za-z][^/]{0,60}?[\s_.-]"  # other text between date and time
_FOLDER = r"/(?:[^/]*[^/\d])?"  # between the date in a folder's name and the time in the file's name
_AFTER = (
    r"(?:(?:\.|[_-](?=\d{3}$))(?P<frac>\d{3}|\d{6})(?!\d))?(?:[\s_.]?(?P<half>[AaPp])\.?[Mm]\.?(?![A-Za-z]))?"
    r"(?:[\s_-]?(?P<zone>Z|UTC|GMT)(?![A-Za-z])|(?P<offset>[+-]\d\d:?\d\d|\+\d\d)(?![\dA-Za-z:]))?"
)


def read_names(paths: Sequence[Path], *, order: DateOrder | None = None, now: datetime | None = None) -> Named:
    """Recognise the form of date and time that the names of files have in common.

    Parameters
    ----------
    paths
        Files; if their names have a time only, the date is read from the names of their folders.
    order
        Order of year, month and day in names that can be read in several ways; None to recognise it.
    now
        Current time, by default the clock's; dates later than the next year are not accepted.

    Returns
    -------
    Named
        It has no form if no form fits nearly all names, if several fit and give different dates, or if the digits of
        the time may be a number. It has no reason if no form fits, because that takes time: see `why_none`.
    """
    numbered = [*map(has_digit, paths)]
    if 0 < numbered.count(False) <= _MOST_WITHOUT_DIGIT * len(paths):  # these say nothing about the others' form
        named = read_names(list(compress(paths, numbered)), order=order, now=now)
        starts, unset = iter(named.starts), iter(named.unset)
        return replace(
            named,
            starts=tuple(next(starts, None) if each else None for each in numbered),
            unset=tuple(each and next(unset, False) for each in numbered),
        )
    latest = (now or datetime.now(UTC)).year + 1
    stems = Many(map(_stem, paths))
    patterns = _patterns()
    if order is None and all(map(_SOUNDTRAP.fullmatch, stems)):
        order, patterns = "YMD", [pattern for pattern in patterns if pattern[0] == "YYMMDDHHMMSS"]
    readings = _readings(stems, patterns, latest) or _readings(stems, _apart_patterns(), latest)
    if not readings:
        folders = (path.absolute().parts[-4:-1] for path in paths)
        with_folders = ["/".join([*folder, stem]) for folder, stem in zip(folders, stems, strict=True)]
        readings = _readings(with_folders, _folder_patterns(), latest)
    if readings:
        return choose(readings, order)
    if times := _hexadecimal([path.stem for path in paths], latest):
        return Named(_HEXADECIMAL, times)
    return Named()


def forms_of(path: Path) -> Hashable:
    """Return the forms of date and time that the digits of a name can have; names of one recorder have the same."""
    stem = _stem(path)
    year_last = any(
        _date(match["c"], match[month], match[day], first=FIRST_YEAR, latest=_LAST_YEAR)
        for match in _YEAR_LAST.finditer(stem)
        for month, day in ("ab", "ba")
    )
    return _forms_of_shape(re.sub(r"\d", "0", stem)), year_last, bool(_HEXADECIMAL_NAME.fullmatch(stem))


@lru_cache(2**12)
def _forms_of_shape(stem: str) -> frozenset[tuple[str, bool]]:
    """Return the forms of a name whose digits are 0, each with whether it states a time zone."""
    matches = ((form, pattern.search(stem)) for form, _, pattern in (*_patterns(), *_apart_patterns()))
    return frozenset((form, bool(match["zone"] or match["offset"])) for form, match in matches if match)


def has_digit(path: Path) -> bool:
    """Return whether a name may have a date: it has a digit, or is a hexadecimal number."""
    return bool(_DIGIT.search(path.stem))


def _stem(path: Path) -> str:
    return path.stem if any(map(str.isalpha, path.suffix)) else path.name


@cache
def _patterns() -> list[_Pattern]:
    """Return (form, form of its date, pattern) of every form of date and time in a name."""
    return [
        (f"{kind}{mark}{clock}", kind, re.compile(_DATES[kind] + between + pattern + _AFTER))
        for kind in _DATES
        for clock, pattern in _ALL_TIMES.items()
        for mark, between in (("_", _JOINED), ("", ""))
        if (mark or (kind.isalpha() and clock in {"HHMMSS", "HHMM", _FRACTION}))
        and (clock != _FRACTION or kind in UNAMBIGUOUS)
    ]


@cache
def _apart_patterns() -> list[_Pattern]:
    """Return the same as `_patterns` for names with other text between date and time."""
    return [
        (f"{kind}...{clock}", kind, re.compile(_DATES[kind] + _APART + pattern + _AFTER))
        for kind in _DATES
        if kind not in SHORT_YEARS  # two digits for the year are too little evidence
        for clock, pattern in _TIMES_APART.items()
    ]


@cache
def _folder_patterns() -> list[_Pattern]:
    """Return the same as `_patterns` for the date in the name of the folder and the time in the name of the file."""
    return [
        (f"{kind}/{clock}", kind, re.compile(rf"(?:^|/)[^/]*?{day}[^/\d]*{_FOLDER}{pattern}{_AFTER}[^/]*$"))
        for kind, day in _DATES.items()
        for clock, pattern in _TIMES.items()
        if clock != "HHMM"  # four digits are often a number and no time
    ]


def _readings(texts: Sequence[str], patterns: Sequence[_Pattern], latest: int) -> list[Reading]:
    """Return every reading that explains the texts."""
    if not _fits(texts, _DIGITS):
        return []
    found = (
        _read(texts, pattern, form, kind, order, latest)
        for form, kind, pattern in patterns
        if _fits(texts, pattern)
        for order in ORDERS[kind]
    )
    return [reading for reading in found if reading.explains()]


def _read(  # noqa: PLR0917
    texts: Sequence[str], pattern: re.Pattern[str], form: str, kind: str, order: str, latest: int
) -> Reading:
    zones, clocks = 0, []
    for match in filter(None, map(pattern.search, texts)):
        zones += bool(match["zone"] or _offset(match["offset"]))
        clocks.append(_clock(match))
    zoned = zones >= MOST * len(clocks)
    times = [_first([_start(match, order) for match in pattern.finditer(text)]) for text in texts]
    real = max((time.year for time in times if time and time.year <= latest), default=0)
    unset = tuple(bool(time and _is_unset(time, kind, real, latest)) for time in times)
    earliest = _FIRST_SHORT_YEAR if kind in SHORT_YEARS else FIRST_YEAR
    starts = [t if t and earliest <= t.year <= latest and not u else None for t, u in zip(times, unset, strict=True)]
    if zoned:
        starts = [start if start and start.tzinfo else None for start in starts]
    else:
        starts = [start.replace(tzinfo=None) if start and start.tzinfo else start for start in starts]
    return Reading(form, kind, order, tuple(starts), unset, 0 if zoned else zones, tuple(clocks))


def _clock(match: re.Match[str]) -> str:
    """Return the digits of the time, of which many recordings have the same."""
    parts = match.groupdict()
    return sys.intern("".join(parts.get(part) or "" for part in ("h", "m", "sec", "ms")))


def _is_unset(start: datetime, kind: str, real: int, latest: int) -> bool:
    """Return whether a date is that of a clock that was not set; `real` is the latest year of the other names."""
    year = start.year - 100 if kind in SHORT_YEARS and start.year > latest else start.year
    if year in _EPOCHS and start.timetuple().tm_yday <= _EPOCH_DAYS and real > year + 1:
        return True
    return kind in UNAMBIGUOUS and (year < FIRST_YEAR or year > latest)


def _fits(texts: Sequence[str], pattern: re.Pattern[str]) -> bool:
    """Return whether enough texts match; it ends as soon as too many do not, as there are many forms to try."""
    misses = 0
    for text in texts:
        misses += not pattern.search(text)
        if len(texts) - misses < MOST * len(texts):
            return False
    return len(texts) > 0


def _first(times: Sequence[datetime | None]) -> datetime | None:
    """Return the time of a name that has one time, or a start and an end; None otherwise."""
    known = [each for each in times if each]
    comparable = len(known) == len(times) and len({each.tzinfo is None for each in known}) == 1
    return known[0] if comparable and known == sorted(known) else None


def _start(match: re.Match[str], order: str) -> datetime | None:
    """Return the date and time of a match; None if it is none, or of a year before 1970 or after 2107."""
    parts = match.groupdict()
    year, month, day = (parts[letter] for letter in order)
    hour, half = int(parts["h"]), (parts["half"] or "").lower()
    if half:
        if hour not in range(1, 13):
            return None
        hour = hour % 12 + 12 * (half == "p")
    on = _date(year, month, day, first=_EPOCHS[0], latest=_LAST_YEAR)
    if on is None:
        return None
    fraction = int((parts.get("ms") or (parts["frac"] if parts.get("sec") else "") or "0").ljust(6, "0"))
    zone = UTC if parts["zone"] else _offset(parts["offset"])
    try:
        return datetime.combine(on, time(hour, int(parts["m"]), int(parts.get("sec") or 0), fraction, zone))
    except ValueError:
        return None


def _date(year: str, month: str, day: str, *, first: int, latest: int) -> date | None:
    """Return the date of digits or a month's name; None if there is no such date or its year is out of range."""
    try:
        number = _MONTHS.index(month.lower()[:3]) + 1 if month.isalpha() else int(month)
        full_year = int(f"20{year}"[-4:])  # years of two digits are of this century
        return date(full_year, number, int(day)) if first <= full_year <= latest else None
    except ValueError:
        return None


def _offset(text: str | None) -> timezone | None:
    """Return the zone of an offset such as +0200; None if no zone has this offset."""
    if not text:
        return None
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > _LARGEST_OFFSET or minutes not in {0, 30, 45}:
        return None
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


def _hexadecimal(stems: Sequence[str], latest: int) -> tuple[datetime, ...]:
    """Return the times of names that are seconds since 1970 in hexadecimal, as the first AudioMoths wrote them."""
    if not all(map(_HEXADECIMAL_NAME.fullmatch, stems)) or all(map(str.isdigit, stems)):
        return ()
    starts = tuple(datetime.fromtimestamp(int(stem, 16), UTC) for stem in stems)
    return starts if all(_FIRST_HEX_YEAR <= start.year <= latest for start in starts) else ()


def why_none(paths: Sequence[Path], *, now: datetime | None = None) -> str:
    """Return why no form of date and time was recognised in names."""
    stems, latest = [_stem(path) for path in paths if has_digit(path)], (now or datetime.now(UTC)).year + 1
    for kind in ("YYYYMMDD", "YYMMDD", "YYYY-MM-DD", "YY-MM-DD"):
        matches = map(re.compile(_DATES[kind] + r"(?!\d)").search, stems)
        dates = [_date(m["a"], m["b"], m["c"], first=_EPOCHS[0], latest=_LAST_YEAR) for m in matches if m]
        count = sum(bool(on and FIRST_YEAR <= on.year <= latest) for on in dates)
        if not count and kind in UNAMBIGUOUS and sum(map(bool, dates)) >= max(1, MOST * len(stems)):
            return f"the dates in file names ({kind}) are before {FIRST_YEAR} or after {latest}: the clock was not set"
        if count >= max(1, MOST * len(stems)):
            return f"file names have a date ({kind}, {count} of {len(stems)}), but no time of day in a known form"
    return _nearly(stems, latest) or "the file names contain no date and time in a known form (such as 20260131_235900)"


def _in_range(start: datetime | None, latest: int) -> bool:
    return start is not None and FIRST_YEAR <= start.year <= latest


def _nearly(stems: Sequence[str], latest: int) -> str:
    """Return the form that most names have, and the names that do not have it; "" if no form fits half of them."""
    forms = {form: (kind, pattern) for form, kind, pattern in _patterns() if kind in UNAMBIGUOUS}

    def misfits(form: str) -> Iterator[str]:
        kind, pattern = forms[form]
        for stem in stems:
            times = [_start(match, ORDERS[kind][0]) for match in pattern.finditer(stem)]
            if not _in_range(_first(times), latest):
                yield stem

    counts = {form: sum(1 for _ in misfits(form)) for form in forms}
    form, count = min(counts, key=counts.__getitem__), len(stems)
    if 2 * counts[form] > count or not count:
        return ""
    others = [*misfits(form)]
    names = ", ".join(map(one_line, others[:3])) + (", ..." if len(others) > len(others[:3]) else "")
    return (
        f"only {count - len(others)} of {count} names have the form {form}, too few to use it; leave out the others: "
        f"{names}"
    )
