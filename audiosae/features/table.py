"""A table of features: in memory, or as a file (Parquet, CSV, NPZ)."""

from __future__ import annotations

import csv
import zipfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.errors import InputError
from audiosae.system.described_table import DIGESTS, TABLES, DescribedTable
from audiosae.system.files import CsvWriter, replacing, uncelled, write_errors
from audiosae.system.frames import html_table, pandas_frame
from audiosae.system.interrupts import hold_interrupts
from audiosae.system.schema import DIGEST, FactsFile, Object, Text
from audiosae.system.tabular import Tabular, arrow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record

    _WriteBlock = Callable[[dict[str, list[Any]], NDArray[np.float32]], None]

Level = Literal["file", "window"]
Block = tuple[dict[str, list[Any]], "NDArray[np.float32]"]  # key columns of some rows, and their features (rows, names)
Rows = tuple[dict[str, "NDArray[Any]"], "NDArray[np.float32]"]
SUFFIXES = (".parquet", ".csv", ".npz")
_TEXTS = ("file", "label", "time")
_SHOWN = 8  # rows and features in a notebook
TABLE = DescribedTable(
    "export",
    SUFFIXES,
    FactsFile(
        ("model_digest", "level"),
        Object({"model_digest": Text(DIGEST, "a digest"), "level": Text()}, {TABLES: DIGESTS}),
        "choose another name with -o, or move it",
    ),
)
_GROUP_ROWS = 4096  # least number of rows of a Parquet row group: few groups, small files


@dataclass(frozen=True, repr=False)
class Table(Tabular):
    """Features of sources, one row per file or window.

    Attributes
    ----------
    columns
        Names of the columns that identify a row: file; label, if labels were given; duration, or start and end in the
        unit of the domain (seconds); time, if dates are known.
    names
        Names of the features: ``u037_mean`` is the mean of unit 37 over a file, ``u037`` its code of a window.
    rows
        Number of rows.
    facts
        The values that ``export --json`` prints.
    skipped
        The sources that could not be used, each with its `file` and `reason`.
    notes
        Messages, for example about ignored or truncated files and files without a label.
    path
        The file that was written, or None.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> table = audiosae.export(model, sounds, level="window")
    >>> table.columns, table.names[:2]
    (['file', 'start', 'end'], ['u000', 'u001'])
    >>> table.features.shape == (table.rows, 6), table.features.dtype.name
    (True, 'float32')
    """

    columns: list[str]
    names: list[str]
    rows: int
    facts: Mapping[str, Any]
    skipped: Sequence[Record] = ()
    notes: Sequence[str] = ()
    path: Path | None = None
    _in_memory: Rows | None = field(default=None, repr=False)

    @property
    def features(self) -> NDArray[np.float32]:
        """The features, (rows, names); read from the file if the table was written to one."""
        return self._rows[1]

    @property
    def keys(self) -> dict[str, NDArray[Any]]:
        """The key columns: for each of `columns` an array (rows,) of texts or float64; "" for a missing label."""
        return self._rows[0]

    def frame(self) -> pd.DataFrame:
        """Return the table as a pandas frame: `columns`, then `names`. A text that is not known is a missing value.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        keys = {name: _cells(name, values) for name, values in self.keys.items()}
        return pandas_frame({**keys, **dict(zip(self.names, self.features.T, strict=True))})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows as a stream of the Arrow PyCapsule interface; raise InputError without pyarrow."""
        pa, schema = arrow(), _schema(self.columns, self.names)
        columns = [
            *(_cells(name, self.keys[name]) for name in self.columns),
            *map(np.ascontiguousarray, self.features.T),
        ]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        return pa.Table.from_arrays(arrays, schema=schema).__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        return (
            f"<Table: {self.rows} rows of {', '.join(self.columns)} and {len(self.names)} features; "
            f"{len(self.skipped)} sources skipped{f'; {self.path}' if self.path else ''}>"
        )

    def _repr_html_(self) -> str:
        columns = (self.keys[name][:_SHOWN] for name in self.columns)
        numbers = [[f"{value:.3g}" for value in row] for row in self.features[:_SHOWN, :_SHOWN].tolist()]
        rows = [[*keys, *values] for *keys, values in zip(*columns, numbers, strict=True)]
        return html_table(rows, head=[*self.columns, *self.names[:_SHOWN]], caption=repr(self).strip("<>"))

    @cached_property
    def _rows(self) -> Rows:
        if self._in_memory is not None:
            return self._in_memory
        if self.path is None:
            raise ValueError("a table needs a path or rows in memory")
        return _READERS[self.path.suffix.lower()](self.path, self.columns, self.names)


def _cells(name: str, values: NDArray[Any]) -> NDArray[Any] | list[str | None]:
    """Return the values of a key column; None for a text that is not known."""
    return [value or None for value in values.tolist()] if name in _TEXTS else values


def _schema(keys: Sequence[str], names: Sequence[str]) -> Any:  # noqa: ANN401 (pyarrow has no types)
    pa = arrow()
    key_types = [(key, pa.string() if key in _TEXTS else pa.float64()) for key in keys]
    return pa.schema(key_types + [(name, pa.float32()) for name in names])


def gathered(blocks: Iterable[Block], columns: Sequence[str], names: Sequence[str], count: int) -> Rows:
    """Return the arrays of a table from blocks of `count` rows in total."""
    features = np.empty((count, len(names)), np.float32)
    keys: dict[str, list[Any]] = {name: [] for name in columns}
    for block_keys, values in blocks:
        at = len(keys[columns[0]])
        features[at : at + len(values)] = values
        for name in columns:
            keys[name] += block_keys[name]
    return {name: _column(name, values) for name, values in keys.items()}, features


