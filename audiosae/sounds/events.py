"""Events: stretches of a recording in which something sounds, found in the levels of its spectrogram.

A level that stands out far from the running noise of its band begins an event, and all that still stands out and
touches it in time and frequency belongs to it: hysteresis, as in Canny (1986), IEEE Trans. PAMI 8. How far and for how
long it stands out must be more than a drop of rain does, and where drops are many and near, more than chance makes of
them: a threshold for a constant rate of false alarms, as in Finn and Johnson (1968), RCA Review 29. Sounds at one time
in bands of their own are events of their own, unless they begin and end together, as harmonics do.

A field is worked through in pieces of a minute that know what lies around them, on a grid of the method's own: what
is found does not depend on how much is read at a time, and memory does not grow with the length of a recording.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.noise_floor import is_blank

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from audiosae.sounds.noise_floor import BandLevels

    Array = NDArray[np.float32]
    Mask = NDArray[np.bool_]
    Place = tuple[slice, slice]

MIN_SECONDS, MAX_SECONDS = 0.08, 10.0
_PIECE_SECONDS = 60.0
_GAP_SECONDS = 0.15  # shorter silences do not end an event
_START, _KEEP = 5.0, 4.0  # spreads above the middle of the noise that begin an event, and that go on with it
_MASS = 0.0125  # spreads over `_KEEP`, added up over seconds and the share of the bands
_CLUTTER = (0.0025, 0.0045, 0.0085)  # masses, two ranges: in rain both have many, sounds of their own hardly any
_MANY = 10  # in the lower range, a minute and in all: where there are fewer, there is no rain
_TAIL = 1.5  # the masses of near drops fall off more slowly than an exponential through both ranges, by so much
_FALSE = 0.5  # events a minute that rain may make
_HEAVY = 60  # in the upper range, a minute, of parts: heavy rain
_CHAIN = 4.0  # of the mass that a drop exceeds but once in two minutes: more than a chain of drops has
_PART = 0.1  # of the mass of the largest part of a sound: what a lesser part must have, or be an event by itself
_TOUCHING = np.ones((3, 3), int)
_TOGETHER = 0.7  # of the common span (in short recordings, of the shorter sound) that sounds of one event share


@dataclass(frozen=True)
class Stretch:
    """An event's place in a field.

    Attributes
    ----------
    start, end
        First row, and the one after the last.
    low, high
        First and last band.
    peak
        Strongest level above the middle of the noise, dB.
    """

    start: int
    end: int
    low: int
    high: int
    peak: float


def stretches(levels: BandLevels, *, shortest: float = MIN_SECONDS, longest: float = MAX_SECONDS) -> Iterator[Stretch]:
    """Yield the events of a recording in order; from `shortest` s, and cut to about `longest` s where they go on.

    In a short recording, simultaneous sounds are one event. If nothing in it stands out from its quietest part, all of
    it is taken for sound.
    """
    found = _stretches(levels, shortest, longest)
    if not levels.is_short_recording:
        yield from found
        return
    there = list(found) or list(_stretches(replace(levels, all_sound=True), shortest, longest))
    yield from _merged(there, _share_of_shorter)


def _stretches(levels: BandLevels, shortest: float, longest: float) -> Iterator[Stretch]:
    rows = _Rows.of(levels.seconds_per_row, shortest, longest)
    count, bands = levels.field.shape
    for begin in range(0, count, rows.piece):
        low, high = max(0, begin - rows.context), min(count, begin + rows.piece + rows.context)
        middle, spread = levels.floor.at(low, high)
        views = levels.views(low, high)
        rise = views - middle
        beyond = np.maximum(*np.split(rise / spread, [bands], axis=1))
        beyond[is_blank(views[:, :bands])] = 0
        found = _events_of(beyond, rise[:, :bands], low, rows)
        yield from (event for event in found if begin <= event.start < begin + rows.piece)


@dataclass(frozen=True)
class _Rows:
    """The method's times in rows of the field."""

    gap: int
    shortest: float
    longest: int
    piece: int
    context: int
    seconds: float

    @classmethod
    def of(cls, seconds: float, shortest: float, longest: float) -> _Rows:
        most, gap = max(4, round(longest / seconds)), round(_GAP_SECONDS / seconds)
        piece = max(most, round(_PIECE_SECONDS / seconds))
        return cls(gap, shortest / seconds, most, piece, 2 * (most + gap), seconds)


def _events_of(beyond: Array, rise: Array, first: int, rows: _Rows) -> list[Stretch]:
    """Return the events in some rows, of which the first is number `first` of the field.

    Parameters
    ----------
    beyond
        How many spreads each level is above the middle of the noise.
    rise
        The same in dB.
    """
    from scipy import ndimage

    loud = beyond > _KEEP
    heard = _joined(loud, rows.gap)
    labels, _ = ndimage.label(heard, _TOUCHING)
    if _cut_long(heard, ndimage.find_objects(labels), first, rows.longest):
        labels, _ = ndimage.label(heard, _TOUCHING)
    loud &= heard
    parts = _Parts.of(loud, labels, np.maximum(beyond - _KEEP, 0) * np.float32(rows.seconds / beyond.shape[1]))
    wanted, kept = parts.chosen(len(beyond) * rows.seconds / 60)
    strong = np.zeros(len(wanted), bool)
    strong[labels[(beyond > _START) & heard]] = True
    bodies = np.where(loud & kept[parts.labels], labels, 0)
    places, found = ndimage.find_objects(bodies), []
    for number in np.flatnonzero(strong & wanted):
        (time, band), inside = places[number - 1], bodies[places[number - 1]] == number
        peak = float(rise[time, band][inside].max())
        found.append(Stretch(first + time.start, first + time.stop, band.start, band.stop - 1, peak))
    return [event for event in _merged(found, _share_of_both) if event.end - event.start >= rows.shortest]


