"""Tables of a survey: events, types and timeline as CSV and Parquet, and the user's names for types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING

from audiosae.corpus.spreadsheets import Wanted, column_names, read_rows
from audiosae.errors import InputError
from audiosae.sounds.answers import write_answers
from audiosae.sounds.effort import effort_of
from audiosae.sounds.results import LIGHT, NAME, SITE, TIME, event_columns, event_rows
from audiosae.sounds.timeline import COLUMNS, MICRO
from audiosae.system.files import CsvWriter, csv_text, replacing, uncelled, write_errors, write_file
from audiosae.system.schema import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from audiosae.sounds.bouts import Group
    from audiosae.sounds.results import Survey

_GROUP_ROWS = 2**16  # rows of a Parquet row group, which are in memory at the same time
OF_TYPES = "survey"  # column of the names.csv that the page writes: digest of the types that were named
_NAMES = Wanted("--names", "type", "a CSV with the columns type,name")


@dataclass(frozen=True)
class Names:
    """The user's names for types, by number; `types` is the digest of these types (`Types.digest`), or ""."""

    of: Mapping[int, str]
    types: str = ""


def write_events_csv(survey: Survey, path: Path, group: Group = "event") -> None:
    """Write events.csv or bouts.csv, one row at a time."""
    with (
        write_errors(path),
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8") as file,
    ):
        table = CsvWriter(file)
        table.writerow(event_columns(survey, group))
        table.writerows(event_rows(survey, group))


def write_events_parquet(survey: Survey, path: Path, group: Group = "event") -> None:
    """Write events.parquet or bouts.parquet in row groups of 65,536 rows; times are ISO 8601 texts, as in the CSV."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = dict.fromkeys(("file", TIME, SITE, LIGHT, NAME, "label"), pa.string())
    types |= dict.fromkeys(("event", "bout", "events", "type", "top_unit"), pa.int32())
    schema = pa.schema([(name, types.get(name, pa.float64())) for name in event_columns(survey, group)])
    rows = event_rows(survey, group)
    with write_errors(path), replacing(path) as temporary, pq.ParquetWriter(temporary, schema) as writer:
        while part := list(islice(rows, _GROUP_ROWS)):
            arrays = [
                pa.array(column, field.type) for column, field in zip(zip(*part, strict=True), schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def write_labels_csv(survey: Survey, path: Path) -> None:
    """Write labels.csv: a row for each sound, with what a person said about it."""
    write_answers(survey.labels.answers if survey.labels else (), path)


def write_label_scores(survey: Survey, path: Path) -> None:
    """Write label_scores.csv: the number of sounds of each label, and how well they are classified."""
    rows: list[Sequence[object]] = [("label", "answers", "sounds", "files", "seconds", "precision", "recall")]
    for each in survey.labels.scores if survey.labels else ():
        shares = ["" if share is None else round(share, 4) for share in (each.precision, each.recall)]
        rows.append([each.label, each.answers, each.sounds, each.files, round(each.seconds, 3), *shares])
    write_file(path, csv_text(rows).encode())


def write_types_csv(survey: Survey, path: Path) -> None:
    """Write types.csv; the units of a type are separated by spaces."""
    named = bool(survey.names)
    head = ["type", *([NAME] if named else []), "events", "files", "seconds", "low_hz", "high_hz", "top_units"]
    rows: list[list[object]] = [[*head, "novelty", "coarse", "exemplar_file", "exemplar_start", "exemplar_end"]]
    for kind in survey.types:
        best = survey.event(kind.exemplar) if kind.exemplar >= 0 else None
        exemplar = [best.file, round(best.start, 4), round(best.end, 4)] if best else ["", "", ""]
        rows.append(
            [
                kind.number,
                *([kind.name] if named else []),
                kind.events,
                kind.files,
                round(kind.seconds, 3),
                round(kind.low_hz, 1),
                round(kind.high_hz, 1),
                " ".join(map(str, kind.top_units)),
                round(kind.novelty, 3),
                kind.coarse,
                *exemplar,
            ]
        )
    write_file(path, csv_text(rows).encode())


def write_timeline_csv(survey: Survey, path: Path) -> None:
    """Write timeline.csv; the first column is site if there are sites, and the last is name if any type has one."""
    names, effort, sited = survey.names, effort_of(survey), bool(survey.sites)
    rows: list[list[object]] = [
        [*([SITE] if sited else []), *COLUMNS, "recorded_seconds", "floor_db", *([NAME] if names else [])]
    ]
    for site in survey.site_names:
        for day, hour, number, *counts in survey.timeline(site if sited else None).rows():
            recorded = effort[site, date.fromisoformat(day), hour]
            floor = "" if recorded.floor_db is None else round(recorded.floor_db, 1)
            name = [names.get(number, "")] if names else []
            first = [site] if sited else []
            rows.append([*first, day, hour, number, *counts, recorded.length / MICRO, floor, *name])
    write_file(path, csv_text(rows).encode())


def read_names(path: Path, say: Callable[[str], None] = lambda _: None) -> Names:
    """Read the user's names for types from a CSV with the columns type and name, as spreadsheets write it.

    Parameters
    ----------
    path
        The table. The types.csv of a survey with names can be used as well.
    say
        Called with each message.

    Raises
    ------
    InputError
        The table cannot be read or lacks a column, or a type is not a number from 1 or has two names.
    """
    rows, columns = read_rows(path, None, _NAMES, say)
    if NAME not in columns:
        raise InputError(f"--names {path}: wanted the columns type,name; it has {column_names(columns)}")
    names: dict[int, str] = {}
    for number, row in enumerate(rows, 1):
        kind, name = row["type"].strip(), uncelled(row[NAME].strip())
        if not re.fullmatch(r"\d{1,9}", kind) or int(kind) < 1:
            raise InputError(
                f"--names {path}: row {number} has type {shown(kind)}; wanted a whole number of at least 1"
            )
        if name and names.setdefault(int(kind), name) != name:
            raise InputError(f"--names {path}: type {kind} has two names, {names[int(kind)]!r} and {name!r}; leave one")
    return Names(names, next((row[OF_TYPES].strip() for row in rows if row.get(OF_TYPES, "").strip()), ""))