def _column(name: str, values: Sequence[Any]) -> NDArray[Any]:
    return np.array(["" if v is None else str(v) for v in values]) if name in _TEXTS else np.array(values, np.float64)


def _read_npz(path: Path, columns: Sequence[str], _names: Sequence[str]) -> Rows:
    with np.load(path) as file:
        return {name: _column(name, file[name].tolist()) for name in columns}, file["features"]


def _read_csv(path: Path, columns: Sequence[str], names: Sequence[str]) -> Rows:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))[1:]
    keys = {name: _column(name, [uncelled(row[i]) for row in rows]) for i, name in enumerate(columns)}
    return keys, np.array([row[len(columns) :] for row in rows], np.float32).reshape(len(rows), len(names))


def _read_parquet(path: Path, columns: Sequence[str], names: Sequence[str]) -> Rows:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    keys = {name: _column(name, table.column(name).to_pylist()) for name in columns}
    return keys, np.stack([table.column(name).to_numpy() for name in names], axis=1)


_READERS = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}


def check_output(path: Path, inputs: Iterable[Path] = ()) -> None:
    """Check that a table can be written, before the features are computed.

    Parameters
    ----------
    inputs
        Files that must not be replaced.

    Raises
    ------
    InputError
        The suffix is unknown, the folder does not exist, pyarrow is missing, or the table would replace an input, a
        file that audiosae did not write, or a table that was edited since. audiosae recognises its own tables by the
        .json that describes them.
    """
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise InputError(".parquet needs pyarrow: pip install 'audiosae[parquet]', or write .csv")
    TABLE.check(path, inputs)


@contextmanager
def open_table(
    path: Path, keys: list[str], names: list[str], count: int, describe: Callable[[Path], None] = lambda _: None
) -> Iterator[Callable[[Block], None]]:
    """Yield a function that writes a block of rows; a file of the same name is replaced after the last block.

    Parameters
    ----------
    path
        Table to write.
    keys, names
        Names of the key columns and of the features.
    count
        Total number of rows.
    describe
        Called with the path of the complete table, before that replaces a file of the same name.

    Raises
    ------
    InputError
        The table cannot be written. An OSError that the caller raises while it computes the rows is not converted.
    """
    check_output(path)
    with ExitStack() as stack:
        with write_errors(path):
            temporary, table = stack.enter_context(replacing(path)), ExitStack()
            stack.callback(_close_quietly, table)
            write_block = table.enter_context(_WRITERS[path.suffix.lower()](temporary, keys, names, count))

        def write(block: Block) -> None:
            with write_errors(path):
                write_block(*block)

        yield write
        with write_errors(path):
            table.close()
        with hold_interrupts():  # a table without its description would count as a file of the user
            describe(temporary)
            with write_errors(path):
                stack.close()  # renames the file


def _close_quietly(table: ExitStack) -> None:
    """Close an incomplete table: Windows does not remove an open file."""
    with suppress(Exception):
        table.close()


@contextmanager
def _csv_writer(path: Path, keys: list[str], names: list[str], _count: int) -> Iterator[_WriteBlock]:
    number_format = ",".join(["%.9g"] * len(names))  # nine digits represent every float32 exactly
    with path.open("w", newline="", encoding="utf-8") as file:
        table = CsvWriter(file)
        table.writerow([*keys, *names])

        def write(columns: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
            for row, numbers in zip(zip(*columns.values(), strict=True), values.tolist(), strict=True):
                table.writerow(row, (number_format % tuple(numbers)).split(","))

        yield write


@contextmanager
def _parquet_writer(path: Path, keys: list[str], names: list[str], _count: int) -> Iterator[_WriteBlock]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema(keys, names)
    key_columns: dict[str, list[Any]] = {key: [] for key in keys}  # of the rows that are not written yet
    features: list[NDArray[np.float32]] = []

    def write(columns: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        features.append(np.asarray(values, np.float32))
        for key in keys:
            key_columns[key] += columns[key]
        if len(key_columns[keys[0]]) >= _GROUP_ROWS:
            flush()

    def flush() -> None:
        columns = [*key_columns.values(), *map(np.ascontiguousarray, np.concatenate(features).T)]
        arrays = [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)]
        writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
        for column in (*key_columns.values(), features):
            column.clear()

    with pq.ParquetWriter(path, schema) as writer:
        yield write
        if features:
            flush()


@contextmanager
def _npz_writer(path: Path, keys: list[str], names: list[str], count: int) -> Iterator[_WriteBlock]:
    """Write the features directly into the archive, and the key columns, which are small, at the end."""
    key_columns: dict[str, list[Any]] = {key: [] for key in keys}
    with zipfile.ZipFile(path, "w", allowZip64=True) as archive:
        with archive.open("features.npy", "w", force_zip64=True) as features:
            np.lib.format.write_array_header_1_0(
                features, {"descr": "<f4", "fortran_order": False, "shape": (count, len(names))}
            )

            def write(columns: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
                features.write(np.ascontiguousarray(values, np.float32).tobytes())
                for key, column in columns.items():
                    key_columns[key] += column

            yield write
        for key, column in {**key_columns, "names": names}.items():
            values = np.array(["" if item is None else item for item in column])
            with archive.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(file, values, allow_pickle=False)


_WRITERS = {".parquet": _parquet_writer, ".csv": _csv_writer, ".npz": _npz_writer}
