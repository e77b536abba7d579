"""The tables of a survey, with their columns: events, bouts, types, timeline, effort, labels and their scores."""

from __future__ import annotations

from datetime import date
from math import isnan
from operator import attrgetter
from typing import TYPE_CHECKING

from audiosae.errors import InputError
from audiosae.sounds.answers import COLUMNS as ANSWER_COLUMNS
from audiosae.sounds.answers import answer_rows
from audiosae.sounds.effort import effort_of, effort_rows
from audiosae.sounds.timeline import KINDS, MICRO
from audiosae.system.tabular import DataTable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audiosae.sounds.bouts import Group
    from audiosae.sounds.events import Event
    from audiosae.sounds.surveyed import Surveyed
    from audiosae.system.tabular import Kind

    Rows = Iterator[Sequence[object]]

TIME, NAME, SITE, LIGHT = "time", "name", "site", "light"  # columns that the table of events has only if they are known
LABEL = ("label", "confidence")  # columns that it has only if an event has a label
_COLUMNS = (
    *("file", "start", "end", TIME, SITE, LIGHT, "low_hz", "high_hz"),
    *("type", NAME, *LABEL, "score", "peak", "top_unit"),
)
_NUMBERS: dict[Group, tuple[str, ...]] = {"event": ("event", "bout"), "bout": ("bout", "events")}  # their first columns
_TYPES = ("events", "files", "seconds", "low_hz", "high_hz", "top_units", "novelty", "coarse")
_EXEMPLAR = ("exemplar_file", "exemplar_start", "exemplar_end")
_SCORES = ("label", "answers", "sounds", "files", "seconds", "precision", "recall")
_DIGITS = {"start": 4, "end": 4, "low_hz": 1, "high_hz": 1, "score": 4, "peak": 1, "confidence": 4}
_TEXTS = {"file", TIME, SITE, LIGHT, NAME, "label", "answer", "top_units", "exemplar_file"}
_INTEGERS = {"event", "bout", "events", "type", "top_unit", "files", "coarse", "hour", "answers", "sounds"}


def survey_table(survey: Surveyed, name: str) -> DataTable:
    """Return a table of a survey by its name, that of its CSV without suffix.

    Raises
    ------
    InputError
        There is no such table.
    """
    if name not in TABLES:
        raise InputError(f"table {name!r}: wanted one of {', '.join(TABLES)}")
    if name == "effort":
        head, *hours = effort_rows(survey)
        return DataTable(name, {column: _kind(column) for column in map(str, head)}, lambda: hours)
    columns, rows = _TABLES[name]
    return DataTable(name, {column: _kind(column) for column in columns(survey)}, lambda: rows(survey))


def _kind(column: str) -> Kind:
    """Return the type of a column; the same name has the same type in all tables."""
    if column in _TEXTS:
        return "text"
    return "integer" if column in _INTEGERS else "date" if column == "date" else "number"


def event_columns(survey: Surveyed, group: Group = "event") -> tuple[str, ...]:
    """Return the columns of the table of events or bouts; without those that nothing is known of."""
    known = {TIME: survey.dated, NAME: bool(survey.names), SITE: bool(survey.sites), LIGHT: survey.lit}
    known |= dict.fromkeys(LABEL, any(survey.label_names))
    return tuple(column for column in (*_NUMBERS[group], *_COLUMNS) if known.get(column, True))


def event_rows(survey: Surveyed, group: Group = "event") -> Rows:
    """Return the rows of the table of events or bouts, with values in the order of `event_columns`."""
    values = [_value_of(column) for column in event_columns(survey, group)]
    return ([value(event) for value in values] for event in survey.rows(group=group))


def _value_of(column: str) -> Callable[[Event], object]:
    """Return the function of an event that returns its cell in a column."""
    get = attrgetter("number" if column == "event" else column)
    if column in {"event", "bout"}:
        return lambda event: get(event) + 1
    if column == TIME:
        return lambda event: event.time.isoformat(timespec="milliseconds") if event.time else ""
    if column in _DIGITS:  # NaN for the confidence of an event that was not classified
        return lambda event: None if isnan(value := get(event)) else round(value, _DIGITS[column])
    return get


def _type_columns(survey: Surveyed) -> tuple[str, ...]:
    return ("type", *([NAME] if survey.names else ()), *_TYPES, *_EXEMPLAR)


def _type_rows(survey: Surveyed) -> Rows:
    for kind in survey.types:
        best = survey.event(kind.exemplar) if kind.exemplar >= 0 else None
        yield [
            kind.number,
            *([kind.name] if survey.names else ()),
            kind.events,
            kind.files,
            round(kind.seconds, 3),
            round(kind.low_hz, 1),
            round(kind.high_hz, 1),
            " ".join(map(str, kind.top_units)),
            round(kind.novelty, 3),
            kind.coarse,
            *([best.file, round(best.start, 4), round(best.end, 4)] if best else [None] * len(_EXEMPLAR)),
        ]


def _timeline_columns(survey: Surveyed) -> tuple[str, ...]:
    site, name = ([column] if known else () for column, known in ((SITE, survey.sites), (NAME, survey.names)))
    return (*site, *KINDS, "recorded_seconds", "floor_db", *name)


def _timeline_rows(survey: Surveyed) -> Rows:
    names, effort, sited = survey.names, effort_of(survey), bool(survey.sites)
    for site in survey.site_names:
        for day, hour, number, *counts in survey.timeline(site if sited else None).rows():
            recorded = effort[site, date.fromisoformat(day), hour]
            floor = None if recorded.floor_db is None else round(recorded.floor_db, 1)
            name = [names.get(number, "")] if names else []
            first = [site] if sited else []
            when = date.fromisoformat(day), hour
            yield [*first, *when, number, *counts, recorded.length / MICRO, floor, *name]


def _score_rows(survey: Surveyed) -> Rows:
    for each in survey.labels.scores if survey.labels else ():
        shares = [None if share is None else round(share, 4) for share in (each.precision, each.recall)]
        yield [each.label, each.answers, each.sounds, each.files, round(each.seconds, 3), *shares]


_TABLES: dict[str, tuple[Callable[[Surveyed], Sequence[str]], Callable[[Surveyed], Rows]]] = {
    "events": (lambda survey: event_columns(survey, "event"), lambda survey: event_rows(survey, "event")),
    "bouts": (lambda survey: event_columns(survey, "bout"), lambda survey: event_rows(survey, "bout")),
    "types": (_type_columns, _type_rows),
    "timeline": (_timeline_columns, _timeline_rows),
    "labels": (lambda _: ANSWER_COLUMNS, lambda survey: answer_rows(survey.labels.answers if survey.labels else ())),
    "label_scores": (lambda _: _SCORES, _score_rows),
}
TABLES = ("events", "bouts", "types", "timeline", "effort", "labels", "label_scores")
