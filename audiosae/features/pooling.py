"""Pooling of the codes of many windows to those of a file, a stretch or a sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

POOLS = ("max", "mean", "std", "change")
DEFAULT_POOL = ("mean", "max", "std")
_POOLED_ROWS = 256


@dataclass
class Pool:
    """Sums over the windows of a file, per segment, for their mean, standard deviation, maximum and change.

    Squared differences from the mean of a few hundred windows are summed in the precision of the codes. These sums are
    combined in double precision (Chan, Golub and LeVeque 1979).

    Attributes
    ----------
    windows
        Number of windows of the file.
    segments
        Number of equal parts in time; they overlap if there are fewer windows than segments.
    lag
        Number of windows that begin in the same row (1 in recordings): the next window in time is this many windows
        later. 0 if ``change`` is not needed. ``change`` is the mean absolute difference between the codes of
        consecutive windows of a segment, 0 if there is only one window.
    """

    windows: int
    segments: int
    lag: int = 0
    _count: int = 0  # windows added
    _sums: tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]] | None = None
    _changes: NDArray[Any] = field(default_factory=lambda: np.empty(0))
    _latest: NDArray[Any] = field(default_factory=lambda: np.empty(0))  # the last `lag` codes

    def add(self, codes: NDArray[Any]) -> None:
        """Add the codes (count, units) of the next windows of the file."""
        if self._sums is None:
            zeros = np.zeros((self.segments, codes.shape[1]))
            self._sums = (np.zeros(self.segments), zeros, zeros.copy(), np.full_like(zeros, -np.inf))
            self._changes, self._latest = zeros.copy(), codes[:0]
        if self.lag:
            self._add_changes(codes)
        counts, means, squares, largest = self._sums
        for segment, (low, high) in enumerate(self._bounds()):
            part = codes[max(0, low - self._count) : max(0, high - self._count)]
            for at in range(0, len(part), _POOLED_ROWS):  # stays in a core's cache
                block = part[at : at + _POOLED_ROWS]
                ones, count = np.ones(len(block), block.dtype), counts[segment]
                mean = ones @ block / block.dtype.type(len(block))
                apart = block - mean
                np.square(apart, out=apart)
                share = len(block) / (count + len(block))
                step = mean - means[segment]
                means[segment] += share * step
                squares[segment] += ones @ apart + share * count * np.square(step)
                np.maximum(largest[segment], block.max(axis=0), out=largest[segment])
                counts[segment] += len(block)
        self._count += len(codes)

    def _add_changes(self, codes: NDArray[Any]) -> None:
        latest, lag = self._latest, self.lag
        for at in range(max(0, lag - len(latest)), len(codes), _POOLED_ROWS):
            block = codes[at : at + _POOLED_ROWS]
            start = at - lag  # of the previous windows; those before `codes` are the end of `latest`
            if start >= 0:
                changes = block - codes[start : start + len(block)]
            else:
                changes = block - np.concatenate([latest, codes[: len(block)]])[len(latest) + start :][: len(block)]
            np.abs(changes, out=changes)
            number = self._count + at
            for segment, (low, high) in enumerate(self._bounds()):
                part = changes[max(0, low + lag - number) : max(0, high - number)]
                self._changes[segment] += np.ones(len(part), part.dtype) @ part
        self._latest = codes[-lag:].copy() if len(codes) >= lag else np.concatenate([latest, codes])[-lag:]

    def result(self, pools: Sequence[str]) -> NDArray[np.float32]:
        """Return the pooled codes, (units, pools, segments)."""
        if self._sums is None:
            raise InputError("no windows to pool: the source is shorter than a window")
        counts, means, squares, largest = self._sums
        pooled = {"mean": means, "max": largest, "std": np.sqrt(squares / counts[:, None])}
        if self.lag:
            pooled["change"] = self._changes / np.maximum(counts[:, None] - self.lag, 1)
        return np.stack([pooled[pool] for pool in pools]).transpose(2, 0, 1).astype(np.float32)

    def _bounds(self) -> list[tuple[int, int]]:
        n, s = self.windows, self.segments
        return [(i * n // s, max(-(-(i + 1) * n // s), i * n // s + 1)) for i in range(s)]


def check_pools(text: str | Sequence[str], segments: int) -> tuple[str, ...]:
    """Return the pools of a comma-separated list in a fixed order.

    Raises
    ------
    InputError
        A pool is unknown, or `segments` is less than 1.
    """
    names = [name.strip() for name in text.split(",")] if isinstance(text, str) else list(text)
    if not names or not {*names} <= {*POOLS}:
        raise InputError(f"--pool {','.join(names)}: wanted some of {', '.join(POOLS)}, separated by commas")
    if segments < 1:
        raise InputError(f"--segments {segments}: wanted at least 1")
    return tuple(sorted(set(names)))


def without_change(values: NDArray[np.float32], pools: Sequence[str], segments: int) -> NDArray[np.float32]:
    """Return pooled features (rows, units x pools x segments) without ``change``, unless there is nothing else.

    It improves classification, but groups without labels agree less with the classes.
    """
    kept = [number for number, pool in enumerate(pools) if pool != "change"]
    if len(kept) in {0, len(pools)}:
        return values
    return values.reshape(len(values), -1, len(pools), segments)[:, :, kept].reshape(len(values), -1)


def unit_names(count: int) -> list[str]:
    """Return the names of units, with equal lengths so that their alphabetical order is the numerical one."""
    digits = max(3, len(str(count - 1)))
    return [f"u{unit:0{digits}d}" for unit in range(count)]


def pooled_names(count: int, pools: Sequence[str], segments: int) -> list[str]:
    """Return the names of pooled features, in the order of the flattened arrays of `pooled_files`."""
    tails = [""] if segments == 1 else [f"_{i + 1:0{len(str(segments))}d}" for i in range(segments)]
    return [f"{unit}_{pool}{tail}" for unit in unit_names(count) for pool in pools for tail in tails]
