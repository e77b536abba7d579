"""The journal: the result of reading each source, and its CSV table."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from audiosae.system.files import cell, csv_text, write_file

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from audiosae.domain import Json

_UNITS = {"s": "seconds", "px": "pixels", "row": "rows"}


@dataclass(frozen=True)
class Record:
    """Result of reading one source.

    Attributes
    ----------
    status
        ``used`` or ``skipped``.
    reason
        Why it was skipped, or in which part it was used ("truncated at 12.4 s"); else "".
    extent
        Length of what was used along axis 0, in the domain's unit (seconds for recordings).
    ranges
        Rows of the field worth training on.
    digest
        BLAKE2b of the field's bytes.
    path, field
        The source, and its field in the cache.
    remark
        What makes its field unlike others (`audiosae.domain.Probe`).
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


def told_of(records: Iterable[Record]) -> dict[str, Json]:
    """Return what a command's JSON tells of sources: `skipped`, `in_part` (file, reason) and `remarks` (file, remark).

    Sources in part are used as far as they could be decoded, or the decoder complained of them.
    """
    found: dict[str, list[Json]] = {"skipped": [], "in_part": [], "remarks": []}
    for record in records:
        if record.reason:
            key = "in_part" if record.status == "used" else "skipped"
            found[key].append({"file": record.file, "reason": record.reason})
        if record.remark and record.status == "used":
            found["remarks"].append({"file": record.file, "remark": record.remark})
    return {**found}


def write_journal(path: Path, rows: Iterable[tuple[Record, int]], *, unit: str = "s") -> None:
    """Write journal.csv: one row per source with its extent, in a column named after the unit, and its windows."""
    head = ["file", "status", "reason", _UNITS.get(unit, unit), "windows"]
    told = ([r.file, r.status, r.reason, f"{r.extent:.3f}", windows] for r, windows in rows)
    write_file(path, csv_text(chain([head], told)).encode())


def changed_since(path: Path, records: Iterable[Record]) -> str:
    """Return in words which files are used now and were not when a journal was written, and the other way round."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            before = {row["file"] for row in csv.DictReader(file) if row["status"] == "used"}
    except (OSError, ValueError, KeyError):
        return "files were added, removed or changed"
    now = {cell(record.file) for record in records if record.status == "used"}
    parts = [_first_of(now - before, "added"), _first_of(before - now, "removed")]
    return ", ".join(filter(None, parts)) or "the content of some files has changed"


def _first_of(names: set[str], what: str) -> str:
    rest = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"{what}: {min(names)}{rest}" if names else ""
