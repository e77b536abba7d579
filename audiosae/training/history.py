"""The history of a training run: one row per epoch (Adam) or iteration (L-BFGS), and the best epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, overload

from audiosae.system.files import csv_text, write_file
from audiosae.system.tabular import DataTable, Tabular

if TYPE_CHECKING:
    from pathlib import Path

    from audiosae.system.tabular import Kind


KINDS: dict[str, Kind] = {"int": "integer", "float": "number"}  # annotations of `Row` as text


@dataclass(frozen=True)
class Row:
    """One row of history.csv; `fvu` is that of held-out windows, the other values are those of training windows."""

    step: int
    epoch: int
    windows: int
    cost: float
    reconstruction: float
    sparsity: float
    rho_hat_mean: float
    dead: int
    seconds: float
    fvu: float


class Rows(Sequence[Row], Tabular):  # not a tuple, which pyarrow would take for a list of columns
    """The rows of a training run: a sequence, and a table for pandas, Polars and DuckDB.

    Examples
    --------
    >>> run = audiosae.train(sounds, hidden=6, epochs=2)
    >>> run.history[-1].epoch, run.history.frame().shape
    (2, (2, 10))
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = tuple(rows)

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...

    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        """Return a row, or some rows."""
        return self._rows[index]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._rows)

    def _data(self) -> DataTable:
        kinds = {f.name: KINDS[str(f.type)] for f in fields(Row)}
        return DataTable("history", kinds, lambda: ([*vars(row).values()] for row in self))

    def _repr_html_(self) -> str:
        return self._data()._repr_html_()


@dataclass
class History:
    """Rows, the lowest held-out cost and its epoch, and the number of epochs since it fell by more than `tol`."""

    rows: list[Row] = field(default_factory=list)
    best: float = float("inf")
    best_epoch: int = 0
    epochs_without_improvement: int = 0

    @property
    def best_fvu(self) -> float:
        """The unexplained variance of held-out windows after the best epoch; NaN if none were held out."""
        return next(row.fvu for row in self.rows if row.epoch == self.best_epoch)

    def update_best(self, cost: float, epoch: int, tol: float) -> bool:
        """Record a held-out cost; return whether it is the lowest so far."""
        self.epochs_without_improvement = 0 if cost < self.best * (1 - tol) else self.epochs_without_improvement + 1
        is_best = cost < self.best
        if is_best:
            self.best, self.best_epoch = cost, epoch
        return is_best


def write_history(rows: Sequence[Row], path: Path) -> None:
    """Write history.csv."""
    values = [[f"{value:.8g}" if isinstance(value, float) else value for value in vars(row).values()] for row in rows]
    write_file(path, csv_text([[f.name for f in fields(Row)], *values]).encode())
