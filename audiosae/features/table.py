"""A table of features: in memory, or as a file (Parquet, CSV, NPZ)."""

from __future__ import annotations

import csv
import json
import zipfile
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.errors import InputError
from audiosae.system.files import (
    cell,
    check_replaceable,
    check_writable,
    has_facts,
    replacing,
    uncelled,
    write_errors,
    write_file,
)
from audiosae.system.frames import html_table, pandas_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record

Level = Literal["file", "window"]
Block = tuple[dict[str, list[Any]], "NDArray[np.float32]"]  # key columns of some rows, and their features (rows, names)
Rows = tuple[dict[str, "NDArray[Any]"], "NDArray[np.float32]"]
SUFFIXES = (".parquet", ".csv", ".npz")
_TEXTS = ("file", "label", "time")
_SHOWN = 8  # rows and features in a notebook
_GROUP_ROWS = 4096  # least number of rows of a Parquet row group: few groups, small files


@dataclass(frozen=True, repr=False)
class Table:
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
        """Return the table as a pandas frame: `columns`, then `names`.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return pandas_frame({**self.keys, **dict(zip(self.names, self.features.T, strict=True))})

    def __len__(self) -> int:
        return self.rows

    def __repr__(self) -> str:
        content = f"{self.rows} rows of {', '.join(self.columns)} and {len(self.names)} features"
        return f"<Table: {content}; {len(self.skipped)} sources skipped{f'; {self.path}' if self.path else ''}>"

    def _repr_html_(self) -> str:
        head = [*self.columns, *self.names[:_SHOWN]]
        columns = [self.keys[name][:_SHOWN] for name in self.columns]
        numbers = [[f"{value:.3g}" for value in row] for row in self.features[:_SHOWN, :_SHOWN].tolist()]
        rows = [[*keys, *values] for *keys, values in zip(*columns, numbers, strict=True)]
        return html_table(rows, head=head, caption=repr(self).strip("<>"))

    @cached_property
    def _rows(self) -> Rows:
        if self._in_memory is not None:
            return self._in_memory
        if self.path is None:
            raise ValueError("a table needs a path or rows in memory")
        return _READERS[self.path.suffix.lower()](self.path, self.columns, self.names)


def gathered(blocks: Iterable[Block], columns: Sequence[str], names: Sequence[str], count: int) -> Rows:
    """Return the arrays of a table from blocks of `count` rows in total."""
    features = np.empty((count, len(names)), np.float32)
    keys: dict[str, list[Any]] = {name: [] for name in columns}
    at = 0
    for block_keys, values in blocks:
        features[at : at + len(values)] = values
        at += len(values)
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
        The suffix is unknown, the folder does not exist, pyarrow is missing, or the table would replace an input or a
        file that audiosae did not write. A table is known as written by audiosae from the .json that describes it.
    """
    check_writable(path, SUFFIXES)
    if path.suffix.lower() == ".parquet" and find_spec("pyarrow") is None:
        raise InputError(".parquet needs pyarrow: pip install 'audiosae[parquet]', or write .csv")
    description, inputs = description_of(path), list(inputs)
    own = has_facts(description, "model_digest", "level")
    for each in (path, description):
        check_replaceable(each, inputs, own=own)


def description_of(path: Path) -> Path:
    """Return the path of the .json that describes a table: ``NAME.npz.json`` if it exists, else ``NAME.json``."""
    own = path.with_name(f"{path.name}.json")
    return own if own.exists() else path.with_suffix(".json")


def describe(path: Path, facts: dict[str, Any]) -> None:
    """Write the .json that describes a table.

    A different description of another table, with the same name and another suffix, is not replaced: then this table
    has ``NAME.npz.json``.
    """
    description, text = description_of(path), json.dumps(facts, indent=1, sort_keys=True) + "\n"
    others = [path.with_suffix(suffix) for suffix in SUFFIXES if suffix != path.suffix.lower()]
    shared = any(other.exists() and description_of(other) == description for other in others)
    if shared and description.exists() and description.read_text(encoding="utf-8") != text:
        description = path.with_name(f"{path.name}.json")
    write_file(description, text.encode())


