"""Rows of tables: .csv files, read as a stream of lines, and .parquet files, read in batches by pyarrow."""

from __future__ import annotations

import csv
import re
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from audiosae.errors import InputError
from audiosae_vectors.rows import WIDEST, ReadOptions, Rows, readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa  # type: ignore[import-untyped,unused-ignore]
    from numpy.typing import NDArray
    from pyarrow import parquet

_LONGEST_LINE = 2**25  # characters; a file with a longer line is not a table
_SAMPLED_ROWS = 100  # whose length is used to estimate the number of rows
_COUNTING = 3  # a first line of at least this many consecutive numbers from 0 or 1 is a header
_DECODED = 2**24  # numbers of a row group that may be decoded to find an uneven row
_SHOWN = 8  # names of columns in a message
_SHORTEST_LIST = 8  # numbers in a cell; fewer may be a decimal comma, a date or thousands
# Columns of the tables of BirdNET, Raven and others beside the features, without case, spaces and units.
_KEYS = frozenset(
    [
        "start",
        "end",
        "starttime",
        "endtime",
        "begintime",
        "timestamp",
        "beginfile",
        "file",
        "filename",
        "filepath",
        "path",
        "input",
        "recording",
    ]
)


class Layout(NamedTuple):
    """Layout of a .csv file."""

    delimiter: str
    header: bool
    cells: int
    names: tuple[str, ...]
    columns: tuple[int, ...]
    width: int  # of the lists in the only column, or 0 if each column is a number

    @property
    def own_names(self) -> tuple[str, ...]:
        """Names of the columns that are read as numbers."""
        return tuple(self.names[i] for i in self.columns) if self.names and not self.width else ()


def open_csv(path: Path, options: ReadOptions) -> Rows:
    """Open a .csv file as rows: separated by comma, semicolon or tab, with or without a header.

    If one column has lists of numbers, as in the tables of BirdNET, its lists are the rows.
    """
    layout, rows = _find_layout(path, options)

    def read(start: int, at_once: int) -> Iterator[NDArray[Any]]:
        with path.open(encoding="utf-8-sig", newline="") as file, readable():
            lines = islice(_cells(file, layout.delimiter), layout.header + start, None)
            while block := list(islice(lines, at_once)):
                yield (_lists if layout.width else _numbers)(block, layout, start)
                start += len(block)

    names, omitted = layout.own_names, _omitted(layout.names, layout.columns, options) if not layout.width else ()
    width = layout.width or len(layout.columns)
    return Rows(rows, width, "csv", read, () if _counts(names, 1) else names, omitted)


