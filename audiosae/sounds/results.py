"""Result of a survey: events in columns, sound types, and the stability of the types."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings.dates import later
from audiosae.recordings.sun import LIGHTS, light
from audiosae.sounds.events import REJECTED, Event, Events
from audiosae.sounds.survey_tables import survey_table
from audiosae.sounds.timeline import Timeline, make_timeline
from audiosae.system.frames import html_table
from audiosae.system.tabular import Tabular
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.labelled import Labels
    from audiosae.sounds.landmarks import Landmarks
    from audiosae.system.tabular import DataTable

_ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class SoundType:
    """A group of similar events, or of similar bouts if these are the sounds of the archive (`Survey.group`).

    Attributes
    ----------
    number
        From 1, in decreasing order of total duration; with ``--types-from`` as in the earlier survey.
    name
        The user's name for it, or "".
    events, files
        Number of its events, and of the recordings with such events.
    seconds
        Total duration of its events.
    low_hz, high_hz
        Median frequency range of its events.
    top_units
        The units whose activity is highest relative to that of all events, strongest first.
    novelty
        Distance between its centre and the nearest other one, divided by the median of this distance over all types.
    exemplar
        Number of its most typical event, a row of `Survey.sounds`; -1 if it has no events.
    coarse
        Number of its coarse group, from 1, if no number of types is clearly best; otherwise its own number.
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
    coarse: int = 0


@dataclass(frozen=True)
class TypeStability:
    """Stability of sound types: adjusted Rand index of two sets of types; 1 is identical, 0 is chance.

    Attributes
    ----------
    seed
        Between the types and those learned from a random part of the sample.
    halves
        Between the types learned from each half of the sample, compared on the whole sample.
    """

    seed: float
    halves: float


@dataclass(frozen=True)
class MapPoints:
    """Sounds of a survey that a map can show.

    Attributes
    ----------
    numbers
        Their numbers in `Survey.sounds`, in order, (points,).
    points
        Their points in the space of the types, (points, components).
    landmarks
        Sounds between which they are placed; None to choose them.
    """

    numbers: NDArray[np.int64]
    points: NDArray[np.float32]
    landmarks: Landmarks | None = None