@dataclass(frozen=True)
class _Parts:
    """What sounds consist of, between silences: a word's syllables, a call and the drops of rain beside it.

    Attributes
    ----------
    labels
        Number of the part at each row and band, from 1; 0 where nothing is loud.
    mass, sound
        Of each part, from number 0: its mass, and the number of the sound that it is of.
    """

    labels: NDArray[np.int32]
    mass: NDArray[np.float64]
    sound: NDArray[np.int32]

    @classmethod
    def of(cls, loud: Mask, sounds: NDArray[np.int32], excess: Array) -> _Parts:
        from scipy import ndimage

        labels, count = ndimage.label(loud, _TOUCHING)
        mass = np.bincount(labels.ravel(), np.where(loud, excess, 0).ravel(), minlength=count + 1).astype(np.float64)
        sound = np.zeros(count + 1, np.int32)
        sound[labels[loud]] = sounds[loud]
        return cls(labels, mass, sound)

    def chosen(self, minutes: float) -> tuple[Mask, Mask]:
        """Return which sounds are events, by number, and which parts belong to them.

        In heavy rain drops join to chains that are no measure of each other: there one part must be more than a drop,
        or all of them more than a chain. What hangs on to a sound across a silence is part of it where its mass is a
        share of the largest part's, or an event's.
        """
        largest = np.zeros(self.sound.max() + 1)
        np.maximum.at(largest, self.sound, self.mass)
        heavy = np.histogram(self.mass[1:], _CLUTTER)[0][1] >= _HEAVY * minutes
        drop = _least_mass(self.mass[1:], minutes) if heavy else _MASS
        total = self._total(self.mass)
        least = drop if drop > _MASS else _least_mass(total[1:], minutes)
        kept = (self.mass >= _PART * largest[self.sound]) | (self.mass > least)
        if drop > _MASS:
            return (largest > drop) | (self._total(self.mass * kept) > _CHAIN * drop), kept
        return total > least, kept

    def _total(self, mass: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(self.sound, mass).astype(np.float64)


def _least_mass(masses: NDArray[np.float64], minutes: float) -> float:
    """Return the mass from which on a sound is an event: `_MASS`, or what rain exceeds but once in two minutes."""
    low, middle, high = _CLUTTER
    counts = np.histogram(masses, _CLUTTER)[0]
    lower, upper = (counts + np.array([0, 0.5])) / np.diff(_CLUTTER) / minutes
    if counts[0] < _MANY * max(1, minutes) or upper > 0.9 * lower:  # few, or such as one kind of sound has
        return _MASS
    scale = _TAIL * (high - low) / 2 / np.log(lower / upper)
    return max(_MASS, float((middle + high) / 2 + scale * np.log(max(upper * scale / _FALSE, 1))))


def _joined(heard: Mask, gap: int) -> Mask:
    """Close silences of at most `gap` rows in each band."""
    rows = np.arange(len(heard), dtype=np.int32)[:, None]
    before = np.maximum.accumulate(np.where(heard, rows, -len(heard) - gap), axis=0)
    after = np.minimum.accumulate(np.where(heard, rows, 2 * len(heard) + gap)[::-1], axis=0)[::-1]
    return np.asarray(after - before <= gap + 1)


def _cut_long(heard: Mask, places: list[Place], first: int, longest: int) -> bool:
    """Clear a row of each sound that is too long at every multiple of the greatest length from the start of the file.

    Pieces that see the same sound cut it at the same rows, so that no part of it is found twice.
    """
    cut = False
    for time, band in places:
        if time.stop - time.start > longest:
            edge = longest // 4
            at = np.arange(-(-(first + time.start + edge) // longest) * longest - first, time.stop - edge, longest)
            heard[at, band] = False
            cut = cut or len(at) > 0
    return cut


def _merged(found: list[Stretch], share: Callable[[Stretch, Stretch], float]) -> list[Stretch]:
    """Join sounds that share enough of their time; in order of their start."""
    merged: list[Stretch] = []
    for one in sorted(found, key=lambda event: (event.start, event.low, event.end)):
        for i in range(len(merged) - 1, -1, -1):
            other = merged[i]
            if share(one, other) >= _TOGETHER:
                start, end = min(one.start, other.start), max(one.end, other.end)
                low, high = min(one.low, other.low), max(one.high, other.high)
                merged[i] = Stretch(start, end, low, high, max(one.peak, other.peak))
                break
        else:
            merged.append(one)
    return sorted(merged, key=lambda event: (event.start, event.low, event.end))


def _share_of_both(one: Stretch, other: Stretch) -> float:
    """Return how much of the time of two sounds is that of both: 1 where they begin and end together."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared / (max(one.end, other.end) - min(one.start, other.start))


def _share_of_shorter(one: Stretch, other: Stretch) -> float:
    """Return how much of the shorter of two sounds is heard with the other."""
    shared = min(one.end, other.end) - max(one.start, other.start)
    return shared / min(one.end - one.start, other.end - other.start)
