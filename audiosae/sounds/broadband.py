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
from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from audiosae.domain import Domain
from audiosae.recordings import audio, bands
from audiosae.sounds.noise_floor import FAST_SORT, filled

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

COLUMNS = 5  # of the field: whole seconds and remainder of the start, duration (s), peak and spread (dB)
FLOOR_SECONDS = 60.0  # of each value of the noise floor
_UNKNOWN = 1000.0  # dB: a noise floor that is not known, because the values of a field are finite
_HOPS = 4  # per transform
_KNOT_SECONDS, _REACH = 5.0, 3  # between knots of the noise; knots on each side of which the levels are used
_FLOOR_ROWS = 100  # rows between two knots from which the noise floor is measured, each the mean of `_MEANS` frames
_MEANS, _FLOOR_QUANTILE = 4, 0.1
_LEAST_ROWS = 8  # for a noise floor
_NO_NOISE = 10.0  # ratio of the median power to a low quantile; with less, there is no noise beside the sound
_FLAT_LEVEL = 40.0  # dB; a higher median level is relative to the fixed floor of a recording without noise
_CONTINUOUS = 0.5  # share of the time between two knots: with shorter parts between digital zeros there is no noise
_LEAST_OF_MEDIAN, _LEAST_OF_LARGEST = 1e-3, 1e-9  # of the median floor, of the largest power: least floor of a bin
_LOW_SHARE, _FIRST_SHARE, _SHARE = (
    0.3,
    0.15,
    0.3,
)  # of the values: the lowest; in the first and later shortest intervals
_ROUNDS, _NOISE = 6, 3.0  # repetitions; spreads above the middle up to which a level may be noise
_LEAST_SPREAD, _NORMAL = 0.1, 0.6745  # dB; median of half a standard normal distribution
_NOISE_VALUES = 4000  # at most, around a knot
_CONTINUE, _START = (4.0, 2.0, 5.0), (8.0, 3.0, 10.0)  # thresholds in spreads, at least and at most this many dB
_SHARE_OF_PEAK, _DEPTH = 0.3, 30.0  # an event ends at this share of its peak (dB above noise), or this far below
_VALLEY = 6.0  # dB from the lower peak down to a minimum that separates two events
_JOINED, _JOINED_SOFT, _SHORTEST = 2, 5, 7  # in hops: shorter pauses are joined, shorter events are left out
_SOFT = 20.0  # dB above the noise: noise alone interrupts softer sounds
_FRAMES_AT_ONCE = 2**16
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
    suffixes: ClassVar[tuple[str, ...]] = audio.SUFFIXES
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
        """Yield the noise floor and the events of a recording as one block, which is never empty."""
        notes: list[str] = []

        def samples() -> Iterator[Array]:
            notes.append((yield from audio.read_mono(path, self.sample_rate, self.channel)))

        n_fft, second = _HOPS * self.hop, self.seconds_per_frame
        width = self.sample_rate / n_fft
        first = max(1, int(np.ceil(self.low_hz / width)))
        last = max(first + 1, 1 + int((self.high_hz or self.sample_rate / 2) / width))
        powers = bands.power_frames(samples(), n_fft, self.hop, lambda power: power[:, first:last])
        level = broadband_level(powers, max(_MEANS * _LEAST_ROWS, round(_KNOT_SECONDS / second)))
        begin, end, peak, spread = level.events().T
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


@dataclass(frozen=True)
class BroadbandLevel:
    """Level of a recording in dB, and the middle and spread of its noise at knots that are `pitch` frames apart.

    Attributes
    ----------
    level
        (frames,); minus infinity for digital zeros.
    noise
        (knots, 2).
    floor
        Power of the noise floor of all bins in dB, NaN where it is not known, (knots,).
    """

    level: NDArray[np.float16]
    noise: NDArray[np.float64]
    pitch: int
    floor: Array

    def at(self, first: int, last: int) -> tuple[Array, Array]:
        """Return the level above the middle of the noise, and its spread, of frames `first` to below `last`."""
        knots = (np.arange(len(self.noise)) + 0.5) * self.pitch
        middle, spread = (np.interp(np.arange(first, last), knots, part) for part in self.noise.T)
        return (self.level[first:last] - middle).astype(np.float32), spread.astype(np.float32)

    def events(self) -> NDArray[np.float64]:
        """Return first frame, frame after the last, peak and spread of each event, (events, 4)."""
        active = np.zeros(len(self.level) + 2, np.int8)
        strong: list[NDArray[np.int64]] = []
        for first in range(0, len(self.level), _FRAMES_AT_ONCE):
            last = min(len(self.level), first + _FRAMES_AT_ONCE)
            level, spread = self.at(first, last)
            active[first + 1 : last + 1] = level > _threshold(spread, _CONTINUE)
            strong.append(first + np.flatnonzero(level > _threshold(spread, _START)))
        edges = np.flatnonzero(np.diff(active)).reshape(-1, 2)
        peaks = np.concatenate([*strong, np.empty(0, np.int64)])
        loud = np.searchsorted(peaks, edges[:, 1]) > np.searchsorted(peaks, edges[:, 0])
        events: list[tuple[int, int, float, float]] = []
        first = last = 0  # of the frames in memory
        for begin, end in edges[loud].tolist():
            if end > last:
                first, last = begin, min(len(self.level), max(end, begin + _FRAMES_AT_ONCE))
                level, spread = self.at(first, last)
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


