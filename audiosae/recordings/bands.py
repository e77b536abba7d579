"""Spectra of a stream of samples, in blocks: short-time Fourier power, mel filters and constant-Q.

Frames are those of librosa: frame i is centred on sample ``i * hop_length``, and the signal is padded with zeros.
"""

from __future__ import annotations

import warnings
from collections import deque
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from audiosae.system.threads import in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

FLOOR_POWER = 1e-10  # librosa's amin: -100 dB
ZERO = 1e-7  # largest sample that counts as a digital zero: decoders of compressed formats are not exact
_FRAMES_AT_ONCE = 256  # keeps the windowed frames and their spectra within the L2 cache
_TICKS_HZ = (50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000)
_KILOHERTZ = 1000
_MOST_TICKS = 8  # on the whole axis, so that their labels do not overlap
_MEL_BREAK_HZ, _MEL_LINEAR_HZ, _MEL_LOG_STEP = 1000.0, 200.0 / 3.0, np.log(6.4) / 27.0


def hz_to_mel(hertz: NDArray[np.float64] | float) -> NDArray[np.float64]:
    """Convert Hz to the mel scale of Slaney's Auditory Toolbox (1998): linear below 1 kHz, logarithmic above.

    The scale has 27 steps per factor of 6.4 above 1 kHz.
    """
    hertz = np.asarray(hertz, np.float64)
    above = np.log(np.maximum(hertz, 1e-9) / _MEL_BREAK_HZ) / _MEL_LOG_STEP + _MEL_BREAK_HZ / _MEL_LINEAR_HZ
    return np.where(hertz < _MEL_BREAK_HZ, hertz / _MEL_LINEAR_HZ, above)