def _find_layout(path: Path, options: ReadOptions) -> tuple[Layout, int]:
    """Return the layout of a file and an estimate of its number of rows, from its first lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = next((line for line in _lines(file) if line.strip()), "")
        delimiter = next((mark for mark in "\t;," if mark in text), ",")
        file.seek(0)
        sample = list(islice(_cells(file, delimiter), 1 + _SAMPLED_ROWS))
    if not sample:
        raise InputError("empty: no rows")
    first = [cell.strip().lstrip("# ") for cell in sample[0][1]]
    header = options.header == "yes" or (options.header == "auto" and _is_header(first))
    columns = read_columns(first if header else [], len(first), options)
    column = _list_column(sample[header:], first if header else [], columns, options.array)
    width = len(_list(sample[header][1][column])) if column is not None else 0
    names = tuple(first) if header else ()
    layout = Layout(delimiter, header, len(first), names, columns if column is None else (column,), width)
    lengths = [sum(map(len, cells)) + len(cells) for _, cells in sample[header:]]
    return layout, max(1, int(path.stat().st_size / np.mean(lengths))) if lengths else 0


def _is_header(cells: Sequence[str]) -> bool:
    """Return whether cells are only text, or consecutive numbers (pandas writes them for columns without names)."""
    if any(map(_list, cells)):
        return False
    numbers = [cell for cell in cells if _is_number(cell)]
    return not numbers or _counts(numbers, _COUNTING)


def _counts(cells: Sequence[str], fewest: int) -> bool:
    return len(cells) >= fewest and any(list(cells) == [str(i + first) for i in range(len(cells))] for first in (0, 1))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _numbers_of(cell: str) -> list[float]:
    """Return the numbers of a cell that is a list of numbers; empty if it is no list."""
    try:
        return [float(part) for part in cell.strip().removeprefix("[").removesuffix("]").split(",")]
    except ValueError:
        return []


def _list(cell: str) -> list[float]:
    """Return the numbers of a cell that is a list of so many numbers that it can only be one row."""
    numbers = _numbers_of(cell)
    return numbers if len(numbers) >= _SHORTEST_LIST else []


def _list_column(
    sample: Sequence[tuple[int, list[str]]], names: Sequence[str], columns: Sequence[int], wanted: str
) -> int | None:
    """Return the column of lists of numbers in the first row: the one with the name `wanted`, or the only one."""
    cells = sample[0][1] if sample else []
    found = [i for i in columns if i < len(cells) and _list(cells[i])]
    known = {names[i] if names else str(i): i for i in found}
    if wanted:
        if wanted not in known:
            raise InputError(f"no column of lists {wanted}: the file has {', '.join(known) or 'none'}")
        return known[wanted]
    if len(found) > 1:
        raise InputError(
            f"no column chosen: {len(found)} have lists; choose one with --set array=NAME: {', '.join(known)}"
        )
    return found[0] if found else None


def _omitted(names: Sequence[str], columns: Sequence[int], options: ReadOptions) -> tuple[str, ...]:
    """Return the names of the columns that were omitted because of their names alone."""
    skipped = {name.strip() for name in options.skip.split(",")}
    return tuple(n for i, n in enumerate(names) if _is_key(n) and i not in columns and n not in skipped)


def _is_key(name: str) -> bool:
    """Return whether a column is named like a time or a recording: ``start_time``, ``Begin Time (s)``, ``file``."""
    return re.sub(r"\(s\)|[^a-z]", "", name.lower()) in _KEYS


def read_columns(names: Sequence[str], count: int, options: ReadOptions) -> tuple[int, ...]:
    """Return the numbers of the columns to read.

    These are all except those in `options.skip`, the index of pandas, and those that are named like times or recordings
    beside other columns, unless `options.names` has them.

    Parameters
    ----------
    names
        Names of all columns; empty if they have none.
    count
        Number of columns.
    options
        `skip`: names, or numbers from 0 for columns without names, separated by commas.
    """
    known = list(names) or [str(i) for i in range(count)]
    unwanted = {name.strip() for name in options.skip.split(",")} - {""}
    if unwanted - set(known):
        shown = ", ".join(known[:_SHOWN]) + (", ..." if count > _SHOWN else "")
        raise InputError(f"no such column: {', '.join(sorted(unwanted - set(known)))} to skip; the columns are {shown}")
    index = {i for i, name in enumerate(known) if name.startswith("__index_level_") or (name == "" and i == 0)}
    columns = tuple(i for i, name in enumerate(known) if name not in unwanted and i not in index)
    kept = {name.strip() for name in options.names.split(",")}
    features = tuple(i for i in columns if known[i] in kept or not _is_key(known[i]))
    return features or columns


def _lines(file: IO[str]) -> Iterator[str]:
    while line := file.readline(_LONGEST_LINE):
        if len(line) == _LONGEST_LINE:
            raise InputError(f"not a table: a line of more than {_LONGEST_LINE} characters")
        yield line


def _cells(file: IO[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number from 1, cells) of every line that is not blank."""
    reader = csv.reader(_lines(file), delimiter=delimiter, skipinitialspace=True)
    for cells in reader:
        if cells:
            yield reader.line_num, cells


def _numbers(block: list[tuple[int, list[str]]], layout: Layout, start: int) -> NDArray[np.float64]:
    """Return lines as an array (len(block), columns); `start` is the number of the first row."""
    rows = []
    for row, (line, cells) in enumerate(block, start):
        where = f"row {row} (line {line})"
        if len(cells) != layout.cells:
            raise InputError(f"uneven rows: {where} has {len(cells)} cells, the first line has {layout.cells}")
        try:
            rows.append([float(cells[i]) for i in layout.columns])
        except ValueError:
            _refuse(where, cells, layout)
    return np.array(rows, np.float64)


def _lists(block: list[tuple[int, list[str]]], layout: Layout, start: int) -> NDArray[np.float64]:
    """Return the lists of the only column as an array (len(block), width)."""
    column, rows = layout.columns[0], np.empty((len(block), layout.width))
    for at, (line, cells) in enumerate(block):
        numbers = _numbers_of(cells[column]) if column < len(cells) else []
        if len(numbers) != layout.width:
            found = f"{len(numbers)} numbers" if numbers else "no list of numbers"
            raise InputError(
                f"uneven rows: row {start + at} (line {line}) has {found}, the first row has {layout.width}"
            )
        rows[at] = numbers
    return rows


def _refuse(where: str, cells: Sequence[str], layout: Layout) -> NoReturn:
    column = next(i for i in layout.columns if not _is_number(cells[i]))
    name = layout.names[column] if layout.names else str(column)
    if not cells[column].strip():
        raise InputError(f"empty cell: {where}, column {name!r}; fill it, or --set skip={name} omits the column")
    has_comma = _is_number(cells[column].replace(",", "."))
    solution = "write numbers with a decimal point" if has_comma else f"--set skip={name} omits it"
    raise InputError(f"not a number: {where}, column {name!r} is {cells[column][:40]!r}; {solution}")