@dataclass(frozen=True)
class Survey(Tabular):
    """Events and sound types of the recordings in an archive.

    Attributes
    ----------
    records
        The recordings that could be used, in order.
    events, bouts
        Events, and the bouts that they form, in order of recording and start. An event has the type of its bout, or a
        bout has the type that covers most of it.
    group
        Which of them were grouped into types: ``event`` or ``bout``.
    types
        The sound types, in order of their numbers.
    stability
        Stability of the types; None if there are too few events, or the types are from an earlier survey.
    times
        Date and time at the start of each of `records`; None if it is not known.
    skipped
        The sources that could not be used.
    choice
        How the number of types was chosen, as text.
    types_digest
        `audiosae.sounds.sound_types.Types.digest`.
    floors
        Noise floor of each recording, a value in dB per minute (NaN where it is not known).
    sites
        Site of each recording, or "" where it has none; empty without ``site``.
    places
        Latitude and longitude of each recording in degrees; None where they are not known.
    labels
        Labels of the sounds, and how well they are classified.
    mapped
        The sounds that a map can show.
    facts
        The values that ``survey --json`` prints.
    notes
        Messages, for example about ignored, skipped or truncated files and the interpretation of dates.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> result = audiosae.survey(model, sounds, types=2)
    >>> [kind.number for kind in result.types], result.dated, result.seconds == sum(r.extent for r in result.records)
    ([1, 2], False, True)
    >>> best = result.event(result.types[0].exemplar)
    >>> 0 <= best.start < best.end, best.type
    (True, 1)
    """

    records: Sequence[Record]
    events: Events
    bouts: Events
    types: Sequence[SoundType]
    group: Group = "event"
    stability: TypeStability | None = None
    times: Sequence[datetime | None] = ()
    skipped: Sequence[Record] = ()
    choice: str = ""
    types_digest: str = ""
    floors: Sequence[NDArray[np.float32]] = ()
    sites: Sequence[str] = ()
    places: Sequence[tuple[float, float] | None] = ()
    labels: Labels | None = None
    mapped: MapPoints | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    @property
    def seconds(self) -> float:
        """Total duration of the recordings."""
        return sum(record.extent for record in self.records)

    @property
    def names(self) -> dict[int, str]:
        """The user's names for types, by number."""
        return {kind.number: kind.name for kind in self.types if kind.name}

    @property
    def silent(self) -> int:
        """Number of recordings without an event."""
        return len(self.records) - len(np.unique(self.events.record[self.events.type != REJECTED]))

    @property
    def label_names(self) -> tuple[str, ...]:
        """The labels, to which `Events.label` refers."""
        return self.labels.names if self.labels else ()

    @property
    def sounds(self) -> Events:
        """The events or the bouts, whichever were grouped into types."""
        return self.bouts if self.group == "bout" else self.events

    @property
    def dated(self) -> bool:
        """Whether the date and time of any recording is known."""
        return any(time is not None for time in self.times)

    @property
    def lit(self) -> bool:
        """Whether day and night are known for any recording: its place, its date and its time zone."""
        return any(place and time and time.tzinfo for place, time in zip(self.places, self.times, strict=False))

    @property
    def site_names(self) -> list[str]:
        """The sites in alphabetical order; [""] if there are none."""
        return sorted({*self.sites}) or [""]

    def timeline(self, site: str | None = None) -> Timeline:
        """Return the sounds and the recorded time by date and hour, of all sites or of one.

        The timeline of a site has all types.

        Raises
        ------
        InputError
            No recording is of this site.
        """
        e, times, numbers = self.sounds, self.times, None
        own = e.type != REJECTED
        if site is not None and site not in self.sites:
            known = some_of(sorted({*self.sites} - {""})) if self.sites else "not known: survey with --site"
            raise InputError(f"no recording is of the site {site!r}; the sites are {known}")
        if site is not None:
            times = [time if name == site else None for time, name in zip(times, self.sites, strict=True)]
            numbers = sorted({*e.type[own].tolist()})
            own &= (np.array(self.sites) == site)[e.record]
        return make_timeline(
            times,
            [r.extent for r in self.records],
            record=e.record[own],
            start=e.start[own],
            end=e.end[own],
            types=e.type[own],
            numbers=numbers,
        )

    def event(self, number: int) -> Event:
        """Return the event or bout in a row of `sounds`."""
        return next(self.rows([number]))

    def rows(
        self, numbers: Sequence[int] | NDArray[np.intp] | None = None, *, group: Group | None = None
    ) -> Iterator[Event]:
        """Yield the events or bouts with some numbers, or all of them except those that are not of interest.

        Parameters
        ----------
        numbers
            Rows of the table; None for all.
        group
            Table; None for that of `sounds`.
        """
        table = self.bouts if (group or self.group) == "bout" else self.events
        columns, names = [getattr(table, column.name) for column in fields(table)], self.names
        labels = self.label_names
        chosen = np.flatnonzero(table.type != REJECTED) if numbers is None else np.asarray(numbers, np.intp)
        lights = self._lights(table, chosen)
        for at in range(0, len(chosen), _ROWS_AT_ONCE):
            part = chosen[at : at + _ROWS_AT_ONCE]
            values = (column[part].tolist() for column in columns)
            for number, lit, *row in zip(part.tolist(), lights[at : at + len(part)], *values, strict=True):
                record, start, end, low, high, kind, score, peak, unit, bout, events, label, confidence = row
                began = self.times[record] if record < len(self.times) else None
                time = None if began is None else later(began, round(start, 3))
                file, name = self.records[record].file, names.get(kind, "")
                site = self.sites[record] if self.sites else ""
                more = (time, bout, events, site, lit, labels[label] if label >= 0 else "", confidence)
                yield Event(number, record, file, start, end, low, high, kind, name, score, peak, unit, *more)

    def lights(self, numbers: NDArray[np.intp]) -> list[str]:
        """Return day, dawn, dusk or night at the start of some of `sounds`, "" where it is not known."""
        return self._lights(self.sounds, numbers)

    def _lights(self, table: Events, numbers: NDArray[np.intp]) -> list[str]:
        """Return day, dawn, dusk or night at the start of some events, "" where it is not known."""
        if not self.lit:
            return [""] * len(numbers)
        records, unknown = table.record[numbers].tolist(), (np.nan, np.nan)
        times, places = [self.times[i] for i in records], [self.places[i] or unknown for i in records]
        began = np.array([time.timestamp() if time and time.tzinfo else np.nan for time in times])
        north, east = np.array(places, np.float64).reshape(-1, 2).T
        seconds = began + table.start[numbers]
        kinds = light(seconds, north, east).tolist()
        return [LIGHTS[kind] if known else "" for kind, known in zip(kinds, np.isfinite(seconds + north), strict=True)]

    def named(self, names: Mapping[int, str]) -> Survey:
        """Return the survey with the user's names for its types."""
        return replace(self, types=[replace(kind, name=names.get(kind.number, "")) for kind in self.types])

    def by_label(self) -> Survey:
        """Return the survey with its labels as types, numbered in their order from 1; 0 is no label."""
        names = [name for name in self.label_names if name]
        number = np.array([names.index(name) + 1 if name else 0 for name in self.label_names] + [0], np.int32)
        tables = [
            replace(table, type=np.where(table.type == REJECTED, REJECTED, number[table.label]).astype(np.int32))
            for table in (self.events, self.bouts)
        ]
        kinds = [SoundType(i, name, 0, 0, 0.0, 0.0, 0.0, (), 0.0, -1) for i, name in enumerate(names, 1)]
        return replace(self, events=tables[0], bouts=tables[1], types=kinds)

    def table(self, name: str) -> DataTable:
        """Return a table of the survey, with the columns of the CSV of the same name.

        pandas takes it as ``found.table("types").frame()``; Polars, DuckDB and pyarrow take the table as it is, and the
        survey itself as its table of events.

        Parameters
        ----------
        name
            ``events``, ``bouts``, ``types``, ``timeline``, ``effort``, ``labels`` or ``label_scores``.

        Raises
        ------
        InputError
            There is no such table.
        """
        return survey_table(self, name)

    def frame(self, group: Group = "event") -> pd.DataFrame:
        """Return the events as a pandas frame with the columns of events.csv, or the bouts with those of bouts.csv.

        Parameters
        ----------
        group
            ``event`` or ``bout``.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return survey_table(self, f"{group}s").frame()

    def _data(self) -> DataTable:
        return survey_table(self, "events")

    def _repr_html_(self) -> str:
        rows = [
            (k.number, k.name, k.events, k.files, f"{k.seconds:.1f}", f"{k.low_hz:.0f}-{k.high_hz:.0f}")
            for k in self.types
        ]
        head = ("type", "name", "events", "files", "seconds", "Hz")
        return html_table(rows, head=head, caption=repr(self).strip("<>"))

    def __repr__(self) -> str:
        return (
            f"<Survey: {len(self.sounds)} {self.group}s of {len(self.types)} types in {len(self.records)} recordings; "
            f"{len(self.skipped)} skipped>"
        )
