"""Date and time in file names: the one form that explains the names of a whole folder, or none."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from itertools import compress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_FEW = 1 / 3  # of the names may have no digit
MOST = 0.9  # of the names must have the form: a few others may lie beside
FIRST_YEAR = 1990
_FIRST_SHORT_YEAR = 2005  # no recorder wrote dates with two digits for the year before
_FIRST_HEX_YEAR = 2015  # of AudioMoths
_COMPACT = 10  # times: dates that lie so much closer together under another order cast doubt on this one
_COUNT = 100  # four digits under this are rather the number of a take than a time after midnight
_DIGITS = re.compile(r"(?:\d\D*){8}")  # the fewest that a date and a time have
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

_ORDERS = {"YYYYMMDD": ("abc",), "YYYY-MM-DD": ("abc",), "DD-Mon-YYYY": ("cba",), "YYMMDD": ("abc", "cba", "cab"),
           "YY-MM-DD": ("abc", "cba", "cab"), "DDMMYYYY": ("cba", "cab"), "DD-MM-YYYY": ("cba", "cab")}  # fmt: skip
_SHORT = ("YYMMDD", "YY-MM-DD")
_PLAIN = ("YYYYMMDD", "YYYY-MM-DD", "DD-Mon-YYYY")
_HEX = "hexadecimal seconds since 1970"
_NUMBERED = re.compile(r"\d|^[0-9A-F]{8}$")

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
_JOINED = r"(?:[\s_.$,T-]{1,3}|[\s_-]at[\s_-])"
_FOLDER = r"/(?:[^/]*[^/\d])?"  # the date is a folder's name, the time the file's
_AFTER = (
    r"(?:\.(?P<frac>\d{3}|\d{6})(?!\d))?(?:[\s_.]?(?P<half>[AaPp])\.?[Mm]\.?(?![A-Za-z]))?"
    r"(?:[\s_-]?(?P<zone>Z|UTC|GMT)(?![A-Za-z])|(?P<offset>[+-]\d\d:?\d\d|\+\d\d)(?![\dA-Za-z:]))?"
)


@dataclass(frozen=True)
class Named:
    """What the names of a folder tell.

    Attributes
    ----------
    form
        As "YYYYMMDD_HHMMSS"; "" when no form was recognised.
    starts
        One per name; with a zone where the names state it.
    reason
        Why there is no form, or "".
    """

    form: str = ""
    starts: tuple[datetime | None, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class _Reading:
    """One way to read all names: in one form, with the date's parts in one order."""

    form: str
    kind: str
    order: str
    texts: tuple[str, ...]
    starts: tuple[datetime | None, ...]
    matched: int
    zones: int
    digits: tuple[str, ...] = field(default=())

    @property
    def dated(self) -> list[datetime]:
        return [start for start in self.starts if start]

    @property
    def span(self) -> float:
        """Days between the first and the last date, at least one."""
        days = [start.toordinal() for start in self.dated]
        return max(1, max(days) - min(days))

    def explains(self) -> bool:
        """Return whether nearly all names are dates so read; all that look so where the order of the parts is open."""
        whole = self.kind in _PLAIN or len(self.dated) == self.matched
        return bool(self.dated) and whole and len(self.dated) >= MOST * len(self.starts)


def read_names(paths: Sequence[Path], *, now: datetime | None = None) -> Named:
    """Recognise the form of date and time in the names of files as a whole.

    Parameters
    ----------
    paths
        Of the files; the folders that they lie in are read where the names hold a time only.
    now
        Dates later than next year are none.

    Returns
    -------
    Named
        Without a form when none explains nearly all names, when several do and differ, or when what looks like a time
        may be a number.
    """
    numbered = [bool(_NUMBERED.search(path.stem)) for path in paths]
    if 0 < numbered.count(False) <= _FEW * len(paths):  # a name without a digit says nothing of the others' form
        named = read_names(list(compress(paths, numbered)), now=now)
        known = iter(named.starts)
        return replace(named, starts=tuple(next(known, None) if it else None for it in numbered))
    latest = (now or datetime.now(UTC)).year + 1
    stems = [_stem(path) for path in paths]
    whole = ["/".join([*path.absolute().parts[-4:-1], stem]) for path, stem in zip(paths, stems, strict=True)]
    for texts, patterns in ((stems, _patterns), (whole, _folder_patterns)):
        found = [
            reading
            for form, kind, pattern in (patterns() if _matches(texts, _DIGITS) else [])
            for order in _ORDERS[kind]
            if (reading := _read(texts, form, kind, order, pattern, latest)) and reading.explains()
        ]
        if found:
            return _choose(found)
    if starts := _hexadecimal([path.stem for path in paths], latest):
        return Named(_HEX, starts)
    return Named(reason=_nothing(stems, latest))


