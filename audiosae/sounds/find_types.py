"""Sound types of recordings: recordings -> events -> pooled codes -> sound types -> `Survey`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.sounds.event_codes import CodeFile, EncodedEvents, find_events, recordings_domain, seconds_per_row
from audiosae.sounds.band_events import MIN_SECONDS
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

_TOP_UNITS = 5
_POOLS = 3  # mean, maximum, deviation; the mean is the first


@one_blas_thread()
def find_types(
    model: Model,
    corpus: EngineCorpus,
    *,
    count: int | None = None,
    known: Types | None = None,
    names: Mapping[int, str] | None = None,
    shortest: float = MIN_SECONDS,
    times: Sequence[datetime | None] = (),
    folder: Path | None = None,
    done: Callable[[Record], None] = lambda _: None,
) -> tuple[Survey, Types]:
    """Find the events in recordings and group similar ones into types.

    Parameters
    ----------
    corpus
        The recordings, read with the model's domain. Events are found and encoded where the fields are stored.
    count
        Number of types; None chooses it.
    known
        Types of an earlier survey with this model. Their numbers and names are used.
    names
        The user's names for types, by number; they replace those of `known`.
    shortest
        Least duration of an event, s.
    times
        Date and time at the start of each recording, including those that were skipped.
    folder
        For a temporary file with the codes of all events; None for the system's temporary directory.
    done
        Called once for each recording after its events have been found.

    Raises
    ------
    InputError
        The model is not of recordings, or no recording has an event.
    """
    domain, skipped = recordings_domain(model, "survey"), corpus.skipped
    times = [times[i] for i in corpus.used] if times else ()
    corpus = corpus.only(corpus.used)
    records = corpus.records
    if not records:
        raise InputError("nothing to survey: no recording can be used; audiosae inspect shows why")
    with closing(CodeFile(folder, _POOLS * model.params.hidden)) as codes:
        columns = EventColumns(domain, [record.extent for record in records])
        for number, encoded in find_events(model, corpus, shortest=shortest, done=done):
            columns.append(number, encoded)
            codes.append(encoded.codes)
        if not len(codes):
            raise InputError(
                f"no events in {counted(len(records), 'recording')}: nothing rises above the noise floor for "
                f"{shortest:g} s; lower --min-duration, or check a recording by ear. A sound that fills more than half "
                f"of a minute counts as noise"
            )
        if count is not None and count > len(codes):
            raise InputError(f"--types {count}: wanted at most {len(codes)}, the number of events, or auto")
        types, choice = (known, "as in --types-from") if known else learn_types(codes.codes, count)
        stability = None if known else stability_of(codes.codes, len(types))
        events = columns.events(*_assigned(types, codes))
        if not known:
            types, events = _by_duration(types, events)
        types = replace(types, names={**types.names, **(names or {})})
        activity = _activity(types, codes, events.type)
    measured = enumerate(zip(types.novelty, activity[1:], strict=True), 1)
    sound_types = [_sound_type(number, types.names.get(number, ""), events, *each) for number, each in measured]
    return Survey(records, events, sound_types, stability, times, skipped, choice, types.digest), types


@dataclass
class EventColumns:
    """Columns of `Events`, to which events are appended; converts rows and bands of fields to seconds and hertz.

    Attributes
    ----------
    extents
        Duration of each recording, s. The last row of a field may extend beyond it.
    """

    domain: Spectrogram
    extents: Sequence[float]
    _parts: list[tuple[NDArray[Any], ...]] = field(default_factory=list)

    def append(self, record: int, encoded: EncodedEvents) -> None:
        """Append events of the recording with the index `record`."""
        seconds, (below, above) = seconds_per_row(self.domain), _edges(self.domain)
        boxes = [(s.start, s.end, s.low, s.high, s.peak) for s in encoded.stretches]
        start, end, low, high, peak = np.array(boxes, np.float64).T
        end = np.minimum(end * seconds, self.extents[record])
        start = np.minimum(start * seconds, np.maximum(end - seconds, 0))
        band = below[low.astype(int)], above[high.astype(int)]
        self._parts.append((np.full(len(start), record), start, end, *band, peak))

    def events(self, types: NDArray[np.int32], score: NDArray[np.float32], top: NDArray[np.int32]) -> Events:
        """Return all events, with their types, scores and top units, (events,) each."""
        record, start, end, low, high, peak = (np.concatenate(part) for part in zip(*self._parts, strict=True))
        low, high, peak = (part.astype(np.float32) for part in (low, high, peak))
        return Events(record.astype(np.int32), start, end, low, high, types, score, peak, top)


def _edges(domain: Spectrogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper edge of each band in Hz, half-way between the centres."""
    centres = domain.frequencies
    between = (centres[1:] + centres[:-1]) / 2
    if not len(between):
        return np.zeros(1), np.full(1, domain.sample_rate / 2)
    edges = np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])
    return np.clip(edges[:-1], 0, domain.sample_rate / 2), np.clip(edges[1:], 0, domain.sample_rate / 2)


def _assigned(types: Types, codes: CodeFile) -> tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]:
    parts = [(*types.assign(block), _mean_activity(types, block).argmax(axis=1)) for block in codes.blocks()]
    numbers, score, top = (np.concatenate(part) for part in zip(*parts, strict=True))
    return numbers, score, top.astype(np.int32)


def _mean_activity(types: Types, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    return types.space.standardised(codes)[:, ::_POOLS]


def _by_duration(types: Types, events: Events) -> tuple[Types, Events]:
    """Return the types in decreasing order of their total duration, and the events with the new numbers."""
    seconds = np.bincount(events.type, events.seconds, minlength=len(types) + 1)[1:].astype(np.float64)
    order, number = np.argsort(-seconds, kind="stable"), np.zeros(len(types) + 1, np.int32)
    number[1 + order] = np.arange(1, len(types) + 1)
    ordered = replace(types, centres=types.centres[order], reach=types.reach[order])
    return ordered, replace(events, type=number[events.type])


def _activity(types: Types, codes: CodeFile, numbers: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean standardised activity of each type's events, (types + 1, units)."""
    total, at = np.zeros((len(types) + 1, codes.width // _POOLS)), 0
    for block in codes.blocks():
        np.add.at(total, numbers[at : at + len(block)], _mean_activity(types, block))
        at += len(block)
    return total / np.maximum(np.bincount(numbers, minlength=len(types) + 1), 1)[:, None]


def _sound_type(number: int, name: str, events: Events, novelty: float, activity: NDArray[np.float64]) -> SoundType:
    own = events.of_type(number)
    low, high = (float(np.median(part[own])) if len(own) else 0.0 for part in (events.low_hz, events.high_hz))
    top = np.argsort(-activity, kind="stable")[:_TOP_UNITS] if len(own) else np.empty(0, int)
    return SoundType(
        number,
        name=name,
        events=len(own),
        files=len(np.unique(events.record[own])),
        seconds=float(events.seconds[own].sum()),
        low_hz=low,
        high_hz=high,
        top_units=tuple(top.tolist()),
        novelty=float(novelty),
        exemplar=int(own[0]) if len(own) else -1,
    )
