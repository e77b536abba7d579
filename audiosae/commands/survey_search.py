"""Search by example in the recordings of a survey that is open in a browser."""

from __future__ import annotations

from dataclasses import replace
from threading import Lock
from typing import TYPE_CHECKING, Any

from audiosae.corpus.entries import LostFieldError
from audiosae.errors import InputError
from audiosae.sounds.examples import LEAST_SECONDS, Example
from audiosae.sounds.search import SearchMemory, find_like
from audiosae.system.schema import Items, Mismatch, Number, Object, Optional, Text, Whole, parse_json
from audiosae.views.find_page import find_content

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from audiosae.autoencoder.model import Model
    from audiosae.commands.reading import Reading
    from audiosae.commands.recording_checks import RecordingChecks
    from audiosae.commands.survey_sources import SurveyedRecording
    from audiosae.engine import Engine
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.sounds.sound_types import Types

_MOST = 100  # matches
_RANGES = 8  # of frequencies whose codes are kept for the next search
_SIZE = 50 * 2**20  # bytes of their pictures and sounds
_STRETCH = Object(
    {"recording": Text(), "start": Number(0), "end": Number(0)},
    {"low": Optional(Number(0)), "high": Optional(Number(0))},
    rest=None,
)
_REQUEST = Object({"like": Items(_STRETCH)}, {"unlike": Items(_STRETCH), "count": Whole(1, _MOST)}, rest=None)


class SurveySearch:
    """Searches the recordings of a survey, with the detector of the survey; one search at a time.

    Parameters
    ----------
    job, engine
        Reading of the recordings, which begins with the first search.
    recordings, checks
        Recordings by their names, and the checks of them.
    """

    def __init__(  # noqa: PLR0917
        self,
        model: Model,
        types: Types,
        job: Reading,
        engine: Engine,
        recordings: Mapping[str, SurveyedRecording],
        checks: RecordingChecks,
    ) -> None:
        self._model, self._types, self._job, self._engine = model, types, job, engine
        self._recordings, self._checks, self._lock, self._memory = recordings, checks, Lock(), SearchMemory(_RANGES)
        self._corpus: EngineCorpus | None = None
        self._times: list[datetime | None] = []

    def find(self, request: bytes) -> dict[str, Any]:
        """Return the matches of a request as the page shows them.

        Parameters
        ----------
        request
            JSON: `like` and `unlike`, lists of stretches (recording, start, end; low and high in Hz), and `count`.

        Raises
        ------
        ChangedRecordingError
            A recording is not as it was surveyed.
        InputError
            The request or an example is not valid, or no recording can be read.
        """
        try:
            wanted = parse_json(request)
            _REQUEST.check(wanted)
        except Mismatch as error:
            raise InputError(f"search: {error}") from error
        examples = [self._example(each, liked=True) for each in wanted["like"]]
        examples += [self._example(each, liked=False) for each in wanted.get("unlike", ())]
        if not wanted["like"]:
            raise InputError("search: wanted at least one sound to search for")
        count = wanted.get("count", 20)
        with self._lock:
            self._checks.check_all()
            try:
                result = self._found(examples, count)
            except LostFieldError:  # the cache was emptied meanwhile
                self._memory.close()
                self._corpus, self._memory = None, SearchMemory(_RANGES)
                result = self._found(examples, count)
            self._checks.check_all()  # sounds and pictures are of the recordings as they are now
            return result

    def _example(self, stretch: Mapping[str, Any], *, liked: bool) -> Example:
        file, start, end = stretch["recording"], float(stretch["start"]), float(stretch["end"])
        low, high = stretch.get("low"), stretch.get("high")
        path, text = self._checks.path(file), f"{file}, {start:g} to {end:g} s"
        if not start < end:
            raise InputError(f"{text}: wanted a start before the end")
        if low is not None and high is not None and not low < high:
            raise InputError(f"{text}: wanted a lower frequency below the higher one, not {low:g} to {high:g} Hz")
        if end - start < LEAST_SECONDS:  # a call of a bat: what is around it is compared, too
            start = max(0.0, (start + end - LEAST_SECONDS) / 2)
            end = start + LEAST_SECONDS
        band = (low or 0.0, float("inf") if high is None else high)
        return Example(path, start, end, *band, liked=liked, text=text, name=text)

    def _found(self, examples: list[Example], count: int) -> dict[str, Any]:
        corpus, notes, detector = self._read(), self._job.notes, self._types.detector
        index = {record.path: number for number, record in enumerate(corpus.records)}
        numbers = [index[str(example.path)] for example in examples]
        for example, number in zip(examples, numbers, strict=True):
            if corpus.records[number].status != "used":
                raise InputError(f"{example.text}: the recording cannot be used: {corpus.records[number].reason}")
        queries = corpus.only(numbers)
        matches = find_like(
            self._model,
            corpus,
            queries,
            examples,
            count=count,
            options=detector.options if detector else None,
            group=detector.joining.group if detector else None,
            times=self._times,
            memory=self._memory,
            progress=notes,
        )
        items, pieces = find_content(self._model, corpus, queries, matches, size=_SIZE)
        shown = items["matches"]
        stretches = [
            {"recording": pieces[each["piece"]]["file"], "start": each["from"][0], "end": each["to"][0]}
            for each in shown
        ]
        notes.close()
        return {"items": items, "pieces": pieces, "stretches": stretches, "notes": list(matches.notes)}

    def _read(self) -> EngineCorpus:
        """Return the recordings under their names in the survey; they are read once."""
        if self._corpus is None:
            by_path = {str(each.path): each for each in self._recordings.values() if each.path}
            corpus = self._job.read(self._engine, interleaved=True)
            self._times = [by_path[record.path].time for record in corpus.records]
            named = [replace(record, file=by_path[record.path].file) for record in corpus.records]
            self._corpus = corpus.part(named, corpus.picked)
        return self._corpus
