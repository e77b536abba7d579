"""Rows of tables: .csv files, read as a stream of lines, and .parquet files, in batches through pyarrow."""

from __future__ import annotations

import csv
from itertools import islice
from typing import IO, TYPE_CHECKING, Any, NamedTuple, NoReturn

import numpy as np

from audiosae.errors import InputError
from audiosae_vectors.rows import ReadOptions, Rows, readable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_LONGEST_LINE = 2**25  # characters; what has none shorter is not a table
_SAMPLED_ROWS = 100  # whose length gives the estimate of how many there are
_COUNTING = 3  # numbers that count up from 0 or 1, at least so many, are a header and not a row


class Layout(NamedTuple):
    """How a .csv file is laid out."""

    delimiter: str
    header: bool
    cells: int
    names: tuple[str, ...]
    kept: tuple[int, ...]


def open_csv(path: Path, options: ReadOptions) -> Rows:
    """Open a .csv file as rows: separated by comma, semicolon or tab, with a header or without."""
    layout, rows = _lay_out(path, options)

    def read(start: int, at_once: int) -> Iterator[NDArray[Any]]:
        with path.open(encoding="utf-8-sig", newline="") as file, readable():
            lines = islice(_cells(file, layout.delimiter), layout.header + start, None)
            while block := list(islice(lines, at_once)):
                yield _numbers(block, layout, start)
                start += len(block)

    names = tuple(layout.names[i] for i in layout.kept) if layout.names else ()
    return Rows(rows, len(layout.kept), "csv", read, () if _counts(names, 1) else names)


