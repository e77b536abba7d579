"""Loudest channel of each sound of a recording."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import numpy as np

from audiosae.errors import InputError
from audiosae.recordings.audio import read_channels
from audiosae.recordings.opening import read_header
from audiosae.system.stderr import CapturedStderr, capture_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

_FRAME_SECONDS = 0.032
_SHORTEST, _LONGEST = 2**7, 2**14  # samples of a frame, at very low and very high sample rates
_SAMPLES_AT_ONCE = 2**18  # of all channels


class Sound(Protocol):
    """A sound with its extent in seconds and hertz."""

    @property
    def start(self) -> float: ...  # noqa: D102
    @property
    def end(self) -> float: ...  # noqa: D102
    @property
    def low_hz(self) -> float: ...  # noqa: D102
    @property
    def high_hz(self) -> float: ...  # noqa: D102


def loudest_channels(path: Path, sounds: Sequence[Sound]) -> NDArray[np.intp]:
    """Return the number of the channel, from 1, in which each sound has the highest power, (sounds,).

    Only the power between the frequencies of a sound counts, because a constant offset, or a sound at other
    frequencies, may be louder in another channel. A recording with one channel is not decoded. Others are decoded in
    blocks, once, and only where they have sounds. If channels have equal power, or if the block of a sound cannot be
    decoded, the number is the lowest.

    Parameters
    ----------
    sounds
        In order of their starts.
    """
    power = np.zeros((len(sounds), 1))
    with suppress(InputError), capture_stderr(CapturedStderr()):  # errors were reported when the recording was read
        header = read_header(path)
        if header.channels > 1:
            power = np.zeros((len(sounds), header.channels))
            _add_powers(power, path, header.rate, sounds)
    return np.asarray(1 + power.argmax(axis=1))


def _add_powers(power: NDArray[np.float64], path: Path, rate: int, sounds: Sequence[Sound]) -> None:
    """Add the power of each sound in each channel to `power`, (sounds, channels), until the recording ends."""
    size = int(np.clip(2 ** round(np.log2(_FRAME_SECONDS * rate)), _SHORTEST, _LONGEST))
    boxes = [(sound.start, sound.end, sound.low_hz, sound.high_hz) for sound in sounds]
    start, end, low, high = np.array(boxes, np.float64).reshape(-1, 4).T
    hop = size // 2 / rate  # a frame belongs to a sound if its centre is in the sound
    first = np.maximum(np.ceil(start / hop).astype(int) - 1, 0)
    stop = np.maximum((end / hop).astype(int), first + 1)
    lowest = np.minimum((low * size / rate).astype(int), size // 2)
    highest = np.ceil(high * size / rate).astype(int) + 1
    pending, active, at = 0, np.empty(0, int), 0
    while pending < len(sounds) or len(active):
        count = max(1, _SAMPLES_AT_ONCE // (size // 2 * power.shape[1]))
        if not len(active) and first[pending] >= at + count:  # decoding across a short pause is faster than a seek
            at = int(first[pending])
        samples, _ = read_channels(path, at * hop, (at + count + 1) * hop)
        if not len(samples):
            return
        begun = int(np.searchsorted(first, at + count))
        active, pending = np.append(active, np.arange(pending, begun)), max(pending, begun)
        for channel, frames in enumerate(_powers(samples, size, count)):
            for sound in active:
                rows = slice(max(0, first[sound] - at), stop[sound] - at)
                power[sound, channel] += frames[rows, lowest[sound] : highest[sound]].sum(dtype=np.float64)
        at += count
        active = active[stop[active] > at]


def _powers(samples: NDArray[np.float32], size: int, count: int) -> Iterator[NDArray[np.float32]]:
    """Yield the short-time power (frames, bins) of each channel; frames overlap by half, and the last ends in zeros."""
    from scipy.fft import rfft

    samples = np.pad(samples, ((0, (count + 1) * (size // 2) - len(samples)), (0, 0)))
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    for channel in samples.T:
        frames = np.lib.stride_tricks.sliding_window_view(channel, size)[:: size // 2]
        spectrum = rfft(frames * window, axis=1)
        yield spectrum.real**2 + spectrum.imag**2
