"""Search by example: the events of recordings that sound most like a given moment."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.errors import InputError
from audiosae.sounds.event_codes import (
    CodeFile,
    are_short_recordings,
    find_events,
    pooled_codes,
    recordings_domain,
    seconds_per_row,
)
from audiosae.sounds.events import MIN_SECONDS, Stretch, stretches
from audiosae.sounds.find_types import Columns
from audiosae.sounds.noise_floor import BandLevels
from audiosae.sounds.sound_types import SAMPLE, Space, evenly
from audiosae.system.files import csv_text, write_file
from audiosae.system.frames import html_table, pandas_frame
from audiosae.system.progress import counted
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.event_codes import ProgressBars
    from audiosae.sounds.results import Events

COLUMNS = ("rank", "file", "start", "end", "low_hz", "high_hz", "similarity")
_ROUNDING = 1e-6  # s, of decimals as they are typed
_FEW = 20  # events among which what is alike and what is not cannot be told well
_PLACE = re.compile(r"(.+)@((?:\d+:)*\d+(?:\.\d*)?)-((?:\d+:)*\d+(?:\.\d*)?)")  # s, or as pages have it: 1:03.5


@dataclass(frozen=True)
class Example:
    """What is searched for: a file, or a stretch of it in seconds."""

    path: Path
    start: float = 0.0
    end: float = float("inf")

    @classmethod
    def parse(cls, text: str) -> Example:
        """Read ``FILE`` or ``FILE@START-END``, a file of that whole name first; InputError: no such file or stretch."""
        found = None if Path(text).exists() else _PLACE.fullmatch(text)
        example = cls(Path(found[1]), _seconds(found[2]), _seconds(found[3])) if found else cls(Path(text))
        file, _, place = text.rpartition("@")
        if not found and file and not example.path.is_file() and Path(file).is_file():
            raise InputError(f"--like {text}: {place!r} is no stretch of {file}; wanted START-END in seconds, as in "
                             f"{file}@3.2-4.5")  # fmt: skip
        if not example.path.is_file():
            raise InputError(f"--like {text}: no file {example.path}; wanted FILE or FILE@START-END, as in "
                             f"song.wav@3.2-4.5")  # fmt: skip
        if not example.start < example.end:
            raise InputError(f"--like {text}: START {example.start:g} s is not before END {example.end:g} s")
        return example

    def within(self, seconds: float) -> Example:
        """Return what there is of the example in so many seconds; InputError: less than the shortest event has."""
        there = replace(self, end=min(self.end, seconds))
        told = f"--like {self.path}" + (f"@{self.start:g}-{self.end:g}" if self.end < float("inf") else "")
        if self.start >= seconds:
            raise InputError(f"{told}: the recording ends at {seconds:.2f} s")
        if there.end - there.start < MIN_SECONDS - _ROUNDING:
            raise InputError(f"{told}: {there.end - there.start:.3g} s are too short to tell what is like them; wanted "
                             f"at least {MIN_SECONDS:g} s")  # fmt: skip
        return there


def _seconds(text: str) -> float:
    """Return 63.5 of "63.5" and of "1:03.5"."""
    seconds = 0.0
    for part in text.split(":"):
        seconds = 60 * seconds + float(part)
    return seconds


@dataclass(frozen=True, repr=False)
class Matches:
    """The moments most like an example, the most like it first.

    Attributes
    ----------
    events
        One row a moment, as `audiosae.sounds.results.Events`; types are 0.
    similarity
        Cosine with the example in the space in which types are sought, (matches,), at most 1.
    facts
        What ``find --json`` prints.
    skipped
        Of the sources that could not be used.
    notes
        Messages: what was passed over, skipped or not whole.

    Examples
    --------
    >>> found = audiosae.find(model, sounds, sounds / "0.wav", count=2)
    >>> bool(found.similarity[0] >= found.similarity[1]), found.events.start.shape
    (True, (2,))
    >>> list(found.facts["matches"][0])
    ['rank', 'file', 'start', 'end', 'low_hz', 'high_hz', 'similarity']
    """

    records: Sequence[Record]
    events: Events
    similarity: NDArray[np.float32]
    facts: Mapping[str, Any] = field(default_factory=dict)
    skipped: Sequence[Record] = ()
    notes: Sequence[str] = ()

    def __len__(self) -> int:
        """Return the number of moments."""
        return len(self.events)

    def frame(self) -> pd.DataFrame:
        """Return the moments as a pandas frame, a row each, with the columns of the table that find writes.

        Raises
        ------
        InputError
            pandas is not installed.
        """
        return pandas_frame(dict(zip(COLUMNS, zip(*self.rows(), strict=True), strict=True)))

    def _repr_html_(self) -> str:
        """Return the moments as a table, for a notebook."""
        return html_table(self.rows(), head=COLUMNS, caption=repr(self).strip("<>"))

    def __repr__(self) -> str:
        return f"<Matches: {len(self)} moments in {len(self.records)} recordings; {len(self.skipped)} skipped>"

    def rows(self) -> Iterator[tuple[Any, ...]]:
        """Yield rank, file, start, end, low_hz, high_hz, similarity."""
        e = self.events
        for i in range(len(e)):
            place = (
                round(float(value[i]), digits)
                for value, digits in ((e.start, 3), (e.end, 3), (e.low_hz, 1), (e.high_hz, 1))
            )
            yield i + 1, self.records[e.record[i]].file, *place, round(float(self.similarity[i]), 4)


@one_blas_thread()
def find_like(
    model: Model, corpus: EngineCorpus, like: Record, example: Example, *, count: int = 20,
    done: Callable[[Record], None] = lambda _: None,
) -> Matches:  # fmt: skip
    """Find the events that sound most like an example.

    Parameters
    ----------
    like, example
        The example's record, ingested likewise, and which part of it is meant.
    count
        How many moments at most; the example itself is none of them.

    Raises
    ------
    InputError
        The model is not of recordings, nothing sounds in them, or the example is too short or not there.
    """
    corpus = corpus.only(corpus.used)
    records = corpus.records
    shown: ProgressBars = "recording" if are_short_recordings(records) else "event"
    wanted, told = example_codes(model, like, example, shown=shown)
    with closing(CodeFile(None, wanted.shape[1])) as codes:
        columns = Columns(recordings_domain(model, "find"), [record.extent for record in records])
        for number, found in find_events(model, corpus, shown=shown, done=done):
            columns.append(number, found)
            codes.append(found.codes)
        if not len(codes):
            raise InputError(f"no events in {counted(len(records), 'recording')}: there is nothing to compare with")
        near = similarity(codes, wanted)
    flat = np.zeros(len(near))
    events = columns.events(flat.astype(np.int32), flat.astype(np.float32), flat.astype(np.int32))
    itself = np.array([Path(r.path).absolute() == example.path.absolute() for r in records])[events.record]
    near[itself & (events.start < example.end) & (events.end > example.start)] = -np.inf
    order = np.argsort(-near, kind="stable")[: min(count, int(np.isfinite(near).sum()))]
    notes = [told] if told else []
    if len(near) < _FEW:
        notes.append(f"similarity says little here: there are but {counted(len(near), 'event')} to compare with")
    return Matches(records, events.taken(order), near[order], notes=notes)


def similarity(codes: CodeFile, wanted: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine of each event's code with that of the example, (events,), where types are sought."""
    space = Space.of(np.asarray(codes.codes[evenly(len(codes), SAMPLE)]))
    point = space.points(wanted)[0]
    return np.concatenate([space.points(block) @ point for block in codes.blocks()]).astype(np.float32)


