"""Whitening: the map from windows of a field to the autoencoder's input components, and back.

    y = ((x - mean) V diag(lambda^(-power / 2)) [V^T]) / scale

`V`, `lambda` are eigenvectors and eigenvalues of the windows' covariance. Power 1 is full whitening, power 0 a
rotation. The scale makes the mean variance per component 1, whatever the field's unit.
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
_SMALLEST = 1e-7  # smaller eigenvalues, relative to the largest, are rounding errors
_EQUAL = 1e-6  # relative difference of entries of an eigenvector that rounding may exchange
_FLAT = 4  # a window whose deviation is at most this many rounding steps of its mean is constant
_SQUASH_LIMIT, _SQUASH_LOW, _SQUASH_HIGH = 3.0, 0.1, 0.9  # the UFLDL notes' normalisation of image patches


@dataclass(frozen=True)
class Whitening:
    """Options of a whitening.

    Attributes
    ----------
    kind
        ``pca``; ``zca``; ``scale``: subtract the mean, divide by one standard deviation; ``none``: no change.
    power
        Strength of the whitening, 0 to 1: eigenvalues are raised to ``-power / 2``.
    keep
        Share of the variance that the leading eigenvectors must explain; the others are dropped.
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
        if not 0 <= self.power <= 1 or not 0 < self.keep <= 1:
            raise InputError(
                f"--whiten-power {self.power:g} --keep {self.keep:g}: wanted a power in [0, 1] and a share in (0, 1]"
            )

    @property
    def full(self) -> bool:
        """Whether the covariance matrix is needed; if not, the variances suffice."""
        return self.kind in ("pca", "zca")

    @property
    def preparation(self) -> dict[str, bool]:
        """The options of `prepare`, which is applied first."""
        return {"contrast": self.contrast, "remove_mean": self.remove_mean}


@dataclass
class WindowMoments:
    """Count, sum and sum of outer products of windows, in float64; moments of two sets of windows can be added.

    Attributes
    ----------
    count
        Number of windows.
    total
        Shape (width,).
    outer
        Shape (width, width); or (width,), sums of squares, if only the variances are needed.
    """

    count: int
    total: NDArray[np.float64]
    outer: NDArray[np.float64]

    @classmethod
    @one_blas_thread()
    def of(cls, windows: NDArray[np.floating], *, full: bool = True) -> WindowMoments:
        """Return the moments of windows of shape (count, width)."""
        rows = windows.astype(np.float64)
        return cls(len(rows), rows.sum(axis=0), rows.T @ rows if full else np.square(rows).sum(axis=0))

    def __add__(self, other: WindowMoments) -> WindowMoments:
        return WindowMoments(self.count + other.count, self.total + other.total, self.outer + other.outer)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean window, shape (width,)."""
        return self.total / self.count

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (width, width), or variances (width,)."""
        return self.outer / self.count - (np.outer(self.mean, self.mean) if self.outer.ndim > 1 else self.mean**2)


