"""Timeline: number and duration of events by date and hour, and the recorded time in each hour.

Times are added as whole microseconds, so that the recorded time of all hours is exactly that of the recordings.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.recordings.dates import later
from audiosae.system.tabular import DataTable, Tabular

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.system.tabular import Kind

Cell = tuple[date, int]
KINDS: dict[str, Kind] = {
    "date": "date",
    "hour": "integer",
    "type": "integer",
    "events": "integer",
    "seconds": "number",
}
MICRO = 10**6  # per second: the resolution of datetimes
_HOUR = 3600 * MICRO


@dataclass(frozen=True)
class Timeline(Tabular):
    """Events in each hour with a recording: a table of hours and types, also for pandas, Polars and DuckDB.

    Attributes
    ----------
    cells
        (date, hour) in local time, in order; hours without a recording are left out.
    recorded
        Recorded seconds, (cells,).
    types
        Numbers of the types.
    events
        Number of events that start in the hour, (cells, types).
    seconds
        Duration of events; events that cross the end of an hour are split, (cells, types).
    undated
        Number of events in recordings whose date is not known.
    """

    cells: tuple[Cell, ...]
    recorded: NDArray[np.float64]
    types: tuple[int, ...]
    events: NDArray[np.int64]
    seconds: NDArray[np.float64]
    undated: int

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield date, hour, type, events and seconds; hours with a recording but no events have zeros."""
        for (day, hour), events, seconds in zip(self.cells, self.events, self.seconds, strict=True):
            for number, count, length in zip(self.types, events.tolist(), seconds.tolist(), strict=True):
                yield day.isoformat(), hour, number, count, round(length, 3)

    def _data(self) -> DataTable:
        return DataTable("timeline", KINDS, lambda: ((date.fromisoformat(day), *rest) for day, *rest in self.rows()))

    def _repr_html_(self) -> str:
        return self._data()._repr_html_()


def make_timeline(
    starts: Sequence[datetime | None],
    durations: Sequence[float],
    *,
    record: NDArray[Any],
    start: NDArray[Any],
    end: NDArray[Any],
    types: NDArray[Any],
    numbers: Sequence[int] | None = None,
) -> Timeline:
    """Count events by date, hour and type.

    Parameters
    ----------
    starts, durations
        Date and time at the start of each recording, None if it is not known, and its duration in seconds.
    record, start, end, types
        Of each event: index of the recording, start and end in seconds from the start of the recording, and number of
        the type; (events,) each.
    numbers
        Numbers of the types that have a column; those of the events when not given.
    """
    recorded: dict[Cell, int] = {}
    dated = ((began, micros(seconds)) for began, seconds in zip(starts, durations, strict=True) if began)
    for cell, part in chain.from_iterable(hours(*each) for each in dated):
        recorded[cell] = recorded.get(cell, 0) + part
    cells = tuple(sorted(recorded))
    numbers = sorted({int(number) for number in types}) if numbers is None else numbers
    row_of, column_of = ({key: i for i, key in enumerate(keys)} for keys in (cells, numbers))
    events, length = np.zeros((2, len(cells), len(numbers)), np.int64)
    undated = sum(starts[index] is None for index in record.tolist())
    for index, first, last, number in zip(*(values.tolist() for values in (record, start, end, types)), strict=True):
        began = starts[index]
        for i, (cell, part) in enumerate(hours(later(began, first), micros(last - first)) if began else ()):
            if cell in row_of:  # rounding may put the end of an event after that of its recording
                row, column = row_of[cell], column_of[int(number)]
                events[row, column] += i == 0
                length[row, column] += part
    seconds = np.array([recorded[cell] for cell in cells], np.float64) / MICRO
    return Timeline(cells, seconds, tuple(numbers), events, length / MICRO, undated)


def micros(seconds: float) -> int:
    """Return a duration in whole microseconds."""
    return round(seconds * MICRO)


def hours(start: datetime, length: int) -> Iterator[tuple[Cell, int]]:
    """Yield each hour of a span of time and the microseconds in it; a span of length 0 has one hour."""
    time, left = start, max(0, length)
    while True:
        part = min(left, _HOUR - (60 * time.minute + time.second) * MICRO - time.microsecond)
        yield (time.date(), time.hour), part
        left -= part
        if not left:
            return
        time = later(time, part / MICRO)
