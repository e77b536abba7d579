"""Detection of events in a recording: broadband events where they are reliable, events of single bands elsewhere.

Two detectors complement each other. The broadband level has a resolution of some milliseconds, but rain, wind and weak
sounds of few bands defeat it. The detector of bands (`audiosae.sounds.band_events`) is robust and sensitive, but joins
the syllables of a song. So broadband events are used inside the events of bands that they cover or in which they are
strong, and outside of them if they are strong. Where most broadband events are outside the events of bands and not
strong, there is rain or wind, and only the events of bands are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.band_events import MIN_SECONDS, stretches
from audiosae.sounds.broadband import parts_of
from audiosae.sounds.noise_floor import QUIET_ROWS, SHORT_DEPTH, is_blank

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.sounds.noise_floor import BandLevels

    Array = NDArray[np.float64]

_INSIDE = 0.5  # share of a broadband event that lies in an event of bands
_STRONG, _STRONG_OUTSIDE = 15.0, 16.0  # spreads of the noise: least peak in an event of bands, and outside of all
_COVER, _COVERED = 0.5, 0.3  # share of an event of bands: replaced by what covers it; covered by others
_BLANK = 0.3  # share of digital zeros, beside which there is no weather
_PERIOD, _NEIGHBOURS = 60.0, 1  # s, in which rain and wind are recognised; periods on each side that count
_OUTSIDE, _GUST = 0.3, 30.0  # share of the mass outside events of bands, and dB below which that is rain or wind
_CLUTTER, _SMALL = 0.02, 0.3  # share of the mass of all events that the smallest may have together; of a typical mass
_QUIET_QUANTILE = 0.1  # of the levels, where too few rows have no event
_MOST_ROWS = 600  # to measure the background of a period
_HALF, _LEAST_RISE = 0.5, 3.0  # share of the highest rise of a band (dB) that counts as the sound; least rise
_APART, _SAME = 0.1, 0.8  # share of the shorter one that simultaneous events have in common; IoU of the same sound
_APART_SECONDS = 0.1  # s that long simultaneous events have in common
_LEAST_SINGLE = 0.3  # s, of a simultaneous sound in separate bands


@dataclass(frozen=True)
class DetectorOptions:
    """The user's options of event detection.

    Attributes
    ----------
    min_gap
        Shortest pause between two events, s; None for the resolution of the detector.
    min_duration
        Shortest event, s; None chooses it.
    min_level
        Least peak above the noise, dB.
    low_hz, high_hz
        Range of frequencies; high_hz 0 has no upper limit.
    """

    min_gap: float | None = None
    min_duration: float | None = None
    min_level: float = 0.0
    low_hz: float = 0.0
    high_hz: float = 0.0


@dataclass(frozen=True)
class Detections:
    """Events of one recording in order of their start, an array of (events,) or (events, bands) for each attribute.

    Attributes
    ----------
    start, end
        In seconds.
    low, high
        First and last band.
    peak
        Strongest level above the background, dB.
    alone
        Whether the event is in rain or wind, or one of two simultaneous ones in separate bands, and therefore not
        joined to others.
    parallel
        Whether the event is of some bands of a longer sound with other events.
    spectrum
        Mean rise above the background, unit norm.
    """

    start: Array
    end: Array
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    peak: NDArray[np.float32]
    alone: NDArray[np.bool_]
    parallel: NDArray[np.bool_]
    spectrum: NDArray[np.float16]

    def __len__(self) -> int:
        return len(self.start)

    def only(self, chosen: NDArray[np.bool_ | np.intp]) -> Detections:
        """Return some of the events."""
        return Detections(*(column[chosen] for column in vars(self).values()))


def detect(levels: BandLevels, field: NDArray[np.float32], options: DetectorOptions) -> Detections:
    """Find the events of a recording.

    Parameters
    ----------
    levels
        Its spectrogram; a part of the bands if the options have a range of frequencies.
    field
        Its broadband events (`audiosae.sounds.broadband.BroadbandEvents`).
    """
    broad = _joined(_broadband(field), options.min_gap or 0.0)
    of_bands = stretches(levels, shortest=min(MIN_SECONDS, options.min_duration or MIN_SECONDS))
    whole = np.array([(e.start, e.end, e.low, e.high) for e in of_bands], np.float64).reshape(-1, 4)
    times = whole[:, :2] * levels.seconds_per_row
    keep, uncut, alone = _choose(levels, broad, times, np.array([e.peak for e in of_bands]))
    pairs = _parallel(times, whole[:, 2:])
    keep, single, same = _split(broad, keep, times, pairs)
    parallel = np.array(
        sorted({i for pair in pairs for i in pair} - {*uncut.tolist(), *single, *same.values()}), np.intp
    )
    uncut = np.concatenate([uncut, np.array(sorted(single - set(uncut.tolist())), np.intp)])
    alone[list(single)] = True
    own = np.concatenate([uncut, parallel])
    spans = np.concatenate([broad[keep, :2], times[own]])
    sources = [*(same.get(i, -1) for i in np.flatnonzero(keep).tolist()), *own.tolist()]
    detections = _described(
        levels,
        spans,
        boxes={i: (int(whole[c, 2]), int(whole[c, 3])) for i, c in enumerate(sources) if c >= 0},
        alone=np.concatenate([np.zeros(int(keep.sum()), bool), alone[uncut], np.zeros(len(parallel), bool)]),
        parallel=np.arange(len(spans)) >= len(spans) - len(parallel),
        busy=np.concatenate([broad[:, :2], times]),
    )
    lasting = detections.end - detections.start >= (options.min_duration or 0.0)
    return detections.only(lasting & (detections.peak >= options.min_level))


def _broadband(field: NDArray[np.float32]) -> Array:
    """Return start (s), end (s), peak (dB) and spread (dB) of each broadband event, (events, 4)."""
    rows = parts_of(field)[1].astype(np.float64)
    start = rows[:, 0] + rows[:, 1]
    return np.stack([start, start + rows[:, 2], rows[:, 3], rows[:, 4]], axis=1)


def _joined(events: Array, gap: float) -> Array:
    """Join events with pauses shorter than `gap`, in seconds."""
    if not gap or len(events) < 2:  # noqa: PLR2004 (one event has no pause)
        return events
    first = np.flatnonzero(np.concatenate([[True], events[1:, 0] - events[:-1, 1] >= gap]))
    last = np.concatenate([first[1:], [len(events)]]) - 1
    peak, spread = (np.maximum.reduceat(events[:, column], first) for column in (2, 3))
    return np.stack([events[first, 0], events[last, 1], peak, spread], axis=1)


def _choose(
    levels: BandLevels, broad: Array, times: Array, peaks: Array
) -> tuple[NDArray[np.bool_], NDArray[np.intp], NDArray[np.bool_]]:
    """Return which broadband events and which events of bands are events, and which of the latter are in weather.

    Parameters
    ----------
    broad
        See `_broadband`.
    times, peaks
        Start and end in seconds, (events, 2), and peak in dB of the events of bands.
    """
    common, owner, touching = _overlaps(broad, times)
    outside = owner < 0
    mass = (broad[:, 1] - broad[:, 0]) * broad[:, 2]
    weather, gated = _weather(broad, mass, outside, levels)
    stormy, storm = weather[_period(broad[:, :2])], weather[_period(times)]
    keep = outside & (gated[_period(broad[:, :2])] | (broad[:, 2] >= _STRONG_OUTSIDE * broad[:, 3]))
    uncut: list[int] = []
    for number, (first, last) in enumerate(touching):
        inside = slice(first, last)
        strong = (broad[inside, 2] >= _STRONG * broad[inside, 3]).any()
        if not storm[number] and (strong or common[number] >= _COVER * (times[number, 1] - times[number, 0])):
            keep[inside] |= owner[inside] == number
        else:
            uncut.append(number)
    keep &= ~stormy
    kept = broad[keep, :2]
    covered, _, _ = _overlaps(kept, times)
    chosen = np.array([i for i in uncut if storm[i] or covered[i] < _COVERED * (times[i, 1] - times[i, 0])], np.intp)
    masses = np.concatenate([mass[keep], (times[chosen, 1] - times[chosen, 0]) * peaks[chosen]])
    spans = np.concatenate([kept, times[chosen]])
    large = _not_clutter(spans, masses) | np.concatenate([np.zeros(len(kept), bool), storm[chosen]])
    keep[np.flatnonzero(keep)[~large[: len(kept)]]] = False
    return keep, chosen[large[len(kept) :]], storm


def _overlaps(broad: Array, times: Array) -> tuple[Array, NDArray[np.intp], list[tuple[int, int]]]:
    """Return how broadband events and events of bands overlap.

    Returns
    -------
    common
        Seconds of each event of bands that are covered, (events of bands,).
    owner
        Event of bands in which most of each broadband event lies, or -1, (broadband events,).
    touching
        First broadband event that touches each event of bands, and the one after the last.
    """
    owner, most = np.full(len(broad), -1, np.intp), np.zeros(len(broad))
    common, touching = np.zeros(len(times)), []
    for number, (begin, end) in enumerate(times):
        first = int(np.searchsorted(broad[:, 1], begin, "right"))
        last = max(first, int(np.searchsorted(broad[:, 0], end)))
        shared = np.minimum(broad[first:last, 1], end) - np.maximum(broad[first:last, 0], begin)
        common[number] = shared.sum()
        more = shared > most[first:last]
        most[first:last][more] = shared[more]
        owner[first:last][more] = number
        touching.append((first, last))
    owner[most < _INSIDE * (broad[:, 1] - broad[:, 0])] = -1
    return common, owner, touching


def _period(spans: Array) -> NDArray[np.intp]:
    return np.asarray(spans[:, :2].mean(axis=1) / _PERIOD, np.intp)


def _weather(
    broad: Array, mass: Array, outside: NDArray[np.bool_], levels: BandLevels
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return in which periods there is rain or wind, and which have so many digital zeros that bands have no noise.

    In rain and wind, most broadband events are weak and outside events of bands.
    """
    count = 1 + int(len(levels.field) * levels.seconds_per_row / _PERIOD)
    weather, period = np.zeros(count, bool), np.minimum(_period(broad), count - 1)
    gated = np.zeros(count, bool)
    if levels.is_short_recording:
        return weather, gated
    for number in range(count):
        near = np.abs(period - number) <= _NEIGHBOURS
        clutter = near & outside
        first, last = (int((number + i) * _PERIOD / levels.seconds_per_row) for i in (0, 1))
        rows = levels.field[first:last]
        gated[number] = bool(len(rows)) and is_blank(rows).mean() >= _BLANK
        if clutter.any() and not gated[number]:
            share = mass[clutter].sum() / mass[near].sum()
            weather[number] = share > _OUTSIDE and np.median(broad[clutter, 2]) < _GUST
    return weather, gated