def broadband_level(powers: Iterator[Array], pitch: int) -> BroadbandLevel:
    """Measure the broadband level of a recording from the power of its frames.

    Parameters
    ----------
    powers
        Blocks of shape (frames, bins).
    pitch
        Frames between knots of the noise.
    """
    floors: list[Array | None] = []
    parts = list(_whitened_levels(_segments(powers, pitch), floors))
    level = np.concatenate(parts) if parts else np.empty(0, np.float16)
    knots = -(-len(level) // pitch)
    noise = [_noise_of(level[max(0, (k - _REACH) * pitch) : (k + _REACH + 1) * pitch]) for k in range(knots)]
    known = any(each is not None for each in noise)
    power = np.array([np.nan if floor is None else float(floor.sum(dtype=np.float64)) for floor in floors])
    with np.errstate(divide="ignore"):
        decibels = (10 * np.log10(power)).astype(np.float32)
    return BroadbandLevel(level, np.array(filled(noise) if known else [(0.0, np.inf)], np.float64), pitch, decibels)


def _segments(blocks: Iterator[Array], count: int) -> Iterator[Array]:
    """Yield the rows of blocks again, `count` at a time; the last rows may be fewer."""
    pending: list[Array] = []
    rows = 0
    for block in blocks:
        pending.append(block)
        rows += len(block)
        if rows >= count:
            whole = np.concatenate(pending)
            yield from (whole[at : at + count] for at in range(0, rows - rows % count, count))
            pending, rows = [whole[rows - rows % count :].copy()], rows % count
    if rows:
        yield np.concatenate(pending)


def _whitened_levels(segments: Iterator[Array], floors: list[Array | None]) -> Iterator[NDArray[np.float16]]:
    """Yield the level of each segment: 5 log10 of the mean square over all bins of power divided by noise floor.

    The noise floor is measured at the middle of each segment, from its neighbours, and interpolated linearly. It is
    appended to `floors`.
    """
    pending: deque[Array] = deque()  # segments without a level, then those that only served for their floor
    samples: deque[tuple[Array, bool]] = deque(maxlen=2 * _REACH + 1)
    count = done = 0

    def floor() -> Array | None:
        near = list(samples)[max(0, len(floors) - (count - len(samples)) - _REACH) :]
        return _floor_of(np.concatenate([rows for rows, _ in near]), gated=all(gated for _, gated in near))

    for segment in segments:
        pending.append(segment)
        samples.append((_sample_of(segment), _is_gated(_heard(segment))))
        count += 1
        if count > _REACH:
            floors.append(floor())
        if len(floors) > done + 1:
            yield _level_of(pending.popleft(), floors, done)
            done += 1
    while len(floors) < count:
        floors.append(floor())
    while pending:
        yield _level_of(pending.popleft(), floors, done)
        done += 1


def _sample_of(segment: Array) -> Array:
    """Return some means of a few consecutive frames, without digital zeros."""
    width = min(_MEANS, len(segment))
    count = len(segment) // width
    chosen = segment[: count * width].reshape(count, width, -1)[:: max(1, count // _FLOOR_ROWS)]
    rows = np.asarray(sum(chosen[:, i] for i in range(width)) / np.float32(width))
    return np.asarray(rows[_heard(rows)])


def _heard(rows: Array) -> NDArray[np.bool_]:
    """Return which rows of power are not digital zeros."""
    heard = rows[:, 0] > 0  # is enough for almost all of them
    unclear = np.flatnonzero(~heard)
    heard[unclear] = rows[unclear].any(axis=1)
    return heard


def _is_gated(heard: NDArray[np.bool_]) -> bool:
    """Return whether digital zeros leave only short parts of some frames, as a noise gate or an editor does."""
    if heard.all():
        return False
    edges = np.flatnonzero(np.diff(heard, prepend=False, append=False)).reshape(-1, 2)
    return int(np.diff(edges, axis=1).max(initial=0)) < _CONTINUOUS * len(heard)


def _floor_of(rows: Array, *, gated: bool) -> Array | None:
    """Return the noise floor of each bin; None if there are too few rows.

    If digital zeros replace all noise, it is a fixed depth below the largest power.
    """
    if gated and len(rows):
        total = rows.sum(axis=1)
        if np.median(total) < _NO_NOISE * np.quantile(total, _FLOOR_QUANTILE):
            return np.full(rows.shape[1], _LEAST_OF_LARGEST * float(rows.max()), np.float32)
    if len(rows) < _LEAST_ROWS:
        return None
    rank = int(_FLOOR_QUANTILE * (len(rows) - 1))
    lowest = [  # of parts that are faster to partition than all rows
        np.partition(part, min(rank, len(part) - 1), axis=0)[: rank + 1]
        for part in np.array_split(rows, -(-len(rows) // FAST_SORT))
    ]
    floor = np.partition(np.concatenate(lowest), rank, axis=0)[rank]
    return np.asarray(
        np.maximum(floor, max(_LEAST_OF_MEDIAN * float(np.median(floor)), _LEAST_OF_LARGEST * float(rows.max())))
    )


def _level_of(segment: Array, floors: list[Array | None], number: int) -> NDArray[np.float16]:
    near = [floors[i] for i in (number - 1, number, number + 1) if 0 <= i < len(floors)]
    known = [each for each in near if each is not None]
    own = floors[number]
    if not known:
        return np.full(len(segment), -np.inf, np.float16)
    own = known[0] if own is None else own
    before, after = (
        floors[i] if 0 <= i < len(floors) and floors[i] is not None else own for i in (number - 1, number + 1)
    )
    weight = np.abs((np.arange(len(segment), dtype=np.float32) + 0.5) / len(segment) - 0.5)
    half = len(segment) // 2
    square = np.empty(len(segment), np.float32)
    for rows, other in ((slice(0, half), before), (slice(half, None), after)):
        # the whitened power is segment / own * (1 + weight * change): its square is a polynomial of the weight
        change = own / np.asarray(other) - 1
        power = segment[rows] * (1 / own)
        power *= power
        constant, linear, quadratic = (power @ np.stack([np.ones_like(own), 2 * change, change**2], axis=1)).T
        square[rows] = constant + weight[rows] * (linear + weight[rows] * quadratic)
    square /= segment.shape[1]
    with np.errstate(divide="ignore"):
        return (5 * np.log10(square)).astype(np.float16)


def _noise_of(level: NDArray[np.float16]) -> tuple[float, float] | None:
    """Return middle and spread of the noise in levels that may be sound for most of the time; None for too few.

    The middle is that of the shortest interval with a share of the values, at first among the lowest ones. Values far
    above it are left out, and this is repeated. The spread is measured below the middle, where there is no sound.
    """
    heard = np.flatnonzero(np.isfinite(level))
    values = np.sort(level[heard[:: max(1, len(heard) // _NOISE_VALUES)]].astype(np.float32))
    if len(values) and values[len(values) // 2] > _FLAT_LEVEL:
        return 0.0, _LEAST_SPREAD
    if len(values) < _LEAST_ROWS * _MEANS:
        return None
    middle = _densest(values[: int(_LOW_SHARE * len(values))], int(_FIRST_SHARE * len(values)))
    for _ in range(_ROUNDS):
        below = values[: np.searchsorted(values, middle)]
        spread = max(_LEAST_SPREAD, float(middle - below[len(below) // 2]) / _NORMAL) if len(below) else _LEAST_SPREAD
        noise = values[: np.searchsorted(values, middle + _NOISE * spread, "right")]
        middle = _densest(noise, int(_SHARE * len(noise)))
    return middle, spread


def _densest(values: Array, count: int) -> float:
    """Return the middle of the shortest interval that holds `count` of some sorted values."""
    count = min(max(2, count), len(values))
    width = values[count - 1 :] - values[: len(values) - count + 1]
    at = int(width.argmin())
    return float(values[at] + values[at + count - 1]) / 2


def cut_at_minima(level: Array, least: float) -> Iterator[tuple[int, int, float]]:
    """Yield first frame, frame after the last, and peak of each event in a region of levels above the noise.

    Parameters
    ----------
    level
        dB above the noise, (frames,).
    least
        Least peak of an event, dB.
    """
    low = np.flatnonzero(level[1:-1] < _end_level(float(level.max()))) + 1
    minima = low[(level[low] <= level[low - 1]) & (level[low] < level[low + 1])]
    for first, last in _strong_cuts(level, minima.tolist()) if len(minima) else ((0, len(level)),):
        part = level[first:last]
        peak = float(part.max())
        if peak > least:
            inside = np.flatnonzero(part >= _end_level(peak))
            yield first + int(inside[0]), first + int(inside[-1]) + 1, peak


def _end_level(peak: float) -> float:
    """Return the level at which an event with this peak ends."""
    return max(_SHARE_OF_PEAK * peak, peak - _DEPTH)


def _strong_cuts(level: Array, cuts: list[int]) -> Iterator[tuple[int, int]]:
    """Yield the parts between those minima that separate events: the weakest cuts are removed, one after another."""
    edges = [0, *cuts, len(level)]
    peaks = [float(part.max()) for part in np.split(level, cuts)]
    # part i lies between edges i and i + 1; cut i is at edge i; removed cuts join a part to the one before
    before, after = list(range(-1, len(peaks) - 1)), list(range(1, len(peaks) + 1))
    removed = [False] * (len(peaks) + 1)

    def strength(cut: int) -> float:
        valley = max(float(level[edges[cut]]), 1e-6)
        low, high = sorted((peaks[before[cut]], peaks[cut]))
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
    kept = [edge for number, edge in enumerate(edges) if not removed[number]]
    yield from pairwise(kept)
