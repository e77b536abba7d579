"""What a window was cut from: its surroundings as a picture with the window marked, and as a sound; each piece once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.corpus.windows import Corpus
from audiosae.domain import SECONDS, Span, plugin_call
from audiosae.engine.shards import read_again
from audiosae.errors import AudiosaeError
from audiosae.system.processes import run_in_order
from audiosae.system.stderr import CapturedStderr, capture_stderr
from audiosae.views.atoms import colour_limit, tile_of
from audiosae.views.media import encode_sound, scene_png, sound_scene_png, tile_png
from audiosae.views.page import as_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain, Excerpt
    from audiosae.engine.corpus import EngineCorpus

_MARGIN_SECONDS = 0.25  # of sound before and after a window, at least
_PIECES_PER_WORKER = 32  # fewer are made sooner than a process has started
_MARGIN_WINDOWS = 2  # of other inputs with one axis
_THUMBNAIL = 176  # pixels of a whole picture
_NUMBERS_SHOWN = 8


@dataclass(frozen=True)
class SourceRange:
    """A piece of a source: record, first row and the row after the last; whole pictures have no rows."""

    record: int
    low: int
    high: int


class Excerpts:
    """The pieces of sources that a page shows.

    Parameters
    ----------
    labels
        One per record of the corpus, if any.
    workers
        Processes that make pieces, where there is enough for them; what they make does not depend on it.
    """

    def __init__(
        self, domain: Domain, corpus: Corpus, labels: Sequence[str | None] | None = None, *, workers: int = 1
    ) -> None:
        self._domain, self._corpus, self._labels, self._workers = domain, corpus, labels, workers
        self._margins: dict[int, int] = {}

    def place(self, number: int) -> tuple[SourceRange, tuple[int, ...]]:
        """Return the piece that a window is shown in, and where in its field the window begins.

        Pieces begin and end at multiples of the margin, so that windows that lie close share one.
        """
        records, starts = self._corpus.locate(np.array([number]))
        index, start = int(records[0]), tuple(int(at) for at in starts[0])
        if len(self._span(index, start).start) > 1:
            return SourceRange(index, 0, 0), start
        return self._around(index, start[0], start[0] + self._domain.window[0]), start

    def pieces(self, places: Sequence[SourceRange]) -> Iterator[dict[str, Any]]:
        """Yield pieces as `piece` makes them, in order."""
        workers = min(self._workers, -(-len(places) // _PIECES_PER_WORKER))
        if workers < 2:  # noqa: PLR2004
            return map(self.piece, places)
        jobs = [(self._domain, self._corpus.records[place.record], replace(place, record=0)) for place in places]
        return run_in_order(_piece, jobs, workers=workers, crashed=_crashed)

    def piece(self, place: SourceRange) -> dict[str, Any]:
        """Return a piece as a page keeps it: file, low and high in the domain's unit, image, sound or what hinders."""
        record = self._corpus.records[place.record]
        found: dict[str, Any] = {"file": record.file, "image": None, "sound": None}
        scene = self._scene(record, place)
        if place.high:
            span = Span(self._at(record, place.low), self._at(record, place.high), self._domain.unit)
            found |= {"low": span.start[0], "high": span.end[0]} | self._heard(record, span)
        if scene is not None:
            found["image"] = sound_scene_png(scene) if found["sound"] else scene_png(scene, "gray")
            found["size"] = [scene.shape[1], scene.shape[0]]
        return found

    def window(self, place: SourceRange, start: tuple[int, ...], piece: dict[str, Any]) -> dict[str, Any]:
        """Return a window as a page keeps it: where it lies, its mark on the piece in per cent, itself where useful."""
        record, size = self._corpus.records[place.record], self._domain.window
        span = self._span(place.record, start)
        found: dict[str, Any] = {"from": [float(x) for x in span.start], "to": [float(x) for x in span.end]}
        found |= {"where": span_text(span), "label": self._labels[place.record] if self._labels else None}
        if place.high:
            length = place.high - place.low
            found["box"] = per_cent((start[0] - place.low) / length, 0, size[0] / length, 1)
        else:
            rows, columns = record.shape[:2]
            found["box"] = per_cent(start[1] / columns, start[0] / rows, size[1] / columns, size[0] / rows)
        alone = not place.high or piece["image"] is None
        return found | self._itself(record, span, start) if alone else found

    def _around(self, index: int, low: int, high: int) -> SourceRange:
        """Return the piece around some rows."""
        margin = self._margin(index)
        below, above = max(0, (low - margin) // margin * margin), -(-(high + margin) // margin) * margin
        return SourceRange(index, below, min(self._corpus.records[index].shape[0], above))

    def _span(self, index: int, start: tuple[int, ...]) -> Span:
        with plugin_call(self._domain, "span"):
            return self._domain.span(Path(self._corpus.records[index].path), start)

    def _at(self, record: Record, row: int) -> tuple[float]:
        with plugin_call(self._domain, "span"):
            start = (row,) + (0,) * (len(self._domain.window) - 1)
            return (float(self._domain.span(Path(record.path), start).start[0]),)

    def _margin(self, index: int) -> int:
        """Return how many rows are shown before and after a window at least."""
        window = self._domain.window[0]
        if self._domain.kind != "sound":
            return 1 if window == 1 else _MARGIN_WINDOWS * window
        if index not in self._margins:
            second = self._at(self._corpus.records[index], 1)[0]
            self._margins[index] = max(window, math.ceil(_MARGIN_SECONDS / second))
        return self._margins[index]

    def _scene(self, record: Record, place: SourceRange) -> NDArray[Any] | None:
        """Return the picture of a piece of the field, pictures thinned out."""
        field = read_field(record)
        if place.high:
            piece = np.array(field[place.low : place.high])
        else:
            step = max(1, math.ceil(max(record.shape[:2]) / _THUMBNAIL))
            piece = np.array(field[::step, ::step])
        with plugin_call(self._domain, "scene"):
            scene = self._domain.scene(piece)
            return None if scene is None else np.asarray(scene, np.float64)

    def _heard(self, record: Record, span: Span) -> dict[str, Any]:
        excerpt = self._excerpt(record, span)
        if isinstance(excerpt, str):
            return {"fault": excerpt}
        if excerpt.kind != "sound":
            return {}
        sound = encode_sound(excerpt.data, excerpt.rate)
        return {"sound": sound.data, "slowed": sound.slowed}

    def _excerpt(self, record: Record, span: Span) -> Excerpt | str:
        """Return the excerpt, or as text why there is none; the page is complete but for it."""
        try:
            with (
                capture_stderr(CapturedStderr()),
                plugin_call(self._domain, "excerpt"),
            ):  # decoders remark on jumps into a stream
                excerpt = self._domain.excerpt(Path(record.path), span)
        except AudiosaeError as error:
            return str(error)
        return excerpt if excerpt.data.size else "nothing there: the file has become shorter"

    def _itself(self, record: Record, span: Span, start: tuple[int, ...]) -> dict[str, Any]:
        """Return a window's own picture, or the numbers of a row."""
        excerpt = self._excerpt(record, span)
        if isinstance(excerpt, str):
            return {"fault": excerpt}
        if excerpt.kind == "picture":
            return {"patch": scene_png(excerpt.data.astype(np.float64), "gray")}
        window = self._field_window(record, start)
        tile = tile_of(self._domain, window)
        found: dict[str, Any] = {"patch": tile_png(tile, colour_limit(window), self._domain.colours)}
        if excerpt.kind == "rows" and len(excerpt.data) == 1:
            row = excerpt.data[0]
            most = np.argsort(-np.abs(row), kind="stable")[:_NUMBERS_SHOWN]
            found["numbers"] = [[int(i), float(row[i])] for i in most]
        return found

    def _field_window(self, record: Record, start: tuple[int, ...]) -> NDArray[np.float32]:
        pieces = tuple(slice(at, at + size) for at, size in zip(start, self._domain.window, strict=True))
        return np.array(read_field(record)[pieces])


def _piece(job: tuple[Domain, Record, SourceRange]) -> dict[str, Any]:
    domain, record, place = job
    return Excerpts(domain, Corpus(domain, [record])).piece(place)


def _crashed(job: tuple[Domain, Record, SourceRange]) -> dict[str, Any]:
    _, record, place = job
    found = {"file": record.file, "image": None, "sound": None, "fault": "the decoder crashed on it"}
    return found | ({"low": 0.0, "high": 0.0} if place.high else {})


def readable(corpus: EngineCorpus, shown: Iterable[int]) -> EngineCorpus:
    """Read here what is shown of records whose fields lie with workers elsewhere."""
    away = [i for i in shown if not Path(corpus.records[i].field).exists()]
    if not away or corpus.cache is None:
        return corpus
    again = read_again(corpus.only(away), corpus.cache, workers=corpus.workers)
    found = dict(zip(away, again, strict=True))
    return corpus.part([found.get(i, record) for i, record in enumerate(corpus.records)], corpus.picked)


def per_cent(left: float, top: float, width: float, height: float) -> list[float]:
    """Return a rectangle of shares in per cent."""
    return [round(100 * min(max(value, 0.0), 1.0), 3) for value in (left, top, width, height)]


def span_text(span: Span) -> str:
    """Return where a window lies, in words."""
    if span.unit == SECONDS:
        return f"{_clock(span.start[0])} to {_clock(span.end[0])}"
    if len(span.start) > 1:
        axes = zip(("rows", "columns"), span.start, span.end, strict=False)
        return ", ".join(f"{axis} {low:g} to {high - 1:g}" for axis, low, high in axes)
    if span.end[0] - span.start[0] == 1:
        return f"{span.unit} {span.start[0]:g}"
    return f"{span.start[0]:g} to {span.end[0]:g} {span.unit}"


def _clock(seconds: float) -> str:
    """Return seconds as a player shows them, to the hundredth: ``1:02:03.45``, ``2:03.45``, ``3.45 s``."""
    hundredths = round(100 * seconds)
    minutes, rest = divmod(hundredths, 6000)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02d}:{rest / 100:05.2f}"
    return f"{minutes}:{rest / 100:05.2f}" if minutes else f"{rest / 100:.2f} s"


