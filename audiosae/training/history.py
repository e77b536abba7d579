"""The history of a training run: one row per epoch (Adam) or iteration (L-BFGS), and the best epoch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING

from audiosae.system.files import csv_text, write_file

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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


@dataclass
class History:
    """Rows, the lowest held-out cost and its epoch, and the number of epochs since it fell by more than `tol`."""

    rows: list[Row] = field(default_factory=list)
    best: float = float("inf")
    best_epoch: int = 0
    epochs_without_improvement: int = 0

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
