"""Search by example: find the events of recordings that sound most similar to a given sound."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.errors import InputError
from audiosae.sounds.detection import DetectorOptions
from audiosae.sounds.event_codes import (
    CodeFile,
    encode_sounds,
    pooled_codes,
    recordings_domain,
)
from audiosae.sounds.find_types import make_events
from audiosae.sounds.locate import locate
from audiosae.sounds.noise_floor import BandLevels, seconds_per_row
from audiosae.sounds.sound_types import SAMPLE, Space, evenly
from audiosae.system.frames import html_table, pandas_frame
from audiosae.system.progress import Progress, counted
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.bouts import Group
    from audiosae.sounds.locate import Detector
    from audiosae.sounds.results import Events

COLUMNS = ("rank", "file", "start", "end", "low_hz", "high_hz", "similarity")
_ROUNDING = 1e-6  # s, of times entered as decimals
_LEAST_SECONDS = 0.01  # of an example
_FEW = 20  # with fewer events, similarities are not meaningful
_EXAMPLE = re.compile(r"(.+)@((?:\d+:)*\d+(?:\.\d*)?)-((?:\d+:)*\d+(?:\.\d*)?)")  # in seconds, or as 1:03.5


@dataclass(frozen=True)
class Example:
    """Sound to search for: a file, or a section of it between two times in seconds."""

    path: Path
    start: float = 0.0
    end: float = float("inf")

    @classmethod
    def parse(cls, text: str) -> Example:
        """Parse ``FILE`` or ``FILE@START-END``; a file whose name is the whole text takes precedence.

        Raises
        ------
        InputError
            The file does not exist, or the section is not valid.
        """
        parts = None if Path(text).exists() else _EXAMPLE.fullmatch(text)
        example = cls(Path(parts[1]), _seconds(parts[2]), _seconds(parts[3])) if parts else cls(Path(text))
        file, _, section = text.rpartition("@")
        if not parts and file and not example.path.is_file() and Path(file).is_file():
            raise InputError(
                f"--like {text}: {section!r} is not a section of {file}; wanted START-END in seconds, as in "
                f"{file}@3.2-4.5"
            )
        if not example.path.is_file():
            raise InputError(
                f"--like {text}: no file {example.path}; wanted FILE or FILE@START-END, as in song.wav@3.2-4.5"
            )
        if not example.start < example.end:
            raise InputError(f"--like {text}: START {example.start:g} s is not before END {example.end:g} s")
        return example

    def within(self, seconds: float) -> Example:
        """Return the part of the example within the duration of its recording.

        Raises
        ------
        InputError
            The part is shorter than the shortest event.
        """
        inside = replace(self, end=min(self.end, seconds))
        option = f"--like {self.path}" + (f"@{self.start:g}-{self.end:g}" if self.end < float("inf") else "")
        if self.start >= seconds:
            raise InputError(f"{option}: the recording ends at {seconds:.2f} s; give a START before that")
        if inside.end - inside.start < _LEAST_SECONDS - _ROUNDING:
            raise InputError(
                f"{option}: {inside.end - inside.start:.3g} s are too short to compare; wanted at least "
                f"{_LEAST_SECONDS:g} s"
            )
        return inside


def _seconds(text: str) -> float:
    """Return 63.5 for "63.5" and for "1:03.5"."""
    return reduce(lambda total, part: 60 * total + float(part), text.split(":"), 0.0)


@dataclass(frozen=True, repr=False)
class Matches:
    """Events that sound similar to an example, the most similar first.

    Attributes
    ----------
    events
        One row per event, as `audiosae.sounds.results.Events`; all types are 0.
    similarity
        Cosine with the example in the space in which sound types are learned, (matches,), at most 1.
    facts
        The values that ``find --json`` prints.
    skipped
        The sources that could not be used.
    notes
        Messages, for example about ignored, skipped or truncated files.

    Examples
    --------
    >>> matches = audiosae.find(model, sounds, sounds / "0.wav", count=2)
    >>> bool(matches.similarity[0] >= matches.similarity[1]), matches.events.start.shape
    (True, (2,))
    >>> list(matches.facts["matches"][0])
    ['rank', 'file', 'start', 'end', 'low_hz', 'high_hz', 'similarity']
    """

    records: Sequence[Record]
    events: Events
    similarity: NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: Sequence[Record] = ()
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        return len(self.events)

    def frame(self) -> pd.DataFrame:
        """Return the matches as a pandas frame with the columns of the table that find writes.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return pandas_frame(dict(zip(COLUMNS, zip(*self.rows(), strict=True), strict=True)))

    def _repr_html_(self) -> str:
        return html_table(self.rows(), head=COLUMNS, caption=repr(self).strip("<>"))

    def __repr__(self) -> str:
        return f"<Matches: {len(self)} moments in {len(self.records)} recordings; {len(self.skipped)} skipped>"

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield rank, file, start, end, low_hz, high_hz and similarity of each match."""
        e = self.events
        columns = ((e.start, 3), (e.end, 3), (e.low_hz, 1), (e.high_hz, 1), (self.similarity, 4))
        for i, record in enumerate(e.record):
            values = (round(float(column[i]), digits) for column, digits in columns)
            yield i + 1, self.records[record].file, *values


@one_blas_thread()
def find_like(
    model: Model,
    corpus: EngineCorpus,
    like: EngineCorpus,
    example: Example,
    *,
    count: int = 20,
    options: DetectorOptions | None = None,
    group: Group | None = None,
    progress: Progress | None = None,
) -> Matches:
    """Find the events or bouts that sound most similar to an example.

    Parameters
    ----------
    like, example
        The example's file, read with the model's domain, and the section of it to search for.
    count
        Maximum number of matches. The example itself is excluded.
    options, group
        See `audiosae.sounds.find_types.find_types`.

    Raises
    ------
    InputError
        The model is not of recordings, no recording has an event, or the example is too short or past the end of its
        file.
    """
    corpus, progress = corpus.only(corpus.used), progress or Progress()
    records, options = corpus.records, options or DetectorOptions()
    domain = recordings_domain(model, "find", corpus)
    detector, spans = locate(domain, corpus, options, group=group, progress=progress)
    sounds = spans.sounds(detector.joining.group)
    if not len(sounds):
        raise InputError(
            f"no events in {counted(len(records), 'recording')}, so the example cannot be compared; add recordings"
        )
    code, notes = example_codes(model, like, example, detector)
    progress.stage("searching", len(records), "files")
    with closing(CodeFile(None, code.shape[1])) as codes:
        parts = encode_sounds(model, corpus, sounds, codes, parts=True, done=lambda _: progress.advance(1))
        progress.close()
        space = Space.of(np.asarray(codes.codes[evenly(len(codes), SAMPLE)]), parts)
        point = space.points(code)[0]
        similarity = np.concatenate([space.points(block) @ point for block in codes.blocks()]).astype(np.float32)
    none = np.zeros(len(similarity), np.int32)
    events = make_events(domain, sounds, none, none.astype(np.float32), none)
    own_file = np.array([Path(r.path).absolute() == example.path.absolute() for r in records])[events.record]
    similarity[own_file & (events.start < example.end) & (events.end > example.start)] = -np.inf
    order = np.argsort(-similarity, kind="stable")[: min(count, int(np.isfinite(similarity).sum()))]
    if len(similarity) < _FEW:
        notes.append(f"similarity means little with only {counted(len(similarity), 'event')} to compare")
    ordered = events.only(order)
    return Matches(records, ordered, similarity[order], notes=notes)


def example_codes(
    model: Model, like: EngineCorpus, example: Example, detector: Detector
) -> tuple[NDArray[np.float32], list[str]]:
    """Return the pooled code (1, features) of the sound in an example, and messages.

    If the example has several sounds, the code is that of the loudest and longest one. If it has none, the code is that
    of the whole example.
    """
    like = like.only([0])
    domain = recordings_domain(model, "find", like)
    record = like.records[0]
    example = example.within(record.extent)
    _, spans = locate(domain, like, detector.options, known=detector)
    sounds = spans.sounds(detector.joining.group)
    common = np.minimum(sounds.end, example.end) - np.maximum(sounds.start, example.start)
    inside = np.flatnonzero(common > 0)
    times = np.stack([sounds.start, sounds.end], axis=1)
    levels, notes = BandLevels(read_field(record), seconds_per_row(domain), events=times), []
    if len(inside):
        best = inside[np.argmax(sounds.peak[inside] * common[inside])]
        start, end = max(sounds.start[best], example.start), min(sounds.end[best], example.end)
        box = (start, end, sounds.low[best], sounds.high[best], sounds.peak[best])
        if len(inside) > 1:
            notes.append(
                f"--like {example.path}: the example has {len(inside)} sounds; the one from {start:.2f} to {end:.2f} s "
                f"is compared; choose another with FILE@START-END"
            )
    else:
        box = (example.start, example.end, 0, levels.bands - 1, 0.0)
        notes.append(f"--like {example.path}: no sound in the example rises above the noise, so all of it is compared")
    return pooled_codes(model, levels, [levels.stretch(*map(float, box))]), notes
