"""Accelerometer recordings as a domain of audiosae: .csv files with the columns time, x, y, z (seconds, m/s2)."""

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
_AT_ONCE = 4096  # samples in memory at a time: a recording of a month is read like one of a minute
_TOLERANCE = 0.02  # of the rate, for a recorder's clock
_PROBED = 100  # of samples in a file, and of files, that are looked at to find the rate


@dataclass(frozen=True)
class Accelerometer(Domain):
    """Recordings of acceleration along three axes; a window is `samples` samples of all three.

    Attributes
    ----------
    rate
        Samples per second; 0 takes the middle one of the recordings' rates. Recordings at another rate are refused.
    samples, step
        Samples in a window and between windows.
    gravity
        ``remove`` subtracts each axis's mean over the recording, ``keep`` leaves it.
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
        """Refuse options that make no sense; the texts of --set have been turned into numbers before."""
        if not (self.rate >= 0 and self.samples > 1 and self.step > 0):
            raise InputError(
                f"wanted rate >= 0, samples > 1 and step > 0, not {self.rate:g}, {self.samples}, {self.step}"
            )

    @property
    def window(self) -> tuple[int, int]:
        """(samples, axes)."""
        return self.samples, 3

    @property
    def stride(self) -> tuple[int, int]:
        """Windows slide along time only, so the second step is the whole width."""
        return self.step, 3

    def resolve(self, paths: Sequence[Path]) -> Accelerometer:
        """Choose the rate where it was left open. Broken files are passed over here: `field` reports them."""
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
        """Yield the acceleration, shape (samples, 3) a block, and check that time goes on in even steps."""
        found = self._fitting_rate(path)
        rows, times = _rows(path), np.empty(0)
        while block := list(islice(rows, _AT_ONCE)):
            table = np.array(block)
            times = np.append(times[-1:], table[:, 0])  # with the last of the block before: a gap may lie between two
            uneven = np.flatnonzero(np.abs(np.diff(times) * found - 1) > 0.5)  # noqa: PLR2004
            if len(uneven):
                at, to = times[uneven[0] : uneven[0] + 2]
                raise InputError(f"uneven times: from {at:g} to {to:g} s, wanted steps of {1 / found:g} s")
            yield table[:, 1:].astype(np.float32)

    def finish(self, field: NDArray[np.float32]) -> Sequence[tuple[int, int]]:
        """Remove gravity, in place and block by block, and train on every row."""
        blocks = [slice(at, at + _AT_ONCE) for at in range(0, len(field), _AT_ONCE)]
        if self.gravity == "remove":
            mean = sum(field[rows].sum(axis=0, dtype=np.float64) for rows in blocks) / len(field)
            for rows in blocks:
                field[rows] -= mean.astype(np.float32)
        return [(0, len(field))]

    def span(self, path: Path, start: tuple[int, ...]) -> Span:  # noqa: ARG002
        """Return a window's time in seconds, from its first sample to the one after its last."""
        return Span((start[0] / self.rate,), ((start[0] + self.samples) / self.rate,), self.unit)

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw the three axes as curves over seconds, each with its name at its end."""
        seconds = np.arange(self.samples) / self.rate
        for axis, colour in enumerate(("tab:red", "tab:green", "tab:blue")):
            ax.plot(seconds, atom[:, axis], color=colour)
            ax.annotate("xyz"[axis], (seconds[-1], atom[-1, axis]), color=colour, fontsize=7)
        ax.set(ylim=(-1.5 * limit, 1.5 * limit), xlabel="s", ylabel="acceleration")  # peaks may go beyond the limit

    def centre(self, atom: NDArray[Any]) -> float:
        """Return the centroid in Hz of an atom's power, so that atoms can be put in order of it."""
        power = np.square(np.abs(np.fft.rfft(atom, axis=0))).sum(axis=1)
        return float(power @ np.fft.rfftfreq(self.samples, 1 / self.rate) / max(power.sum(), 1e-300))

    def _fitting_rate(self, path: Path) -> float:
        """Return a recording's rate; refuse one that the model was not made for."""
        found = _rate(path)
        if self.rate and abs(found / self.rate - 1) > _TOLERANCE:
            raise InputError(f"another rate: {found:g} samples per second, wanted {self.rate:g}; train on them apart")
        return found


def _rate(path: Path) -> float:
    """Return the samples per second that the first times of a file stand for."""
    times = [row[0] for row in islice(_rows(path), _PROBED)]
    step = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    if not step > 0:
        raise InputError("uneven times: they do not rise")
    return round(1 / step, 3)


def _rows(path: Path) -> Iterator[tuple[float, ...]]:
    """Yield (time, x, y, z) of each line. Whatever is wrong with the file becomes an InputError of one line."""
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
        raise InputError("not a table: its text is not UTF-8") from error


def _numbers(cells: Sequence[str], line: int) -> tuple[float, ...]:
    try:
        row = tuple(map(float, cells))
    except ValueError as error:  # its text shows the cell
        raise InputError(f"not a number: {error} in line {line}") from None
    if len(row) != len(_COLUMNS) or not all(map(math.isfinite, row)):
        raise InputError(f"not four finite numbers: {','.join(cells)[:60]!r} in line {line}")
    return row
