"""Atoms as sounds: a signed spectrogram is converted to power, and power to a signal by Griffin-Lim (librosa)."""

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
# at zero: random ones gain nothing, and the parameter for their seed differs between versions of librosa
_ITERATIONS_CQT = 8  # each takes longer than all those above


def power_of(atom: NDArray[Any]) -> NDArray[np.float64]:
    """Convert an atom (frames, bands), in dB around the mean, to power: 1 at its strongest value, 1e-4 at 0."""
    atom = np.asarray(atom, np.float64)
    return np.asarray(10 ** (_DEPTH * (atom / max(np.abs(atom).max(), 1e-300) - 1) / 10))


def from_spectrum(
    power: NDArray[np.float64], filters: NDArray[np.float32] | None, bins: slice, *, n_fft: int, hop_length: int
) -> NDArray[np.float32]:
    """Return a signal with approximately this short-time power.

    The power of bands is distributed to bins by non-negative least squares (librosa); the phases are estimated by the
    fast Griffin-Lim algorithm (Perraudin, Balazs and Søndergaard, WASPAA 2013), 16 iterations.

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
    import librosa

    frames, margin = len(power), math.ceil(n_fft / hop_length)
    spectrum = np.zeros((1 + n_fft // 2, frames + 2 * margin))
    if filters is None:
        spectrum[bins, margin:-margin] = power.T
    else:
        spectrum[:, margin:-margin] = librosa.util.nnls(filters.T.astype(np.float64), power.T)
    signal = librosa.griffinlim(np.sqrt(spectrum), n_iter=_ITERATIONS, hop_length=hop_length, n_fft=n_fft, init=None)
    return _normalised(signal[margin * hop_length : (margin + frames) * hop_length])


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
