"""Search by example: find the events of recordings that sound most similar to given sounds, and unlike others.

A sound is compared with each example as `SingleSounds` shows them, in a space that is learned as that of sound types.
If an example has a range of frequencies, both are compared in that range only. The similarity to several examples is
half-way between the mean and the largest of these similarities: the mean ranks better than the largest, and both
together better still. A third of the similarity to unwanted examples is subtracted; more of it would lose wanted
sounds, which resemble them, too.
"""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features.pooling import DEFAULT_POOL
from audiosae.recordings.dates import later, stamp
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.event_codes import CodeFile, encode_sounds, recordings_domain
from audiosae.sounds.find_types import band_edges, make_events
from audiosae.sounds.locate import Spans, locate
from audiosae.sounds.single_sounds import SingleSounds
from audiosae.sounds.sound_types import SAMPLE, Space, evenly
from audiosae.sounds.survey_tables import TIME
from audiosae.system.frames import html_table
from audiosae.system.progress import Progress, counted
from audiosae.system.tabular import DataTable, Tabular
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
    from datetime import datetime

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.events import Events
    from audiosae.sounds.examples import Example
    from audiosae.sounds.locate import Detector
    from audiosae.system.tabular import Kind

    Array = NDArray[np.float32]

HEAD = ("rank", "file", "start", "end")
LIKE, UNLIKE = "like", "unlike"
_COLUMNS = (*HEAD, TIME, "low_hz", "high_hz", "similarity", LIKE, UNLIKE)
_KINDS: dict[str, Kind] = {"rank": "integer", "file": "text", TIME: "text", LIKE: "text", UNLIKE: "text"}
_UNWANTED = 1 / 3  # of the similarity to unwanted examples that is subtracted
_FEW = 20  # with fewer events, similarities are not meaningful