def mel_to_hz(mel: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert mel to Hz, the inverse of `hz_to_mel`."""
    knee = _MEL_BREAK_HZ / _MEL_LINEAR_HZ
    return np.where(mel < knee, mel * _MEL_LINEAR_HZ, _MEL_BREAK_HZ * np.exp(_MEL_LOG_STEP * (mel - knee)))


def mel_edges(n_mels: int, fmin: float, fmax: float) -> NDArray[np.float64]:
    """Return the ``n_mels + 2`` corner frequencies in Hz of triangles evenly spaced in mel."""
    return mel_to_hz(np.linspace(hz_to_mel(fmin), hz_to_mel(fmax), n_mels + 2))


@lru_cache(maxsize=8)
def mel_filters(rate: int, n_fft: int, n_mels: int, fmin: float, fmax: float) -> NDArray[np.float32]:
    """Return triangular mel filters of equal area, shape (1 + n_fft // 2, n_mels).

    They are the transpose of ``librosa.filters.mel``, computed here because importing librosa costs each decoding
    process more than a second.
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
    *,
    at_once: int | None = None,
) -> Iterator[NDArray[np.float32]]:
    """Yield the short-time Fourier power of a stream, shape (frames, 1 + n_fft // 2), with a Hann window.

    The frames equal ``abs(librosa.stft(y)) ** 2`` of the whole signal.

    Parameters
    ----------
    blocks
        Samples, in blocks of any size.
    n_fft, hop_length
        Samples per transform and between frames.
    then
        Function applied to each block of power; its results are yielded.
    at_once
        Frames in a block, at most; None for as many as are fast with transforms of 512 samples.
    """
    at_once = at_once or _FRAMES_AT_ONCE
    pieces = (
        frames[at : at + at_once]
        for frames in _framed(_padded(blocks, n_fft // 2), n_fft, hop_length)
        for at in range(0, len(frames), at_once)
    )
    return in_order(lambda frames: then(_power(frames)), pieces)


def power_segments(
    blocks: Iterable[NDArray[np.float32]], n_fft: int, hop_length: int, bins: slice, count: int, *, at_once: int
) -> Iterator[NDArray[np.float32]]:
    """Yield the power of `power_frames` in some bins, in segments of `count` frames; the last one may have fewer.

    The power is written where it stays, because it takes several times the memory of the samples.
    """
    width = len(range(n_fft // 2 + 1)[bins])
    segments = deque([np.empty((0, width), np.float32)])

    def pieces() -> Iterator[tuple[NDArray[np.float32], NDArray[np.float32]]]:
        filled = count
        for frames in _framed(_padded(blocks, n_fft // 2), n_fft, hop_length):
            at = 0
            while at < len(frames):
                if filled == count:
                    segments.append(np.empty((count, width), np.float32))
                    filled = 0
                size = min(at_once, len(frames) - at, count - filled)
                yield frames[at : at + size], segments[-1][filled : filled + size]
                at, filled = at + size, filled + size

    done = 0
    for power in in_order(lambda piece: _power(piece[0], bins, piece[1]), pieces()):
        if not done:
            segments.popleft()
        done += len(power)
        if done == count:
            yield segments[0]
            done = 0
    if done:
        yield segments[0][:done]


def _power(
    frames: NDArray[np.float32], bins: slice = slice(None), out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Return the power of frames, (frames, samples), in some bins."""
    from scipy.fft import rfft

    spectrum = rfft(frames * _hann(frames.shape[1]), axis=1)[:, bins]
    power: NDArray[np.float32] = np.square(spectrum.real, out=out)
    power += np.square(spectrum.imag)
    return power


def to_decibels(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return ``10 log10(max(power, 1e-10))``: ``librosa.power_to_db`` with ``ref=1, top_db=None``."""
    return np.float32(10) * np.log10(np.maximum(power, np.float32(FLOOR_POWER)))


def constant_q_frames(
    blocks: Iterable[NDArray[np.float32]], *, rate: int, hop_length: int, fmin: float, n_bins: int, bins_per_octave: int
) -> Iterator[NDArray[np.float32]]:
    """Yield constant-Q power, shape (frames, n_bins), by ``librosa.cqt`` on overlapping pieces of the stream.

    The overlap covers the longest filter and the tails of librosa's decimation by octaves, and pieces begin at
    multiples of every octave's step, so that the frames equal those of the whole signal.

    Parameters
    ----------
    blocks
        Samples, in blocks of any size.
    rate
        Sample rate in Hz.
    hop_length
        Samples between frames.
    fmin
        Centre frequency in Hz of the lowest band.
    n_bins, bins_per_octave
        Number of bands, in total and per octave.
    """
    import librosa

    step = hop_length * 2 ** max(0, -(-n_bins // bins_per_octave) - 1)
    longest = rate / fmin / (2 ** (1 / bins_per_octave) - 1)
    context = step * int(np.ceil((2 * longest + 4096) / step))
    core = step * max(1, (4 * context + 2**19) // step)
    for samples, first, last in _overlapping(blocks, core, context):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="n_fft=")  # the recording is shorter than a filter
            bands = librosa.cqt(
                samples, sr=rate, hop_length=hop_length, fmin=fmin, n_bins=n_bins, bins_per_octave=bins_per_octave
            )
        power = np.abs(bands.T).astype(np.float32) ** 2
        begin = 0 if first else context // hop_length
        yield power[begin:] if last else power[begin : begin + core // hop_length]


class ZeroFrames:
    """Finds the frames of a stream of samples that are digital zeros.

    Long filters spread a sound over the frames of zeros beside it, so that the levels alone do not tell.

    Parameters
    ----------
    hop_length
        Samples between frames.
    reach
        Samples on both sides of the middle of a frame that must be zero.
    """

    def __init__(self, hop_length: int, reach: int) -> None:
        self._hop, self._reach = hop_length, -(-reach // hop_length)  # in hops
        self._heard = bytearray()  # whether each hop has a sample that is not zero

    def watch(self, blocks: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield the samples unchanged."""
        at = 0
        for block in blocks:
            self._heard.extend(bytes(max(0, (at + len(block)) // self._hop + 1 - len(self._heard))))
            heard = (at + np.flatnonzero(np.abs(block) > ZERO)) // self._hop
            np.frombuffer(self._heard, np.uint8)[heard] = 1
            at += len(block)
            yield block

    def blank(self, frames: Iterable[NDArray[np.float32]]) -> Iterator[NDArray[np.float32]]:
        """Yield levels (frames, bands), with frames of zeros set to the lowest level in all bands."""
        at = 0
        for block in frames:
            heard = np.zeros(len(block) + 2 * self._reach, bool)
            first, last = max(0, at - self._reach), at + len(block) + self._reach
            known = np.frombuffer(bytes(self._heard[first:last]), np.uint8)
            heard[first - at + self._reach :][: len(known)] = known
            # frame i is in the middle between hops i - 1 and i
            near = np.lib.stride_tricks.sliding_window_view(np.concatenate([heard[:1], heard]), 2 * self._reach + 1)
            block[~near[: len(block)].any(axis=1)] = to_decibels(np.zeros(1, np.float32))
            at += len(block)
            yield block


def frequency_ticks(frequencies: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[str]]:
    """Return positions, in bands, and labels of ticks at round frequencies.

    Whole kilohertz are chosen first, then multiples of 500 Hz, and high frequencies before low ones.

    Parameters
    ----------
    frequencies
        Centre frequency in Hz of each band of the axis.
    """
    hertz = [tick for tick in _TICKS_HZ if frequencies[0] <= tick <= frequencies[-1]]
    positions = dict(zip(hertz, np.interp(hertz, frequencies, np.arange(len(frequencies))), strict=True))
    distance = len(frequencies) / _MOST_TICKS
    ticks: list[int] = []
    for tick in sorted(hertz, key=lambda tick: (tick % _KILOHERTZ == 0, tick % 500 == 0, tick), reverse=True):
        if all(abs(positions[tick] - positions[other]) >= distance for other in ticks):
            ticks.append(tick)
    ticks.sort()
    labels = [f"{tick / _KILOHERTZ:g}k" if tick >= _KILOHERTZ else f"{tick}" for tick in ticks]
    return np.array([positions[tick] for tick in ticks], np.float64), labels


@lru_cache(maxsize=8)
def _hann(length: int) -> NDArray[np.float32]:
    return np.float32(0.5) - np.float32(0.5) * np.cos(2 * np.pi * np.arange(length) / length).astype(np.float32)


def _padded(blocks: Iterable[NDArray[np.float32]], pad: int) -> Iterator[NDArray[np.float32]]:
    """Yield the blocks between two runs of zeros; the second is appended to the last block."""
    waiting = zeros = np.zeros(pad, np.float32)
    for block in blocks:
        yield waiting
        waiting = block
    yield np.concatenate([waiting, zeros])


def _framed(blocks: Iterable[NDArray[np.float32]], length: int, hop: int) -> Iterator[NDArray[np.float32]]:
    """Yield the complete frames of the samples so far, as views of shape (count, length)."""
    rest = np.empty(0, np.float32)
    skip = 0  # samples still to drop when the hop is longer than the rest
    for block in blocks:
        rest = np.concatenate([rest, block])
        drop = min(skip, rest.size)
        rest, skip = rest[drop:], skip - drop
        if rest.size >= length:
            frames = np.lib.stride_tricks.sliding_window_view(rest, length)[::hop]
            yield frames
            used = len(frames) * hop
            rest, skip = rest[used:], max(0, used - rest.size)


def _overlapping(
    blocks: Iterable[NDArray[np.float32]], core: int, context: int
) -> Iterator[tuple[NDArray[np.float32], bool, bool]]:
    """Yield (samples, is first, is last): pieces of `core` samples with up to `context` samples on both sides."""
    rest, before = np.empty(0, np.float32), 0
    for block in blocks:
        rest = np.concatenate([rest, block])
        while rest.size > (size := before + core + context):
            yield rest[:size], not before, False
            rest, before = rest[core + before - context :], context
    yield rest, not before, True
