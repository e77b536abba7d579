"""Events in the bands of a spectrogram: find sounds that rise above the noise of their own bands.

An event begins where a level rises far above the running noise of its band. It contains all levels that are still
above the noise and touch it in time and frequency (hysteresis, Canny 1986, IEEE Trans. PAMI 8). Its mass, which is its
excess over the noise summed over time and bands, must exceed that of a drop of rain. In rain, with many drops close
together, the threshold rises until random drops rarely reach it (constant false-alarm rate, Finn and Johnson 1968, RCA
Review 29). Simultaneous sounds in separate bands are separate events, unless they begin and end together, as harmonics
do.

A field is processed in pieces of four minutes with context on both sides. The events do not depend on how much is read
at a time, and the memory does not grow with the length of a recording.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.loud_levels import LoudLevels, Runs
from audiosae.sounds.noise_floor import Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from audiosae.sounds.noise_floor import BandLevels

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Indices = NDArray[np.int64]

MIN_SECONDS, MAX_SECONDS = 0.08, 10.0
_PIECE_SECONDS = 240.0
_GAP_SECONDS = 0.15  # shorter silences do not end an event
_CUT_SECONDS = 0.6  # longest silence around a cut of a long sound
_START, _CONTINUE = 5.0, 4.0  # thresholds that begin and that continue an event, in spreads above the noise
_MASS = 0.0125  # least mass of an event: spreads above `_CONTINUE`, summed over seconds and the share of the bands
_CLUTTER = (0.0025, 0.0045, 0.0085)  # bounds of two ranges of mass; rain has many sounds in both, animals have few
_MANY = 10  # sounds in the lower range, per minute and in total; with fewer there is no rain
_TAIL = 1.5  # the masses of drops decrease more slowly than the exponential through both ranges, by this factor
_FALSE = 0.5  # false events per minute that rain may cause
_HEAVY = 60  # parts of sounds in the upper range, per minute, in heavy rain
_CHAIN = 4.0  # a chain of drops has less than this many times the mass that a drop exceeds once in two minutes
_PART = 0.1  # parts of a sound with less than this share of the mass of the largest part are separate
_TOGETHER = 0.7  # share of their time that sounds of one event have in common


def stretches(levels: BandLevels, *, shortest: float = MIN_SECONDS, longest: float = MAX_SECONDS) -> list[Stretch]:
    """Return the events of a recording in order.

    In a short recording, simultaneous sounds are one event. If nothing in it rises above its quietest part, the whole
    recording is sound.

    Parameters
    ----------
    shortest
        Least duration of an event, s.
    longest
        Sounds that last longer are cut into pieces of about this duration, s, which bounds the memory; consecutive
        pieces are joined again.
    """
    events = list(_stretches(levels, shortest, longest))
    if not levels.is_short_recording:
        rows = max(4, round(longest / levels.seconds_per_row))
        return _merged(_uncut(events, rows, round(_CUT_SECONDS / levels.seconds_per_row)))
    return _merged(events or list(_stretches(replace(levels, all_sound=True), shortest, longest)), of_shorter=True)


def _uncut(events: list[Stretch], longest: int, gap: int) -> list[Stretch]:
    """Join events that `_cut_long` cut: a multiple of `longest` lies in the short silence between them."""
    whole: list[Stretch | None] = []  # None for those that were joined to others
    before: dict[int, list[int]] = {}  # indices into `whole` of the events that end shortly before a cut
    for event in sorted(events, key=lambda one: one.start):
        row = event.start // longest * longest  # the last possible cut before the event
        near = [(i, whole[i]) for i in (before.get(row, []) if event.start > row else [])]
        joined = event
        for i, one in near:
            if one is not None and event.start - one.end <= gap + 1 and _share_bands(one, event):
                joined, whole[i] = _union([joined, one]), None
        cut = -(-joined.end // longest) * longest
        if cut - joined.end <= gap:
            before.setdefault(cut, []).append(len(whole))
        whole.append(joined)
    return sorted(filter(None, whole), key=lambda event: (event.start, event.low, event.end))


def _share_bands(one: Stretch, other: Stretch) -> bool:
    return one.low <= other.high and other.low <= one.high


def _union(events: list[Stretch]) -> Stretch:
    return Stretch(
        start=min(event.start for event in events),
        end=max(event.end for event in events),
        low=min(event.low for event in events),
        high=max(event.high for event in events),
        peak=max(event.peak for event in events),
    )


def _stretches(levels: BandLevels, shortest: float, longest: float) -> Iterator[Stretch]:
    seconds, count = levels.seconds_per_row, len(levels.field)
    most, gap = max(4, round(longest / seconds)), round(_GAP_SECONDS / seconds)
    piece, context, done = max(most, round(_PIECE_SECONDS / seconds)), 2 * (most + gap), 0
    loud = LoudLevels.none()
    for begin in range(0, count, piece):
        low, high = max(0, begin - context), min(count, begin + piece + context)
        loud = LoudLevels.joined([loud.only(loud.row >= low), LoudLevels.between(levels, done, high, _CONTINUE)])
        done = high
        events = _events_of(loud, low, high, bands=levels.bands, seconds=seconds, gap=gap, longest=most)
        yield from (
            event
            for event in events
            if begin <= event.start < begin + piece and event.end - event.start >= shortest / seconds
        )


def _events_of(
    loud: LoudLevels, low: int, high: int, *, bands: int, seconds: float, gap: int, longest: int
) -> list[Stretch]:
    """Return the events in consecutive rows of a field.

    Parameters
    ----------
    loud
        Levels above the threshold in rows `low` to below `high`.
    bands
        Number of bands of the field.
    seconds
        Duration of a row.
    gap, longest
        In rows.
    """
    runs, run = Runs.of(loud, gap, low, high)
    cuts = _cuts(runs, low, longest)
    if len(cuts):
        place = loud.band * runs.width + loud.row - low
        kept = ~np.isin(place, cuts)
        runs, loud = runs.without(cuts), loud.only(kept)
        run = runs.at(place[kept])
    number, count = runs.sounds()
    sounds = number[run]
    touching, run = Runs.of(loud, 0, low, high)
    parts, part_count = touching.sounds()
    excess = (loud.spreads - _CONTINUE) * np.float32(seconds / bands)
    large, belongs = _select(sounds, count, parts[run], part_count, excess, (high - low) * seconds / 60)
    strong = np.zeros(count + 1, bool)
    strong[sounds[loud.spreads > _START]] = True
    chosen = belongs & (strong & large)[sounds]
    return _stretches_of(loud.only(chosen), sounds[chosen])


def _stretches_of(levels: LoudLevels, sounds: Indices) -> list[Stretch]:
    """Return the extent of the levels of each sound, in the order of the numbers of the sounds."""
    order = np.argsort(sounds, kind="stable")
    first = np.flatnonzero(np.diff(sounds[order], prepend=0))
    row, band, decibels = levels.row[order], levels.band[order], levels.decibels[order]
    columns = (
        np.minimum.reduceat(row, first),
        np.maximum.reduceat(row, first) + 1,
        np.minimum.reduceat(band, first),
        np.maximum.reduceat(band, first),
        np.maximum.reduceat(decibels, first),
    )
    return [Stretch(*each) for each in zip(*(column.tolist() for column in columns), strict=True)]


def _select(  # noqa: PLR0917
    sounds: Indices, count: int, part: Indices, part_count: int, excess: Array, minutes: float
) -> tuple[Mask, Mask]:
    """Return which sounds are events, by number, and which loud levels belong to them.

    A sound consists of parts with silences between them: the syllables of a word, or a call and a drop of rain. A part
    belongs to an event if its mass is a share of that of the largest part, or enough for an event.

    In heavy rain, drops join into chains, whose mass is not informative. There, an event has one part that is larger
    than a drop, or more mass in total than a chain.

    Parameters
    ----------
    sounds, part
        Number of the sound and of the part of each loud level, from 1.
    count, part_count
        Number of sounds and of parts.
    excess
        Mass of each loud level.
    """
    mass = np.bincount(part, excess, minlength=part_count + 1).astype(np.float64)
    sound = np.zeros(part_count + 1, np.int64)
    sound[part] = sounds
    total, largest = np.bincount(sound, mass, minlength=count + 1).astype(np.float64), np.zeros(count + 1)
    np.maximum.at(largest, sound, mass)
    heavy = np.histogram(mass[1:], _CLUTTER)[0][1] >= _HEAVY * minutes
    drop = _least_mass(mass[1:], minutes) if heavy else _MASS
    least = drop if drop > _MASS else _least_mass(total[1:], minutes)
    belongs = (mass >= _PART * largest[sound]) | (mass > least)
    chains = (largest > drop) | (np.bincount(sound, mass * belongs, minlength=count + 1) > _CHAIN * drop)
    return chains if drop > _MASS else total > least, belongs[part]


def _least_mass(masses: NDArray[np.float64], minutes: float) -> float:
    """Return the least mass of an event: `_MASS`, or in rain the mass that drops exceed once in two minutes."""
    low, middle, high = _CLUTTER
    counts = np.histogram(masses, _CLUTTER)[0]
    lower, upper = (counts + np.array([0, 0.5])) / np.diff(_CLUTTER) / minutes
    if counts[0] < _MANY * max(1, minutes) or upper > 0.9 * lower:  # few sounds, or many of one kind and mass
        return _MASS
    scale = _TAIL * (high - low) / 2 / np.log(lower / upper)
    return max(_MASS, float((middle + high) / 2 + scale * np.log(max(upper * scale / _FALSE, 1))))


def _cuts(runs: Runs, first: int, longest: int) -> Indices:
    """Return the places at which sounds that are too long are cut: at multiples of `longest` rows of the file.

    Pieces that overlap cut a sound at the same rows, so that no part of it is found twice.

    Parameters
    ----------
    first
        Number of the first row in the file.
    """
    number, count = runs.sounds()
    band, begin = np.divmod(runs.first, runs.width)
    end = begin + runs.end - runs.first
    start, low = np.full((2, count + 1), np.iinfo(np.int64).max)
    stop, high = np.zeros((2, count + 1), np.int64)
    for least, values in ((start, begin), (low, band)):
        np.minimum.at(least, number, values)
    for most, values in ((stop, end), (high, band)):
        np.maximum.at(most, number, values)
    places, edge = [np.empty(0, np.int64)], longest // 4
    for sound in np.flatnonzero(stop - start > longest).tolist():
        earliest = -(-(first + int(start[sound]) + edge) // longest) * longest - first
        rows = np.arange(earliest, int(stop[sound]) - edge, longest)
        places.append(np.add.outer(np.arange(low[sound], high[sound] + 1) * runs.width, rows).reshape(-1))
    return np.unique(np.concatenate(places))


def _merged(events: list[Stretch], *, of_shorter: bool = False) -> list[Stretch]:
    """Join sounds that have most of their time in common; return them in order of their start."""
    merged: list[Stretch] = []
    active: list[int] = []  # indices of those that may overlap the next one
    for one in sorted(events, key=lambda event: (event.start, event.low, event.end)):
        active = [i for i in active if merged[i].end > one.start]
        for i in reversed(active):
            if _common_share(one, merged[i], of_shorter=of_shorter) >= _TOGETHER:
                merged[i] = _union([one, merged[i]])
                break
        else:
            active.append(len(merged))
            merged.append(one)
    return sorted(merged, key=lambda event: (event.start, event.low, event.end))


def _common_share(one: Stretch, other: Stretch, *, of_shorter: bool) -> float:
    """Return the time that two sounds have in common as a share of the shorter one, or of their common span."""
    common = min(one.end, other.end) - max(one.start, other.start)
    if of_shorter:
        return common / min(one.end - one.start, other.end - other.start)
    return common / (max(one.end, other.end) - min(one.start, other.start))
