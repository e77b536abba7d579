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

from audiosae.sounds.noise_floor import Stretch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from audiosae.sounds.noise_floor import BandLevels

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Labels = NDArray[np.int32]

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
_TOUCHING = np.ones((3, 3), int)
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
    piece, context = max(most, round(_PIECE_SECONDS / seconds)), 2 * (most + gap)
    for begin in range(0, count, piece):
        low, high = max(0, begin - context), min(count, begin + piece + context)
        rise, beyond = levels.rise(low, high)
        events = _events_of(beyond, rise, low, seconds=seconds, gap=gap, longest=most)
        yield from (
            event
            for event in events
            if begin <= event.start < begin + piece and event.end - event.start >= shortest / seconds
        )


def _events_of(beyond: Array, rise: Array, first: int, *, seconds: float, gap: int, longest: int) -> list[Stretch]:
    """Return the events in consecutive rows of a field.

    Parameters
    ----------
    beyond
        Spreads by which each level exceeds the median of the noise.
    rise
        The same in dB.
    first
        Number of the first row in the field.
    seconds
        Duration of a row.
    gap, longest
        In rows.
    """
    from scipy import ndimage

    loud = beyond > _CONTINUE
    heard = _joined(loud, gap)
    labels, _ = ndimage.label(heard, _TOUCHING)
    if _cut_long(heard, ndimage.find_objects(labels), first, longest):
        labels, _ = ndimage.label(heard, _TOUCHING)
    loud &= heard
    spreads, sounds = beyond[loud], labels[loud]
    excess = (spreads - _CONTINUE) * np.float32(seconds / beyond.shape[1])
    large, belongs = _select(loud, sounds, excess, len(beyond) * seconds / 60)
    strong = np.zeros(len(large), bool)
    strong[sounds[spreads > _START]] = True
    bodies = np.zeros_like(labels)
    bodies[loud] = np.where(belongs, sounds, 0)
    boxes, events = ndimage.find_objects(bodies), []
    for number in np.flatnonzero(strong & large):
        time, band = boxes[number - 1]
        peak = float(rise[time, band][bodies[time, band] == number].max())
        events.append(Stretch(first + time.start, first + time.stop, band.start, band.stop - 1, peak))
    return events


def _select(loud: Mask, sounds: Labels, excess: Array, minutes: float) -> tuple[Mask, Mask]:
    """Return which sounds are events, by number, and which loud levels belong to them.

    A sound consists of parts with silences between them: the syllables of a word, or a call and a drop of rain. A part
    belongs to an event if its mass is a share of that of the largest part, or enough for an event.

    In heavy rain, drops join into chains, whose mass is not informative. There, an event has one part that is larger
    than a drop, or more mass in total than a chain.

    Parameters
    ----------
    loud
        Levels above the threshold.
    sounds
        Number of the sound of each loud level, from 1.
    excess
        Mass of each loud level.
    """
    from scipy import ndimage

    parts, count = ndimage.label(loud, _TOUCHING)
    part = parts[loud]
    mass = np.bincount(part, excess, minlength=count + 1).astype(np.float64)
    sound = np.zeros(count + 1, np.int32)
    sound[part] = sounds
    total, largest = np.bincount(sound, mass).astype(np.float64), np.zeros(sound.max() + 1)
    np.maximum.at(largest, sound, mass)
    heavy = np.histogram(mass[1:], _CLUTTER)[0][1] >= _HEAVY * minutes
    drop = _least_mass(mass[1:], minutes) if heavy else _MASS
    least = drop if drop > _MASS else _least_mass(total[1:], minutes)
    belongs = (mass >= _PART * largest[sound]) | (mass > least)
    chains = (largest > drop) | (np.bincount(sound, mass * belongs) > _CHAIN * drop)
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


def _joined(heard: Mask, gap: int) -> Mask:
    """Close silences of at most `gap` rows in each band."""
    rows, bands = heard.shape
    joined = np.zeros((bands, rows + gap + 1), bool)  # with a longer silence between bands
    joined[:, :rows] = heard.T
    at = np.flatnonzero(joined)
    silence = np.diff(at) - 1
    short = np.flatnonzero((silence > 0) & (silence <= gap))
    count = silence[short]
    joined.reshape(-1)[np.repeat(at[short] + 1 - np.cumsum(count) + count, count) + np.arange(count.sum())] = True
    return np.ascontiguousarray(joined[:, :rows].T)


def _cut_long(heard: Mask, boxes: list[tuple[slice, slice]], first: int, longest: int) -> bool:
    """Cut sounds that are too long at multiples of `longest` rows from the start of the file; return whether any was.

    Pieces that overlap cut a sound at the same rows, so that no part of it is found twice.
    """
    cut = False
    for time, band in boxes:
        if time.stop - time.start > longest:
            edge = longest // 4
            rows = np.arange(-(-(first + time.start + edge) // longest) * longest - first, time.stop - edge, longest)
            heard[rows, band] = False
            cut = cut or len(rows) > 0
    return cut


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
