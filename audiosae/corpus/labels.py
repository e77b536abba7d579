"""What the user knows of the sources: a label from the parent folder, or columns of a CSV."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.corpus.sources import Source

FOLDER = "folder"
_NAMED = 3  # of several faulty names, this many are told


def read_labels(labels: str, sources: Sequence[Source], column: str | None = None) -> list[str]:
    """Return one label per source.

    Parameters
    ----------
    labels
        ``folder`` for the name of the parent folder, or a CSV with a column `filename`.
    sources
        What is labelled.
    column
        Of the CSV; may be left out when there is just one besides `filename`, or one named `label`.

    Raises
    ------
    InputError
        No such file or column, a source without a row, two rows for one source.
    """
    if labels == FOLDER:
        return [source.path.absolute().parent.name for source in sources]
    return read_column(Path(labels), sources, column)


def read_column(
    path: Path, sources: Sequence[Source], column: str | None, *, option: str = "--label-column"
) -> list[str]:
    """Return one value of a CSV's column per source; see `read_labels`."""
    rows, columns = _rows(path)
    column = column or _only(columns, path, option)
    if column not in columns:
        raise InputError(f"{option} {column}: {path} has no such column; it has {', '.join(columns)}")
    values = {row["filename"].replace("\\", "/").removeprefix("./"): row[column] for row in rows}
    bare = Counter(source.path.name for source in sources)
    found = [_value(source, values, bare) for source in sources]
    missing = [source.name for source, value in zip(sources, found, strict=True) if value is None]
    if missing:
        raise InputError(
            f"{path} has no row for {_some(missing)}; wanted a filename relative to the source folder, or with the "
            f"folder as it was named where there are several"
        )
    blank = [source.name for source, value in zip(sources, found, strict=True) if not (value or "").strip()]
    if blank:
        raise InputError(f"{path} has nothing in column {column} for {_some(blank)}; fill it in, or leave them out")
    return [value for value in found if value is not None]


def check_rows(path: Path, sources: Sequence[Source]) -> None:
    """Refuse a CSV that names files which are not among the sources.

    Raises
    ------
    InputError
        It does.
    """
    rows, _ = _rows(path)
    bare = Counter(source.path.name for source in sources)
    there = {source.name for source in sources} | {name for name, count in bare.items() if count == 1}
    named = [row["filename"] for row in rows]
    gone = [name for name in named if name.replace("\\", "/").removeprefix("./") not in there]
    if gone:
        raise InputError(f"{path} names {_some(gone)}: not among the {len(sources)} sources; name their folder too, or "
                         f"leave the rows out")  # fmt: skip


def _rows(path: Path) -> tuple[list[dict[str, str]], list[str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            rows, columns = list(reader), list(reader.fieldnames or [])
    except OSError as error:
        raise InputError(
            f"--labels {path}: {error.strerror}; wanted 'folder' or a CSV with a column filename"
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"--labels {path}: not a CSV in UTF-8 ({error})") from error
    if "filename" not in columns:
        raise InputError(f"{path} has no column filename; it has {', '.join(columns) or 'nothing'}")
    short = [number for number, row in enumerate(rows, 2) if None in row.values() or None in row]
    if short:
        raise InputError(f"{path}: line {short[0]} does not have {len(columns)} columns")
    twice = [name for name, count in Counter(row["filename"] for row in rows).items() if count > 1]
    if twice:
        raise InputError(f"{path} names {_some(twice)} more than once")
    return rows, columns


def _only(columns: list[str], path: Path, option: str) -> str:
    others = [name for name in columns if name != "filename"]
    if "label" in others:
        return "label"
    if len(others) != 1:
        raise InputError(f"{path} has the columns {', '.join(others) or 'filename alone'}; choose one with {option}")
    return others[0]


def _value(source: Source, values: dict[str, str], bare: Counter[str]) -> str | None:
    """Look a source up by its name, else by its bare name where that is unique."""
    name = source.path.name
    return values.get(source.name, values.get(name) if bare[name] == 1 else None)


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
