"""Codes of consecutive windows of a field, with about a fifth of the operations of a product per window.

Windows whose first rows are `stride` rows apart overlap. Without the bias, the input of unit u in window t is a
correlation over the rows of the field x with the unit's filter w, summed over the bands b:

    z[t, u] = sum_b sum_f x[stride t + f, b] w[f, b, u]        f = 0 ... F - 1

It is computed by overlap-save (Oppenheim and Schafer, "Discrete-Time Signal Processing", block convolution): the field
is divided into blocks of N rows that overlap by F - stride. With the discrete Fourier transforms X and W over the rows
of a block and of the filters, which are padded with zeros,

    Z[k, u] = sum_b X[k, b] conj(W[k, b, u])                   k = 0 ... N - 1

is the transform of z of the block, except that z at the last F - 1 rows of a block wraps around and is not used. All
three steps are matrix products of real numbers: the transform of each block, one product per frequency for all blocks,
and the inverse transform at the rows at which windows begin. As the values are real, the frequencies above N / 2 repeat
those below; the real parts of k = 0 ... N / 2 - 1 and the imaginary parts of k = 1 ... N / 2 - 1 with the real part of
k = N / 2 in the place of the imaginary part of k = 0, which is zero, are N numbers.

The whitening must be linear. Its mean is not subtracted from the windows but added to the bias. Levels far from zero
would lose digits in the sums, so the mean over the rows of the mean window is subtracted from the field first.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from audiosae.autoencoder.encoding import direct_operations, weights_on_windows
from audiosae.autoencoder.sae import ENCODED_ROWS
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.sae import Params
    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend

    Values = NDArray[np.floating]

_LONGEST = 8  # blocks, in lengths of a window
_MOST_BYTES = 2**26  # of the transformed filters
_SLOWER = 1.5  # time per operation of the small products here, relative to a large one


@dataclass(frozen=True, eq=False)
class BlockTransform:
    """Units whose codes of consecutive windows are computed block by block.

    Attributes
    ----------
    window
        Rows of a window, and values of a row.
    stride
        Rows between the beginnings of consecutive windows.
    centre
        Subtracted from each row of the field, (values,).
    bias
        Added to each unit's input, (hidden,).
    activation
        Activation function of the units.
    forward
        Transform of a block, (N, N); the rows are real and imaginary part of each frequency in turn.
    filters
        Conjugate transform of the filters as real matrices, (N / 2, 2, 2 x values, hidden): for each frequency the
        products of the real and imaginary parts of the field with it that add to the real, and the imaginary, part.
    inverse
        Inverse transform at the beginnings of the windows of a block, (windows, N).
    direct
        Operations per window without this class.
    """

    window: tuple[int, int]
    stride: int
    centre: Values
    bias: Values
    activation: str
    forward: Values
    filters: Values
    inverse: Values
    direct: int

    @classmethod
    @one_blas_thread()
    def of(cls, whitener: Whitener, params: Params, window: Sequence[int], stride: int) -> Self | None:
        """Return the transform for a model; None if it is not linear up to the activation, or would save no time."""
        if whitener.contrast or whitener.remove_mean or whitener.squash:
            return None
        rows, values = window[0], prod(window[1:])
        direct = direct_operations(whitener, params.hidden)

        def per_window(length: int) -> float:
            windows = (length - rows) // stride + 1
            return _operations(values, params.hidden, length, windows) / windows

        best = min(range(rows + rows % 2, _LONGEST * rows + 1, 2), key=per_window)
        size = 2 * best * values * params.hidden * params.flat.itemsize
        if size > _MOST_BYTES or _SLOWER * per_window(best) > direct:
            return None
        weights, (forward, inverse) = weights_on_windows(whitener, params), _transforms(best)
        windows = slice(0, best - rows + 1, stride)
        dtype = params.flat.dtype
        mean = whitener.mean.reshape(rows, values)
        centre = mean.mean(axis=0).astype(dtype)
        taken = weights @ (mean.astype(np.float64) - centre).ravel()
        return cls(
            (rows, values),
            stride,
            centre,
            (params.b1 - taken).astype(dtype),
            params.activation,
            forward.astype(dtype),
            _filters(forward[:, :rows], weights.reshape(-1, rows, values), dtype),
            np.ascontiguousarray(inverse[windows], dtype),
            direct,
        )

    def fields(self, runs: Sequence[Values]) -> list[Values] | None:
        """Return the rows of the field (rows, values) under each run of windows (count, width); None for the product.

        The windows of a run must overlap in memory as they do in the field. None if those of one run do not, or if the
        runs are so short that the product saves operations.
        """
        counts = [len(run) for run in runs]
        operations = _SLOWER * self._operations * sum(map(self._blocks, counts))
        if not 0 < operations < self.direct * sum(counts):
            return None
        fields = [self._field(run) for run in runs]
        found = [field for field in fields if field is not None]
        return found if len(found) == len(fields) else None

    def codes(self, backend: Backend, fields: Sequence[Values], then: Callable[[Values], None]) -> list[Values]:
        """Return the codes (count, hidden) of the windows of each field (rows, values), at least one window long.

        `then` is called with parts of the codes, to change them in place. The parts depend on the numbers of rows only.
        """
        rows, stride = self.window[0], self.stride
        counts = [(len(field) - rows) // stride + 1 for field in fields]
        blocks = [self._blocks(count) for count in counts]
        padded, starts = self._padded(fields, blocks)
        codes = np.empty((len(starts), *self.inverse.shape[:1], self.bias.size), self.bias.dtype)

        def part(chosen: slice) -> None:
            out = codes[chosen]
            self._inputs(padded[starts[chosen, None] + np.arange(len(self.forward))], out)
            backend.activate(out.reshape(-1, out.shape[-1]), self.bias, self.activation)
            then(out.reshape(-1, out.shape[-1]))

        least = max(1, ENCODED_ROWS // len(self.inverse))
        backend.run([partial(part, chosen) for chosen in backend.parts(len(starts), least=least)])
        each = np.split(codes, np.cumsum(blocks)[:-1])
        return [own.reshape(-1, own.shape[-1])[:count] for own, count in zip(each, counts, strict=True)]

    def _inputs(self, blocks: Values, out: Values) -> None:
        """Write the inputs of units, (blocks, windows, hidden), of blocks (blocks, N, values) to `out`."""
        count, length, values = blocks.shape
        field = np.matmul(self.forward, blocks).reshape(count, length // 2, 2 * values)
        field = np.ascontiguousarray(field.transpose(1, 0, 2))  # by frequency
        units = np.matmul(field[:, None], self.filters)  # (N / 2, 2, blocks, hidden)
        np.matmul(self.inverse, units.reshape(length, count, -1).transpose(1, 0, 2), out=out)

    def _padded(self, fields: Sequence[Values], blocks: Sequence[int]) -> tuple[Values, NDArray[np.int64]]:
        """Return the centred fields, each padded with zeros to whole blocks, and the first row of each block."""
        step, length = len(self.inverse) * self.stride, len(self.forward)
        sizes = [(count - 1) * step + length for count in blocks]
        firsts = np.cumsum([0, *sizes])
        padded = np.zeros((firsts[-1], self.window[1]), self.centre.dtype)
        for field, first in zip(fields, firsts, strict=False):
            np.subtract(field, self.centre, out=padded[first : first + len(field)])
        return padded, np.concatenate([np.arange(n) * step + at for n, at in zip(blocks, firsts, strict=False)])

    def _field(self, run: Values) -> Values | None:
        """Return the rows of the field under windows, which are contiguous there; None if they do not lie in one."""
        rows, values = self.window
        if len(run) == 1:
            return run.reshape(rows, values)
        if not len(run) or run.strides != (self.stride * values * run.itemsize, run.itemsize):
            return None
        shape = (len(run) - 1) * self.stride + rows, values
        return np.lib.stride_tricks.as_strided(run, shape, (values * run.itemsize, run.itemsize), writeable=False)

    def _blocks(self, windows: int) -> int:
        """Return the number of blocks in which a number of windows begin."""
        return -(-windows // len(self.inverse))

    @property
    def _operations(self) -> int:
        """Multiplications per block."""
        return _operations(self.window[1], self.bias.size, len(self.forward), len(self.inverse))


def _operations(values: int, hidden: int, length: int, windows: int) -> int:
    """Return the multiplications for a block of `length` rows, in which a number of windows begin."""
    return length * (length * values + 2 * values * hidden + windows * hidden)


def _transforms(length: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the transform of `length` (even) real values and its inverse, as matrices, in the order of the module."""
    angles = 2 * np.pi / length * (np.outer(np.arange(length // 2), np.arange(length)) % length)
    forward = np.stack([np.cos(angles), -np.sin(angles)], axis=1)
    forward[0, 1] = np.resize([1.0, -1.0], length)  # frequency N / 2
    inverse = forward * (2 / length)
    inverse[0] /= 2
    return forward.reshape(length, length), inverse.reshape(length, length).T


def _filters(forward: NDArray[np.float64], weights: NDArray[np.float64], dtype: np.dtype[Any]) -> Values:
    """Return `BlockTransform.filters` of weights (hidden, rows, values), with the transform (N, rows) of a filter."""
    moved = np.tensordot(forward, weights, (1, 1)).astype(dtype).reshape(len(forward) // 2, 2, *weights.shape[::2])
    real, imaginary = moved.transpose(1, 0, 3, 2)  # (frequencies, values, hidden)
    filters = np.stack([real, imaginary, -imaginary, real], axis=1)
    filters[0, 1:3], filters[0, 3] = 0, imaginary[0]
    return filters.reshape(len(real), 2, -1, weights.shape[0])
