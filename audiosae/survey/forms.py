"""Forms of date and time in file names, as regular expressions."""

from __future__ import annotations

import re

DATES = {
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


def patterns() -> list[tuple[str, str, re.Pattern[str]]]:
    """Return (form, form of its date, pattern) of everything that a name may have."""
    found = []
    for kind, day in DATES.items():
        for time, clock in _TIMES.items():
            found.append((f"{kind}_{time}", kind, re.compile(day + _JOINED + clock + _AFTER)))
            if kind.isalpha() and time in ("HHMMSS", "HHMM"):
                found.append((f"{kind}{time}", kind, re.compile(day + clock + _AFTER)))
    return found


def folder_patterns() -> list[tuple[str, str, re.Pattern[str]]]:
    """Return the same of names that hold the time, in a folder that is named after the date."""
    return [
        (f"{kind}/{time}", kind, re.compile(rf"(?:^|/)[^/]*?{day}[^/\d]*{_FOLDER}{clock}{_AFTER}[^/]*$"))
        for kind, day in DATES.items()
        for time, clock in _TIMES.items()
        if time != "HHMM"  # which is as often a number
    ]
