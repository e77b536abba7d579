"""Excerpts of sources around the windows of a page: pictures with the window marked, and sounds; each excerpt once."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import is_elsewhere
from audiosae.corpus.fields import read_field
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
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain, Excerpt
    from audiosae.engine.corpus import EngineCorpus

    _Job = tuple[Domain, Record, "SourceRange", bool]
    Crop = tuple[slice, ...]

_BRIEF = 0.1  # s: the position of a shorter window has more decimals
_MARGIN_SECONDS = 0.25  # shortest sound before and after a window
_PIECES_PER_WORKER = 32  # a process takes longer to start than to make fewer
_MARGIN_WINDOWS = 2  # rows before and after a window of other inputs with one axis, in windows
_THUMBNAIL = 176  # pixels of a whole picture
_NUMBERS_SHOWN = 8


@dataclass(frozen=True)
class SourceRange:
    """Range of a source: record, first row and the row after the last; 0 and 0 for whole pictures."""

    record: int
    low: int
    high: int


class Excerpts:
    """Makes the excerpts of sources ("pieces") that a page shows.

    Parameters
    ----------
    labels
        One per record of the corpus, if any.
    workers
        Largest number of processes that make pieces; the result does not depend on it.
    pictures
        Whether pieces have an image.
    """

    def __init__(
        self,
        domain: Domain,
        corpus: Corpus,
        labels: Sequence[str | None] | None = None,
        *,
        workers: int = 1,
        pictures: bool = True,
    ) -> None:
        self._domain, self._corpus, self._labels, self._workers = domain, corpus, labels, workers
        self._pictures = pictures
        self._margins: dict[int, int] = {}

    def locate(self, number: int, /) -> tuple[SourceRange, tuple[int, ...]]:
        """Return the range of the source in which a window is shown, and the start of the window in its field.

        Ranges begin and end at multiples of the margin, so that neighbouring windows share one.
        """
        records, starts = self._corpus.locate(np.array([number]))
        index, start = int(records[0]), tuple(int(position) for position in starts[0])
        if len(self._span(index, start).start) > 1:
            return SourceRange(index, 0, 0), start
        return self._around(index, start[0], start[0] + self._domain.window[0]), start

    def pieces(self, ranges: Sequence[SourceRange]) -> Iterator[dict[str, Any]]:
        """Yield the pieces of several ranges, in order, as `piece` makes them."""
        workers = min(self._workers, -(-len(ranges) // _PIECES_PER_WORKER))
        if workers <= 1:
            return map(self.piece, ranges)
        jobs = [
            (self._domain, self._corpus.records[part.record], replace(part, record=0), self._pictures)
            for part in ranges
        ]
        return run_in_order(_piece, jobs, workers=workers, crashed=_crashed)

    def piece(self, source_range: SourceRange) -> dict[str, Any]:
        """Return a piece as the page stores it: file, low and high in the domain's unit, image, sound or fault."""
        record = self._corpus.records[source_range.record]
        piece: dict[str, Any] = {"file": record.file, "image": None, "sound": None}
        scene = self._scene(record, source_range) if self._pictures else None
        if source_range.high:
            start, end = (self._row_position(record, row) for row in (source_range.low, source_range.high))
            piece |= {"low": start[0], "high": end[0]}
            excerpt = self._excerpt(record, Span(start, end, self._domain.unit))
            if isinstance(excerpt, str):
                piece["fault"] = excerpt
            elif excerpt.kind == "sound":
                sound = encode_sound(excerpt.data, excerpt.rate)
                piece |= {"sound": sound.data, "slowed": sound.slowed}
        if scene is not None:
            piece["image"] = sound_scene_png(scene) if piece["sound"] else scene_png(scene, "gray")
            piece["size"] = [scene.shape[1], scene.shape[0]]
        return piece

    def window(
        self, source_range: SourceRange, start: tuple[int, ...], piece: dict[str, Any], /, crop: Crop = ()
    ) -> dict[str, Any]:
        """Return a window as the page stores it: position, mark on the piece in per cent, and a picture if needed.

        It has a separate picture if the piece is a thumbnail or has no image. With a crop, only this part of the window
        is shown.
        """
        record, size = self._corpus.records[source_range.record], self._domain.window
        span = self._span(source_range.record, start)
        if crop:
            start = tuple(at + part.start for at, part in zip(start, crop, strict=True))
            size = tuple(part.stop - part.start for part in crop)
            ends = (at + length for at, length in zip(start, size, strict=True))
            span = replace(span, start=self._row_position(record, start[0]), end=self._row_position(record, next(ends)))
        if source_range.high:
            length = source_range.high - source_range.low
            box = per_cent((start[0] - source_range.low) / length, 0, size[0] / length, 1)
        else:
            rows, columns = record.shape[:2]
            box = per_cent(start[1] / columns, start[0] / rows, size[1] / columns, size[0] / rows)
        window = {
            "from": [float(x) for x in span.start],
            "to": [float(x) for x in span.end],
            "where": span_text(span),
            "label": self._labels[source_range.record] if self._labels else None,
            "box": box,
        }
        if source_range.high and piece["image"] is not None:
            return window
        return window | self._window_picture(record, span, start)

    def _around(self, index: int, low: int, high: int) -> SourceRange:
        margin = self._margin(index)
        below, above = max(0, (low - margin) // margin * margin), -(-(high + margin) // margin) * margin
        return SourceRange(index, below, min(self._corpus.records[index].shape[0], above))

    def _span(self, index: int, start: tuple[int, ...]) -> Span:
        with plugin_call(self._domain, "span"):
            return self._domain.span(Path(self._corpus.records[index].path), start)

    def _row_position(self, record: Record, row: int) -> tuple[float]:
        with plugin_call(self._domain, "span"):
            start = (row,) + (0,) * (len(self._domain.window) - 1)
            return (float(self._domain.span(Path(record.path), start).start[0]),)

    def _margin(self, index: int) -> int:
        window = self._domain.window[0]
        if self._domain.kind != "sound":
            return 1 if window == 1 else _MARGIN_WINDOWS * window
        if index not in self._margins:
            row_seconds = self._row_position(self._corpus.records[index], 1)[0]
            self._margins[index] = max(window, math.ceil(_MARGIN_SECONDS / row_seconds))
        return self._margins[index]

    def _scene(self, record: Record, source_range: SourceRange) -> NDArray[Any] | None:
        """Return the picture of a range of the field; whole pictures are reduced to thumbnails."""
        field = read_field(record)
        step = max(1, math.ceil(max(record.shape[:2]) / _THUMBNAIL))
        part = np.array(field[source_range.low : source_range.high] if source_range.high else field[::step, ::step])
        with plugin_call(self._domain, "scene"):
            scene = self._domain.scene(part)
            return None if scene is None else np.asarray(scene, np.float64)

    def _excerpt(self, record: Record, span: Span) -> Excerpt | str:
        """Return the excerpt, or the reason why there is none: the page is written without it."""
        try:
            # Decoders print warnings when a stream is not read from its start.
            with capture_stderr(CapturedStderr()), plugin_call(self._domain, "excerpt"):
                excerpt = self._domain.excerpt(Path(record.path), span)
        except AudiosaeError as error:
            return str(error)
        return excerpt if excerpt.data.size else "the file has become shorter: it has nothing at this position"

    def _window_picture(self, record: Record, span: Span, start: tuple[int, ...]) -> dict[str, Any]:
        excerpt = self._excerpt(record, span)
        if isinstance(excerpt, str):
            return {"fault": excerpt}
        if excerpt.kind == "picture":
            return {"patch": scene_png(excerpt.data.astype(np.float64), "gray")}
        part = tuple(slice(low, low + size) for low, size in zip(start, self._domain.window, strict=True))
        window = np.array(read_field(record)[part])
        patch = tile_png(tile_of(self._domain, window), colour_limit(window), self._domain.colours)
        if excerpt.kind != "rows" or len(excerpt.data) != 1:
            return {"patch": patch}
        row = excerpt.data[0]
        largest = np.argsort(-np.abs(row), kind="stable")[:_NUMBERS_SHOWN]
        return {"patch": patch, "numbers": [[int(i), float(row[i])] for i in largest]}


def _piece(job: _Job) -> dict[str, Any]:
    domain, record, source_range, pictures = job
    return Excerpts(domain, Corpus(domain, [record]), pictures=pictures).piece(source_range)


def _crashed(job: _Job) -> dict[str, Any]:
    _, record, source_range, _ = job
    limits = {"low": 0.0, "high": 0.0} if source_range.high else {}
    return {"file": record.file, "image": None, "sound": None, "fault": "the decoder crashed on this file"} | limits


def with_local_fields(corpus: EngineCorpus, shown: Iterable[int]) -> EngineCorpus:
    """Return a corpus whose `shown` records have their fields on this machine; fields of remote workers are read here.

    Without a cache the corpus is returned as it is.
    """
    remote = [i for i in shown if is_elsewhere(corpus.records[i])]
    if not remote or corpus.cache is None:
        return corpus
    local = dict(zip(remote, read_again(corpus.only(remote), corpus.cache, workers=corpus.workers), strict=True))
    return corpus.part([local.get(i, record) for i, record in enumerate(corpus.records)], corpus.picked)


def per_cent(left: float, top: float, width: float, height: float) -> list[float]:
    """Return a rectangle in per cent, given as shares of width and height."""
    return [round(100 * min(max(value, 0.0), 1.0), 3) for value in (left, top, width, height)]


def span_text(span: Span) -> str:
    """Return the position of a window as text: ``1:02.30 to 1:02.46``, ``rows 40 to 49, columns 12 to 21``.

    The times of a window under 0.1 s have thousandths of a second.
    """
    if span.unit == SECONDS:
        digits = 3 if round(span.end[0] - span.start[0], 6) < _BRIEF else 2
        return f"{_clock(span.start[0], digits)} to {_clock(span.end[0], digits)}"
    if len(span.start) > 1:
        axes = zip(("rows", "columns"), span.start, span.end, strict=False)
        return ", ".join(f"{axis} {low:g} to {high - 1:g}" for axis, low, high in axes)
    if span.end[0] - span.start[0] == 1:
        return f"{span.unit} {span.start[0]:g}"
    return f"{span.start[0]:g} to {span.end[0]:g} {span.unit}"


def _clock(seconds: float, digits: int = 2) -> str:
    """Return a time as players show it, with some decimals: ``1:02:03.45``, ``2:03.45``, ``3.45 s``."""
    minutes, parts = divmod(round(10**digits * seconds), 60 * 10**digits)
    hours, minutes = divmod(minutes, 60)
    rest, width = parts / 10**digits, 3 + digits
    if hours:
        return f"{hours}:{minutes:02d}:{rest:0{width}.{digits}f}"
    return f"{minutes}:{rest:0{width}.{digits}f}" if minutes else f"{rest:.{digits}f} s"


def _json_bytes(value: dict[str, Any]) -> int:
    return len(as_json(value)) + 1  # with the comma after it


def choose_excerpts(
    tops: Sequence[Sequence[tuple[int, float]]],
    excerpts: Excerpts,
    size: int,
    done: Callable[[], None] = lambda: None,
    *,
    crops: Sequence[Crop] = (),
) -> tuple[list[dict[str, Any]], list[list[dict[str, Any]]]]:
    """Choose the windows that fit on a page: the strongest of every unit, then the second of every unit, ...

    Parameters
    ----------
    tops
        Number and activation of the windows to show, per unit.
    size
        Largest number of bytes.
    done
        Called after each piece.
    crops
        The part of windows that each unit sees; none if it is the whole window.

    Returns
    -------
    pieces
        As `Excerpts.piece` makes them.
    windows
        Per unit, as `Excerpts.window` makes them, with their activation and the number of their piece.
    """
    ranks = [
        {unit: (*excerpts.locate(top[rank][0]), top[rank][1]) for unit, top in enumerate(tops) if rank < len(top)}
        for rank in range(max(map(len, tops), default=0))
    ]
    new: list[list[SourceRange]] = []  # of each rank, the ranges that no earlier rank has, in the order of the sources
    known: set[SourceRange] = set()
    for rank in ranks:
        own = {part for part, _, _ in rank.values()} - known
        known |= own
        new.append(sorted(own, key=lambda part: (part.record, part.low)))
    made = excerpts.pieces([part for ranges in new for part in ranges])  # of all ranks: processes are started once
    pieces, windows, numbers = list[dict[str, Any]](), [list[dict[str, Any]]() for _ in tops], dict[SourceRange, int]()
    for rank, ranges in zip(ranks, new, strict=True):
        fitting = len(pieces)
        for part in ranges:
            numbers[part] = len(pieces)
            pieces.append(next(made))
            size -= _json_bytes(pieces[-1])
            done()
            if size < 0:
                return pieces[:fitting], windows
        row = {
            unit: excerpts.window(part, start, pieces[numbers[part]], crops[unit] if crops else ())
            | {"activation": activation, "piece": numbers[part]}
            for unit, (part, start, activation) in rank.items()
        }
        size -= sum(map(_json_bytes, row.values()))
        if size < 0:
            return pieces[:fitting], windows
        for unit, window in row.items():
            windows[unit].append(window)
    return pieces, windows
