"""Activity statistics of the units: mean, share of windows, sparseness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIVE = 0.1  # activation threshold: a unit is active in a window above it


@dataclass(frozen=True)
class ActivityStatistics:
    """Sums of the units' activity over windows; sums of two sets of windows add.

    Sparseness is (1 - mean(r)^2 / mean(r^2)) / (1 - 1/n), 0 for equal activity everywhere, 1 for a single active one:
    Treves and Rolls (1991) as in Vinje and Gallant (Science 287, 2000); over windows for a unit's lifetime, over units
    for the population in a window.

    Attributes
    ----------
    count
        Windows.
    total, squares
        Sums of the activity and of its square, (hidden,).
    active
        Windows in which a unit's activity is above `ACTIVE`, (hidden,).
    population
        Sum of the population sparseness.
    """

    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    active: NDArray[np.int64]
    population: float

    @classmethod
    def of(cls, act: NDArray[Any]) -> ActivityStatistics:
        """Return the sums over a block of activity, (windows, hidden)."""
        squares = np.square(act, dtype=np.float64)
        population = _sparseness(act.mean(axis=1, dtype=np.float64), squares.mean(axis=1), act.shape[1])
        total = act.sum(axis=0, dtype=np.float64)
        return cls(len(act), total, squares.sum(axis=0), (act > ACTIVE).sum(axis=0), float(population.sum()))

    def __add__(self, other: ActivityStatistics) -> ActivityStatistics:
        """Return the sums over both sets of windows."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return ActivityStatistics(*(mine + theirs for mine, theirs in pairs))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean activity, (hidden,)."""
        return self.total / self.count

    @property
    def share(self) -> NDArray[np.float64]:
        """Share of the windows in which a unit is on, (hidden,)."""
        return self.active / self.count

    @property
    def lifetime_sparseness(self) -> NDArray[np.float64]:
        """How selective a unit is: 0 when equally active in all windows, 1 when in a single one, (hidden,)."""
        return _sparseness(self.mean, self.squares / self.count, self.count)

    @property
    def population_sparseness(self) -> float:
        """Mean over windows of how few units are active together."""
        return self.population / self.count


def _sparseness(mean: NDArray[Any], squares: NDArray[Any], count: int) -> NDArray[Any]:
    return np.asarray((1 - mean**2 / np.maximum(squares, 1e-300)) / max(1 - 1 / count, 1e-300))