def _not_clutter(spans: Array, mass: Array) -> NDArray[np.bool_]:
    """Return which events are not among the smallest ones of their surroundings, which have little mass together."""
    period, large = _period(spans), np.ones(len(spans), bool)
    for number in np.unique(period):
        near = np.flatnonzero(np.abs(period - number) <= _NEIGHBOURS)
        order = near[np.argsort(mass[near], kind="stable")]
        total = np.cumsum(mass[order])
        typical = mass[order[np.searchsorted(total, total[-1] / 2)]]
        small = order[(total <= _CLUTTER * total[-1]) & (mass[order] < _SMALL * typical)]
        large[small[period[small] == number]] = False
    return large


def _parallel(times: Array, bands: Array) -> list[tuple[int, int]]:
    """Return the pairs of events of bands that overlap in time but have no band in common."""
    pairs = []
    for i, (begin, end) in enumerate(times):
        for j in range(i + 1, len(times)):
            if times[j, 0] >= end:
                break
            shared = min(end, times[j, 1]) - times[j, 0]
            shorter = min(end - begin, times[j, 1] - times[j, 0])
            apart = bands[i, 0] > bands[j, 1] or bands[j, 0] > bands[i, 1]
            if apart and shared > min(_APART * shorter, _APART_SECONDS):
                pairs.append((i, j))
    return pairs


