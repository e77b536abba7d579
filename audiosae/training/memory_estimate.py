"""Memory estimate of a training run: refuse runs that would not fit, before the work starts."""

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
_BASE = 250 * MIB  # Python, NumPy, SciPy, matplotlib
_COPIES = (
    6  # of the parameters: themselves, the best, Adam's two moments, the gradient, and a checkpoint on its way out
)
_MOMENT_COPIES = 5  # of the windows' covariance in float64 while its eigenvectors are found


@dataclass(frozen=True)
class Need:
    """Bytes that a run takes at its peak, by what takes them."""

    windows: int
    weights: int
    whitening: int

    @property
    def total(self) -> int:
        """All of it; whitening is done before there are weights."""
        return _BASE + max(self.windows + self.weights, self.windows // 8 + self.whitening)


def estimate(domain: Domain, options: TrainOptions, *, windows: int, n_components: int) -> Need:
    """Estimate a run's memory; windows and components after whitening: as few as is sure while they are not known."""
    width, size = int(np.prod(domain.window)), np.dtype(options.dtype).itemsize
    step = options.batch_size * (2 * options.hidden + 2 * n_components + width)
    full = options.whiten in ("pca", "zca")
    held = min(options.memory * MIB, windows * max(n_components, width // 8) * size)
    weights = size * (2 * options.hidden * n_components * _COPIES + step)
    return Need(held, weights, 8 * _MOMENT_COPIES * width**2 if full else 0)


def least(domain: Domain, options: TrainOptions) -> Need:
    """Return what a run takes at least, before its sources have been read."""
    width = int(np.prod(domain.window))
    return estimate(domain, options, windows=1, n_components=1 if options.whiten == "pca" else width)


def check(need: Need) -> None:
    """Refuse what needs more than is free."""
    free = available()
    if free is None or need.total <= free:
        return
    advice = {"--memory": need.windows, "--hidden or --batch-size": need.weights, "--whiten scale": need.whitening}
    ordered = sorted((todo for todo in advice if advice[todo]), key=lambda todo: -advice[todo])
    raise InputError(
        f"training would take about {need.total / MIB:,.0f} MiB of memory and {free / MIB:,.0f} are free; change "
        f"{', then '.join(ordered)} (or narrow the windows with --set)"
    )
