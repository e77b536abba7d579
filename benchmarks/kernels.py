"""The memory-bound GPU kernels, compared with a copy on the GPU and the same work in plain CuPy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from audiosae.backends import Backend
    from benchmarks.measure import Array


@dataclass(frozen=True)
class Sweep:
    """The work of a kernel.

    Attributes
    ----------
    name
        Name of the kernel.
    ours, plain, copy
        The work done by the kernel, the same by expressions of CuPy, and a copy of an array of its size.
    moved, copied
        Bytes that the work must read and write, and bytes of the copied array.
    """

    name: str
    ours: Callable[[], Any]
    plain: Callable[[], Any]
    copy: Callable[[], Any]
    moved: int
    copied: int


def sweeps(backend: Backend, size: int) -> Iterator[Sweep]:
    """Yield the work of each kernel on matrices of size x size, or on as many parameters."""
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

    def copy_array() -> None:
        copy(to.data.ptr, z.data.ptr, z.nbytes, xp.cuda.runtime.memcpyDeviceToDevice, stream.ptr)

    for name, (ours, plain, passes) in pairs.items():
        yield Sweep(name, ours, plain, copy_array, passes * z.nbytes, z.nbytes)


def _numbers(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).uniform(0.1, 0.9, shape).astype(np.float32)


def _activate(xp: ModuleType, z: Array, bias: Array) -> Array:
    z += bias
    z[...] = 1 / (1 + xp.exp(-z))
    return z.sum(axis=0)


def _residual(y: Array, bias: Array, x: Array) -> Array:
    y += bias
    y -= x
    return (y * y).sum() / 2, y.sum(axis=0)


def _delta(d: Array, a: Array, kl_gradient: Array) -> Array:
    d += kl_gradient
    d *= a * (1 - a)
    return d.sum(axis=0)


def _slope(a: Array) -> Array:
    a *= 1 - a
    return a.sum(axis=0)


def _gather(backend: Backend, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Gather overlapping windows of a field and subtract the mean; the field is much smaller than the windows."""
    field, mean = (backend.asarray(_numbers((length,))) for length in (size * 41, size))
    starts = backend.asarray(np.arange(size, dtype=np.int64) * 40)
    order, offsets = backend.asarray(np.random.default_rng(0).permutation(size)), backend.asarray(np.arange(size))
    windows = backend.xp.empty((size, size), np.float32)
    return (
        lambda: backend._gather(field, (starts, None, order, mean), windows, size, 1),  # noqa: SLF001 (only the launch)
        lambda: field[starts[order][:, None] + offsets] - mean,
    )


def _adam(backend: Backend, size: int) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Make a whole update: mean gradient with weight decay, moments, parameters, sum of squares."""
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
