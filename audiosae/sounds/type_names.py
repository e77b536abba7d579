"""The user's names for sound types."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiosae.corpus.spreadsheets import Wanted, column_names, read_rows
from audiosae.errors import InputError
from audiosae.sounds.survey_tables import NAME
from audiosae.system.files import uncelled
from audiosae.system.schema import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

OF_TYPES = "survey"  # column of the names.csv that the page writes: digest of the types that were named
_NAMES = Wanted("--names", "type", "a CSV with the columns type,name")


@dataclass(frozen=True)
class Names:
    """The user's names for types, by number; `types` is the digest of these types (`Types.digest`), or ""."""

    of: Mapping[int, str]
    types: str = ""


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
