"""Samples rounded to few bits, with a rounding error that is below the background of the recording.

The error has the spectrum of the background, which is in every field recording, so that few bits are enough: the error
of each sample is subtracted from the following ones through a filter (noise shaping: Gerzon and Craven 1989, Optimal
noise shaping and dither of digital signals). FLAC keeps the rounded samples without further loss. It has about as many
bytes as MP3 of the same quality, and is much faster.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[np.float64]

_FRAME = 1024  # samples
_FEWEST_FRAMES = 4  # with fewer, nothing is known of the background
_QUIET = 0.1  # share of the frames that have less power than the background: an order statistic of noise
_SMOOTHED = 15  # frequencies: harmonics of a steady sound are narrower, and are not background
_MOST = 0.5  # of the power of the background that the error has
_LEAST = 10**-6.2  # power of a background that is softer
_RANGE = 1e-5  # of the power of the background at different frequencies
_ORDER = 12  # coefficients of the filter
_PART = 256  # samples of a part, at whose start the error is zero; all parts are computed together
_FULL_SCALE, _FEWEST_BITS = 2**15, 3


@one_blas_thread()
def rounded_samples(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    """Return samples from -1 to 1 as 16-bit integers that are multiples of a power of two."""
    coefficients, error = _predictor(_MOST * _background(samples))
    bits = np.clip(np.floor(np.log2(_FULL_SCALE * np.sqrt(12 * error))), 0, 16 - _FEWEST_BITS)
    step = 2.0**bits
    parts = -(-len(samples) // _PART)
    wanted = np.pad(samples.astype(np.float64), (0, parts * _PART - len(samples)))
    wanted = np.ascontiguousarray(wanted.reshape(parts, _PART).T) * (_FULL_SCALE / step)
    errors = np.zeros((_ORDER + _PART, parts))  # of the samples before and of these, in steps
    values, feedback = np.empty_like(wanted), -coefficients[::-1]
    for at in range(_PART):
        value = values[at]
        np.matmul(feedback, errors[at : at + _ORDER], out=value)
        value += wanted[at]
        np.rint(value, out=value)
        np.subtract(value, wanted[at], out=errors[at + _ORDER])
    whole = values.T.reshape(-1)[: len(samples)]
    return np.asarray(np.clip(whole * step, -_FULL_SCALE, _FULL_SCALE - 1), np.int16)


def _background(samples: NDArray[np.float32]) -> Array:
    """Return the power of the background per sample at evenly spaced frequencies from zero to half the sample rate."""
    count = len(samples) // _FRAME
    if count < _FEWEST_FRAMES:
        return np.full(_FRAME // 2 + 1, _LEAST)
    window = np.blackman(_FRAME).astype(np.float32)
    spectra = np.fft.rfft(samples[: count * _FRAME].reshape(count, _FRAME) * window)
    power = np.square(np.abs(spectra)) / np.square(window).sum()
    quiet = int(_QUIET * count)
    level = np.partition(power, quiet, axis=0)[quiet] / (1 / np.arange(count, count - quiet - 1, -1)).sum()
    around = np.pad(level, _SMOOTHED // 2, mode="reflect")
    level = np.median(np.lib.stride_tricks.sliding_window_view(around, _SMOOTHED), axis=1)
    return np.asarray(np.maximum(level, max(_LEAST, _RANGE * float(level.max()))), np.float64)


def _predictor(power: Array) -> tuple[Array, float]:
    """Return the coefficients of a linear predictor of noise with a power spectrum, and the power of its error.

    Noise of this power that is filtered by 1 / (1 + coefficients) has the spectrum.
    """
    correlation = np.fft.irfft(power)[: _ORDER + 1]
    correlation[0] *= 1 + 1e-9
    apart = np.abs(np.subtract.outer(np.arange(_ORDER), np.arange(_ORDER)))
    coefficients = np.linalg.solve(correlation[apart], -correlation[1:])
    return np.asarray(coefficients, np.float64), float(correlation[0] + coefficients @ correlation[1:])