def cost(kept: dict[str, Any]) -> int:
    """Return how many bytes a piece or a window takes on a page, with the comma."""
    return len(as_json(kept)) + 1


@dataclass
class Chosen:
    """What a page shows of sources.

    Attributes
    ----------
    pieces
        As `Excerpts.piece` gives them.
    windows
        Per unit, as `Excerpts.window` gives them, with their activation and the number of their piece.
    """

    pieces: list[dict[str, Any]]
    windows: list[list[dict[str, Any]]]


def choose(
    tops: Sequence[Sequence[tuple[int, float]]], excerpts: Excerpts, room: int, done: Callable[[], None] = lambda: None
) -> Chosen:
    """Choose the windows that a page has room for: the strongest of every unit, then the second of every unit, ...

    Parameters
    ----------
    tops
        Number and activation of the windows wanted, per unit.
    room
        Bytes.
    """
    chosen, there = Chosen([], [[] for _ in tops]), dict[SourceRange, int]()
    ranks = [
        {unit: (*excerpts.place(top[rank][0]), top[rank][1]) for unit, top in enumerate(tops) if rank < len(top)}
        for rank in range(max(map(len, tops), default=0))
    ]
    fresh = _new_places(ranks)
    pieces = excerpts.pieces([place for places in fresh for place in places])  # of all: processes start but once
    for wanted, places in zip(ranks, fresh, strict=True):
        made: dict[SourceRange, dict[str, Any]] = {}
        for place in places:
            made[place] = next(pieces)
            room -= cost(made[place])
            done()
            if room < 0:
                return chosen
        numbers = there | {place: len(there) + i for i, place in enumerate(made)}
        row = {}
        for unit, (place, start, activation) in wanted.items():
            piece = made[place] if place in made else chosen.pieces[there[place]]
            row[unit] = excerpts.window(place, start, piece) | {"activation": activation, "piece": numbers[place]}
        room -= sum(map(cost, row.values()))
        if room < 0:
            return chosen
        chosen.pieces.extend(made.values())
        there = numbers
        for unit, window in row.items():
            chosen.windows[unit].append(window)
    return chosen


def _new_places(ranks: Sequence[Mapping[int, tuple[SourceRange, Any, float]]]) -> list[list[SourceRange]]:
    """Return, of each rank, the pieces that no rank before it has, in order of the sources."""
    seen, fresh = set[SourceRange](), []
    for wanted in ranks:
        places = {place for place, _, _ in wanted.values()} - seen
        seen |= places
        fresh.append(sorted(places, key=lambda place: (place.record, place.low)))
    return fresh
