"""Choice among the ways to read the dates and times in the names of a folder, or why none can be trusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

DateOrder = Literal["YMD", "DMY", "MDY"]
MOST = 0.9  # share of the names that must have the form; the others may be different files
_CLOSER = 10  # an order of year, month and day is in doubt if another order puts the dates that much closer together
_MOST_TAKES = 100  # four digits below this are more likely the number of a take than a time after midnight
_MOST_TAKES_APART = 10000  # the same for six digits that do not follow the date directly

ORDERS: dict[str, tuple[str, ...]] = {  # which of the parts a, b and c are year, month and day
    "YYYYMMDD": ("abc",),
    "YYYY-MM-DD": ("abc",),
    "DD-Mon-YYYY": ("cba",),
    "YYMMDD": ("abc", "cba", "cab"),
    "YY-MM-DD": ("abc", "cba", "cab"),
    "DDMMYYYY": ("cba", "cab"),
    "DD-MM-YYYY": ("cba", "cab"),
}
UNAMBIGUOUS = tuple(kind for kind, orders in ORDERS.items() if len(orders) == 1)
SHORT_YEARS = ("YYMMDD", "YY-MM-DD")
_REORDERED = {
    ("YYMMDD", "cba"): "DDMMYY",
    ("YYMMDD", "cab"): "MMDDYY",
    ("YY-MM-DD", "cba"): "DD-MM-YY",
    ("YY-MM-DD", "cab"): "MM-DD-YY",
    ("DDMMYYYY", "cab"): "MMDDYYYY",
    ("DD-MM-YYYY", "cab"): "MM-DD-YYYY",
}
_ORDER_OF = {"YMD": "abc", "DMY": "cba", "MDY": "cab"}
_DIGITS_ONLY = ("HHMMSS", "HHMM", "HHMMSSmmm")  # times without separators


@dataclass(frozen=True)
class Named:
    """Form of the names of a folder, and the dates and times in them.

    Attributes
    ----------
    form
        Form of date and time, such as "YYYYMMDD_HHMMSS"; "" if none was recognised.
    starts
        Date and time of each name, None if a name has none; with a zone if the names state it.
    reason
        Why no form was recognised, or "".
    unset
        Whether each name has the date of a clock that was not set; its entry in `starts` is None.
    doubtful
        Whether the names have a form, but its dates cannot be trusted.
    """

    form: str = ""
    starts: tuple[datetime | None, ...] = ()
    reason: str = ""
    unset: tuple[bool, ...] = ()
    doubtful: bool = False


@dataclass(frozen=True)
class Reading:
    """One way to read all names: one form, and one order of year, month and day."""

    form: str
    kind: str  # form of the date
    order: str
    starts: tuple[datetime | None, ...]
    unset: tuple[bool, ...]  # whether a name has the date of a clock that was not set
    zones: int  # names that state a zone, if only some do
    clocks: tuple[str, ...]  # digits of the time in each name that has the form

    @property
    def dated(self) -> list[datetime]:
        """The dates of the names that have one."""
        return [start for start in self.starts if start]

    @property
    def span(self) -> float:
        """Days between the first and the last date, at least 1."""
        days = [start.toordinal() for start in self.dated]
        return max(1, max(days) - min(days))

    def explains(self) -> bool:
        """Return whether nearly all names are dates in this form. Every match of an ambiguous form must be a date."""
        complete = self.kind in UNAMBIGUOUS or len(self.dated) + sum(self.unset) == len(self.clocks)
        return bool(self.dated) and complete and len(self.dated) >= MOST * (len(self.starts) - sum(self.unset))


def choose(readings: list[Reading], order: DateOrder | None) -> Named:
    """Return the names as read in the best way, or the reason why no way can be trusted."""
    if order:
        wanted = [each for each in readings if each.kind in UNAMBIGUOUS or each.order == _ORDER_OF[order]]
        if not wanted:
            return _doubt(f"file names are dates of the form {_form(readings[0])}, not of --date-order {order}")
        readings = wanted
    candidates = [reading for reading in readings if reading.kind in UNAMBIGUOUS] or readings
    best = candidates[0]
    if any(_differ(best, other) for other in candidates if other.kind != best.kind):
        forms = ", ".join(dict.fromkeys(_form(reading) for reading in candidates))
        return _doubt(f"file names can be read in several ways ({forms}), which give different dates")
    orders = {reading.order for reading in readings if reading.kind == readings[0].kind}
    rivals = [other for other in readings if other.kind == best.kind and _differ(best, other)]
    if len(orders) > 1 and (doubt := _order_in_doubt(best, rivals)):
        return _doubt(f"{doubt}; give the order with --date-order")
    form = _form(best)
    if best.zones:
        return Named(
            reason=f"file names have the form {form}, but only {best.zones} of {len(best.clocks)} state a time zone"
        )
    if best.form.endswith(_DIGITS_ONLY) and _may_be_takes(best.clocks, apart="..." in best.form):
        return _doubt(f"file names look like {form}, but the last digits may count takes instead of being a time")
    return Named(form, best.starts, unset=best.unset)


def _doubt(reason: str) -> Named:
    return Named(reason=reason, doubtful=True)


def _form(reading: Reading) -> str:
    """Return the form with year, month and day in the order in which they were read."""
    return reading.form.replace(reading.kind, _REORDERED.get((reading.kind, reading.order), reading.kind))


def _differ(one: Reading, other: Reading) -> bool:
    return one is not other and any(
        a and b and a.replace(tzinfo=None) != b.replace(tzinfo=None)
        for a, b in zip(one.starts, other.starts, strict=True)
    )


def _order_in_doubt(best: Reading, rivals: Sequence[Reading]) -> str:
    """Return why the order of year, month and day is unknown, or "".

    Recorders that write two digits for the year write it first. This order is in doubt if another order puts the dates
    much closer together, or makes them later without spreading them more.
    """
    trusted = best.kind in SHORT_YEARS and best.order == "abc"
    for rival in rivals:
        closer = rival.span * _CLOSER <= best.span
        later = rival.span <= best.span and max(rival.dated) > max(best.dated)
        if not trusted or closer or later:
            return f"file names can be read as {_form(best)} and as {_form(rival)}, and no date shows which is right"
    return ""


def _may_be_takes(clocks: Sequence[str], *, apart: bool) -> bool:
    """Return whether the digits of times may be numbers that count up; `apart`: other text is before them."""
    numbers = sorted({int(text) for text in clocks})
    counting = len(numbers) > 1 and numbers == list(range(numbers[0], numbers[-1] + 1))
    if len(clocks[0]) == len("HHMM"):
        return counting or numbers[-1] < _MOST_TAKES
    return (counting and numbers[0] <= 1) or (apart and numbers[-1] < _MOST_TAKES_APART)
