"""Tables with columns of known types: for pandas, and for Polars, DuckDB and others that read Arrow streams.

The interface is https://arrow.apache.org/docs/format/CDataInterface/PyCapsuleInterface.html.
"""

from __future__ import annotations

from datetime import date
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.errors import InputError
from audiosae.system.files import CsvWriter, replacing, write_errors
from audiosae.system.frames import html_table, pandas_frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pandas as pd

Kind = Literal["text", "integer", "number", "date"]
_SHOWN = 10  # rows in a notebook
_BATCH_ROWS = 2**16  # of Arrow, and of a Parquet row group: they are in memory at the same time


def arrow() -> Any:  # noqa: ANN401 (pyarrow has no types)
    """Return the module pyarrow; raise InputError if it is not installed."""
    try:
        import pyarrow as pa
    except ImportError as error:
        raise InputError(
            "a table for Polars, DuckDB or Arrow needs pyarrow: pip install 'audiosae[parquet]', or use frame()"
        ) from error
    return pa


class Tabular:
    """A result that is a table: with `frame` for pandas, and as it is for Polars, DuckDB and pyarrow."""

    def _data(self) -> DataTable:
        """Return the table."""
        raise NotImplementedError

    def frame(self) -> pd.DataFrame:
        """Return the table as a pandas frame.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return self._data().frame()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows as a stream of the Arrow PyCapsule interface.

        Raises
        ------
        InputError
            pyarrow is not installed.
        """
        return self._data().__arrow_c_stream__(requested_schema)


class DataTable(Tabular):
    """A table of a result: a row for each event, type, hour or label.

    ``polars.DataFrame(table)``, ``pyarrow.table(table)`` and queries of DuckDB take it as it is, if pyarrow is
    installed. An empty cell of the CSV is a missing value.

    Parameters
    ----------
    name
        Name of the table: that of its CSV without suffix.
    kinds
        The columns, in order: ``text``, ``integer``, ``number`` or ``date``.
    rows
        Function that yields the rows; a cell without a value is None or "".
    """

    def __init__(self, name: str, kinds: Mapping[str, Kind], rows: Callable[[], Iterable[Sequence[object]]]) -> None:
        self.name: str = name
        self.kinds: dict[str, Kind] = dict(kinds)
        self.rows: Callable[[], Iterable[Sequence[object]]] = rows

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return [*self.kinds]

    def frame(self) -> pd.DataFrame:
        """Return the table as a pandas frame; a column of integers with missing values is of the type ``Int64``.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        columns = _columns(self.rows(), len(self.kinds))
        kinds = zip(self.kinds.items(), columns, strict=True)
        return pandas_frame({name: _pandas_column(values, kind) for (name, kind), values in kinds})

    def batches(self) -> Any:  # noqa: ANN401 (pyarrow has no types)
        """Return a `pyarrow.RecordBatchReader`; raise InputError if pyarrow is not installed."""
        pa = arrow()
        types = {"text": pa.string(), "integer": pa.int64(), "number": pa.float64(), "date": pa.date32()}
        schema = pa.schema([(name, types[kind]) for name, kind in self.kinds.items()])

        def parts() -> Iterator[Any]:
            rows = iter(self.rows())
            while part := list(islice(rows, _BATCH_ROWS)):
                columns = zip(_columns(part, len(schema)), schema, strict=True)
                arrays = [pa.array(map(_value, values), field.type) for values, field in columns]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

        return pa.RecordBatchReader.from_batches(schema, parts())

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Return the rows as a stream of the Arrow PyCapsule interface; raise InputError without pyarrow."""
        return self.batches().__arrow_c_stream__(requested_schema)

    def write_csv(self, path: Path) -> None:
        """Write a CSV, one row at a time."""
        with (
            write_errors(path),
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            table = CsvWriter(file)
            table.writerow(self.columns)
            table.writerows(self.rows())

    def write_parquet(self, path: Path) -> None:
        """Write a Parquet file with row groups of 65,536 rows."""
        import pyarrow.parquet as pq

        batches = self.batches()
        with write_errors(path), replacing(path) as temporary, pq.ParquetWriter(temporary, batches.schema) as writer:
            for batch in batches:
                writer.write_batch(batch)

    def __repr__(self) -> str:
        return f"<DataTable {self.name}: {', '.join(self.columns)}>"

    def _repr_html_(self) -> str:
        rows = [["" if value is None else value for value in row] for row in islice(self.rows(), _SHOWN)]
        return html_table(rows, head=self.columns, caption=f"{self.name}: the first {_SHOWN} rows")


def inferred(name: str, columns: Mapping[str, Sequence[object]]) -> DataTable:
    """Return a table whose types of columns are those of the values."""
    kinds = {column: _kind_of(values) for column, values in columns.items()}
    return DataTable(name, kinds, lambda: zip(*columns.values(), strict=True))


def _kind_of(values: Sequence[object]) -> Kind:
    known = [value for value in map(_value, values) if value is not None]
    kinds: tuple[tuple[type | tuple[type, ...], Kind], ...] = (
        (int, "integer"),
        ((int, float, np.floating), "number"),
        (date, "date"),
    )
    return next((kind for types, kind in kinds if known and all(isinstance(v, types) for v in known)), "text")


def _columns(rows: Iterable[Sequence[object]], count: int) -> Sequence[Sequence[object]]:
    return list(zip(*rows, strict=True)) or [()] * count


def _value(cell: object) -> object:
    return None if cell is None or (isinstance(cell, str) and not cell) else cell


def _pandas_column(cells: Sequence[object], kind: Kind) -> Any:  # noqa: ANN401 (pandas is not always installed)
    import pandas as pd

    values = [_value(cell) for cell in cells]
    missing = any(value is None for value in values)
    if kind == "date":
        return pd.to_datetime(pd.Series(values, dtype=object)).astype("datetime64[s]")
    if kind == "integer":
        return pd.array(values, dtype="Int64") if missing else np.array(values, np.int64)
    if kind == "number":
        return np.array([np.nan if value is None else value for value in values], np.float64)
    return pd.Series(values, dtype=None if values else object)
