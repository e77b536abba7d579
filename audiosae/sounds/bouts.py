"""Bouts: series of events that belong together, such as the syllables of a phrase or the barks of a dog.

Consecutive events are joined if the pause between them is short and they sound alike. How short and how alike follows
from the archive: the pause separates two peaks in the distribution of all pauses, and the importance of similarity is
learned from neighbouring and from distant events. Whether events or bouts are the sounds of an archive, which get
types, follows from their durations.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiosae.sounds.detection import Detections

    Array = NDArray[np.float64]

Group = Literal["event", "bout"]
SAMPLE = 20000  # events from which the rules are learned
_KERNEL, _STEP = 0.4, 0.05  # octaves, of the density of pauses
_EDGE = 0.5  # octaves below two hops, at which the density is reflected
_SHORTEST_HOPS, _LONGEST_PAUSE, _MOST_PAUSE = 20, 5.0, 60.0  # least joining pause; longest one, and longest pause, s
_SIGNIFICANT = 3.0  # standard errors by which a minimum of the density is below the peaks on both sides
_PART = 0.15  # of the median duration: the joining pause if the density has no minimum
_LEAST_SECONDS = 1e-4
_FEWEST = 20  # pauses for a density
_FEWEST_SHORT, _FEWEST_LONG, _WIDE = 8, 4, 8.0  # pauses on both sides of a range without any; least ratio of its ends
_NEAR, _FAR = 0.25, (10.0, 3.0)  # joining pauses between neighbours; between distant events: pauses, and seconds
_FEWEST_PAIRS = 6
_COMPARED = 5  # events of a bout with which the next one is compared
_OCTAVE = 2.0  # log odds of a joint per octave of pause
_CONFIDENCE = 1e3  # inverse of the weight of the penalty on the slope
_ALIKE, _UNALIKE, _CLEARER = 0.9, 1.4, 0.8  # octaves: spread of durations of sounds, and of parts of sounds; ratio
_PARALLEL, _PARALLEL_SECONDS = 0.5, 0.3  # IoU with a bout; least duration in median bouts, of simultaneous events


@dataclass(frozen=True)
class Joining:
    """Rules by which events are joined to bouts.

    Attributes
    ----------
    pause
        Longest pause, s, for an event whose similarity says nothing.
    offset, slope
        Log odds that two events belong together: offset + slope * cosine of their spectra. Both are 0 if there were too
        few events to learn from; then only the pause counts.
    least_parallel
        Least duration, s, of an event that is separate from simultaneous ones in other bands.
    group
        Whether events or bouts are the sounds that get types.
    """

    pause: float
    offset: float = 0.0
    slope: float = 0.0
    least_parallel: float = 0.0
    group: Group = "event"

    def bouts_of(self, events: Detections) -> NDArray[np.intp]:
        """Return the number of the bout of each event of a recording, from 0; -1 for events that are left out."""
        bouts = np.full(len(events), -1, np.intp)
        members: list[list[int]] = []
        end = -np.inf  # of the current bout
        for number in np.flatnonzero(~events.parallel).tolist():
            joined = members and not events.alone[number] and not events.alone[members[-1][-1]]
            if joined and self._joins(events, number, members[-1][-_COMPARED:], end):
                members[-1].append(number)
                end = max(end, float(events.end[number]))
            else:
                members.append([number])
                end = float(events.end[number])
        for bout, numbers in enumerate(members):
            bouts[numbers] = bout
        return self._with_parallel(events, bouts, len(members))

    def _joins(self, events: Detections, number: int, members: list[int], end: float) -> bool:
        pause = max(float(events.start[number]) - end, _LEAST_SECONDS)
        if not self.slope:
            return pause < self.pause
        cosine = (events.spectrum[members].astype(np.float32) @ events.spectrum[number].astype(np.float32)).max()
        return bool(self.offset + self.slope * cosine > _OCTAVE * np.log2(pause / self.pause))

    def _with_parallel(self, events: Detections, bouts: NDArray[np.intp], count: int) -> NDArray[np.intp]:
        """Give simultaneous events of separate bands their own bout, unless a bout is much the same sound."""
        if not events.parallel.any():
            return bouts
        start, end = _spans(events.only(bouts >= 0), bouts[bouts >= 0])
        for number in np.flatnonzero(events.parallel).tolist():
            low, high = events.start[number], events.end[number]
            union = np.maximum(end, high) - np.minimum(start, low)
            alike = ((np.minimum(end, high) - np.maximum(start, low)) / union).max(initial=0)
            if alike < _PARALLEL and high - low >= self.least_parallel:
                bouts[number], count = count, count + 1
        return bouts


def learn_joining(recordings: Sequence[Detections], hop: float, group: Group | None = None) -> Joining:
    """Learn the rules from the events of some recordings.

    Parameters
    ----------
    hop
        Time resolution of the events, s.
    group
        Whether events or bouts get types; None chooses it.
    """
    recordings = [each.only(~each.alone & ~each.parallel) for each in recordings]
    pauses = np.concatenate([each.start[1:] - each.end[:-1] for each in recordings] or [np.empty(0)])
    durations = np.sort(np.concatenate([each.end - each.start for each in recordings] or [np.empty(0)]))
    pause = _antimode(np.maximum(pauses, 2 * hop), hop)
    if pause is None:
        pause = _widest_gap(pauses, hop)
    if pause is None:
        pause = max(2 * hop, _PART * _weighted_median(durations))
    joining = Joining(pause, *_similarity(recordings, pause))
    spans = [_spans(each, joining.bouts_of(each)) for each in recordings]
    lengths = np.sort(np.concatenate([np.subtract(*each[::-1]) for each in spans] or [np.empty(0)]))
    least = _PARALLEL_SECONDS * float(np.median(lengths)) if len(lengths) else 0.0
    if group is None:
        of_events = _spread([each.end - each.start for each in recordings])
        of_bouts = _spread([end - start for start, end in spans])
        parts = of_events > _UNALIKE or (of_events > _ALIKE and of_bouts < _CLEARER * of_events)
        group = "bout" if parts else "event"
    return Joining(pause, joining.offset, joining.slope, least, group)


def _spans(events: Detections, bouts: NDArray[np.intp]) -> tuple[Array, Array]:
    count = int(bouts.max(initial=-1)) + 1
    start, end = np.full(count, np.inf), np.full(count, -np.inf)
    np.minimum.at(start, bouts, events.start)
    np.maximum.at(end, bouts, events.end)
    return start, end


def _weighted_median(durations: Array) -> float:
    """Return the duration up to which events have half of the total duration; `durations` are sorted."""
    if not len(durations):
        return 1.0
    total = np.cumsum(durations)
    return float(durations[np.searchsorted(total, total[-1] / 2)])


def _antimode(pauses: Array, hop: float) -> float | None:
    """Return the longest pause at a significant minimum of the density of log2(pause); None if there is none."""
    if len(pauses) < _FEWEST:
        return None
    lowest = np.log2(2 * hop) - _EDGE
    grid = np.arange(lowest, np.log2(_MOST_PAUSE), _STEP)
    cells = np.arange(lowest - 4 * _KERNEL, grid[-1] + 4 * _KERNEL, _STEP)  # counted in cells: the cost is bounded
    values = np.log2(pauses)
    counts = np.histogram(np.concatenate([values, 2 * lowest - values]), [*cells, cells[-1] + _STEP])[0]
    kernel = np.exp(-0.5 * ((grid[:, None] - cells - _STEP / 2) / _KERNEL) ** 2)
    density = kernel @ counts / (_KERNEL * np.sqrt(2 * np.pi))
    for i in reversed(range(1, len(grid) - 1)):
        gap = float(2.0 ** grid[i])
        if not (density[i] <= density[i - 1] and density[i] < density[i + 1]):
            continue
        if _SHORTEST_HOPS * hop <= gap <= _LONGEST_PAUSE:
            peak = min(density[:i].max(), density[i:].max())
            if peak - density[i] >= _SIGNIFICANT * np.sqrt(peak + density[i]):
                return gap
    return None


def _widest_gap(pauses: Array, hop: float) -> float | None:
    """Return the middle of the widest range without a pause, between few long and more short ones; None if narrow."""
    ordered = np.sort(np.maximum(pauses, 2 * hop))
    inner = ordered[_FEWEST_SHORT - 1 : len(ordered) - _FEWEST_LONG + 1]
    if len(inner) < 2:  # noqa: PLR2004 (one pause has no range)
        return None
    at = int((inner[1:] / inner[:-1]).argmax())
    middle = float(np.sqrt(inner[at] * inner[at + 1]))
    wide = inner[at + 1] >= _WIDE * inner[at] and _SHORTEST_HOPS * hop <= middle <= _LONGEST_PAUSE
    return middle if wide else None


def _similarity(recordings: Sequence[Detections], pause: float) -> tuple[float, float]:
    """Return offset and slope of the log odds of near against distant events by their cosine; 0 for too few events."""
    rng = np.random.default_rng(0)
    near: list[Array] = []
    far: list[Array] = []
    for each in recordings:
        spectrum, count = each.spectrum.astype(np.float64), len(each)
        close = np.flatnonzero(each.start[1:] - each.end[:-1] < _NEAR * pause)
        near.append(np.einsum("ij,ij->i", spectrum[close], spectrum[close + 1]))
        one, other = rng.integers(max(1, count), size=(2, count))
        distant = np.abs(each.start[one] - each.start[other]) > max(_FAR[0] * pause, _FAR[1])
        far.append(np.einsum("ij,ij->i", spectrum[one[distant]], spectrum[other[distant]]))
    cosines = [np.concatenate([*part, np.empty(0)]) for part in (near, far)]
    if min(map(len, cosines)) < _FEWEST_PAIRS:
        return 0.0, 0.0
    offset, slope = _logistic(*cosines)
    return (offset, slope) if slope > 0 else (0.0, 0.0)


def _logistic(near: Array, far: Array) -> tuple[float, float]:
    """Return offset and slope of the log odds of `near` against `far`, which weigh the same together.

    This is `sklearn.linear_model.LogisticRegression`, with the same solver and bounds, for one feature: importing that
    package takes a second and 150 MB.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    cosine, is_near = np.concatenate([near, far]), np.repeat([1.0, 0.0], [len(near), len(far)])
    weight = np.repeat([0.5 / len(near), 0.5 / len(far)], [len(near), len(far)])
    penalty = 1 / (_CONFIDENCE * len(cosine))

    def loss(line: Array) -> tuple[float, Array]:
        odds = line[0] * cosine + line[1]
        rest = weight * (expit(odds) - is_near)
        value = weight @ (np.logaddexp(0, odds) - is_near * odds) + penalty / 2 * line[0] ** 2
        return float(value), np.array([cosine @ rest + penalty * line[0], rest.sum()])

    bounds = {"maxiter": 100, "maxls": 50, "gtol": 1e-4, "ftol": 64 * np.finfo(float).eps}
    slope, offset = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", options=bounds).x.tolist()
    return offset, slope


def _spread(durations: Sequence[Array]) -> float:
    """Return the standard deviation of log2(duration) in all recordings together."""
    every = np.concatenate([*durations, np.empty(0)])
    return float(np.log2(np.maximum(every, _LEAST_SECONDS)).std()) if len(every) else 0.0
