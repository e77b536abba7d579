"""When things sound: events by date and hour, and how much was recorded in each hour."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.recordings.dates import later

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from numpy.typing import NDArray

Cell = tuple[date, int]
COLUMNS = ("date", "hour", "type", "events", "seconds")


@dataclass(frozen=True)
class Timeline:
    """Events in the hours in which something was recorded.

    Attributes
    ----------
    cells
        (date, hour) of the clock, in order; hours in which nothing was recorded are not there.
    recorded
        Seconds recorded, (cells,).
    types
        Numbers of the types.
    events
        Events that start in the hour, (cells, types).
    seconds
        Their length; what crosses the end of an hour is split, (cells, types).
    undated
        Events in recordings whose date is not known.
    """

    cells: tuple[Cell, ...]
    recorded: NDArray[np.float64]
    types: tuple[int, ...]
    events: NDArray[np.int64]
    seconds: NDArray[np.float64]
    undated: int

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield date, hour, type, events and seconds; zeros where there was only silence."""
        for (day, hour), events, seconds in zip(self.cells, self.events, self.seconds, strict=True):
            for number, count, length in zip(self.types, events.tolist(), seconds.tolist(), strict=True):
                yield day.isoformat(), hour, number, count, round(length, 3)


def make_timeline(  # noqa: PLR0917
    starts: Sequence[datetime | None],
    durations: Sequence[float],
    record: NDArray[Any],
    start: NDArray[Any],
    end: NDArray[Any],
    types: NDArray[Any],
) -> Timeline:
    """Count events by date, hour and type.

    Parameters
    ----------
    starts, durations
        Of the recordings; durations in seconds.
    record, start, end, types
        Of the events: index of the recording, seconds in it, and number of the type; each (events,).
    """
    known = [(begin, seconds) for begin, seconds in zip(starts, durations, strict=True) if begin]
    recorded: dict[Cell, float] = {}
    for begin, seconds in known:
        for cell, part in _hours(begin, seconds):
            recorded[cell] = recorded.get(cell, 0.0) + part
    cells = tuple(sorted(recorded))
    place, kinds = {cell: i for i, cell in enumerate(cells)}, sorted({int(kind) for kind in types})
    column = {kind: i for i, kind in enumerate(kinds)}
    events, seconds_in = np.zeros((len(cells), len(kinds)), np.int64), np.zeros((len(cells), len(kinds)))
    undated = 0
    for index, first, last, kind in zip(*(values.tolist() for values in (record, start, end, types)), strict=True):
        began = starts[index]
        if began is None:
            undated += 1
            continue
        for number, (cell, part) in enumerate(_hours(later(began, first), last - first)):
            if (row := place.get(cell)) is None:  # rounding put the end of a last event past its recording's
                continue
            events[row, column[int(kind)]] += number == 0
            seconds_in[row, column[int(kind)]] += part
    return Timeline(
        cells, np.array([recorded[cell] for cell in cells]), tuple(kinds), events, seconds_in, undated,
    )  # fmt: skip


def _hours(start: datetime, seconds: float) -> Iterator[tuple[Cell, float]]:
    """Yield the hours that a stretch reaches into, and its seconds in each; the first also when it has no length."""
    at, left = start, max(0.0, seconds)
    while True:
        rest = 3600.0 - 60 * at.minute - at.second - at.microsecond / 1e6
        part = min(left, rest)
        yield (at.date(), at.hour), part
        left -= part
        if left <= 1e-6:  # noqa: PLR2004 (datetimes know microseconds)
            return
        at = later(at, part)
