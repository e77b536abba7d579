"""Journal of the sources: the result of reading each one, as records and as a CSV table."""

from __future__ import annotations

import csv
import sys
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from audiosae.corpus.packed import EXACTLY, Packing
from audiosae.system.files import cell, check_regular, csv_text, write_file
from audiosae.system.many import Many
from audiosae.system.schema import Choice, Object, Optional, Text
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from audiosae.domain import Json

_ROW = Object({"file": Text(), "status": Choice("used", "skipped")}, rest=Optional(Text()))
_UNITS = {"s": "seconds", "px": "pixels", "row": "rows"}


@dataclass(frozen=True, slots=True)
class Record:
    """Result of reading one source.

    Attributes
    ----------
    status
        ``used`` or ``skipped``.
    reason
        Why the source was skipped, or which part was used ("truncated at 12.4 s"); else "".
    extent
        Length of the used part along axis 0, in the unit of the domain (seconds for recordings).
    ranges
        Rows of the field to train on.
    content
        Rows of the field that are pooled: all if empty, else those that are not blank (`audiosae.domain.Domain.blank`).
    digest
        BLAKE2b digest of the field as it is stored.
    path, field
        Paths of the source, and of its field in the cache.
    remark
        How the field differs from others (`audiosae.domain.Probe`).
    stretches
        Rows of the source of which the field consists, one after the other; all if empty (`Source.stretches`).
    packing
        How the values of the field are stored.
    needs
        Optional package with which the source was read, or "" (`audiosae.domain.Probe`).
    """

    file: str
    status: str
    reason: str = ""
    extent: float = 0.0
    shape: tuple[int, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()
    digest: str = ""
    path: str = ""
    field: str = ""
    remark: str = ""
    content: tuple[tuple[int, int], ...] = ()
    stretches: tuple[tuple[int, int], ...] = ()
    packing: Packing = EXACTLY
    needs: str = ""


_VALUES = attrgetter(*(field.name for field in fields(Record)))
_EXTENT, _PACKING = ([field.name for field in fields(Record)].index(name) for name in ("extent", "packing"))


def many_records() -> Many[Any]:
    """Return an empty sequence for the records of a million sources, and for None in place of a record."""
    return Many((), _plain, _record)


def _plain(record: Record | None) -> list[Any] | None:
    if record is None:
        return None
    values = [str(value) if isinstance(value, str) else value for value in _VALUES(record)]  # no types of NumPy
    values[_EXTENT] = float(record.extent)
    values[_PACKING] = (record.packing.kind, record.packing.scale, record.packing.offset)
    return values


def _record(values: Sequence[Any] | None) -> Record | None:
    if values is None:
        return None
    own = [*values]
    own[_PACKING] = Packing(*values[_PACKING])
    return Record(*own)


def source_summary(records: Iterable[Record]) -> dict[str, Json]:
    """Return the part on sources of a command's JSON: `skipped`, `in_part` (file, reason), `remarks` (file, remark).

    A source is used in part if it could not be decoded to its end, or if the decoder reported a fault.
    """
    summary: dict[str, list[Json]] = {"skipped": [], "in_part": [], "remarks": []}
    for record in records:
        is_used = record.status == "used"
        if record.reason:
            summary["in_part" if is_used else "skipped"].append({"file": record.file, "reason": record.reason})
        if is_used and record.remark:
            summary["remarks"].append({"file": record.file, "remark": sys.intern(record.remark)})  # many have the same
    return {**summary}


def write_journal(path: Path, rows: Iterable[tuple[Record, int]], *, unit: str = "s") -> None:
    """Write journal.csv: one row per source, with its extent in a column named after the unit, and its windows."""
    lines = ([r.file, r.status, r.reason, f"{r.extent:.3f}", windows] for r, windows in rows)
    write_file(path, csv_text([["file", "status", "reason", _UNITS.get(unit, unit), "windows"], *lines]).encode())


def changed_since(path: Path, records: Iterable[Record]) -> str:
    """Return a message on the files that were added or removed since a journal was written."""
    try:
        with check_regular(path).open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        for row in rows:
            _ROW.check(row)
    except (OSError, ValueError, csv.Error):  # damaged: the message has no details
        return "files were added, removed or changed"
    before = {row["file"] for row in rows if row["status"] == "used"}
    now = {cell(record.file) for record in records if record.status == "used"}
    changes = (("added", now - before), ("removed", before - now))
    parts = (f"{change}: {some_of(sorted(names), 1)}" for change, names in changes if names)
    return ", ".join(parts) or "the content of some files has changed"
