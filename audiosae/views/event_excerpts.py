"""Events as a page shows them: in their surroundings, marked in time and frequency, and the mean of many."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.domain import Span, plugin_call
from audiosae.views.excerpts import Excerpts, SourceRange, per_cent, span_text
from audiosae.views.media import sound_scene_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    from audiosae.corpus.windows import Corpus
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.results import Events


class EventExcerpts(Excerpts):
    """The excerpts of recordings around events; the corpus has the records of the events."""

    def __init__(self, domain: Spectrogram, corpus: Corpus, events: Events) -> None:
        super().__init__(domain, corpus)
        self._events, self._bands = events, np.asarray(domain.frequencies)

    def place(self, number: int) -> tuple[SourceRange, tuple[int, ...]]:
        """Return the piece that an event is shown in, and the event's number."""
        low, high = self._rows(number)
        return self._around(int(self._events.record[number]), low, high), (number,)

    def window(self, place: SourceRange, start: tuple[int, ...], piece: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002
        """Return an event as a page keeps it: where it lies, and its mark on the piece in per cent."""
        (number,), events = start, self._events
        begin, end = float(events.start[number]), float(events.end[number])
        length = max(piece["high"] - piece["low"], 1e-9)
        low, high = (float(np.interp(hz, self._bands, np.linspace(0, 1, len(self._bands))))
                     for hz in (events.low_hz[number], events.high_hz[number]))  # fmt: skip
        return {
            "where": span_text(Span((begin,), (end,), "s")), "from": [begin], "to": [end], "event": number,
            "box": per_cent((begin - piece["low"]) / length, 1 - high, (end - begin) / length, high - low),
            "hz": f"{events.low_hz[number]:,.0f} to {events.high_hz[number]:,.0f} Hz", "type": int(events.type[number]),
        }  # fmt: skip

    def mean(self, numbers: Sequence[int], seconds: float) -> str:
        """Return the mean spectrogram of events, as long as `seconds` from the start of each."""
        second = self._at(self._corpus.records[int(self._events.record[numbers[0]])], 1)[0]
        rows = max(2, math.ceil(seconds / second))
        total, counts = np.zeros((rows, len(self._bands))), np.zeros((rows, 1))
        for number in numbers:
            first = self._rows(number)[0]
            piece = np.asarray(read_field(self._corpus.records[int(self._events.record[number])])[first : first + rows])
            total[: len(piece)] += piece
            counts[: len(piece)] += 1
        with plugin_call(self._domain, "scene"):
            scene = self._domain.scene((total / np.maximum(counts, 1)).astype(np.float32))
        return "" if scene is None else sound_scene_png(np.asarray(scene, np.float64))

    def _rows(self, number: int) -> tuple[int, int]:
        index = int(self._events.record[number])
        second = self._at(self._corpus.records[index], 1)[0]
        return round(float(self._events.start[number]) / second), round(float(self._events.end[number]) / second)
