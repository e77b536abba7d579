"""Memory estimate of a training run: refuses runs that would not fit, before the work starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiosae.errors import InputError
from audiosae.system.memory import available

if TYPE_CHECKING:
    from audiosae.domain import Domain
    from audiosae.training.options import TrainOptions


MIB = 2**20
_LIBRARIES = 250 * MIB  # Python, NumPy, SciPy, Matplotlib
_PARAMETER_COPIES = 6  # current and best parameters, Adam's two moments, gradient, checkpoint
_COVARIANCE_COPIES = 5  # in float64, while its eigenvectors are computed


@dataclass(frozen=True)
class MemoryEstimate:
    """Peak memory of a run in bytes, by use."""

    windows: int
    weights: int
    whitening: int

    @property
    def total(self) -> int:
        """Peak memory in bytes; the whitening is learned before there are weights."""
        return _LIBRARIES + max(self.windows + self.weights, self.windows // 8 + self.whitening)


def estimate(domain: Domain, options: TrainOptions, *, windows: int, n_components: int) -> MemoryEstimate:
    """Estimate the memory of a run, from its number of windows and of components after whitening."""
    width, itemsize = int(np.prod(domain.window)), np.dtype(options.dtype).itemsize
    cached_windows = min(options.memory * MIB, windows * max(n_components, width // 8) * itemsize)
    step = options.batch_size * (2 * options.hidden + 2 * n_components + width)
    weights = itemsize * (2 * options.hidden * n_components * _PARAMETER_COPIES + step)
    whitening = 8 * _COVARIANCE_COPIES * width**2 if options.whiten in ("pca", "zca") else 0
    return MemoryEstimate(cached_windows, weights, whitening)


def lower_bound(domain: Domain, options: TrainOptions) -> MemoryEstimate:
    """Return the least memory of a run, before its sources are read."""
    n_components = 1 if options.whiten == "pca" else int(np.prod(domain.window))
    return estimate(domain, options, windows=1, n_components=n_components)


def check(needed: MemoryEstimate) -> None:
    """Raise InputError if a run needs more memory than is free."""
    free = available()
    if free is not None and needed.total > free:
        uses = {
            "--memory": needed.windows,
            "--hidden or --batch-size": needed.weights,
            "--whiten scale": needed.whitening,
        }
        advice = sorted((option for option in uses if uses[option]), key=lambda option: -uses[option])
        raise InputError(
            f"training would take about {needed.total / MIB:,.0f} MiB of memory, but {free / MIB:,.0f} MiB are free; "
            f"change {', then '.join(advice)}, or make the windows smaller with --set"
        )