def _lay_out(path: Path, options: ReadOptions) -> tuple[Layout, int]:
    """Return a file's layout and about how many rows it has, from its first lines."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        text = next((line for line in _lines(file) if line.strip()), "")
        delimiter = next((mark for mark in "\t;," if mark in text), ",")
        file.seek(0)
        sample = list(islice(_cells(file, delimiter), 1 + _SAMPLED_ROWS))
    if not sample:
        raise InputError("empty: no rows")
    first = [cell.strip().lstrip("# ") for cell in sample[0][1]]
    header = options.header == "yes" or (options.header == "auto" and _is_header(first))
    kept = leave_out(first if header else [], len(first), options.skip)
    layout = Layout(delimiter, header, len(first), tuple(first) if header else (), kept)
    lengths = [sum(map(len, cells)) + len(cells) for _, cells in sample[header:]]
    return layout, max(1, int(path.stat().st_size / np.mean(lengths))) if lengths else 0


def _is_header(cells: Sequence[str]) -> bool:
    """Text alone is a header, and so are numbers that only count (pandas writes those for columns without names)."""
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


def leave_out(names: Sequence[str], count: int, skip: str) -> tuple[int, ...]:
    """Return which columns are left when those that `skip` lists, and a row index that pandas wrote, are left out.

    Parameters
    ----------
    names
        Of all columns; none when they have no names.
    count
        Number of columns.
    skip
        Names, or numbers counted from 0 for columns without names, separated by commas.
    """
    known = list(names) or [str(i) for i in range(count)]
    unwanted = {name.strip() for name in skip.split(",")} - {""}
    if unwanted - set(known):
        shown = ", ".join(known[:8]) + (", ..." if count > 8 else "")  # noqa: PLR2004
        raise InputError(f"no such column: {', '.join(sorted(unwanted - set(known)))} to skip; it has {shown}")
    index = {i for i, name in enumerate(known) if name.startswith("__index_level_") or (name == "" and i == 0)}
    return tuple(i for i, name in enumerate(known) if name not in unwanted and i not in index)


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
    """Turn lines into an array (len(block), columns kept); `start` is the number of the first row."""
    rows = []
    for at, (line, cells) in enumerate(block):
        where = f"row {start + at} (line {line})"
        if len(cells) != layout.cells:
            raise InputError(f"uneven rows: {where} has {len(cells)} cells where the first line has {layout.cells}")
        try:
            rows.append([float(cells[i]) for i in layout.kept])
        except ValueError:
            _refuse(where, cells, layout)
    return np.array(rows, np.float64)


def _refuse(where: str, cells: Sequence[str], layout: Layout) -> NoReturn:
    at = next(i for i in layout.kept if not _is_number(cells[i]))
    name = layout.names[at] if layout.names else str(at)
    if not cells[at].strip():
        raise InputError(f"empty cell: {where}, column {name!r}")
    comma = _is_number(cells[at].replace(",", "."))
    todo = "write numbers with a point" if comma else f"--set skip={name} leaves it out"
    raise InputError(f"not a number: {where}, column {name!r} holds {cells[at][:40]!r}; {todo}")


def open_parquet(path: Path, options: ReadOptions) -> Rows:
    """Open a .parquet file as rows: of its one column of lists, or of all its columns when they are numbers."""
    try:
        from pyarrow import parquet  # type: ignore[import-untyped,unused-ignore]
    except ImportError as error:
        raise InputError("no pyarrow to read .parquet: pip install 'audiosae-vectors[parquet]'") from error
    with parquet.ParquetFile(path) as file:
        schema, groups = file.schema_arrow, [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
        columns = _columns(schema, options)
        lists = _is_list(schema.field(columns[0]).type)
        width = _list_width(file, columns[0]) if lists else len(columns)

    def read(start: int, at_once: int) -> Iterator[NDArray[Any]]:
        ends = np.cumsum(groups)
        wanted = [i for i, end in enumerate(ends) if end > start]  # whole groups before the start are not read at all
        extra = start - (int(ends[wanted[0]]) - groups[wanted[0]]) if wanted else 0
        row = start - extra
        with parquet.ParquetFile(path) as file, readable():
            for batch in file.iter_batches(at_once, row_groups=wanted, columns=columns, use_threads=False):
                block = _list_rows(batch.column(0), width, row) if lists else _column_rows(batch, columns, row)
                row += len(block)
                if len(block) > extra:
                    yield block[extra:]
                extra = max(0, extra - len(block))

    return Rows(sum(groups), width, "parquet", read, () if lists else tuple(columns))


def _columns(schema: Any, options: ReadOptions) -> list[str]:  # noqa: ANN401
    """Return the names of the columns to be read: one of lists, or numbers only."""
    names = list(schema.names)
    lists = [name for name in names if _is_list(schema.field(name).type)]
    if options.array:
        if options.array not in lists:
            raise InputError(f"no such column: {options.array} of lists; it has {', '.join(lists) or 'none'}")
        return [options.array]
    kept = [names[i] for i in leave_out(names, len(names), options.skip)]
    lists = [name for name in lists if name in kept]
    if len(lists) > 1:
        raise InputError(f"which column: {len(lists)} hold lists; name one with --set array=NAME: {', '.join(lists)}")
    for name in () if lists else kept:
        if not _is_numeric(schema.field(name).type):
            raise InputError(
                f"not a number: column {name!r} holds {schema.field(name).type}; --set skip={name} leaves it out"
            )
    return lists or kept or _no_columns(names)


def _no_columns(names: Sequence[str]) -> NoReturn:
    raise InputError(f"empty: no columns of numbers are left; it has {', '.join(names[:8]) or 'none'}")


def _is_list(kind: Any) -> bool:  # noqa: ANN401
    from pyarrow import types

    is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
    return bool(is_list and _is_numeric(kind.value_type))


def _is_numeric(kind: Any) -> bool:  # noqa: ANN401
    from pyarrow import types

    return bool(types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind) or types.is_decimal(kind))


def _list_width(file: Any, column: str) -> int:  # noqa: ANN401
    """Return the length of the first list."""
    batch = next(file.iter_batches(1, columns=[column], use_threads=False), None)
    return 0 if batch is None or not len(batch) else len(batch.column(0)[0].as_py() or ())


def _list_rows(column: Any, width: int, row: int) -> NDArray[Any]:  # noqa: ANN401
    lengths = column.value_lengths().fill_null(-1).to_numpy(zero_copy_only=False)
    if (lengths != width).any():
        at = int(np.argmax(lengths != width))
        found = "nothing" if lengths[at] < 0 else f"{lengths[at]} numbers"
        raise InputError(f"uneven rows: row {row + at} holds {found} where the first row holds {width}")
    return _as_numbers(column.flatten()).reshape(-1, width)


def _column_rows(batch: Any, columns: Sequence[str], row: int) -> NDArray[np.float64]:  # noqa: ANN401
    for column in columns:
        if batch.column(column).null_count:
            at = int(np.argmax(batch.column(column).is_null().to_numpy(zero_copy_only=False)))
            raise InputError(f"empty cell: row {row + at}, column {column!r}")
    return np.column_stack([_as_numbers(batch.column(column)) for column in columns]).astype(np.float64, copy=False)


def _as_numbers(column: Any) -> NDArray[Any]:  # noqa: ANN401
    from pyarrow import types

    kind = column.type
    return np.asarray((column.cast("float64") if types.is_decimal(kind) else column).to_numpy(zero_copy_only=False))
