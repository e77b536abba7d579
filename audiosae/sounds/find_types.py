"""Sound types of recordings: recordings -> events -> pooled codes -> sound types -> `Survey`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.sounds.answer_matching import Places
from audiosae.sounds.beside import begin_if_many
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.event_codes import CodeFile, encode_sounds, recordings_domain
from audiosae.sounds.event_map import map_points
from audiosae.sounds.events import REJECTED, Events
from audiosae.sounds.labelled import label_sounds
from audiosae.sounds.locate import locate
from audiosae.sounds.results import SoundType, Survey
from audiosae.sounds.sound_types import SAMPLE, Types, evenly, learn_types
from audiosae.sounds.taught import Taught
from audiosae.sounds.type_stability import stability_of, types_of_samples
from audiosae.system.mapped import stored
from audiosae.system.progress import Progress, counted
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
    from audiosae.sounds.answers import AnswerTable
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.labelled import Labelled
    from audiosae.sounds.locate import Spans
    from audiosae.sounds.results import TypeStability
    from audiosae.sounds.sound_store import SoundStore
    from audiosae.system.processes import Begin

    Later = Callable[[], TypeStability | None]

_TOP_UNITS = 5
_FEW = 512  # events whose codes are added at the same time
_POOLS = 3  # mean, maximum, deviation; the mean is the first


@one_blas_thread()
def begin_types(
    model: Model,
    corpus: EngineCorpus,
    *,
    count: int | None = None,
    known: Types | None = None,
    names: Mapping[int, str] | None = None,
    labels: AnswerTable | None = None,
    options: DetectorOptions | None = None,
    group: Group | None = None,
    times: Sequence[datetime | None] = (),
    store: SoundStore | None = None,
    folder: Path | None = None,
    begin: Begin | None = None,
    meanwhile: Callable[[], object] = lambda: None,
    progress: Progress | None = None,
) -> tuple[Survey, Types, Later]:
    """Find the events in recordings and group similar ones into types.

    The stability of the types may take longer: the third result is a function that waits for it.

    Parameters
    ----------
    corpus
        The recordings, read with the model's domain. Events are found and encoded where the fields are stored.
    count
        Number of types; None chooses it.
    known
        Types of an earlier survey with this model. Their numbers, names and detector are used.
    names
        The user's names for types, by number; they replace those of `known`.
    labels
        What a person said about sounds; it is applied after what is stored in `known`.
    options
        Options of event detection; None for those of `known`, or the defaults.
    group
        Whether events or bouts are grouped into types; None chooses it.
    times
        Date and time at the start of each recording, including those that were skipped.
    store
        Events and codes of earlier surveys, to which those of new recordings are added.
    folder
        For a temporary file with the codes of all events; None for the system's temporary directory.
    begin
        Begins work in another process, see `helpers`; None to learn types in this one.
    meanwhile
        Called while another process learns the types.

    Raises
    ------
    InputError
        The model is not of recordings, or no recording has an event.
    """
    domain, skipped, progress = recordings_domain(model, "survey", corpus), corpus.skipped, progress or Progress()
    times = [times[i] for i in corpus.used] if times else ()
    corpus = corpus.only(corpus.used)
    records = corpus.records
    if not records:
        raise InputError("nothing to survey: no recording can be used; audiosae inspect shows why")
    earlier = known.detector if known else None
    options = options or (earlier.options if earlier else DetectorOptions())
    detector, spans = locate(
        domain, corpus, options, known=earlier, group=group, store=store, begin=begin, progress=progress
    )
    if not len(spans):
        raise _no_events(len(records), options)
    group = detector.joining.group
    sounds = spans.sounds(group)
    progress.stage("encoding", len(records), "files")
    with closing(CodeFile(folder, _POOLS * model.params.hidden)) as codes:
        parts = encode_sounds(
            model, corpus, sounds, codes, parts=not known, store=store, done=lambda _: progress.advance(1)
        )
        progress.close()
        if count is not None and count > len(codes):
            raise InputError(f"--types {count}: wanted at most {len(codes)}, the number of events, or auto")
        learner = _Learner(codes, count, parts, begin_if_many(begin, len(codes)))
        del parts
        types, choice = (known, "that of the earlier survey") if known else learner.types(meanwhile)
        points, assigned = _assigned(types, codes)
        if not known:
            types, numbers = _by_duration(types, assigned[0], sounds.end - sounds.start)
            assigned = (numbers, *assigned[1:])
        types = replace(types, names={**types.names, **(names or {})}, detector=detector)
        begun = learner.begin(_labelled, types, points, _places(domain, records, sounds), assigned[0], labels)
        labelled = begun()
        stability: Later = (lambda: None) if known else learner.stability(types)
        types = replace(types, taught=labelled.taught)
        activity = _activity(types, codes, labelled.type)
        mapped = replace(map_points(points, *assigned[:2]), landmarks=types.landmarks)
    for line in labelled.notes:
        progress.say(line)
    columns = (labelled.type, *assigned[1:], labelled.labels.label, labelled.labels.confidence)
    events, bouts = _both(domain, spans, group, columns)
    survey = Survey(records, events, bouts, (), group, None, times, skipped, choice, types.digest, spans.floors)
    kinds = [_sound_type(i, types, survey.sounds, activity[i]) for i in types.listed]
    return replace(survey, types=kinds, labels=labelled.labels, mapped=mapped), types, stability


def _no_events(recordings: int, options: DetectorOptions) -> InputError:
    limits = "nothing in the --band and above --min-level is as long as --min-duration; change these options"
    return InputError(
        f"no events in {counted(recordings, 'recording')}: "
        + ("nothing rises above the noise floor" if options == DetectorOptions() else limits)
        + ", or check a recording by ear. A sound that fills most of a minute counts as noise"
    )


def find_types(*arguments: Any, **options: Any) -> tuple[Survey, Types]:  # noqa: ANN401
    """Find events and their types as `begin_types` does, and wait for the stability of the types."""
    survey, types, stability = begin_types(*arguments, **options)
    return replace(survey, stability=stability()), types


class _Learner:
    """Learns types from a sample of the codes, and their stability, with what begins work.

    The sample is in files: processes that learn take most of the memory, and this one waits for them. What is begun
    is sent at once, so that the work for the stability is not begun before it can be done.
    """

    def __init__(self, codes: CodeFile, count: int | None, parts: NDArray[np.float32] | None, begin: Begin) -> None:
        self.begin, self._count = begin, count
        self._sample = stored(np.asarray(codes.codes[evenly(len(codes), SAMPLE)]))
        self._parts = None if parts is None else stored(parts)

    def types(self, meanwhile: Callable[[], object]) -> tuple[Types, str]:
        """Return the types, and how their number was chosen; call `meanwhile` while another process learns them."""
        learned = self.begin(learn_types, self._sample, self._count, self._parts)
        meanwhile()
        return learned()

    def stability(self, types: Types) -> Later:
        """Begin to learn the types of other samples; return a function that returns the stability."""
        arguments = self._sample, self._count, self._parts
        others = self.begin(types_of_samples, *arguments)
        return partial(stability_of, *arguments, types=types, others=others)


def make_events(
    domain: Spectrogram,
    spans: Spans,
    types: NDArray[np.int32],
    score: NDArray[np.float32],
    top: NDArray[np.int32],
    *labels: NDArray[Any],
    counts: NDArray[np.int32] | None = None,
) -> Events:
    """Return events or bouts with types, scores, top units and labels, (events,) each, and frequencies in Hz.

    Parameters
    ----------
    labels
        Label of each, an index, and its confidence; nothing for no labels.
    counts
        Number of events in each bout; None for events.
    """
    low, high = _frequencies(domain, spans)
    labels = labels or (np.full(len(spans), -1, np.int32), np.full(len(spans), np.nan, np.float32))
    counts = np.ones(len(spans), np.int32) if counts is None else counts
    given = (types, score, spans.peak, top, spans.bout, counts, *labels)
    return Events(spans.record, spans.start, spans.end, low, high, *given)


def _frequencies(domain: Spectrogram, spans: Spans) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the lowest and highest frequency of events, in Hz."""
    below, above = band_edges(domain)
    return below[spans.low].astype(np.float32), above[spans.high].astype(np.float32)


