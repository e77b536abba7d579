"""What a survey found: events in columns, sound types, and how stable the types are."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.recordings.dates import later
from audiosae.sounds.timeline import Timeline, make_timeline
from audiosae.system.frames import html_table, pandas_frame

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record

NOWHERE = 0  # type of events that are like none of the types
TIME, NAME = "time", "name"  # columns of the table of events that it has only when they are known
_COLUMNS = ("file", "start", "end", TIME, "low_hz", "high_hz", "type", NAME, "score", "peak", "top_unit")
_DIGITS = {"start": 3, "end": 3, "low_hz": 1, "high_hz": 1, "score": 4, "peak": 1}


@dataclass(frozen=True, slots=True)
class Event:
    """A stretch of a recording in which something sounds.

    Attributes
    ----------
    number
        Its row in `Survey.events`.
    record
        Index into `Survey.records`.
    file
        Name of the recording.
    start, end
        Seconds from the beginning of the file.
    low_hz, high_hz
        The band that it fills.
    type
        Number of its sound type; 0 when it is like none of them.
    name
        What the user calls that type, or "".
    score
        Distance from the centre of the nearest type over that type's reach: 0 in the middle, 1 at the border; over 1
        belongs nowhere (type 0).
    peak
        Strongest level above the noise floor, in dB.
    top_unit
        The unit whose activity rises most above its mean over all events.
    time
        Date and time at its start, with zone; None where the recording's is not known.
    """

    number: int
    record: int
    file: str
    start: float
    end: float
    low_hz: float
    high_hz: float
    type: int
    name: str
    score: float
    peak: float
    top_unit: int
    time: datetime | None


@dataclass(frozen=True)
class Events:
    """All events in order of file and start, one array of shape (events,) per column; attributes as in `Event`."""

    record: NDArray[np.int32]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    low_hz: NDArray[np.float32]
    high_hz: NDArray[np.float32]
    type: NDArray[np.int32]
    score: NDArray[np.float32]
    peak: NDArray[np.float32]
    top_unit: NDArray[np.int32]

    def __len__(self) -> int:
        """Return the number of events."""
        return len(self.record)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Duration of each event, (events,)."""
        return self.end - self.start

    def of_type(self, number: int) -> NDArray[np.intp]:
        """Return the numbers of the events of a type, the most typical first (0: the oddest first)."""
        found = np.flatnonzero(self.type == number)
        score = self.score[found]
        return found[np.argsort(-score if number == NOWHERE else score, kind="stable")]

    def taken(self, index: NDArray[Any]) -> Events:
        """Return some of the events: `index` as NumPy takes it."""
        return Events(*(getattr(self, column.name)[index] for column in fields(self)))

    def with_columns(self, **columns: NDArray[Any]) -> Events:
        """Return the events with other values in some columns."""
        return replace(self, **columns)


@dataclass(frozen=True)
class SoundType:
    """Events that sound alike.

    Attributes
    ----------
    number
        From 1, by how much of the archive it fills; kept with ``--types-from``.
    name
        What the user calls it, or "".
    events, files
        How many, and in how many recordings.
    seconds
        Sum of the events' durations.
    low_hz, high_hz
        Median band of its events.
    top_units
        The units that set it apart from all events, strongest first.
    novelty
        Distance of its centre from the nearest other type's over the median of that distance over all types.
    exemplar
        Number of its most typical event, a row of `Survey.events`; -1 when it has no events here.
    """

    number: int
    name: str
    events: int
    files: int
    seconds: float
    low_hz: float
    high_hz: float
    top_units: tuple[int, ...]
    novelty: float
    exemplar: int


@dataclass(frozen=True)
class TypeStability:
    """Stability of sound types: adjusted Rand index of two sets of types; 1 is the same, 0 is chance.

    Attributes
    ----------
    seed
        Of the types and those learned from a random part of the sample.
    halves
        Of the types learned from either half of the events, on all events.
    """

    seed: float
    halves: float


