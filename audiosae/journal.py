"""What became of each source, and the table that says so."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

from audiosae.tables import csv_text
from audiosae.tensors import write_aside

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


@dataclass(frozen=True)
class Record:
    """What became of one source.

    Attributes
    ----------
    file
        The source's name.
    status
        ``used`` or ``skipped``.
    reason
        Why it was skipped, or in which part it was used ("truncated at 12.4 s"); else "".
    extent
        Length of what was used along axis 0, in the domain's unit (seconds for recordings).
    shape
        Of the field.
    ranges
        Rows of the field worth training on.
    digest
        BLAKE2b of the field's bytes.
    path, field
        The source, and its field in the cache.
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


def write_journal(path: Path, rows: Iterable[tuple[Record, int]]) -> None:
    """Write journal.csv: one row per source with the number of its windows."""
    head = ["file", "status", "reason", "seconds", "windows"]
    told = ([r.file, r.status, r.reason, f"{r.extent:.3f}", windows] for r, windows in rows)
    write_aside(path, csv_text(chain([head], told)).encode())