def _labelled(
    types: Types, points: NDArray[np.float32], places: Places, numbers: NDArray[np.int32], table: AnswerTable | None
) -> Labelled:
    """Apply stored and new answers to sounds; `numbers` are their types without answers."""
    return label_sounds(
        places,
        points,
        numbers,
        centres=types.centres,
        digest=types.digest,
        names=types.names,
        taught=types.taught or Taught.nothing(types.centres.shape[1]),
        table=table,
    )


def _places(domain: Spectrogram, records: Sequence[Record], spans: Spans) -> Places:
    """Return where sounds are, for answers about them."""
    files, extents = [record.file for record in records], [record.extent for record in records]
    return Places(files, extents, spans.record, spans.start, spans.end, *_frequencies(domain, spans))


def _both(domain: Spectrogram, spans: Spans, group: Group, sounds: Sequence[NDArray[Any]]) -> tuple[Events, Events]:
    """Return events and bouts; `sounds` are types, scores, top units and labels of those that were grouped."""
    bouts = spans.joined()
    counts = np.bincount(spans.bout, minlength=len(bouts)).astype(np.int32)
    if group == "bout":
        return make_events(domain, spans, *(part[spans.bout] for part in sounds)), make_events(
            domain, bouts, *sounds, counts=counts
        )
    types, seconds = sounds[0], spans.end - spans.start
    numbers = np.arange(REJECTED, int(types.max(initial=0)) + 1)
    covered = np.zeros((len(bouts), len(numbers)))
    np.add.at(covered, (spans.bout, types - REJECTED), seconds)
    covered[:, 0] = np.where(covered[:, 1:].any(axis=1), 0, covered[:, 0])  # events of interest decide
    of_bout = numbers[covered.argmax(axis=1)]
    # the longest event of that type represents the bout
    order = np.lexsort((seconds, types == of_bout[spans.bout], spans.bout))
    longest = order[np.flatnonzero(np.diff(spans.bout[order], append=len(bouts)))]
    return make_events(domain, spans, *sounds), make_events(
        domain, bouts, *(part[longest] for part in sounds), counts=counts
    )


