"""A table of features in memory, or read back from its file when it is asked for."""

from __future__ import annotations

import csv
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.system.files import uncelled
from audiosae.system.frames import html_table, pandas_frame

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.features.tables import Block

Level = Literal["clip", "window"]
Rows = tuple[dict[str, "NDArray[Any]"], "NDArray[np.float32]"]
_TEXTS = ("file", "label", "time")
_SHOWN = 8  # rows and features in a notebook


@dataclass(frozen=True, repr=False)
class Table:
    """Features of sources, a row for each clip or window.

    Attributes
    ----------
    columns
        Names of the columns that say what a row is: file, label where there are any, duration or start and end in the
        domain's unit (seconds), time where dates are known.
    names
        Of the features: ``u037_mean`` is the mean of unit 37 over a clip, ``u037`` its code of a window.
    rows
        How many.
    facts
        What ``export --json`` prints.
    skipped
        The sources that could not be used, each with its `file` and `reason`.
    notes
        Messages: what was passed over, not whole or without a label.
    path
        The file that was written, or None.

    Examples
    --------
    >>> table = audiosae.export_table(model, sounds, level="window")
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
    _held: Rows | None = field(default=None, repr=False)

    @property
    def features(self) -> NDArray[np.float32]:
        """The numbers, (rows, names); read from the file where they were written to one."""
        return self._rows[1]

    @property
    def keys(self) -> dict[str, NDArray[Any]]:
        """What a row is: for each of `columns` an array (rows,), texts or float64; "" for a label that is not known."""
        return self._rows[0]

    def frame(self) -> pd.DataFrame:
        """Return everything as a pandas frame: `columns`, then `names`.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return pandas_frame({**self.keys, **dict(zip(self.names, self.features.T, strict=True))})

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    def __repr__(self) -> str:
        what = f"{self.rows} rows of {', '.join(self.columns)} and {len(self.names)} features"
        return f"<Table: {what}; {len(self.skipped)} sources skipped{f'; {self.path}' if self.path else ''}>"

    def _repr_html_(self) -> str:
        """Return the first rows, for a notebook."""
        head = [*self.columns, *self.names[:_SHOWN]]
        columns = [self.keys[name][:_SHOWN] for name in self.columns]
        numbers = [[f"{value:.3g}" for value in row] for row in self.features[:_SHOWN, :_SHOWN].tolist()]
        rows = [[*keys, *values] for *keys, values in zip(*columns, numbers, strict=True)]
        return html_table(rows, head=head, caption=repr(self).strip("<>"))

    @cached_property
    def _rows(self) -> Rows:
        if self._held is not None:
            return self._held
        if self.path is None:
            raise ValueError("a table without rows")
        readers = {".npz": _read_npz, ".csv": _read_csv, ".parquet": _read_parquet}
        return readers[self.path.suffix.lower()](self.path, self.columns, self.names)


def gathered(blocks: Iterable[Block], columns: Sequence[str], names: Sequence[str], count: int) -> Rows:
    """Return blocks of rows as arrays."""
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


def _read_npz(path: Path, columns: Sequence[str], names: Sequence[str]) -> Rows:  # noqa: ARG001
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