@dataclass(frozen=True)
class Whitener:
    """The map between windows (count, width) and whitened components (count, n_components).

    Attributes
    ----------
    kind
        ``pca``, ``zca``, ``scale`` or ``none``.
    mean
        (width,), subtracted from the windows first.
    forward, backward
        (width, n_components) and (n_components, width), or None if whitening only divides by `scale`.
    scale
        Divisor, applied after the matrix.
    contrast
        Whether each window is first normalised to mean 0 and standard deviation 1.
    remove_mean
        Whether each window's own mean is subtracted first.
    squash
        Whether components are clipped at 3 standard deviations and mapped to [0.1, 0.9], for a sigmoid output.
    notes
        Number of components (`kept_dimensions`) and the share of the variance that they explain (`kept_variance`).
    spread
        (n_components,), standard deviation of each component, if they differ (pca with a power under 1).
    parts
        Number of components of each part of a window that is whitened separately (`audiosae.domain.Domain.crops`); ()
        if the window is not divided.
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
    parts: tuple[int, ...] = ()

    @property
    def width(self) -> int:
        """Number of values in a window."""
        return len(self.mean)

    @property
    def n_components(self) -> int:
        """Number of components of a whitened window."""
        return self.width if self.forward is None else self.forward.shape[1]

    @one_blas_thread()
    def apply(self, windows: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return whitened windows (count, n_components) of windows (count, width), in the same dtype."""
        x = prepare(windows, contrast=self.contrast, remove_mean=self.remove_mean)
        return self.project(x - self.mean.astype(x.dtype, copy=False))

    def project(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Whiten windows (count, width) from which the mean has been subtracted; `x` may be overwritten."""
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
        """Return a copy whose arrays that `apply` needs are converted by `to`, for instance to another device."""
        return replace(self, mean=to(self.mean), forward=None if self.forward is None else to(self.forward))

    @one_blas_thread()
    def undo(self, components: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the patterns (count, width) of components (count, n_components): unwhitened, without the mean."""
        x = components * self.scale
        return x if self.backward is None else x @ self.backward.astype(x.dtype, copy=False)

    def restore(self, components: NDArray[np.floating]) -> NDArray[np.floating]:
        """Invert `apply`, except for what it drops: small components, each window's own mean and deviation."""
        if self.squash:
            middle, slope = (_SQUASH_HIGH + _SQUASH_LOW) / 2, (_SQUASH_HIGH - _SQUASH_LOW) / (2 * _SQUASH_LIMIT)
            components = (components - components.dtype.type(middle)) / components.dtype.type(slope)
        if self.parts:  # the last part is the whole window
            components = components.copy()
            components[:, : -self.parts[-1]] = 0
        return self.undo(components) + self.mean.astype(components.dtype, copy=False)

    @one_blas_thread()
    def filters(self, weights: NDArray[np.floating]) -> NDArray[np.floating]:
        """Return the filters (count, width) of weights (count, n_components): the windows that excite them most."""
        return weights.copy() if self.forward is None else weights @ self.forward.T.astype(weights.dtype, copy=False)


def prepare(windows: NDArray[np.floating], *, contrast: bool, remove_mean: bool) -> NDArray[np.floating]:
    """Subtract each window's own mean, and with `contrast` divide by its standard deviation."""
    if not (contrast or remove_mean):
        return windows
    mean = windows.mean(axis=1, keepdims=True)
    x: NDArray[np.floating] = windows - mean
    if contrast:
        deviation = x.std(axis=1, keepdims=True, dtype=np.float64)
        flat = deviation <= _FLAT * float(np.finfo(x.dtype).eps) * abs(mean)  # rounding errors of a constant
        deviation += flat
        x /= deviation.astype(x.dtype)
        x *= ~flat
    return x


@one_blas_thread()
def make_whitener(moments: WindowMoments, options: Whitening) -> Whitener:
    """Learn the whitening from the moments of windows, prepared by `prepare` with the same options.

    Raises
    ------
    InputError
        All windows are the same.
    """
    flags: dict[str, Any] = {**options.preparation, "squash": options.squash}
    variances = moments.covariance if moments.outer.ndim == 1 else np.diag(moments.covariance)
    if not variances.sum() > 0:
        raise InputError("all windows are the same, so nothing can be learned; add other sources")
    if options.kind == "none":
        return Whitener("none", np.zeros(len(moments.total), np.float32), **flags)
    mean = moments.mean.astype(np.float32)
    if options.kind == "scale":
        return Whitener("scale", mean, scale=float(np.sqrt(variances.mean())), **flags)
    values, vectors = _eigen(moments.covariance)
    needed = 1 + int(np.searchsorted(np.cumsum(values) / values.sum(), options.keep - 1e-12))
    count = min(needed, int((values > values[0] * _SMALLEST).sum()))
    notes = {"kept_dimensions": float(count), "kept_variance": float(values[:count].sum() / values.sum())}
    values, vectors = values[:count], vectors[:, :count]
    gain = values ** (-options.power / 2)
    forward, backward = vectors * gain, (vectors / gain).T
    if options.kind == "zca":
        forward, backward = forward @ vectors.T, vectors @ backward
    scale = float(np.sqrt((values * gain**2).sum() / forward.shape[1]))
    uneven = options.kind == "pca" and options.power < 1
    return Whitener(
        options.kind,
        mean,
        np.ascontiguousarray(forward, np.float32),
        np.ascontiguousarray(backward, np.float32),
        scale=scale,
        notes=notes,
        spread=(np.sqrt(values) * gain / scale).astype(np.float32) if uneven else None,
        **flags,
    )


def _eigen(covariance: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return eigenvalues in descending order, and eigenvectors whose signs do not depend on the solver.

    The largest entry is positive. Of several that are equal but for rounding, as in symmetric windows, it is the first.
    """
    values, vectors = np.linalg.eigh(covariance)
    values, vectors = np.maximum(values[::-1], 0), vectors[:, ::-1]
    sizes = np.abs(vectors)
    first = (sizes >= (1 - _EQUAL) * sizes.max(axis=0)).argmax(axis=0)
    return values, vectors * np.sign(vectors[first, np.arange(len(values))])
