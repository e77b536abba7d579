"""Sound types of recordings: recordings -> events -> pooled codes -> sound types -> `Survey`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.sounds.event_codes import CodeFile, find_events, recordings_domain, seconds_per_row
from audiosae.sounds.events import MIN_SECONDS
from audiosae.sounds.results import Events, SoundType, Survey
from audiosae.sounds.sound_types import Types, learn_types, stability_of
from audiosae.system.progress import counted
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.event_codes import Found

_TOP_UNITS = 5
_POOLS = 3  # mean, maximum, deviation; the mean is the first


@one_blas_thread()
def find_types(
    model: Model, corpus: EngineCorpus, *, count: int | None = None, known: Types | None = None,
    names: Mapping[int, str] | None = None, shortest: float = MIN_SECONDS, times: Sequence[datetime | None] = (),
    folder: Path | None = None, done: Callable[[Record], None] = lambda _: None,
) -> tuple[Survey, Types]:  # fmt: skip
    """Find the events in recordings, and group those that sound alike into types.

    Parameters
    ----------
    corpus
        The recordings, read with the model's domain; events are found and encoded where they lie.
    count
        How many types; None chooses.
    known
        Types of an earlier survey with this model, whose numbers and names are kept.
    names
        The user's, by the number of the type; they come before those of `known`.
    shortest
        Least duration of an event in seconds.
    times
        Date and time at the start of each recording, those that were skipped included.
    folder
        Where there is room for the codes of all events while this runs; None for the system's place.

    Raises
    ------
    InputError
        The model is not of recordings, or nothing sounds in any of them.
    """
    domain, skipped = recordings_domain(model, "survey"), corpus.skipped
    times = [times[i] for i in corpus.used] if times else ()
    corpus = corpus.only(corpus.used)
    records = corpus.records
    if not records:
        raise InputError("nothing to survey: wanted at least one recording that can be used")
    with closing(CodeFile(folder, _POOLS * model.params.hidden)) as codes:
        columns = Columns(domain, [record.extent for record in records])
        for number, found in find_events(model, corpus, shortest=shortest, done=done):
            columns.append(number, found)
            codes.append(found.codes)
        if not len(codes):
            raise InputError(f"no events in {counted(len(records), 'recording')}: nothing stands out from the running "
                             f"noise for {shortest:g} s; lower --min-duration, or listen to one. A sound that fills "
                             f"more than half of a minute is taken for noise")  # fmt: skip
        if count is not None and count > len(codes):
            raise InputError(f"--types {count}: there are but {counted(len(codes), 'event')}; wanted no more, or auto")
        types, choice = (known, "as in --types-from") if known else learn_types(codes.codes, count)
        stability = None if known else stability_of(codes.codes, len(types))
        events = columns.events(*_assigned(types, codes))
        if not known:
            types, events = _numbered(types, events)
        types = replace(types, names={**types.names, **(names or {})})
        kinds = _sound_types(types, events, _activity(types, codes, events.type))
    return Survey(records, events, kinds, stability, times, skipped, choice, types.digest), types


@dataclass
class Columns:
    """The columns of `Events` as they grow, and the field's rows and bands as seconds and hertz.

    The last row of a field may reach past the end of its recording, which has so many seconds in `extents`.
    """

    domain: Spectrogram
    extents: Sequence[float]
    _parts: list[tuple[NDArray[Any], ...]] = field(default_factory=list)

    def append(self, record: int, found: Found) -> None:
        """Add events of the recording of that number."""
        seconds, (below, above) = seconds_per_row(self.domain), _edges(self.domain)
        start, end, low, high, peak = np.array(
            [(s.start, s.end, s.low, s.high, s.peak) for s in found.stretches], np.float64
        ).T
        low_hz, high_hz = below[low.astype(int)], above[high.astype(int)]
        end = np.minimum(end * seconds, self.extents[record])
        start = np.minimum(start * seconds, np.maximum(end - seconds, 0))
        self._parts.append((np.full(len(start), record), start, end, low_hz, high_hz, peak))

    def events(self, types: NDArray[np.int32], score: NDArray[np.float32], top: NDArray[np.int32]) -> Events:
        """Return all of them, with type, score and top unit, (events,) each."""
        record, start, end, low, high, peak = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        low, high, peak = (part.astype(np.float32) for part in (low, high, peak))
        return Events(record.astype(np.int32), start, end, low, high, types, score, peak, top)


def _edges(domain: Spectrogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper edge of each band in Hz, half-way between the middles."""
    middles = domain.frequencies
    between = (middles[1:] + middles[:-1]) / 2
    if not len(between):
        return np.zeros(1), np.full(1, domain.sample_rate / 2)
    first, last = 2 * middles[0] - between[0], 2 * middles[-1] - between[-1]
    edges = np.clip(np.concatenate([[first], between, [last]]), 0, domain.sample_rate / 2)
    return edges[:-1], edges[1:]


def _assigned(types: Types, codes: CodeFile) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    """Return type, score and top unit of all events."""
    found = [(*types.assign(block), _mean_activity(types, block).argmax(axis=1)) for block in codes.blocks()]
    kinds, score, top = (np.concatenate(part) for part in zip(*found, strict=True))
    return kinds, score, top.astype(np.int32)


def _mean_activity(types: Types, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each unit's mean activity in standard deviations from that over all events, (events, units)."""
    return types.space.standardised(codes)[:, ::_POOLS]


def _numbered(types: Types, events: Events) -> tuple[Types, Events]:
    """Return the types in order of the seconds that they fill, and the events with their numbers."""
    seconds = np.bincount(events.type, events.seconds, minlength=len(types) + 1)[1:].astype(np.float64)
    number = np.zeros(len(types) + 1, np.int32)
    number[1 + np.argsort(-seconds, kind="stable")] = np.arange(1, len(types) + 1)
    return types.ordered(seconds), events.with_columns(type=number[events.type])


def _activity(types: Types, codes: CodeFile, kinds: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean standardised activity of each type's events, (types + 1, units)."""
    total, at = np.zeros((len(types) + 1, codes.width // _POOLS)), 0
    for block in codes.blocks():
        np.add.at(total, kinds[at : at + len(block)], _mean_activity(types, block))
        at += len(block)
    return total / np.maximum(np.bincount(kinds, minlength=len(types) + 1), 1)[:, None]


def _sound_types(types: Types, events: Events, activity: NDArray[np.float64]) -> list[SoundType]:
    novelty, found = types.novelty, []
    for number in range(1, len(types) + 1):
        own = events.of_type(number)
        top = np.argsort(-activity[number], kind="stable")[:_TOP_UNITS] if len(own) else np.empty(0, int)
        low, high = (float(np.median(part[own])) if len(own) else 0.0 for part in (events.low_hz, events.high_hz))
        found.append(SoundType(
            number, types.names.get(number, ""), len(own), len(np.unique(events.record[own])),
            float(events.seconds[own].sum()), low, high, tuple(top.tolist()), float(novelty[number - 1]),
            int(own[0]) if len(own) else -1,
        ))  # fmt: skip
    return found
