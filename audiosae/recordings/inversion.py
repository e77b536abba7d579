"""Atoms as sounds: a signed spectrogram is converted to power, and power to a signal by the Griffin-Lim algorithm.

The short-time transforms are computed here and not by librosa, whose import compiles functions for half a minute the
first time. Only the constant-Q scale needs it.
"""

from __future__ import annotations

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEPTH = 40.0  # dB from an atom's strongest value to 0
_PEAK = 0.8
_ITERATIONS = 16  # the relative error of an atom's spectrum is 0.22, and 0.20 with 64 iterations or more; phases start
# at zero: random ones gain nothing
_MOMENTUM = 0.99  # of the fast Griffin-Lim algorithm, as in librosa
_ITERATIONS_CQT = 8  # each takes longer than all those above


def power_of(atom: NDArray[Any]) -> NDArray[np.float64]:
    """Convert an atom (frames, bands), in dB around the mean, to power: 1 at its strongest value, 1e-4 at 0."""
    atom = np.asarray(atom, np.float64)
    return np.asarray(10 ** (_DEPTH * (atom / max(np.abs(atom).max(), 1e-300) - 1) / 10))


def from_spectrum(
    power: NDArray[np.float64], filters: NDArray[np.float32] | None, bins: slice, *, n_fft: int, hop_length: int
) -> NDArray[np.float32]:
    """Return a signal with approximately this short-time power.

    The power of bands is distributed to bins by non-negative least squares; the phases are estimated by the fast
    Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard, WASPAA 2013), 16 iterations. Both equal librosa's.

    Parameters
    ----------
    power
        Power, (frames, bands).
    filters
        Mel filters, (bins, bands); None if the bands are bins.
    bins
        Range of the bins that are the bands, if `filters` is None.
    n_fft, hop_length
        Samples per transform and between frames.

    Returns
    -------
    array of shape (frames * hop_length,)
    """
    frames, margin = len(power), math.ceil(n_fft / hop_length)
    spectrum = np.zeros((1 + n_fft // 2, frames + 2 * margin))
    if filters is None:
        spectrum[bins, margin:-margin] = power.T
    else:
        spectrum[:, margin:-margin] = non_negative_solution(filters.T.astype(np.float64), power.T)
    signal = griffin_lim(np.sqrt(spectrum), n_fft, hop_length, _ITERATIONS)
    return _normalised(signal[margin * hop_length : (margin + frames) * hop_length])


def non_negative_solution(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the `x` >= 0 that minimises the mean square of ``a @ x - b``, by L-BFGS-B from the clipped pseudo-inverse.

    Parameters
    ----------
    a
        Filters, (bands, bins).
    b
        Power, (bands, frames).

    Returns
    -------
    array of shape (bins, frames)
    """
    from scipy.optimize import fmin_l_bfgs_b

    begin = np.clip(np.linalg.pinv(a) @ b, 0, None)

    def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        residual = a @ flat.reshape(begin.shape) - b
        return 0.5 / b.size * float(np.sum(residual**2)), (a.T @ residual / b.size).reshape(-1)

    bounds = [(0, None)] * begin.size
    flat, _, _ = fmin_l_bfgs_b(value_and_gradient, begin.reshape(-1), m=a.shape[1], bounds=bounds)
    return np.asarray(flat).reshape(begin.shape)


def griffin_lim(magnitude: NDArray[np.float64], n_fft: int, hop: int, iterations: int) -> NDArray[np.float64]:
    """Return a signal whose short-time transform has nearly this magnitude, (bins, frames), from phases of zero."""
    spectrum, before = magnitude.astype(np.complex128), np.zeros(magnitude.shape, np.complex128)
    for iteration in range(iterations):
        rebuilt = _transform(_inverse(spectrum, n_fft, hop), n_fft, hop)
        spectrum = rebuilt - _MOMENTUM / (1 + _MOMENTUM) * before if iteration else rebuilt
        spectrum = spectrum / (np.abs(spectrum) + np.finfo(np.float64).tiny) * magnitude
        before = rebuilt
    return _inverse(spectrum, n_fft, hop)


def _hann(n_fft: int) -> NDArray[np.float64]:
    return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / n_fft))


def _transform(signal: NDArray[np.float64], n_fft: int, hop: int) -> NDArray[np.complex128]:
    """Return the short-time Fourier transform, (bins, frames): frame i is centred on sample ``i * hop``."""
    padded = np.pad(signal, n_fft // 2)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    return np.fft.rfft(frames * _hann(n_fft), axis=1).T


def _inverse(spectrum: NDArray[np.complex128], n_fft: int, hop: int) -> NDArray[np.float64]:
    """Return the signal, (``hop * (frames - 1)``,), whose transform is nearest to a spectrum."""
    window, frames = _hann(n_fft), spectrum.shape[1]
    signal, weight = np.zeros((2, n_fft + hop * (frames - 1)))
    for frame, part in enumerate(np.fft.irfft(spectrum.T, n_fft, axis=1) * window):
        signal[frame * hop : frame * hop + n_fft] += part
        weight[frame * hop : frame * hop + n_fft] += window**2
    inner = slice(n_fft // 2, n_fft // 2 + hop * (frames - 1))
    weight[weight <= np.finfo(np.float64).tiny] = 1
    return np.asarray(signal[inner] / weight[inner])


def from_constant_q(
    power: NDArray[np.float64], *, rate: int, hop_length: int, fmin: float, bins_per_octave: int
) -> NDArray[np.float32]:
    """Return a signal with approximately this constant-Q power (frames, bands), by librosa's Griffin-Lim."""
    import librosa

    longest = rate / fmin / (2 ** (1 / bins_per_octave) - 1)  # samples of the lowest band's filter
    margin = math.ceil(longest / hop_length)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="n_fft=")  # the lowest octaves have few samples
        signal = librosa.griffinlim_cqt(
            np.pad(np.sqrt(power.T), ((0, 0), (margin, margin))),
            n_iter=_ITERATIONS_CQT,
            sr=rate,
            hop_length=hop_length,
            fmin=fmin,
            bins_per_octave=bins_per_octave,
            init=None,
        )
    return _normalised(signal[margin * hop_length : (margin + len(power)) * hop_length])


def _normalised(signal: NDArray[Any]) -> NDArray[np.float32]:
    return (signal * (_PEAK / max(float(np.abs(signal).max()), 1e-300))).astype(np.float32)