def band_edges(domain: Spectrogram) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the lower and upper edge of each band in Hz, half-way between the centres."""
    centres = domain.frequencies
    between = (centres[1:] + centres[:-1]) / 2
    if not len(between):
        return np.zeros(1), np.full(1, domain.sample_rate / 2)
    edges = np.concatenate([[2 * centres[0] - between[0]], between, [2 * centres[-1] - between[-1]]])
    return np.clip(edges[:-1], 0, domain.sample_rate / 2), np.clip(edges[1:], 0, domain.sample_rate / 2)


def _assigned(
    types: Types, codes: CodeFile
) -> tuple[NDArray[np.float32], tuple[NDArray[np.int32], NDArray[np.float32], NDArray[np.int32]]]:
    """Return the points of all events, and their types, scores and most active units."""
    parts = []
    for block in codes.blocks():
        standardised = types.standardised(block)
        points = types.space.points_of(standardised)
        parts.append((points, *types.assign_points(points), standardised[:, ::_POOLS].argmax(axis=1)))
        del standardised  # before the next one
    points, numbers, score, top = (np.concatenate(part) for part in zip(*parts, strict=True))
    return points, (numbers, score, top.astype(np.int32))


def _mean_activity(types: Types, codes: NDArray[np.float32]) -> NDArray[np.float32]:
    return types.space.standardised(codes)[:, ::_POOLS]


def _by_duration(
    types: Types, numbers: NDArray[np.int32], durations: NDArray[np.float64]
) -> tuple[Types, NDArray[np.int32]]:
    """Return the types in decreasing order of their total duration, and the new numbers of the events."""
    seconds = np.bincount(numbers, durations, minlength=len(types) + 1)[1:].astype(np.float64)
    order, number = np.argsort(-seconds, kind="stable"), np.zeros(len(types) + 1, np.int32)
    number[1 + order] = np.arange(1, len(types) + 1)
    groups = list(dict.fromkeys(types.coarse[i] for i in order)) if types.coarse else []
    coarse = tuple(1 + groups.index(types.coarse[i]) for i in order) if groups else ()
    ordered = replace(types, centres=types.centres[order], reach=types.reach[order], coarse=coarse)
    return ordered, number[numbers]


def _activity(types: Types, codes: CodeFile, numbers: NDArray[np.int32]) -> NDArray[np.float64]:
    """Return the mean standardised activity of each type's events, (types + 1, units)."""
    count, at = types.count + 2, 0  # the last row is of the events that are not of interest
    total, numbers = np.zeros((count, codes.width // _POOLS)), np.where(numbers == REJECTED, count - 1, numbers)
    for block in codes.blocks(_FEW):
        np.add.at(total, numbers[at : at + len(block)], _mean_activity(types, block))
        at += len(block)
    return (total / np.maximum(np.bincount(numbers, minlength=count), 1)[:, None])[:-1]


def _sound_type(number: int, types: Types, events: Events, activity: NDArray[np.float64]) -> SoundType:
    own = events.of_type(number)
    low, high = (float(np.median(part[own])) if len(own) else 0.0 for part in (events.low_hz, events.high_hz))
    top = np.argsort(-activity, kind="stable")[:_TOP_UNITS] if len(own) else np.empty(0, int)
    return SoundType(
        number,
        name=types.names.get(number, ""),
        events=len(own),
        files=len(np.unique(events.record[own])),
        seconds=float(events.seconds[own].sum()),
        low_hz=low,
        high_hz=high,
        top_units=tuple(top.tolist()),
        novelty=float(types.novelty[number - 1]),
        exemplar=int(own[0]) if len(own) else -1,
        coarse=types.coarse[number - 1] if number <= len(types.coarse) else number,
    )