def example_codes(
    model: Model, record: Record, example: Example, *, shown: ProgressBars = "event"
) -> tuple[NDArray[np.float32], str]:  # fmt: skip
    """Return the pooled code (1, features) of what sounds in an example, and what a person should know of it.

    Of several sounds that is the loudest and longest one; all of the example where nothing stands out.
    """
    levels = BandLevels(read_field(record), seconds_per_row(recordings_domain(model, "find")))
    example, last, second = example.within(record.extent), len(levels.field), levels.seconds_per_row
    low = min(last - 1, round(example.start / second))
    high = max(low + 1, min(last, round(example.end / second)))
    inside = [event for event in stretches(levels) if event.start < high and event.end > low]
    if not inside:
        whole = Stretch(low, high, 0, levels.bands - 1, 0.0)
        return pooled_codes(model, levels, [whole], shown=shown), (
            f"--like {example.path}: nothing in the example stands out from the noise; all of it is compared"
        )
    loudest = max(inside, key=lambda event: event.peak * (min(event.end, high) - max(event.start, low)))
    start, end = max(low, loudest.start), min(high, loudest.end)
    part = Stretch(start, end, loudest.low, loudest.high, loudest.peak)
    told = (f"--like {example.path}: of {len(inside)} sounds in the example the one from {start * second:.2f} to "
            f"{min(end * second, record.extent):.2f} s is compared; FILE@START-END takes another")  # fmt: skip
    return pooled_codes(model, levels, [part], shown=shown), told if len(inside) > 1 else ""


def write_matches_csv(matches: Matches, path: Path) -> None:
    """Write the moments as a table."""
    write_file(path, csv_text([COLUMNS, *matches.rows()]).encode())
