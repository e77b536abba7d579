"""From samples to bands: short-time Fourier power, mel filters, constant-Q, all in blocks of any stream.

Frames lie on librosa's grid: frame i is centred on sample ``i * hop_length``, the signal is padded with zeros.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audiosae.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

FLOOR_POWER = 1e-10  # librosa's amin: -100 dB
_FRAMES_AT_ONCE = 256  # keeps the windowed frames and their spectra within the L2 cache
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000)
_MOST_TICKS = 8  # on the whole axis, so that their labels do not overlap
_MEL_BREAK_HZ, _MEL_LINEAR_HZ, _MEL_LOG_STEP = 1000.0, 200.0 / 3.0, np.log(6.4) / 27.0


def hz_to_mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Mel of Slaney's Auditory Toolbox (1998): linear below 1 kHz, 27 steps per factor 6.4 above."""
    hertz = np.asarray(hertz, np.float64)
    above = np.log(np.maximum(hertz, 1e-9) / _MEL_BREAK_HZ) / _MEL_LOG_STEP + _MEL_BREAK_HZ / _MEL_LINEAR_HZ
    return np.where(hertz < _MEL_BREAK_HZ, hertz / _MEL_LINEAR_HZ, above)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inverse of `hz_to_mel`."""
    knee = _MEL_BREAK_HZ / _MEL_LINEAR_HZ
    return np.where(mel < knee, mel * _MEL_LINEAR_HZ, _MEL_BREAK_HZ * np.exp(_MEL_LOG_STEP * (mel - knee)))


def mel_edges(n_mels: int, fmin: float, fmax: float) -> NDArray[np.float64]:
    """Return the ``n_mels + 2`` corner frequencies in Hz of triangles evenly spaced in mel."""
    low, high = hz_to_mel(fmin), hz_to_mel(fmax)
    return mel_to_hz(np.linspace(low, high, n_mels + 2))


@lru_cache(maxsize=8)
def mel_filters(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> NDArray[np.float32]:
    """Return triangular filters of equal area, shape (1 + n_fft // 2, n_mels); ``librosa.filters.mel``'s transpose.

    They are written out here because importing librosa costs each decoding process over a second.
    """
    edges = mel_edges(n_mels, fmin, fmax)
    bins = np.linspace(0, rate / 2, 1 + n_fft // 2)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    triangles = np.maximum(0, np.minimum(rising, falling))
    return np.ascontiguousarray(triangles * (2 / (edges[2:] - edges[:-2])), np.float32)


def power_frames(
    blocks: Iterable[NDArray[np.float32]],
    n_fft: int,
    hop_length: int,
    then: Callable[[NDArray[np.float32]], NDArray[np.float32]] = np.asarray,
) -> Iterator[NDArray[np.float32]]:
    """Yield short-time Fourier power, shape (frames, 1 + n_fft // 2), of a stream, or what `then` makes of it.

    Hann window, centred frames; equal to ``abs(librosa.stft(y)) ** 2`` of the whole signal.
    """
    from scipy.fft import rfft

    hann = _hann(n_fft)

    def transform(frames: NDArray[np.float32]) -> NDArray[np.float32]:
        spectrum = rfft(frames * hann, axis=1)
        return then(spectrum.real**2 + spectrum.imag**2)

    def pieces() -> Iterator[NDArray[np.float32]]:
        for samples, count in _framed(_padded(blocks, n_fft // 2), n_fft, hop_length):
            frames = np.lib.stride_tricks.sliding_window_view(samples, n_fft)[::hop_length][:count]
            for at in range(0, count, _FRAMES_AT_ONCE):
                yield frames[at : at + _FRAMES_AT_ONCE]

    return in_order(transform, pieces())


def to_decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``10 log10(max(power, 1e-10))``: ``librosa.power_to_db`` with ``ref=1, top_db=None``."""
    return np.float32(10) * np.log10(np.maximum(power, np.float32(FLOOR_POWER)))


def constant_q_frames(
    blocks: Iterable[NDArray[np.float32]], *, rate: int, hop_length: int, fmin: float, n_bins: int, bins_per_octave: int
) -> Iterator[NDArray[np.float32]]:
    """Yield constant-Q power, shape (frames, n_bins), by ``librosa.cqt`` on overlapping pieces of the stream.

    The overlap holds the longest filter and the tails of librosa's octave-wise decimation, and pieces begin at
    multiples of every octave's step, so that the frames equal those of the whole signal.
    """
    import librosa

    step = hop_length * 2 ** max(0, -(-n_bins // bins_per_octave) - 1)
    longest = rate / fmin / (2 ** (1 / bins_per_octave) - 1)
    context = step * int(np.ceil((2 * longest + 4096) / step))
    core = step * max(1, (4 * context + 2**19) // step)
    for samples, first, last in _overlapping(blocks, core, context):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="n_fft=")  # of recordings shorter than the longest filter
            bands = librosa.cqt(
                samples, sr=rate, hop_length=hop_length, fmin=fmin, n_bins=n_bins, bins_per_octave=bins_per_octave
            )
        power = np.abs(bands.T).astype(np.float32) ** 2
        begin = 0 if first else context // hop_length
        yield power[begin:] if last else power[begin : begin + core // hop_length]


def frequency_ticks(frequencies: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Return positions, in bands, and labels of ticks at round frequencies.

    Parameters
    ----------
    frequencies
        Centre frequency in Hz of each band of the axis.
    """
    bands = np.arange(len(frequencies))
    hertz = [tick for tick in _TICKS_HZ if frequencies[0] <= tick <= frequencies[-1]]
    kept = _spaced_ticks(hertz, np.interp(hertz, frequencies, bands), len(frequencies) / _MOST_TICKS)
    return np.interp(kept, frequencies, bands), [_tick_label(tick) for tick in kept]


def _spaced_ticks(ticks: Sequence[int], places: NDArray[np.float64], distance: float) -> list[int]:
    """Return ticks at least `distance` bands apart; whole kilohertz, then multiples of 500 Hz, then high ones first."""
    kept: list[tuple[float, int]] = []
    for tick, place in sorted(zip(ticks, places, strict=True), key=lambda t: (-_roundness(t[0]), -t[0])):
        if all(abs(place - other) >= distance for other, _ in kept):
            kept.append((float(place), tick))
    return sorted(tick for _, tick in kept)


def _roundness(tick: int) -> int:
    return next((rank for rank, step in ((2, 1000), (1, 500)) if tick % step == 0), 0)


def _tick_label(tick: float) -> str:
    return f"{tick / 1000:g}k" if tick >= 1000 else f"{tick:g}"  # noqa: PLR2004


@lru_cache(maxsize=8)
def _hann(length: int) -> NDArray[np.float32]:
    return np.float32(0.5) - np.float32(0.5) * np.cos(2 * np.pi * np.arange(length) / length).astype(np.float32)


def _padded(blocks: Iterable[NDArray[np.float32]], pad: int) -> Iterator[NDArray[np.float32]]:
    """Put zeros before the first block and into the last: a short recording is framed in one go."""
    waiting = zeros = np.zeros(pad, np.float32)
    for block in blocks:
        yield waiting
        waiting = block
    yield np.concatenate([waiting, zeros])


def _framed(blocks: Iterable[NDArray[np.float32]], length: int, hop: int) -> Iterator[tuple[NDArray[np.float32], int]]:
    """Yield stretches of samples with the number of whole frames in each, carrying what is left over."""
    held = np.empty(0, np.float32)
    skip = 0  # samples still to drop when the hop is longer than what was held
    for block in blocks:
        held = np.concatenate([held, block])
        drop = min(skip, held.size)
        held, skip = held[drop:], skip - drop
        count = max(0, 1 + (held.size - length) // hop) if held.size >= length else 0
        if count:
            yield held, count
            used = count * hop
            held, skip = held[used:], max(0, used - held.size)


def _overlapping(
    blocks: Iterable[NDArray[np.float32]], core: int, context: int
) -> Iterator[tuple[NDArray[np.float32], bool, bool]]:
    """Yield (samples, is first, is last) pieces of `core` samples with `context` on both sides where there is any."""
    held, first = np.empty(0, np.float32), True
    for block in blocks:
        held = np.concatenate([held, block])
        need = core + context * (1 if first else 2)
        while held.size > need:
            yield held[:need], first, False
            held = held[core - (context if first else 0) :]
            first, need = False, core + 2 * context
    yield held, first, True