def _split(
    broad: Array, keep: NDArray[np.bool_], times: Array, pairs: list[tuple[int, int]]
) -> tuple[NDArray[np.bool_], set[int], dict[int, int]]:
    """Split broadband events that hold two simultaneous sounds in separate bands.

    Returns
    -------
    keep
        Which broadband events remain.
    single
        Events of bands that are events of their own.
    same
        Event of bands that is the same sound as a broadband event, by the number of the latter.
    """
    keep = keep.copy()
    single: set[int] = set()
    same: dict[int, int] = {}
    for pair in pairs:
        union = np.array([times[list(pair), 0].min(), times[list(pair), 1].max()])
        near = range(*np.searchsorted(broad[:, 1], union[:1], "right"), *np.searchsorted(broad[:, 0], union[1:]))
        alike = [i for i in near if keep[i] and _common(broad[i], union) >= _SAME]
        if not alike:
            continue
        equal = [k for k in pair if _common(times[k], broad[alike[0]]) >= _SAME]
        if equal:
            same[alike[0]] = equal[0]
            single.update(k for k in pair if k != equal[0] and times[k, 1] - times[k, 0] >= _LEAST_SINGLE)
        elif min(times[k, 1] - times[k, 0] for k in pair) >= _LEAST_SINGLE:
            keep[alike[0]] = False
            single.update(pair)
    return keep, single, {i: own for i, own in same.items() if keep[i]}