@dataclass(frozen=True)
class Survey:
    """What is in an archive.

    Attributes
    ----------
    records
        Of the recordings that could be used, in order.
    events
        In order of recording and start.
    types
        By number.
    stability
        Of the types; None where there are too few events, or the types were given.
    times
        Date and time at the start of each recording, as many as `records`; None where it is not known.
    skipped
        Of the sources that could not be used.
    choice
        How the number of types was chosen, in words.
    types_digest
        `audiosae.sounds.sound_types.Types.digest`.
    facts
        What ``survey --json`` prints.
    notes
        Messages: what was passed over, skipped or not whole, how dates were understood.

    Examples
    --------
    >>> found = audiosae.survey(model, sounds, types=2)
    >>> [kind.number for kind in found.types], found.dated, found.seconds == sum(r.extent for r in found.records)
    ([1, 2], False, True)
    >>> best = found.event(found.types[0].exemplar)
    >>> 0 <= best.start < best.end, best.type
    (True, 1)
    """

    records: Sequence[Record]
    events: Events
    types: Sequence[SoundType]
    stability: TypeStability | None = None
    times: Sequence[datetime | None] = ()
    skipped: Sequence[Record] = ()
    choice: str = ""
    types_digest: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """Length of all recordings."""
        return sum(record.extent for record in self.records)

    @property
    def names(self) -> dict[int, str]:
        """Names of the types that have one."""
        return {kind.number: kind.name for kind in self.types if kind.name}

    @property
    def silent(self) -> int:
        """Number of recordings without an event."""
        return len(self.records) - len(np.unique(self.events.record))

    @property
    def dated(self) -> bool:
        """Whether the date and time of any recording is known."""
        return any(time is not None for time in self.times)

    def timeline(self) -> Timeline:
        """Return the events by date and hour of the clock, and what was recorded in each."""
        e = self.events
        return make_timeline(self.times, [r.extent for r in self.records], e.record, e.start, e.end, e.type)

    def event(self, number: int) -> Event:
        """Return one event as a row."""
        return next(self.rows([number]))

    def rows(self, numbers: Sequence[int] | NDArray[np.intp] | None = None) -> Iterator[Event]:
        """Yield events as rows, all of them unless their numbers are given."""
        columns, names = [getattr(self.events, column.name) for column in fields(self.events)], self.names
        for number in range(len(self.events)) if numbers is None else numbers:
            record, start, end, low, high, kind, score, peak, unit = (column[number].item() for column in columns)
            time = self.times[record] if record < len(self.times) else None
            at = None if time is None else later(time, round(start, 3))
            yield Event(
                int(number), record, self.records[record].file, start, end, low, high, kind, names.get(kind, ""), score,
                peak, unit, at,
            )  # fmt: skip

    def named(self, names: Mapping[int, str]) -> Survey:
        """Return the survey with the user's names for its types."""
        return replace(self, types=[replace(kind, name=names.get(kind.number, "")) for kind in self.types])

    def frame(self) -> pd.DataFrame:
        """Return the events as a pandas frame, a row each, with the columns of events.csv."""
        columns = event_columns(self)
        return pandas_frame(dict(zip(columns, zip(*event_rows(self), strict=True), strict=True)))

    def _repr_html_(self) -> str:
        """Return the types as a table, for a notebook."""
        head = ("type", "name", "events", "files", "seconds", "Hz")
        rows = [
            (k.number, k.name, k.events, k.files, f"{k.seconds:.1f}", f"{k.low_hz:.0f}-{k.high_hz:.0f}")
            for k in self.types
        ]
        return html_table(rows, head=head, caption=repr(self).strip("<>"))

    def __repr__(self) -> str:
        told = f"{len(self.events)} events of {len(self.types)} types in {len(self.records)} recordings"
        return f"<Survey: {told}; {len(self.skipped)} skipped>"


def event_columns(survey: Survey) -> tuple[str, ...]:
    """Return the columns of the table of events: no time where none is known, no name where none is given."""
    left_out = {column for column, there in ((TIME, survey.dated), (NAME, bool(survey.names))) if not there}
    return tuple(column for column in _COLUMNS if column not in left_out)


def event_rows(survey: Survey) -> Iterator[list[Any]]:
    """Yield the rows of the table of events, values in the order of `event_columns`."""
    columns = event_columns(survey)
    return ([_value(event, column) for column in columns] for event in survey.rows())


def _value(event: Event, column: str) -> Any:  # noqa: ANN401
    value = getattr(event, column)
    if column == TIME:
        return "" if value is None else value.isoformat(timespec="milliseconds")
    return round(value, _DIGITS[column]) if column in _DIGITS else value