@dataclass(frozen=True, repr=False)
class Matches(Tabular):
    """Events that sound similar to examples, the most similar first.

    Attributes
    ----------
    events
        One row per event, as `audiosae.sounds.events.Events`; all types are 0.
    similarity
        Similarity to the examples, (matches,). With one example it is the cosine in the space in which sound types are
        learned, at most 1.
    examples
        The examples, those to search for first.
    nearest
        For each match the most similar of the examples to search for, and of the unwanted ones (-1 if there are none),
        as indices into `examples`, (matches, 2).
    times
        Date and time at the start of each of `records`; None if it is not known.
    facts
        The values that ``find --json`` prints.
    skipped
        The sources that could not be used.
    notes
        Messages, for example about ignored, skipped or truncated files.

    Examples
    --------
    >>> import audiosae
    >>> from audiosae.commands.example import model, sounds
    >>> matches = audiosae.find(model, sounds, sounds / "0.wav", count=2)
    >>> bool(matches.similarity[0] >= matches.similarity[1]), matches.events.start.shape
    (True, (2,))
    >>> list(matches.facts["matches"][0])
    ['rank', 'file', 'start', 'end', 'low_hz', 'high_hz', 'similarity', 'like']
    """

    records: Sequence[Record]
    events: Events
    similarity: Array
    examples: Sequence[Example] = ()
    nearest: NDArray[np.intp] = field(default_factory=lambda: np.empty((0, 2), np.intp))
    times: Sequence[datetime | None] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: Sequence[Record] = ()
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.events)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the table: no time if no date is known, no unlike without unwanted examples."""
        known = {TIME: any(self.times), UNLIKE: not all(example.liked for example in self.examples)}
        return tuple(column for column in _COLUMNS if known.get(column, True))

    def frame(self) -> pd.DataFrame:
        """Return the matches as a pandas frame with the columns of the table that find writes.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return self._data().frame()

    def _data(self) -> DataTable:
        return DataTable("matches", {column: _KINDS.get(column, "number") for column in self.columns}, self.rows)

    def _repr_html_(self) -> str:
        return html_table(self.rows(), head=self.columns, caption=repr(self).strip("<>"))

    def __repr__(self) -> str:
        return f"<Matches: {len(self)} moments in {len(self.records)} recordings; {len(self.skipped)} skipped>"

    def time(self, number: int) -> datetime | None:
        """Return the date and time of a match, if it is known."""
        began = self.times[self.events.record[number]] if any(self.times) else None
        return None if began is None else later(began, round(float(self.events.start[number]), 3))

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield the values of the columns of each match."""
        e, columns = self.events, self.columns
        numbers = ((e.start, 4), (e.end, 4), (e.low_hz, 1), (e.high_hz, 1), (self.similarity, 4))
        for i, record in enumerate(e.record):
            start, end, low, high, similarity = (round(float(column[i]), digits) for column, digits in numbers)
            time = self.time(i)
            like, unlike = (self.examples[n].text if n >= 0 else "" for n in self.nearest[i])
            row = (i + 1, self.records[record].file, start, end, stamp(time) if time else "", low, high, similarity)
            values = dict(zip(_COLUMNS, (*row, like, unlike), strict=True))
            yield tuple(values[column] for column in columns)


class SearchMemory:
    """What a search in a corpus computes of all its sounds, for the next searches in the same corpus.

    Parameters
    ----------
    most
        Number of settings whose sounds and codes are kept; the codes are in temporary files until `close`.
    """

    def __init__(self, most: int = 1) -> None:
        self._most = most
        self._located: dict[Hashable, tuple[Detector, Spans]] = {}
        self._encoded: dict[Hashable, tuple[CodeFile, Space]] = {}

    def located(self, key: Hashable, find: Callable[[], tuple[Detector, Spans]]) -> tuple[Detector, Spans]:
        """Return the sounds with a key, found now if they are not known."""
        if key not in self._located:
            if len(self._located) == self._most:
                del self._located[next(iter(self._located))]
            self._located[key] = find()
        return self._located[key]

    def encoded(self, key: Hashable, width: int, encode: Callable[[CodeFile], Space]) -> tuple[CodeFile, Space]:
        """Return the codes of the sounds with a key and their space, computed now if they are not known."""
        if key not in self._encoded:
            if len(self._encoded) == self._most:
                self._encoded.pop(next(iter(self._encoded)))[0].close()
            codes = CodeFile(None, width)
            try:
                self._encoded[key] = codes, encode(codes)
            except BaseException:
                codes.close()
                raise
        return self._encoded[key]

    def knows(self, key: Hashable) -> bool:
        """Return whether the codes with a key are known."""
        return key in self._encoded

    def close(self) -> None:
        """Remove the temporary files."""
        for codes, _ in self._encoded.values():
            codes.close()
        self._encoded.clear()


@one_blas_thread()
def find_like(
    model: Model,
    corpus: EngineCorpus,
    queries: EngineCorpus,
    examples: Sequence[Example],
    *,
    count: int = 20,
    options: DetectorOptions | None = None,
    group: Group | None = None,
    times: Sequence[datetime | None] = (),
    memory: SearchMemory | None = None,
    progress: Progress | None = None,
) -> Matches:
    """Find the events or bouts that sound most similar to examples.

    Parameters
    ----------
    queries
        The recording of each example, read with the model's domain.
    examples
        Sounds to search for and unwanted sounds; each is compared as it is, from its start to its end.
    count
        Maximum number of matches. The examples themselves are excluded.
    options, group
        See `audiosae.sounds.find_types.find_types`. If no range of frequencies is given, that of the examples is used.
    times
        Date and time at the start of each recording of `corpus`, including those that were skipped.
    memory
        Of earlier searches with the same model and corpus.

    Raises
    ------
    InputError
        The model is not of recordings, no recording has an event, or an example is too short, past the end of its file
        or outside the frequencies of the model.
    """
    times = [times[i] for i in corpus.used] if times else ()
    corpus, progress = corpus.only(corpus.used), progress or Progress()
    domain = recordings_domain(model, "find", corpus)
    examples = [example.within(r.extent) for example, r in zip(examples, queries.records, strict=True)]
    edges = band_edges(domain)
    ranges = [example.bands(*edges) if example.ranged else None for example in examples]
    options = options_in_range(options or DetectorOptions(), domain, examples)
    known = memory or SearchMemory()
    key = options, group
    detector, spans = known.located(key, lambda: locate(domain, corpus, options, group=group, progress=progress))
    sounds = spans.sounds(detector.joining.group)
    if not len(sounds):
        raise InputError(
            f"no events in {counted(len(corpus.records), 'recording')}, so no example can be compared; add recordings"
        )
    notes = _remarks(domain, queries, examples, detector)
    every = (0, len(edges[0]) - 1)
    given = [_given(example, bands or every) for example, bands in zip(examples, ranges, strict=True)]
    with closing(known) if memory is None else nullcontext():
        work = _Work(model, corpus, sounds, known, key, progress)
        cosine = _cosines(work, queries, given, ranges)
    similarity, nearest = _combined(cosine, np.array([example.liked for example in examples]))
    none = np.zeros(len(sounds), np.int32)
    events = make_events(domain, sounds, none, none.astype(np.float32), none)
    similarity[_are_examples(sounds, corpus.records, given, queries.records)] = -np.inf
    order = np.argsort(-similarity, kind="stable")[: min(count, int(np.isfinite(similarity).sum()))]
    if len(similarity) < _FEW:
        notes.append(f"similarity means little with only {counted(len(similarity), 'event')} to compare")
    ordered = events.only(order)
    return Matches(
        corpus.records, ordered, similarity[order], examples, nearest[order], tuple(times), notes=tuple(notes)
    )


def options_in_range(options: DetectorOptions, domain: Spectrogram, examples: Sequence[Example]) -> DetectorOptions:
    """Return the options with the range of frequencies of the wanted examples, unless there is one."""
    edges = band_edges(domain)
    wanted = [(each, each.bands(*edges) if each.ranged else None) for each in examples if each.liked]
    if options.low_hz or options.high_hz or any(bands is None for _, bands in wanted):
        return options
    centres = domain.frequencies  # a narrow range has none
    low = min(min(each.low_hz, float(centres[bands[0]])) for each, bands in wanted if bands)
    high = max(max(each.high_hz, float(centres[bands[1]])) for each, bands in wanted if bands)
    return replace(options, low_hz=low, high_hz=high if high < float("inf") else 0.0)


def _remarks(domain: Spectrogram, queries: EngineCorpus, examples: Sequence[Example], detector: Detector) -> list[str]:
    """Return a message on each example without a sound, or with several."""
    notes: list[str] = []
    located: dict[str, Spans] = {}
    for number, (example, record) in enumerate(zip(examples, queries.records, strict=True)):
        if record.path not in located:
            _, spans = locate(domain, queries.only([number]), detector.options, known=detector)
            located[record.path] = spans.sounds(detector.joining.group)
        sounds, option = located[record.path], example.called
        inside = int(((sounds.end > example.start) & (sounds.start < example.end)).sum())
        if not inside:
            notes.append(f"{option}: no sound in the example rises above the noise")
        elif inside > 1:
            notes.append(f"{option}: the example has {inside} sounds and is compared as a whole; {example.part}")
    return notes


def _given(example: Example, bands: tuple[int, int]) -> Spans:
    """Return an example as the only sound of its recording."""
    (low, high), one = bands, np.zeros(1, np.int32)
    return Spans(one, np.array([example.start]), np.array([example.end]), one + low, one + high, one.astype("f4"), one)


@dataclass(frozen=True)
class _Work:
    """The sounds of a corpus, and the key by which a memory knows them."""

    model: Model
    corpus: EngineCorpus
    sounds: Spans
    memory: SearchMemory
    key: Hashable
    progress: Progress

    def encoded(self, bands: tuple[int, int] | None) -> tuple[CodeFile, Space]:
        """Return the codes of the sounds in a range of bands, and their space."""

        def encode(codes: CodeFile) -> Space:
            parts = encode_sounds(
                self.model,
                self.corpus,
                self.sounds,
                codes,
                parts=True,
                windows=SingleSounds(bands),
                done=lambda _: self.progress.advance(1),
            )
            return Space.of(np.asarray(codes.codes[evenly(len(codes), SAMPLE)]), parts)

        return self.memory.encoded((self.key, bands), len(DEFAULT_POOL) * self.model.params.hidden, encode)


def _cosines(
    work: _Work, queries: EngineCorpus, given: Sequence[Spans], ranges: Sequence[tuple[int, int] | None]
) -> Array:
    """Return the cosine of each sound with each example, (sounds, examples), in the frequencies of the example."""
    cosine, distinct = np.empty((len(work.sounds), len(given)), np.float32), [*dict.fromkeys(ranges)]
    new = sum(not work.memory.knows((work.key, bands)) for bands in distinct)
    work.progress.stage("searching", len(work.corpus.records) * new, "files")
    for bands in distinct:
        own = [number for number, each in enumerate(ranges) if each == bands]
        codes, space = work.encoded(bands)
        with closing(CodeFile(None, codes.width)) as wanted:
            for number in own:
                windows = SingleSounds(bands)
                encode_sounds(work.model, queries.only([number]), given[number], wanted, parts=False, windows=windows)
            points, at = space.points(np.asarray(wanted.codes)), 0
            for block in codes.blocks():
                cosine[at : at + len(block), own] = space.points(block) @ points.T
                at += len(block)
    work.progress.close()
    return cosine


def _combined(cosine: Array, liked: NDArray[np.bool_]) -> tuple[Array, NDArray[np.intp]]:
    """Return the similarity of each sound to all examples, (sounds,), and the nearest ones, (sounds, 2)."""
    nearest = np.full((len(cosine), 2), -1, np.intp)
    similarity = np.zeros(len(cosine), np.float32)
    for column, (wanted, weight) in enumerate(((True, 1.0), (False, -_UNWANTED))):
        own = np.flatnonzero(liked == wanted)
        if len(own):
            part = cosine[:, own]
            nearest[:, column] = own[part.argmax(axis=1)]
            similarity += np.float32(weight) * (part.mean(axis=1) + part.max(axis=1)) / 2
    return similarity, nearest


def _are_examples(
    sounds: Spans, records: Sequence[Record], given: Sequence[Spans], queries: Sequence[Record]
) -> NDArray[np.bool_]:
    """Return which sounds are examples: they overlap in time and frequency, in the same recording or a copy of it."""
    same = np.zeros(len(sounds), bool)
    for one, query in zip(given, queries, strict=True):
        copies = np.array([_is_copy(record, query) for record in records])
        same |= (
            copies[sounds.record]
            & (sounds.start < one.end)
            & (sounds.end > one.start)
            & (sounds.low <= one.high)
            & (sounds.high >= one.low)
        )
    return same


def _is_copy(record: Record, other: Record) -> bool:
    """Return whether two records are of one file, perhaps by a link, or of files with the same content."""
    if record.digest == other.digest:
        return True
    try:
        return Path(record.path).samefile(other.path)
    except OSError:
        return False