def open_parquet(path: Path, options: ReadOptions) -> Rows:
    """Open a .parquet file as rows: the lists of its only column of lists, or all its columns if they are numbers."""
    try:
        from pyarrow import parquet  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise InputError("pyarrow is missing: to read .parquet, pip install 'audiosae-vectors[parquet]'") from error
    with parquet.ParquetFile(path) as file:
        schema, groups = file.schema_arrow, [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        columns = _columns(schema, options)
        lists = _is_list(schema.field(columns[0]).type)
        width = _list_width(file, columns[0]) if lists else len(columns)
        omitted = () if lists else _omitted(schema.names, [schema.names.index(name) for name in columns], options)

    def read(start: int, at_once: int) -> Iterator[NDArray[Any]]:
        ends = np.cumsum(groups)
        wanted = [i for i, end in enumerate(ends) if end > start]  # groups before the start are not read
        extra = start - (int(ends[wanted[0]]) - groups[wanted[0]]) if wanted else 0
        row = start - extra
        with parquet.ParquetFile(path) as file, readable():
            for batch in file.iter_batches(at_once, row_groups=wanted, columns=columns, use_threads=False):
                block = _list_rows(batch.column(0), width, row) if lists else _column_rows(batch, columns, row)
                row += len(block)
                if len(block) > extra:
                    yield block[extra:]
                extra = max(0, extra - len(block))

    return Rows(sum(groups), width, "parquet", read, () if lists else tuple(columns), omitted)


def _columns(schema: pa.Schema, options: ReadOptions) -> list[str]:
    """Return the names of the columns to read: one of lists, or several of numbers."""
    names = list(schema.names)
    lists = [name for name in names if _is_list(schema.field(name).type)]
    if options.array:
        if options.array not in lists:
            raise InputError(f"no column of lists {options.array}: the file has {', '.join(lists) or 'none'}")
        return [options.array]
    columns = [names[i] for i in read_columns(names, len(names), options)]
    lists = [name for name in lists if name in columns]
    if len(lists) > 1:
        raise InputError(
            f"no column chosen: {len(lists)} have lists; choose one with --set array=NAME: {', '.join(lists)}"
        )
    for name in () if lists else columns:
        if not _is_numeric(schema.field(name).type):
            raise InputError(
                f"not a number: column {name!r} has the type {schema.field(name).type}; --set skip={name} omits it"
            )
    if not columns:
        raise InputError(f"empty: no columns of numbers remain; the file has {', '.join(names[:_SHOWN]) or 'none'}")
    return lists or columns


def _is_list(kind: pa.DataType) -> bool:
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and _is_numeric(kind.value_type))


def _is_numeric(kind: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _list_width(file: parquet.ParquetFile, column: str) -> int:
    """Return the length of the first list, after a check of the sizes in the metadata.

    Repeated values need almost no space in a file, so that a small file may hold a list that does not fit into memory.
    """
    from pyarrow import types

    kind = file.schema_arrow.field(column).type
    if types.is_fixed_size_list(kind):
        return int(kind.list_size)
    for number in range(file.num_row_groups):
        group = file.metadata.row_group(number)
        parts = (group.column(i) for i in range(group.num_columns))
        numbers = max((p.num_values for p in parts if f"{p.path_in_schema}.".startswith(f"{column}.")), default=0)
        where = f"{numbers} numbers in {group.num_rows} rows of column {column!r}"
        if numbers > group.num_rows * WIDEST:
            raise InputError(f"too wide: {where}, wanted {WIDEST} numbers per row at most")
        if numbers > _DECODED and numbers % group.num_rows:
            raise InputError(f"uneven rows: {where}, wanted the same number in every row")
    batch = next(file.iter_batches(1, columns=[column], use_threads=False), None)
    return 0 if batch is None or not len(batch) else int(batch.column(0).value_lengths()[0].as_py() or 0)


def _list_rows(column: pa.Array, width: int, row: int) -> NDArray[Any]:
    lengths = column.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    if (lengths != width).any():
        first = int(np.argmax(lengths != width))
        length = "no list" if lengths[first] < 0 else f"{lengths[first]} numbers"
        raise InputError(f"uneven rows: row {row + first} has {length}, the first row has {width}")
    return _as_numbers(column.flatten()).reshape(-1, width)


def _column_rows(batch: pa.RecordBatch, columns: Sequence[str], row: int) -> NDArray[np.float64]:
    for column in columns:
        if batch.column(column).null_count:
            first = int(np.argmax(batch.column(column).is_null().to_numpy(zero_copy_only=False)))
            raise InputError(
                f"empty cell: row {row + first}, column {column!r}; fill it, or --set skip={column} omits the column"
            )
    return np.column_stack([_as_numbers(batch.column(column)) for column in columns]).astype(np.float64, copy=False)


def _as_numbers(column: pa.Array) -> NDArray[Any]:
    from pyarrow import types

    kind = column.type
    return np.asarray((column.cast("float64") if types.is_decimal(kind) else column).to_numpy(zero_copy_only=False))
