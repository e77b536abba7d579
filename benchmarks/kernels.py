"""The memory-bound kernels, each beside a copy on the card and the same work in plain CuPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audiosae.backends import Backend


@dataclass(frozen=True)
class Sweep:
    """A kernel's work.

    Attributes
    ----------
    name
        Of the kernel.
    ours, plain, copy
        By the kernel, in CuPy's expressions, and a copy of an array of its size.
    moved, copied
        Bytes that must be read and written, and those of the array that is copied.
    """

    name: str
    ours: Callable[[], Any]
    plain: Callable[[], Any]
    copy: Callable[[], Any]
    moved: int
    copied: int


def sweeps(backend: Backend, size: int) -> Iterator[Sweep]:
    """Yield the sweeps over matrices of size x size, and over as many parameters."""
    xp = backend.xp
    z, x, bias = (backend.asarray(_numbers(shape)) for shape in ((size, size), (size, size), (size,)))
    pairs: dict[str, tuple[Callable[[], Any], Callable[[], Any], int]] = {
        "activate": (lambda: backend.activate(z, bias, "sigmoid"), lambda: _activate(xp, z, bias), 2),
        "residual": (lambda: backend.residual(z, bias, x, "linear"), lambda: _residual(z, bias, x), 3),
        "hidden delta": (lambda: backend.hidden_delta(z, x, bias, "sigmoid"), lambda: _delta(z, x, bias), 3),
        "slope": (lambda: backend.slope(z, "sigmoid"), lambda: _slope(z), 2),
        "unit rows": (lambda: backend.unit_rows(x), lambda: x / xp.sqrt((x * x).sum(axis=1, keepdims=True)), 2),
        "gather": (*_gather(backend, size), 2),
        "Adam": (*_adam(backend, size * size), 7),
    }
    to = xp.empty_like(z)
    copy, stream = xp.cuda.runtime.memcpyAsync, xp.cuda.get_current_stream()

    def beside() -> None:
        copy(to.data.ptr, z.data.ptr, z.nbytes, xp.cuda.runtime.memcpyDeviceToDevice, stream.ptr)

    for name, (ours, plain, passes) in pairs.items():
        yield Sweep(name, ours, plain, beside, passes * z.nbytes, z.nbytes)


def _numbers(shape: tuple[int, ...]) -> Any:  # noqa: ANN401
    return np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)


def _activate(xp: Any, z: Any, bias: Any) -> Any:  # noqa: ANN401
    z += bias
    z[...] = 1 / (1 + xp.exp(-z))
    return z.sum(axis=0)


def _residual(y: Any, bias: Any, x: Any) -> Any:  # noqa: ANN401
    y += bias
    y -= x
    return (y * y).sum() / 2, y.sum(axis=0)


def _delta(d: Any, a: Any, kl_gradient: Any) -> Any:  # noqa: ANN401
    d += kl_gradient
    d *= a * (1 - a)
    return d.sum(axis=0)


def _slope(a: Any) -> Any:  # noqa: ANN401
    a *= 1 - a
    return a.sum(axis=0)


def _gather(backend: Any, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:  # noqa: ANN401
    """Overlapping windows of a field, without the mean; the field is small beside them."""
    field, mean = (backend.asarray(_numbers((length,))) for length in (size * 41, size))
    starts = backend.asarray(np.arange(size, dtype=np.int64) * 40)
    order, offsets = backend.asarray(np.random.default_rng(0).permutation(size)), backend.asarray(np.arange(size))
    found = backend.xp.empty((size, size), np.float32)
    return (
        lambda: backend._gather(field, (starts, None, order, mean), found, size, 1),  # noqa: SLF001 (the launch alone)
        lambda: field[starts[order][:, None] + offsets] - mean,
    )


def _adam(backend: Backend, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """All of an update: the mean gradient with its decay, moments, parameters, the sum of squares."""
    w, g, m, v = (backend.asarray(_numbers((size,))) for _ in range(4))
    pace, xp = backend.pace(1e-3, 1), backend.xp

    def ours() -> None:
        backend.average_gradient(w, g, size, count=100, decay=1e-4, then=backend.adam(w, g, m, v, pace))

    def plain() -> None:
        xp.vdot(w, w)
        mean = g / 100 + 1e-4 * w
        m[...] = 0.9 * m + 0.1 * mean
        v[...] = 0.999 * v + 0.001 * mean * mean
        w[...] = w - 1e-3 * m / (xp.sqrt(v) + 1e-8)

    return ours, plain
