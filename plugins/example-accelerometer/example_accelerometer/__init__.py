"""Domain `accelerometer` of audiosae: .csv files with the columns time, x, y, z (seconds, m/s2)."""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, replace
from itertools import islice
from statistics import median_low
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from audiosae.domain import Domain, Probe, Span
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from audiosae.domain import Json

_COLUMNS = ["time", "x", "y", "z"]
_BLOCK = 4096  # samples in memory at a time, whatever the length of the recording
_TOLERANCE = 0.02  # relative deviation of the rate, for the clock of a recorder
_UNEVEN = 0.5  # deviation of a step between two times, in steps, that is an error
_PROBED = 100  # number of files, and of samples in each, that are read to find the rate


@dataclass(frozen=True)
class Accelerometer(Domain):
    """Recordings of acceleration along three axes; a window is `samples` samples of all three.

    Attributes
    ----------
    rate
        Samples per second; 0 for the median rate of the recordings. Recordings with another rate are refused.
    samples, step
        Samples in a window, and between windows.
    gravity
        ``remove`` subtracts the mean of each axis over the recording, ``keep`` does not.
    """

    name: ClassVar[str] = "accelerometer"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    unit: ClassVar[str] = "s"
    defaults: ClassVar[Mapping[str, Json]] = {"hidden": 32, "whiten_power": 0.5, "keep": 0.95, "beta": 10.0}

    rate: float = 0.0
    samples: int = 64
    step: int = 8
    gravity: Literal["remove", "keep"] = "remove"

    def __post_init__(self) -> None:
        """Check the ranges of the options; texts of --set are already converted to numbers."""
        if not (self.rate >= 0 and self.samples > 1 and self.step > 0):
            raise InputError(
                f"wanted rate >= 0, samples > 1 and step > 0, not {self.rate:g}, {self.samples}, {self.step}"
            )

    @property
    def window(self) -> tuple[int, int]:
        """Shape of a window: (samples, axes)."""
        return self.samples, 3

    @property
    def stride(self) -> tuple[int, int]:
        """Steps of the windows: they slide along time only, so the second step is the whole width."""
        return self.step, 3

    def resolve(self, paths: Sequence[Path]) -> Accelerometer:
        """Choose the rate if it is 0. Broken files are skipped here; `field` reports them."""
        rates = []
        for path in paths[:_PROBED] if not self.rate else ():
            try:
                rates.append(_rate(path))
            except InputError:
                continue
        return replace(self, rate=median_low(rates)) if rates else self

    def probe(self, path: Path) -> Probe:
        """Estimate the length from the size of the file and of its first lines."""
        rate, head = self._fitting_rate(path), list(islice(_rows(path), _PROBED))
        line = sum(len(",".join(map(str, row))) + 1 for row in head) / len(head)
        rows = int(path.stat().st_size / line)
        return Probe(rows / rate, rows, facts={"rate": rate, "axes": 3})

    def field(self, path: Path) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of acceleration, shape (samples, 3); InputError if the times are not in even steps."""
        rate = self._fitting_rate(path)
        rows, times = _rows(path), np.empty(0)
        while block := list(islice(rows, _BLOCK)):
            table = np.array(block)
            # The last time of the block before is included, since a gap may be between two blocks.
            times = np.append(times[-1:], table[:, 0])
            uneven = np.flatnonzero(np.abs(np.diff(times) * rate - 1) > _UNEVEN)
            if len(uneven):
                before, after = times[uneven[0] : uneven[0] + 2]
                raise InputError(f"uneven times: from {before:g} to {after:g} s, wanted steps of {1 / rate:g} s")
            yield table[:, 1:].astype(np.float32)

    def finish(self, field: NDArray[np.float32]) -> Sequence[tuple[int, int]]:
        """Remove gravity in place, block by block, and train on all rows."""
        blocks = [slice(first, first + _BLOCK) for first in range(0, len(field), _BLOCK)]
        if self.gravity == "remove":
            mean = sum(field[rows].sum(axis=0, dtype=np.float64) for rows in blocks) / len(field)
            for rows in blocks:
                field[rows] -= mean.astype(np.float32)
        return [(0, len(field))]

    def span(self, path: Path, start: tuple[int, ...]) -> Span:  # noqa: ARG002
        """Return the time of a window in seconds, from its first sample to the one after its last."""
        return Span((start[0] / self.rate,), ((start[0] + self.samples) / self.rate,), self.unit)

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw the three axes as labelled curves over time in seconds."""
        seconds = np.arange(self.samples) / self.rate
        for axis, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
            ax.plot(seconds, atom[:, axis], color=colour)
            ax.annotate("xyz"[axis], (seconds[-1], atom[-1, axis]), color=colour, fontsize=7)
        ax.set(ylim=(-1.5 * limit, 1.5 * limit), xlabel="s", ylabel="acceleration")  # peaks may exceed the limit

    def centre(self, atom: NDArray[Any]) -> float:
        """Return the centroid frequency of an atom in Hz, by which atoms are ordered."""
        power = np.square(np.abs(np.fft.rfft(atom, axis=0))).sum(axis=1)
        return float(power @ np.fft.rfftfreq(self.samples, 1 / self.rate) / max(power.sum(), 1e-300))

    def _fitting_rate(self, path: Path) -> float:
        """Return the rate of a recording; InputError if it differs from that of the domain."""
        rate = _rate(path)
        if self.rate and abs(rate / self.rate - 1) > _TOLERANCE:
            raise InputError(
                f"another rate: {rate:g} samples per second, wanted {self.rate:g}; train a separate model on them"
            )
        return rate


def _rate(path: Path) -> float:
    """Return the samples per second, from the first times of a file."""
    times = [row[0] for row in islice(_rows(path), _PROBED)]
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if not step > 0:
        raise InputError("uneven times: they do not increase")
    return round(1 / step, 3)


def _rows(path: Path) -> Iterator[tuple[float, ...]]:
    """Yield (time, x, y, z) of each line. Any error in the file is raised as an InputError of one line."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            lines = csv.reader(file)
            if next(lines, None) != _COLUMNS:
                raise InputError(f"other columns: wanted {','.join(_COLUMNS)} in the first line")
            for cells in lines:
                yield _numbers(cells, lines.line_num)
    except OSError as error:
        raise InputError(f"unreadable: {error.strerror}") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError("not a CSV in UTF-8") from error


def _numbers(cells: Sequence[str], line: int) -> tuple[float, ...]:
    try:
        row = tuple(map(float, cells))
    except ValueError as error:  # its message contains the cell
        raise InputError(f"not a number: {error} in line {line}") from None
    if len(row) != len(_COLUMNS) or not all(map(math.isfinite, row)):
        raise InputError(f"not four finite numbers: {','.join(cells)[:60]!r} in line {line}")
    return row
