"""Activity statistics of units: mean activity, share of windows in which a unit is active, sparseness."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ACTIVE = 0.1  # activation above which a unit is active in a window


@dataclass(frozen=True)
class ActivityStatistics:
    """Sums of the activity of units over windows; the statistics of two sets of windows can be added.

    Sparseness is (1 - mean(r)^2 / mean(r^2)) / (1 - 1/n) (Treves and Rolls 1991, as in Vinje and Gallant, Science 287,
    2000). It is 0 if all n values of the activity r are equal, and 1 if only one of them is not 0. Lifetime sparseness
    is that of one unit over the windows, population sparseness that of one window over the units.

    Attributes
    ----------
    count
        Number of windows.
    total, squares
        Sum of the activity and of its square, (hidden,).
    active
        Number of windows in which each unit is active, (hidden,).
    population
        Sum of the population sparseness over the windows.
    """

    count: int
    total: NDArray[np.float64]
    squares: NDArray[np.float64]
    active: NDArray[np.int64]
    population: float

    @classmethod
    def of(cls, act: NDArray[Any]) -> ActivityStatistics:
        """Return the statistics of activity (windows, hidden)."""
        squares = np.square(act, dtype=np.float64)
        return cls(
            count=len(act),
            total=act.sum(axis=0, dtype=np.float64),
            squares=squares.sum(axis=0),
            active=(act > ACTIVE).sum(axis=0),
            population=float(_sparseness(act.mean(axis=1, dtype=np.float64), squares.mean(axis=1), act.shape[1]).sum()),
        )

    def __add__(self, other: ActivityStatistics) -> ActivityStatistics:
        return ActivityStatistics(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean activity, (hidden,)."""
        return self.total / self.count

    @property
    def share(self) -> NDArray[np.float64]:
        """Share of the windows in which each unit is active, (hidden,)."""
        return self.active / self.count

    @property
    def lifetime_sparseness(self) -> NDArray[np.float64]:
        """Lifetime sparseness of each unit, (hidden,)."""
        return _sparseness(self.mean, self.squares / self.count, self.count)

    @property
    def population_sparseness(self) -> float:
        """Mean population sparseness over the windows."""
        return self.population / self.count


def _sparseness(mean: NDArray[Any], squares: NDArray[Any], count: int) -> NDArray[Any]:
    return np.asarray((1 - mean**2 / np.maximum(squares, 1e-300)) / max(1 - 1 / count, 1e-300))
