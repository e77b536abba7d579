"""Domain `images` of audiosae: patches of photographs, scans, micrographs, or of any two-dimensional array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from audiosae.domain import Domain, Excerpt, Probe, Span
from audiosae.errors import InputError
from audiosae_images.arrays import picture_ranges
from audiosae_images.filters import flatten_spectrum
from audiosae_images.pictures import SUFFIXES, read_blocks, read_header, read_piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from audiosae.domain import Json, Kind

__all__ = ["Images"]

_SPECTRUM = 64  # points per axis at least, to locate the peak of the spectrum of an atom


@dataclass(frozen=True)
class Images(Domain):
    """Pictures as fields of pixels; a window is a square patch.

    Attributes
    ----------
    size
        Side of a patch in pixels.
    step
        Pixels between patches, along both axes.
    color
        ``grey`` (ITU-R BT.601 luma) or ``rgb``.
    filter
        ``1/f`` flattens the spectrum of pictures, as in the classic papers; ``none`` does not filter.
    f0
        Cut-off frequency of the 1/f filter, in cycles per pixel.
    """

    name: ClassVar[str] = "images"
    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES
    unit: ClassVar[str] = "px"
    kind: ClassVar[Kind] = "picture"
    colours: ClassVar[str] = "gray"
    # Measured on photographs and on synthetic scenes: with these defaults nearly every unit becomes an oriented edge. A
    # higher rho, a linear output, or whitening by PCA or ZCA give fewer edges. Without contrast normalisation (as in
    # the UFLDL notes), the few patches of strong contrast dominate and the atoms are noisier.
    defaults: ClassVar[Mapping[str, Json]] = {
        "hidden": 100,
        "activation": "sigmoid",
        "decoder": "sigmoid",
        "whiten": "scale",
        "remove_mean": True,
        "contrast": True,
        "rho": 0.01,
        "beta": 3.0,
        "weight_decay": 1e-4,
        "solver": "lbfgs",
        "epochs": 400,
        "max_windows": 20000,
    }

    size: int = 10
    step: int = 1
    color: Literal["grey", "rgb"] = "grey"
    filter: Literal["none", "1/f"] = "none"
    f0: float = 0.4

    def __post_init__(self) -> None:
        """Check the ranges of the options."""
        for key, least in (("size", 2), ("step", 1)):
            if getattr(self, key) < least:
                raise InputError(f"--set {key}={getattr(self, key)}: {key} must be at least {least}")
        if not 0 < self.f0 < np.inf:
            raise InputError(f"--set f0={self.f0:g}: wanted cycles per pixel above 0, for instance 0.4")

    @property
    def channels(self) -> int:
        """Number of values per pixel."""
        return 3 if self.color == "rgb" else 1

    @property
    def window(self) -> tuple[int, int, int]:
        """(rows, columns, channels) of a patch."""
        return self.size, self.size, self.channels

    @property
    def stride(self) -> tuple[int, int, int]:
        """Steps of the patches along rows, columns and channels."""
        return self.step, self.step, self.channels

    def probe(self, path: Path) -> Probe:
        """Read a picture's header."""
        header = read_header(path)
        facts: dict[str, Json] = {"columns": header.columns, "mode": header.mode, "format": header.format}
        return Probe(header.rows, header.rows, header.columns, facts)

    def field(self, path: Path) -> Iterator[NDArray[np.float32]]:
        """Yield blocks of pixels, shape (rows, columns, channels); `finish` filters them."""
        return read_blocks(path, self.channels)

    def finish(self, field: NDArray[np.float32]) -> Sequence[tuple[int, int]]:
        """Filter each picture if `filter` is set; no patch is in two pictures of a stack."""
        ranges = picture_ranges(field)
        if self.filter == "1/f":
            for first, last in ranges:
                flatten_spectrum(field[first:last], self.f0)
        return ranges

    def span(self, path: Path, start: tuple[int, ...]) -> Span:  # noqa: ARG002
        """Return the position of a patch in pixels: (row, column) of its first pixel, and after its last."""
        row, column = start[:2]
        return Span((row, column), (row + self.size, column + self.size), self.unit)

    def tile(self, atom: NDArray[Any]) -> NDArray[Any]:
        """Return grey atoms unchanged, and coloured ones in [0, 1] around mid grey."""
        atom = np.asarray(atom)
        return atom[..., 0] if self.channels == 1 else _around_grey(atom, float(np.abs(atom).max()))

    def draw(self, atom: NDArray[Any], ax: Axes, *, limit: float) -> None:
        """Draw an atom with axes in pixels; zero is mid grey."""
        extent = (0, self.size, self.size, 0)
        if self.channels == 1:
            ax.imshow(self.tile(atom), cmap=self.colours, vmin=-limit, vmax=limit, extent=extent)
        else:
            ax.imshow(_around_grey(np.asarray(atom), limit), extent=extent)
        ax.set_xlabel("px")
        ax.set_ylabel("px")

    def excerpt(self, path: Path, span: Span) -> Excerpt:
        """Return the unfiltered pixels of a patch: (rows, columns) if grey, else (rows, columns, 3)."""
        pixels = read_piece(path, self.channels, span.start, span.end)
        return Excerpt(pixels[..., 0] if self.channels == 1 else pixels, "picture")

    def centre(self, atom: NDArray[Any]) -> float:
        """Return the spatial frequency, in cycles per pixel, of the maximum of an atom's power spectrum."""
        atom = np.asarray(atom, np.float64)
        points = max(_SPECTRUM, 2 * self.size)
        spectrum = np.fft.rfft2(atom - atom.mean(axis=(0, 1)), (points, points), axes=(0, 1))
        power = np.square(np.abs(spectrum)).sum(axis=2)
        row, column = np.unravel_index(int(power.argmax()), power.shape)
        return float(np.hypot(np.fft.fftfreq(points)[row], np.fft.rfftfreq(points)[column]))

    def measures(self, atom: NDArray[Any]) -> Mapping[str, float]:
        """Return the spatial frequency of an atom."""
        return {"frequency (cycles/px)": self.centre(atom)}

    def scene(self, piece: NDArray[Any]) -> NDArray[Any]:
        """Return pixels unchanged."""
        return piece[..., 0] if self.channels == 1 else piece


def _around_grey(atom: NDArray[Any], limit: float) -> NDArray[Any]:
    """Map [-limit, limit] to [0, 1]."""
    return np.clip(0.5 + atom / (2 * limit or 1.0), 0, 1)
