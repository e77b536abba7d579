"""Whitening: from windows of a field to the autoencoder's input components, and back.

    y = ((x - mean) V diag(lambda^(-power / 2)) [V^T]) / scale

`V`, `lambda` are eigenvectors and eigenvalues of the windows' covariance; power 1 is full whitening, 0 only rotates.
The scale brings the mean variance per dimension to 1, whatever the field's unit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.errors import InputError
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


Kind = Literal["pca", "zca", "scale", "none"]
_SMALLEST = 1e-7  # eigenvalues under this share of the largest are rounding, not signal
_FLAT = 4  # rounding steps of its mean: a window that varies by no more is constant
_SQUASH_LIMIT, _SQUASH_LOW, _SQUASH_HIGH = 3.0, 0.1, 0.9  # the UFLDL notes' normalisation of image patches


@dataclass(frozen=True)
class Whitening:
    """What is asked of a whitening.

    Attributes
    ----------
    kind
        ``none`` leaves windows alone (mean 0, scale 1), ``scale`` centres and divides by one standard deviation.
    power
        Of the whitening, 0 to 1: eigenvalues are raised to ``-power / 2``.
    keep
        Share of the variance whose leading eigenvectors are kept.
    contrast, remove_mean, squash
        See `Whitener`.

    Raises
    ------
    InputError
        A number is out of range.
    """

    kind: Kind
    power: float = 1.0
    keep: float = 0.99
    contrast: bool = False
    remove_mean: bool = False
    squash: bool = False

    def __post_init__(self) -> None:
        """Refuse numbers out of range."""
        if not 0 <= self.power <= 1 or not 0 < self.keep <= 1:
            given = f"--whiten-power {self.power:g} --keep {self.keep:g}"
            raise InputError(f"{given}: wanted a power in [0, 1] and a share in (0, 1]")

    @property
    def full(self) -> bool:
        """Whether the covariance is wanted, not the variances alone."""
        return self.kind in ("pca", "zca")

    @property
    def preparation(self) -> dict[str, bool]:
        """What `prepare` does first."""
        return {"contrast": self.contrast, "remove_mean": self.remove_mean}


@dataclass
class WindowMoments:
    """Count, sum and sum of outer products of windows, in float64; they add.

    Attributes
    ----------
    count
        Number of windows.
    total
        Shape (width,).
    outer
        Shape (width, width), or (width,) of squares when only the variances are wanted.
    """

    count: int
    total: NDArray[np.float64]
    outer: NDArray[np.float64]

    @classmethod
    @one_blas_thread()
    def of(cls, windows: NDArray[np.floating], *, full: bool = True) -> WindowMoments:
        """Return the moments of windows of shape (count, width)."""
        rows = windows.astype(np.float64)
        outer = rows.T @ rows if full else np.square(rows).sum(axis=0)
        return cls(len(rows), rows.sum(axis=0), outer)

    def __add__(self, other: WindowMoments) -> WindowMoments:
        """Return the moments of both sets of windows together."""
        return WindowMoments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean window, shape (width,)."""
        return self.total / self.count

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (width, width), or variances (width,)."""
        mean = self.mean
        return self.outer / self.count - (np.outer(mean, mean) if self.outer.ndim > 1 else mean**2)


@dataclass(frozen=True)
class Whitener:
    """The map between windows (count, width) and whitened components (count, n_components).

    Attributes
    ----------
    kind
        ``pca``, ``zca``, ``scale`` or ``none``.
    mean
        (width,), subtracted first.
    forward, backward
        (width, n_components) and (n_components, width), or None where whitening is one number.
    scale
        What is divided by, after the matrix.
    contrast
        Each window is first brought to mean 0 and standard deviation 1.
    remove_mean
        Each window's own mean is first removed.
    squash
        Clipped at 3 standard deviations and mapped to [0.1, 0.9], for a sigmoid output.
    spread
        (n_components,), standard deviation after whitening, where it differs (pca with a power under 1).
    """

    kind: Kind
    mean: NDArray[np.float32]
    forward: NDArray[np.float32] | None = None
    backward: NDArray[np.float32] | None = None
    scale: float = 1.0
    contrast: bool = False
    remove_mean: bool = False
    squash: bool = False
    notes: dict[str, float] = field(default_factory=dict)
    spread: NDArray[np.float32] | None = None

    @property
    def width(self) -> int:
        """Values per window."""
        return len(self.mean)

    @property
    def n_components(self) -> int:
        """Dimension after whitening."""
        return self.width if self.forward is None else self.forward.shape[1]

    @one_blas_thread()
    def apply(self, windows: NDArray[np.floating]) -> NDArray[np.floating]:
        """Whiten windows of shape (count, width); returns (count, n_components), the dtype kept."""
        x = prepare(windows, contrast=self.contrast, remove_mean=self.remove_mean)
        return self.project(x - self.mean.astype(x.dtype, copy=False))

    def project(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Whiten centred windows (count, width), in place: what `apply` does after subtracting the mean."""
        if self.forward is not None:
            x = x @ self.forward.astype(x.dtype, copy=False)
        if self.scale != 1:
            x *= x.dtype.type(1 / self.scale)
        if self.squash:
            np.clip(x, -_SQUASH_LIMIT, _SQUASH_LIMIT, out=x)
            x *= x.dtype.type((_SQUASH_HIGH - _SQUASH_LOW) / (2 * _SQUASH_LIMIT))
            x += x.dtype.type((_SQUASH_HIGH + _SQUASH_LOW) / 2)
        return x

    def moved(self, to: Callable[[NDArray[np.float32]], Any]) -> Whitener:
        """Return the same whitening with the arrays that `apply` needs on another device."""
        return replace(self, mean=to(self.mean), forward=None if self.forward is None else to(self.forward))

    @one_blas_thread()
    def undo(self, seen: NDArray[np.floating]) -> NDArray[np.floating]:
        """Carry directions (count, n_components) back to the field, (count, width), without the mean: patterns."""
        x = seen * self.scale
        return x if self.backward is None else x @ self.backward.astype(x.dtype, copy=False)

    def restore(self, seen: NDArray[np.floating]) -> NDArray[np.floating]:
        """Undo `apply`, all but what it dropped: small directions, each window's own mean and deviation."""
        if self.squash:
            middle, reach = (_SQUASH_HIGH + _SQUASH_LOW) / 2, (_SQUASH_HIGH - _SQUASH_LOW) / (2 * _SQUASH_LIMIT)
            seen = (seen - seen.dtype.type(middle)) / seen.dtype.type(reach)
        return self.undo(seen) + self.mean.astype(seen.dtype, copy=False)

    @one_blas_thread()
    def filters(self, seen: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return filters: the inputs, (count, width), that weights (count, n_components) respond to most."""
        return seen.copy() if self.forward is None else seen @ self.forward.T.astype(seen.dtype, copy=False)


def prepare(windows: NDArray[np.floating], *, contrast: bool, remove_mean: bool) -> NDArray[np.floating]:
    """Remove each window's own mean, and with `contrast` divide by its standard deviation."""
    if not (contrast or remove_mean):
        return windows
    mean = windows.mean(axis=1, keepdims=True)
    x: NDArray[np.floating] = windows - mean
    if contrast:
        deviation = x.std(axis=1, keepdims=True, dtype=np.float64)
        flat = deviation <= _FLAT * float(np.finfo(x.dtype).eps) * abs(mean)  # what is left of a constant is rounding
        deviation += flat
        x /= deviation.astype(x.dtype)
        x *= ~flat
    return x


@one_blas_thread()
def make_whitener(moments: WindowMoments, how: Whitening) -> Whitener:
    """Learn the whitening from moments of windows that were `prepare`d likewise; InputError where they do not vary."""
    kind = how.kind
    flags: dict[str, Any] = {**how.preparation, "squash": how.squash}
    variances = moments.covariance if moments.outer.ndim == 1 else np.diag(moments.covariance)
    if not variances.sum() > 0:
        raise InputError("every window is the same: there is nothing to learn")
    if kind == "none":
        return Whitener(kind, np.zeros(len(moments.total), np.float32), **flags)
    mean = moments.mean.astype(np.float32)
    if kind == "scale":
        return Whitener(kind, mean, scale=float(np.sqrt(variances.mean())), **flags)
    values, vectors = _eigen(moments.covariance)
    count = 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), how.keep - 1e-12))
    count = min(count, int((values > values[0] * _SMALLEST).sum()))
    kept = {"kept_dimensions": float(count), "kept_variance": float(values[:count].sum() / values.sum())}
    values, vectors = values[:count], vectors[:, :count]
    gain = values ** (-how.power / 2)
    forward, backward = vectors * gain, (vectors / gain).T
    if kind == "zca":
        forward, backward = forward @ vectors.T, vectors @ backward
    scale = float(np.sqrt((values * gain**2).sum() / forward.shape[1]))
    spread = (np.sqrt(values) * gain / scale).astype(np.float32) if kind == "pca" and how.power < 1 else None
    return Whitener(
        kind,
        mean,
        np.ascontiguousarray(forward, np.float32),
        np.ascontiguousarray(backward, np.float32),
        scale=scale,
        notes=kept,
        spread=spread,
        **flags,
    )


def _eigen(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues in falling order and eigenvectors with a sign that does not depend on the solver."""
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    largest = np.abs(vectors).argmax(axis=0)
    return values, vectors * np.sign(vectors[largest, np.arange(len(values))])