def _common(one: Array, other: Array) -> float:
    """Return the intersection over union of two spans."""
    shared = min(one[1], other[1]) - max(one[0], other[0])
    return float(max(shared, 0) / (max(one[1], other[1]) - min(one[0], other[0])))


def _described(
    levels: BandLevels,
    spans: Array,
    *,
    boxes: dict[int, tuple[int, int]],
    alone: NDArray[np.bool_],
    parallel: NDArray[np.bool_],
    busy: Array,
) -> Detections:
    """Measure frequency range, peak and spectrum of events.

    Parameters
    ----------
    spans
        Start and end in seconds, (events, 2).
    boxes
        First and last band of the events of bands.
    busy
        Start and end of everything that is not background.
    """
    count, second, rows = len(spans), levels.seconds_per_row, len(levels.field)
    background = _background(levels, busy)
    low, high, peak = np.zeros(count, np.int32), np.zeros(count, np.int32), np.zeros(count, np.float32)
    spectrum = np.zeros((count, levels.bands), np.float16)
    first = np.clip((spans[:, 0] / second).astype(int), 0, rows - 1)
    last = np.clip(np.ceil(spans[:, 1] / second).astype(int), first + 1, rows)
    period = np.minimum(_period(spans), len(background) - 1)
    for i in range(count):
        rise = np.maximum(levels.field[first[i] : last[i]] - background[period[i]], 0)
        mean = rise.mean(axis=0)
        spectrum[i] = mean / max(float(np.linalg.norm(mean)), 1e-9)
        heard = np.flatnonzero(mean >= max(_HALF * float(mean.max()), min(_LEAST_RISE, float(mean.max()))))
        low[i], high[i] = boxes.get(i, (int(heard[0]), int(heard[-1])))
        peak[i] = rise[:, low[i] : high[i] + 1].max()
    order = np.lexsort((low, spans[:, 0]))
    end = np.minimum(spans[:, 1], rows * second)
    return Detections(spans[:, 0], end, low, high, peak, alone, parallel, spectrum).only(order)


def _background(levels: BandLevels, busy: Array) -> NDArray[np.float32]:
    """Return the median level of each band in the rows of each period without events, (periods, bands)."""
    second, rows = levels.seconds_per_row, len(levels.field)
    quiet = levels.quiet_rows(busy)
    background = []
    for number in range(1 + int(rows * second / _PERIOD)):
        near = slice(
            max(0, int((number - _NEIGHBOURS) * _PERIOD / second)), int((number + 1 + _NEIGHBOURS) * _PERIOD / second)
        )
        own = near.start + np.flatnonzero(quiet[near])
        enough = len(own) >= QUIET_ROWS
        own = own if enough else np.arange(near.start, min(near.stop, rows))
        sample = np.asarray(levels.field[own[:: max(1, len(own) // _MOST_ROWS)]])
        background.append(np.median(sample, axis=0) if enough else np.quantile(sample, _QUIET_QUANTILE, axis=0))
    most = levels.loudest - SHORT_DEPTH if levels.is_short_recording else np.inf  # all of it may be sound
    return np.minimum(np.array(background, np.float32), np.float32(most))
