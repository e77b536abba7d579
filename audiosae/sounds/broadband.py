"""Events in the broadband level of a recording, at a time resolution of some milliseconds.

The power of each frequency bin is divided by its noise floor, and the mean square over all bins is the broadband level
in dB. An event begins and ends where this level falls below a share of its peak. The threshold follows the spread of
the level in noise, so noise of any spectrum has no events. The level is cut at a minimum if it is deep relative to the
lower one of the neighbouring peaks, so that the syllables of a song are separate, and the echoes of one are not.

The events of a recording are a small field (`BroadbandEvents`), so that they are computed by the processes that decode
recordings, and are stored in the cache.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from audiosae.domain import Domain
from audiosae.recordings import audio, bands, formats
from audiosae.sounds.broadband_level import KNOT_SECONDS, LEAST_PITCH, BroadbandLevel, broadband_level, whitened_levels

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

COLUMNS = 5  # of the field: whole seconds and remainder of the start, duration (s), peak and spread (dB)
FLOOR_SECONDS = 60.0  # of each value of the noise floor
_UNKNOWN = 1000.0  # dB: a noise floor that is not known, because the values of a field are finite
_HOPS = 4  # per transform
_CONTINUE, _START = (4.0, 2.0, 5.0), (8.0, 3.0, 10.0)  # thresholds in spreads, at least and at most this many dB
_SHARE_OF_PEAK, _DEPTH = 0.3, 30.0  # an event ends at this share of its peak (dB above noise), or this far below
_VALLEY = 6.0  # dB from the lower peak down to a minimum that separates two events
_JOINED, _JOINED_SOFT, _SHORTEST = 2, 5, 7  # in hops: shorter pauses are joined, shorter events are left out
_SOFT = 20.0  # dB above the noise: noise alone interrupts softer sounds
_FRAMES_AT_ONCE, _TRANSFORMS = 2**16, 512  # of levels; of samples, which stay within the L2 cache
_HANN_POWER = 3 / 8  # mean square of a Hann window
_FLOOR_BIAS = 4.7  # dB from the floor of stationary noise up to its mean power


@dataclass(frozen=True)
class BroadbandEvents(Domain):
    """Domain whose field has the noise floor and the broadband events of a recording.

    The shape is (1 + rows of the noise floor + events, 5). The first row begins with the number of values of the noise
    floor, one for each minute; `parts_of` separates them from the events.

    Attributes
    ----------
    sample_rate
        Sample rate in Hz to which recordings are resampled.
    transform_seconds
        Length of a Fourier transform in seconds; a frame begins after each quarter of it.
    low_hz, high_hz
        Range of the frequencies that are used; high_hz 0 is half the sample rate.
    channel
        Number of the channel, from 1; 0 is the mean of all channels.
    """

    name: ClassVar[str] = "broadband-events"
    suffixes: ClassVar[tuple[str, ...]] = formats.SUFFIXES
    unit: ClassVar[str] = "s"

    sample_rate: int = 22050
    transform_seconds: float = 0.008
    low_hz: float = 0.0
    high_hz: float = 0.0
    channel: int = 0

    @property
    def window(self) -> tuple[int, int]:
        """Shape of a window: one event."""
        return 1, COLUMNS

    @property
    def hop(self) -> int:
        """Samples between frames."""
        return max(2, round(self.transform_seconds * self.sample_rate / _HOPS))

    @property
    def seconds_per_frame(self) -> float:
        """Time between frames, s."""
        return self.hop / self.sample_rate

    def field(self, path: Path) -> Generator[Array, None, str]:
        """Yield the noise floor and the events of a recording as one block, after empty ones while it is read."""
        notes: list[str] = []

        def samples() -> Iterator[Array]:
            notes.append((yield from audio.read_mono(path, self.sample_rate, self.channel)))

        n_fft, second = _HOPS * self.hop, self.seconds_per_frame
        width = self.sample_rate / n_fft
        first = max(1, int(np.ceil(self.low_hz / width)))
        last = max(first + 1, 1 + int((self.high_hz or self.sample_rate / 2) / width))
        pitch = max(LEAST_PITCH, round(KNOT_SECONDS / second))
        powers = bands.power_segments(samples(), n_fft, self.hop, slice(first, last), pitch, at_once=_TRANSFORMS)
        floors: list[Array | None] = []
        parts: list[NDArray[np.float16]] = []
        for part in whitened_levels(powers, floors):
            parts.append(part)
            yield np.empty((0, COLUMNS), np.float32)  # other work on the same samples continues
        level = broadband_level(parts, floors, pitch)
        begin, end, peak, spread = events_of(level).T
        start = np.maximum(begin - 0.5, 0) * second
        rows = np.stack([np.floor(start), start % 1, (end - 0.5) * second - start, peak, spread], axis=1)
        # Parseval's theorem: the power of all bins of a Hann window, of which only one side is computed
        scale = _FLOOR_BIAS - 10 * np.log10(n_fft * n_fft * _HANN_POWER / 2)
        floor = per_minute(level.floor, level.pitch * second) + scale
        yield with_floor(floor, rows)
        return "".join(notes)


def with_floor(floor: Array, events: NDArray[np.float64]) -> Array:
    """Return the field of a noise floor and of events, (events, 5)."""
    padded = np.zeros((-(-len(floor) // COLUMNS), COLUMNS), np.float32)
    padded.reshape(-1)[: len(floor)] = np.where(np.isfinite(floor), floor, _UNKNOWN)
    head = np.array([[len(floor), *[0] * (COLUMNS - 1)]])
    return np.concatenate([head, padded, events]).astype(np.float32)


def parts_of(field: Array) -> tuple[Array, Array]:
    """Return the noise floor in each minute (dB; NaN if it is not known), and the rows of the events, (events, 5)."""
    count = int(field[0, 0])
    rows = -(-count // COLUMNS)
    floor = field[1 : 1 + rows].reshape(-1)[:count]
    return np.where(floor == _UNKNOWN, np.float32(np.nan), floor), field[1 + rows :]


def per_minute(floor: Array, seconds: float) -> Array:
    """Return the mean of the known levels in each minute, NaN where there is none; empty if none is known.

    Parameters
    ----------
    floor
        Levels in dB, NaN where they are not known.
    seconds
        Time between two of them.
    """
    minute = ((np.arange(len(floor)) + 0.5) * seconds / FLOOR_SECONDS).astype(int)
    known = np.isfinite(floor)
    count = int(minute[-1]) + 1 if known.any() else 0
    number = np.bincount(minute[known], minlength=count)
    total = np.bincount(minute[known], floor[known], minlength=count)
    return np.where(number > 0, total / np.maximum(number, 1), np.nan).astype(np.float32)


def events_of(broadband: BroadbandLevel) -> NDArray[np.float64]:
    """Return first frame, frame after the last, peak and spread of each event in a level, (events, 4)."""
    active = np.zeros(len(broadband.level) + 2, np.int8)
    strong: list[NDArray[np.int64]] = []
    for first in range(0, len(broadband.level), _FRAMES_AT_ONCE):
        last = min(len(broadband.level), first + _FRAMES_AT_ONCE)
        level, spread = broadband.at(first, last)
        active[first + 1 : last + 1] = level > _threshold(spread, _CONTINUE)
        strong.append(first + np.flatnonzero(level > _threshold(spread, _START)))
    edges = np.flatnonzero(np.diff(active)).reshape(-1, 2)
    peaks = np.concatenate([*strong, np.empty(0, np.int64)])
    loud = np.searchsorted(peaks, edges[:, 1]) > np.searchsorted(peaks, edges[:, 0])
    events: list[tuple[int, int, float, float]] = []
    first = last = 0  # of the frames in memory
    for begin, end in edges[loud].tolist():
        if end > last:
            first, last = begin, min(len(broadband.level), max(end, begin + _FRAMES_AT_ONCE))
            level, spread = broadband.at(first, last)
        noise = float(spread[(begin + end) // 2 - first])
        spreads, lowest, highest = _START
        least = min(max(spreads * noise, lowest), highest)
        for low, high, peak in cut_at_minima(level[begin - first : end - first], least):
            soft = events and min(events[-1][2], peak) < _SOFT
            if events and begin + low - events[-1][1] < (_JOINED_SOFT if soft else _JOINED):
                events[-1] = (events[-1][0], begin + high, max(events[-1][2], peak), noise)
            else:
                events.append((begin + low, begin + high, peak, noise))
    return np.array([each for each in events if each[1] - each[0] >= _SHORTEST], np.float64).reshape(-1, 4)


def _threshold(spread: Array, rule: tuple[float, float, float]) -> Array:
    spreads, least, most = rule
    return np.asarray(np.clip(spreads * spread, least, most))


def cut_at_minima(level: Array, least: float) -> Iterator[tuple[int, int, float]]:
    """Yield first frame, frame after the last, and peak of each event in a region of levels above the noise.

    Parameters
    ----------
    level
        dB above the noise, (frames,).
    least
        Least peak of an event, dB.
    """
    highest = float(level.max())
    low = np.flatnonzero(level[1:-1] < _end_level(highest)) + 1
    minima = low[(level[low] <= level[low - 1]) & (level[low] < level[low + 1])] if len(low) else low
    for first, last, peak in _strong_cuts(level, minima) if len(minima) else ((0, len(level), highest),):
        if peak > least:
            inside = (level[first:last] >= _end_level(peak)).nonzero()[0]
            yield first + int(inside[0]), first + int(inside[-1]) + 1, peak


def _end_level(peak: float) -> float:
    """Return the level at which an event with this peak ends."""
    return max(_SHARE_OF_PEAK * peak, peak - _DEPTH)


def _strong_cuts(level: Array, cuts: NDArray[np.intp]) -> Iterator[tuple[int, int, float]]:
    """Yield the parts between those minima that separate events, with their peaks.

    The weakest cuts are removed, one after another.
    """
    edges = [0, *cuts.tolist(), len(level)]
    peaks: list[float] = np.maximum.reduceat(level, edges[:-1]).tolist()
    valleys: list[float] = [0.0, *(max(valley, 1e-6) for valley in level[cuts].tolist())]
    # part i lies between edges i and i + 1; cut i is at edge i; removed cuts join a part to the one before
    before, after = list(range(-1, len(peaks) - 1)), list(range(1, len(peaks) + 1))
    removed = [False] * (len(peaks) + 1)

    def strength(cut: int) -> float:
        one, other, valley = peaks[before[cut]], peaks[cut], valleys[cut]
        low, high = (one, other) if one < other else (other, one)
        return min((low - valley) / _VALLEY, _end_level(high) / valley)

    current = {cut: strength(cut) for cut in range(1, len(peaks))}
    queue = [(value, cut) for cut, value in current.items() if value < 1]
    heapq.heapify(queue)
    while queue:
        value, cut = heapq.heappop(queue)
        if removed[cut] or current[cut] != value:
            continue
        left, right = before[cut], after[cut]
        peaks[left], after[left], removed[cut] = max(peaks[left], peaks[cut]), right, True
        if right < len(peaks):
            before[right] = left
        for near in (left, right):
            if 0 < near < len(peaks):
                current[near] = strength(near)
                if current[near] < 1:
                    heapq.heappush(queue, (current[near], near))
    kept = [number for number, is_removed in enumerate(removed) if not is_removed]
    yield from ((edges[one], edges[other], peaks[one]) for one, other in pairwise(kept))