def _patterns() -> list[tuple[str, str, re.Pattern[str]]]:
    """Return (form, form of its date, pattern) of everything that a name may have."""
    found = []
    for kind, day in _DATES.items():
        for time, clock in _TIMES.items():
            found.append((f"{kind}_{time}", kind, re.compile(day + _JOINED + clock + _AFTER)))
            if kind.isalpha() and time in ("HHMMSS", "HHMM"):
                found.append((f"{kind}{time}", kind, re.compile(day + clock + _AFTER)))
    return found


def _folder_patterns() -> list[tuple[str, str, re.Pattern[str]]]:
    """Return the same of names that hold the time, in a folder that is named after the date."""
    return [
        (f"{kind}/{time}", kind, re.compile(rf"(?:^|/)[^/]*?{day}[^/\d]*{_FOLDER}{clock}{_AFTER}[^/]*$"))
        for kind, day in _DATES.items()
        for time, clock in _TIMES.items()
        if time != "HHMM"  # which is as often a number
    ]


def _stem(path: Path) -> str:
    return path.stem if any(letter.isalpha() for letter in path.suffix) else path.name


def _read(  # noqa: PLR0917
    texts: Sequence[str], form: str, kind: str, order: str, pattern: re.Pattern[str], latest: int
) -> _Reading | None:
    if (matches := _matches(texts, pattern)) is None:
        return None
    starts = [_first([_start(match, kind, order, latest) for match in found]) for found in matches]
    seen = [found[0] for found in matches if found]
    clocks = tuple(f"{match['h']}{match['m']}{match.groupdict().get('sec') or ''}" for match in seen)
    zones = sum(bool(match["zone"] or _offset(match["offset"])) for match in seen)
    zoned = zones >= MOST * len(seen)
    starts = [start if zoned or start is None else start.replace(tzinfo=None) for start in starts]
    starts = [start if not zoned or start is None or start.tzinfo else None for start in starts]
    return _Reading(form, kind, order, tuple(texts), tuple(starts), len(seen), 0 if zoned else zones, clocks)


def _matches(texts: Sequence[str], pattern: re.Pattern[str]) -> list[list[re.Match[str]]] | None:
    """Return what of each text has a form; None as soon as too few can have it: there are many forms to try."""
    found, misses = [], 0
    for text in texts:
        found.append(list(pattern.finditer(text)))
        misses += not found[-1]
        if len(texts) - misses < MOST * len(texts):
            return None
    return found


def _first(times: Sequence[datetime | None]) -> datetime | None:
    """Return the start where a name has one time, or a start and an end."""
    if not times or None in times or len({time.tzinfo is None for time in times if time}) > 1:
        return times[0] if len(times) == 1 else None
    ordered = [time for time in times if time]
    return ordered[0] if ordered == sorted(ordered) else None


def _start(match: re.Match[str], kind: str, order: str, latest: int) -> datetime | None:
    parts = match.groupdict()
    year, month, day = (parts[letter] for letter in order)
    hour, half = int(parts["h"]), (parts["half"] or "").lower()
    if half:
        if not 1 <= hour <= 12:  # noqa: PLR2004
            return None
        hour = hour % 12 + 12 * (half == "p")
    found = _date(year, month, day, first=_FIRST_SHORT_YEAR if kind in _SHORT else FIRST_YEAR, latest=latest)
    fraction = int((parts["frac"] or "0").ljust(6, "0"))
    if found is None:
        return None
    try:
        return datetime(
            found.year, found.month, found.day, hour, int(parts["m"]), int(parts.get("sec") or 0), fraction,
            tzinfo=UTC if parts["zone"] else _offset(parts["offset"]),
        )  # fmt: skip
    except ValueError:
        return None


def _date(year: str, month: str, day: str, *, first: int, latest: int) -> date | None:
    number = month.lower()[:3] in _MONTHS and _MONTHS.index(month.lower()[:3]) + 1 if month.isalpha() else int(month)
    full = int(year) + (2000 if len(year) == 2 else 0)  # noqa: PLR2004
    try:
        return date(full, number, int(day)) if first <= full <= latest else None
    except ValueError:
        return None


def _offset(text: str | None) -> timezone | None:
    """Return the zone of +0200, or none where the digits are no offset that is in use."""
    if not text:
        return None
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours, minutes = int(digits[:2]), int(digits[2:])
    if hours > 14 or minutes not in {0, 30, 45}:  # noqa: PLR2004
        return None
    return timezone((-1 if text[0] == "-" else 1) * timedelta(hours=hours, minutes=minutes))