@contextmanager
def open_table(path: Path, keys: list[str], names: list[str], count: int) -> Iterator[Callable[[Block], None]]:
    """Yield a function that writes a block of rows; a file of the same name is replaced at the end if all succeeded.

    Parameters
    ----------
    path
        Table to write.
    keys, names
        Names of the key columns and of the features.
    count
        Total number of rows.

    Raises
    ------
    InputError
        The table cannot be written. An OSError that the caller raises while it computes the rows is not converted.
    """
    check_output(path)
    with ExitStack() as stack:
        with write_errors(path):
            writer = _WRITERS[path.suffix.lower()](stack.enter_context(replacing(path)), keys, names, count)
        stack.callback(_close_quietly, writer)

        def write(block: Block) -> None:
            with write_errors(path):
                writer.write(*block)

        yield write
        with write_errors(path):
            writer.close()
            stack.close()  # renames the file


def _close_quietly(writer: _Csv | _Parquet | _Npz) -> None:
    """Close an incomplete table: Windows does not remove an open file."""
    with suppress(Exception):
        writer.close()


class _Csv:
    def __init__(self, path: Path, keys: list[str], names: list[str], _count: int) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._table = csv.writer(self._file)
        self._table.writerow([*keys, *names])
        self._format = ",".join(["%.9g"] * len(names))  # nine digits represent every float32 exactly

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        for row, numbers in zip(zip(*keys.values(), strict=True), values.tolist(), strict=True):
            self._table.writerow([*map(cell, row), *(self._format % tuple(numbers)).split(",")])

    def close(self) -> None:
        self._file.close()


class _Parquet:
    def __init__(self, path: Path, keys: list[str], names: list[str], _count: int) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._schema = pa.schema(
            [(key, pa.string() if key in _TEXTS else pa.float64()) for key in keys] + [(n, pa.float32()) for n in names]
        )
        self._writer = pq.ParquetWriter(path, self._schema)
        self._pending: list[Block] = []
        self._rows = 0

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        self._pending.append((keys, np.asarray(values, np.float32)))
        self._rows += len(values)
        if self._rows >= _GROUP_ROWS:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        if not self._pending:
            return
        columns = [[item for keys, _ in self._pending for item in keys[key]] for key in self._pending[0][0]]
        values = np.concatenate([pending for _, pending in self._pending])
        arrays = [pa.array(column, field.type) for column, field in zip(columns, self._schema, strict=False)]
        arrays += [pa.array(np.ascontiguousarray(column)) for column in values.T]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=self._schema))
        self._pending, self._rows = [], 0

    def close(self) -> None:
        self._flush()
        self._writer.close()


class _Npz:
    """Writes the features directly into the archive, and the key columns, which are small, at the end."""

    def __init__(self, path: Path, keys: list[str], names: list[str], count: int) -> None:
        self._zip = zipfile.ZipFile(path, "w", allowZip64=True)
        self._keys: dict[str, list[Any]] = {key: [] for key in keys}
        self._names = names
        self._features = self._zip.open("features.npy", "w", force_zip64=True)
        header = {"descr": "<f4", "fortran_order": False, "shape": (count, len(names))}
        np.lib.format.write_array_header_1_0(self._features, header)

    def write(self, keys: dict[str, list[Any]], values: NDArray[np.float32]) -> None:
        self._features.write(np.ascontiguousarray(values, np.float32).tobytes())
        for key, column in keys.items():
            self._keys[key] += column

    def close(self) -> None:
        self._features.close()
        for key, column in {**self._keys, "names": self._names}.items():
            values = np.array(["" if item is None else item for item in column])
            with self._zip.open(f"{key}.npy", "w") as file:
                np.lib.format.write_array(file, values, allow_pickle=False)
        self._zip.close()


_WRITERS: dict[str, type[_Csv | _Parquet | _Npz]] = {".parquet": _Parquet, ".csv": _Csv, ".npz": _Npz}