def _choose(found: list[_Reading]) -> Named:
    """Return the one reading, or why there is none."""
    plain = [reading for reading in found if reading.kind in _PLAIN]
    orders = {reading.order for reading in found if reading.kind == found[0].kind}
    best = plain[0] if plain else found[0]
    name = _form(best)
    if any(_differ(best, other) for other in (plain or found) if other.kind != best.kind):
        others = ", ".join(dict.fromkeys(_form(reading) for reading in (plain or found)))
        return Named(reason=f"names can be read in several ways ({others}) that give different dates")
    rivals = [other for other in found if other.kind == best.kind and _differ(best, other)]
    if len(orders) > 1 and (doubt := _order_in_doubt(best, rivals)):
        return Named(reason=doubt)
    if best.zones:
        return Named(reason=f"names have the form {name}, but only {best.zones} of {best.matched} state a zone")
    if best.form.endswith(("HHMMSS", "HHMM")) and _counts(best.digits):
        return Named(reason=f"names look like {name}, but the last digits may as well be numbers of takes")
    return Named(name, best.starts)


def _form(reading: _Reading) -> str:
    """Return the form with the date's parts as they were read."""
    if reading.order == "abc" or reading.kind == "DD-Mon-YYYY":
        return reading.form
    day_first = reading.order == "cba"
    date_form = {
        "YYMMDD": "DDMMYY" if day_first else "MMDDYY",
        "YY-MM-DD": "DD-MM-YY" if day_first else "MM-DD-YY",
        "DDMMYYYY": "DDMMYYYY" if day_first else "MMDDYYYY",
        "DD-MM-YYYY": "DD-MM-YYYY" if day_first else "MM-DD-YYYY",
    }[reading.kind]
    return reading.form.replace(reading.kind, date_form)


def _differ(one: _Reading, other: _Reading) -> bool:
    return one is not other and any(
        a and b and a.replace(tzinfo=None) != b.replace(tzinfo=None)
        for a, b in zip(one.starts, other.starts, strict=True)
    )


def _order_in_doubt(best: _Reading, rivals: Sequence[_Reading]) -> str:
    """Return why year, month and day cannot be told apart, or "".

    Recorders that write two digits for the year write it first; that is doubted where another order puts the dates
    much closer together, or as close and later.
    """
    trusted = best.kind in _SHORT and best.order == "abc"
    for rival in rivals:
        closer = rival.span * _COMPACT <= best.span
        later = rival.span <= best.span and max(rival.dated) > max(best.dated)
        if not trusted or closer or later:
            return f"names can be read as {_form(best)} and as {_form(rival)}: no date shows which"
    return ""


def _counts(digits: Sequence[str]) -> bool:
    """Return whether what looks like times may be numbers that count up."""
    numbers = [int(text) for text in digits]
    distinct = sorted(set(numbers))
    counting = len(distinct) > 1 and distinct == list(range(distinct[0], distinct[-1] + 1))
    if len(digits[0]) == 4:  # noqa: PLR2004
        return counting or distinct[-1] < _COUNT
    return counting and distinct[0] <= 1


def _hexadecimal(stems: Sequence[str], latest: int) -> tuple[datetime | None, ...]:
    """Return the times of names that are seconds since 1970 in hexadecimal, as the first AudioMoths wrote them."""
    starts = [
        datetime.fromtimestamp(int(stem, 16), UTC) if re.fullmatch(r"[0-9A-F]{8}", stem) else None for stem in stems
    ]
    good = [start for start in starts if start and _FIRST_HEX_YEAR <= start.year <= latest]
    letters = any(not stem.isdigit() for stem in stems)
    return tuple(starts) if stems and letters and len(good) == len(stems) else ()


def _nothing(stems: Sequence[str], latest: int) -> str:
    """Return what the names have instead of date and time."""
    for kind in ("YYYYMMDD", "YYMMDD", "YYYY-MM-DD", "YY-MM-DD"):
        seen = map(re.compile(_DATES[kind] + r"(?!\d)").search, stems)
        count = sum(bool(m and _date(m["a"], m["b"], m["c"], first=FIRST_YEAR, latest=latest)) for m in seen)
        if count >= max(1, MOST * len(stems)):
            return f"names have a date and no time ({kind}, {count} of {len(stems)})"
    return _nearly(stems, latest) or "no form of date and time explains the names"


def _nearly(stems: Sequence[str], latest: int) -> str:
    """Return which form most names have, and which do not have it; "" where there is none."""
    best: tuple[str, list[str]] = ("", list(stems))
    for form, kind, pattern in _patterns():
        if kind in _PLAIN:
            others = [
                s
                for s in stems
                if _first([_start(m, kind, _ORDERS[kind][0], latest) for m in pattern.finditer(s)]) is None
            ]
            best = min(best, (form, others), key=lambda found: len(found[1]))
    form, others = best
    if 2 * len(others) > len(stems):
        return ""
    shown = ", ".join(others[:3]) + (", ..." if len(others) > len(others[:3]) else "")
    return (f"{len(stems) - len(others)} of {len(stems)} names have the form {form}, too few to trust it: {shown} "
            f"{'does' if len(others) == 1 else 'do'} not; leave such names out")  # fmt: skip
