"""The sounds of a survey as its page stores them: columns as base64 text, and spectrograms on sheets."""

from __future__ import annotations

import base64
import hashlib
import math
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from pathlib import PurePosixPath, PureWindowsPath
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.entries import AGAIN
from audiosae.corpus.fields import read_field
from audiosae.domain import plugin_call
from audiosae.sounds.event_map import map_positions
from audiosae.sounds.events import NOWHERE, REJECTED
from audiosae.sounds.noise_floor import seconds_per_row
from audiosae.sounds.results import MapPoints
from audiosae.sounds.sound_types import evenly
from audiosae.views.media import sheet_png

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.landmarks import Landmarks
    from audiosae.sounds.results import Survey

    Tile = tuple[NDArray[np.uint8], float]  # shades, and seconds at the left edge

NEAREST, UNUSUAL = 5, 20  # sounds of a listening queue; most unusual sounds
_TICKS = (20, 50, 100, 200, 500, 1000, 2000, 4000, 8000, 16000, 32000, 64000, 128000)  # Hz
_TICK_DISTANCE = 0.15  # of the height
_HEIGHT, _WIDEST, _USUAL_WIDTH = 48, 160, 72  # pixels of a spectrogram; of one with the usual duration
_MOST_STRETCH = 8.0
_USUAL = 0.75  # quantile of the durations
_MARGIN = 0.2  # of the usual duration, before and after a sound
_SHEET = (1024, 16)  # pixels, rows of spectrograms
_DEPTH, _LEAST_DEPTH = 45.0, 20.0  # range of a spectrogram, dB
_BACKGROUND = 0.3  # quantile of the levels that is black, within this range
_SHADES = 16
_AT_ONCE = 8192  # spectrograms that are made together, if fields are decoded again: more than a page has room for
_OPEN = 1024  # fields that are mapped into memory at the same time
# splitmix64 (Steele, Lea and Flood 2014): a random number from any other number
_GOLDEN, _MIX, _LAST_SHIFT = 0x9E3779B97F4A7C15, ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)), 31


class PageEvents:
    """The sounds that the page of a survey has, in columns.

    Sounds that a person said are not of interest are among them, with their types, so that they can be restored.
    """

    def __init__(self, survey: Survey) -> None:
        everything = evenly(len(survey.sounds), len(survey.sounds))
        self._mapped = survey.mapped or MapPoints(everything, np.zeros((len(everything), 2), np.float32))
        self.numbers: NDArray[np.int64] = self._mapped.numbers
        self._survey = survey
        answers = survey.labels.answers if survey.labels else ()
        self._answers = {each.event - 1: each for each in answers if each.decided}
        asked = np.array(survey.labels.ask_next if survey.labels else (), np.int64)
        at = np.searchsorted(self.numbers, asked)
        self._asked = at[np.isin(asked, self.numbers)]  # whose labels would help most
        self._rank = self._random_order()

    def _random_order(self) -> NDArray[np.int64]:
        """Return the rank of each sound in a random order, which depends on recording and start of the sound alone.

        So most of the sounds that a page plays are the same after some recordings were added, and need no encoding.
        """
        sounds = self._survey.sounds
        names = (hashlib.blake2b(record.digest.encode(), digest_size=8) for record in self._survey.records)
        seeds = np.array([int.from_bytes(name.digest(), "little") for name in names], np.uint64)
        start = np.round(sounds.start[self.numbers] * 1e4).astype(np.uint64)
        mixed = seeds[sounds.record[self.numbers]] + start * np.uint64(_GOLDEN)
        for shift, factor in _MIX:
            mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
        rank = np.empty(len(mixed), np.int64)
        rank[np.argsort(mixed ^ (mixed >> np.uint64(_LAST_SHIFT)), kind="stable")] = np.arange(len(mixed))
        return rank

    @property
    def digest(self) -> str:
        """Digest of the types and the sounds, by which the browser recognises the survey."""
        survey, sounds = self._survey, self._survey.sounds
        names = "\0".join([survey.types_digest, *(record.file for record in survey.records)])
        parts = (sounds.record, sounds.start, sounds.end, self.numbers)
        content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        return hashlib.blake2b(names.encode() + content, digest_size=8).hexdigest()

    @property
    def given(self) -> str:
        """Digest of what a person said before the survey, by which the browser recognises changes that are in it."""
        answers = self._survey.labels.answers if self._survey.labels else ()
        said = "\0".join(f"{each.type} {each.answer} {each.label}" for each in answers)
        return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()

    def priority(self) -> NDArray[np.intp]:
        """Return the numbers of the sounds, those that are listened to first in front.

        First the most typical one of each type, the second of each type, and so on up to five; then the least typical
        and random ones in the same way; those whose labels would help most; the most unusual; and the others in random
        order.
        """
        sounds = self._survey.sounds
        types, score = sounds.type[self.numbers], sounds.score[self.numbers]
        first: list[NDArray[np.intp]] = []
        for key in (score, -score, self._rank):
            order = np.lexsort((key, types))
            rank = np.arange(len(order)) - np.searchsorted(types[order], types[order])
            near = (rank < NEAREST) & (types[order] > NOWHERE)
            first.append(order[near][np.argsort(rank[near], kind="stable")])
        unusual = np.argsort(np.where(types == REJECTED, np.inf, -score), kind="stable")[:UNUSUAL]
        every = np.concatenate([*first, self._asked, unusual, np.argsort(self._rank)])
        unique, at = np.unique(every, return_index=True)
        return np.asarray(self.numbers[unique[np.argsort(at)]], np.intp)

    def columns(self) -> dict[str, Any]:
        """Return the columns as the page stores them, with zeros for the places on the map: see `places`."""
        survey, sounds = self._survey, self._survey.sounds
        names = ("record", "start", "end", "type", "score", "peak")
        own = {name: getattr(sounds, name)[self.numbers] for name in names}
        points = self._mapped.points
        scale = np.float32(127 / max(float(np.abs(points).max(initial=0)), 1e-12))
        hz = np.stack([sounds.low_hz[self.numbers], sounds.high_hz[self.numbers]], axis=1)
        given = {n: self._answers[number] for n, number in enumerate(self.numbers.tolist()) if number in self._answers}
        own["type"][[*given]] = [answer.type for answer in given.values()]  # also of those that are not of interest
        return {
            "count": len(self.numbers),
            "all": len(sounds),
            "digest": self.digest,
            "said": self.given,
            "types": survey.types_digest,
            "files": [record.file for record in survey.records],
            "folder": _folder(survey),
            "sites": list(survey.sites),
            "event": packed(self.numbers + 1, "<u4"),
            "record": packed(own["record"], "<u4"),
            "start": packed(np.round(own["start"], 4), "<f8"),
            "end": packed(np.round(own["end"], 4), "<f8"),
            "type": packed(own["type"], "<i2"),
            "score": packed(own["score"], "<f4"),
            "peak": packed(own["peak"], "<f4"),
            "hz": packed(np.round(hz), "<u4"),
            "time": packed(self._times(), "<f8") if survey.dated else None,
            "place": packed(np.zeros((len(points), 2)), "<u2"),
            "code": packed(np.rint(points * scale), "<i1"),
            "codes": points.shape[1],
            "order": packed(self._rank, "<u4"),
            "given": {n: (answer.label, answer.answer) for n, answer in given.items()},
            "ask": self._asked.tolist(),
            "names": survey.label_names,
            "classified": packed(sounds.label[self.numbers], "<i4") if survey.label_names else None,
            "confidence": packed(sounds.confidence[self.numbers], "<f4") if survey.label_names else None,
        }

    def places(self, landmarks: Callable[[], Landmarks | None] | None = None) -> str:
        """Return the column of the places on the map; `landmarks` waits for those that the survey does not have."""
        known = landmarks() if landmarks else self._mapped.landmarks
        return packed(np.rint(map_positions(self._mapped.points, known) * 65535), "<u2")

    def _times(self) -> NDArray[np.float64]:
        """Return the local date and time of each sound in seconds since 1970; NaN if it is not known."""
        start = datetime(1970, 1, 1, tzinfo=UTC)
        times = (event.time for event in self._survey.rows(self.numbers))
        return np.array([(time.replace(tzinfo=UTC) - start).total_seconds() if time else np.nan for time in times])


def _folder(survey: Survey) -> str | None:
    """Return the folder of the recordings as it was given, None if their names have it.

    It is "" if it is absolute: a page tells nothing of a machine.
    """
    paths = [record.path.replace("\\", "/") for record in survey.records]
    folders = {path.removesuffix(record.file) for path, record in zip(paths, survey.records, strict=True)}
    if folders == {""}:
        return None
    folder = folders.pop().rstrip("/") if len(folders) == 1 else ""
    return "" if PurePosixPath(folder).is_absolute() or PureWindowsPath(folder).drive else folder


def packed(values: NDArray[Any], kind: str) -> str:
    """Return numbers as base64 text of little-endian values."""
    return base64.b64encode(np.ascontiguousarray(values).astype(kind).tobytes()).decode()


class Thumbnails:
    """Spectrograms of sounds, all with the same scales of time and frequency, on sheets.

    Parameters
    ----------
    corpus
        The recordings to which the sounds refer, with fields on this machine.
    """

    def __init__(self, domain: Spectrogram, corpus: EngineCorpus, survey: Survey) -> None:
        self._corpus, self._sounds = corpus, survey.sounds
        usual = float(np.quantile(survey.sounds.seconds, _USUAL)) if len(survey.sounds) else 1.0
        row, bands = seconds_per_row(domain), len(domain.frequencies)
        margin = max(1, round(_MARGIN * usual / row))
        columns = usual / row + 2 * margin
        stretch = min(max(1.0, _USUAL_WIDTH / columns), _MOST_STRETCH)
        self._scales = _Scales(
            domain, row, margin, max(1, round(columns / _USUAL_WIDTH)), max(1, math.ceil(bands / _HEIGHT)), stretch
        )
        self._height = math.ceil(bands / self._scales.bands)
        self._field = lru_cache(_OPEN)(lambda record: read_field(corpus.records[record]))

    def facts(self) -> dict[str, Any]:
        """Return the scales: height, seconds and width of a column, and where on the axis (0 to 1) some Hz are."""
        scales = self._scales
        bands = np.asarray(scales.domain.frequencies)
        share = (np.interp(_TICKS, bands, np.arange(len(bands)) + 0.5) / len(bands)).tolist()
        ticks: list[tuple[int, float]] = []
        for hz, at in zip(_TICKS, share, strict=True):
            if bands[0] <= hz <= bands[-1] and (not ticks or at - ticks[-1][1] >= _TICK_DISTANCE):
                ticks.append((hz, round(at, 4)))
        second = scales.step * scales.row
        facts = {"height": self._height, "pixel": second, "stretch": round(scales.stretch, 2), "ticks": ticks}
        return facts | {"bands": np.round(bands, 1).tolist()}

    def tile(self, number: int) -> Tile:
        """Return the spectrogram of a sound in 16 shades, (height, width), and the time at its left edge in seconds."""
        return self._scales.tile(self._field(int(self._sounds.record[number])), *self._times(number))

    def _times(self, number: int) -> tuple[float, float]:
        return float(self._sounds.start[number]), float(self._sounds.end[number])

    def _tiles(self, numbers: Sequence[int]) -> Iterator[Tile]:
        """Yield the tiles of sounds in order; where fields are not kept, each is read once for many sounds."""
        for at in range(0, len(numbers), _AT_ONCE):
            some = numbers[at : at + _AT_ONCE]
            own = defaultdict[int, list[int]](list)
            for number in some:
                own[int(self._sounds.record[number])].append(number)
            if not any(self._corpus.records[record].field.endswith(AGAIN) for record in own):
                yield from map(self.tile, some)
                continue
            records = sorted(own)
            corpus = self._corpus.only(records)
            jobs = corpus.jobs([[self._times(number) for number in own[record]] for record in records])
            made = chain.from_iterable(corpus.map(_shard_tiles, self._scales, jobs=jobs, spread=True))
            tiles = dict(zip(chain.from_iterable(own[record] for record in records), made, strict=True))
            yield from (tiles[number] for number in some)

    def sheets(self, numbers: Sequence[int], size: int) -> dict[str, Any]:
        """Return sheets with the spectrograms of the first `numbers` that fit into `size` bytes.

        Returns
        -------
        dict
            sheets (PNG), and in the order of `numbers`: count, at (sheet, x, y, width), from (time at the left edge).
        """
        width, rows = _SHEET
        sheets: list[str] = []
        at: list[tuple[int, int, int, int]] = []
        begin: list[float] = []
        todo = self._tiles(numbers)
        tile = next(todo, None)
        while tile is not None:
            sheet, x, y, before = np.zeros((rows * self._height, width), np.uint8), 0, 0, len(at)
            while tile is not None:
                shades, left = tile
                if x + shades.shape[1] > width:
                    x, y = 0, y + self._height
                if y == len(sheet):
                    break
                sheet[y : y + self._height, x : x + shades.shape[1]] = shades
                at.append((len(sheets), x, y, shades.shape[1]))
                begin.append(left)
                x += shades.shape[1]
                tile = next(todo, None)
            png = sheet_png(sheet[: y + self._height] if tile is None else sheet, _SHADES)
            size -= len(png)
            if size < 0:
                at, begin = at[:before], begin[:before]
                break
            sheets.append(png)
        return {
            "sheets": sheets,
            "shown": len(at),
            "at": packed(np.asarray(at).reshape(-1, 4), "<u2"),
            "from": packed(np.asarray(begin), "<f8"),
        }


@dataclass(frozen=True)
class _Scales:
    """How spectrograms are cut out of fields: rows of margin and of a column of pixels, bands of a row of pixels.

    `row` are the seconds of a row of the field, and `stretch` is the width of a column: short sounds have few.
    """

    domain: Spectrogram
    row: float
    margin: int
    step: int
    bands: int
    stretch: float

    def tile(self, field: NDArray[np.float32], start: float, end: float) -> Tile:
        """Return what `Thumbnails.tile` does, for a sound from `start` to `end`, s."""
        first = max(0, math.floor(start / self.row) - self.margin)
        last = math.ceil(end / self.row) + self.margin
        first = min(first, len(field) - 1)
        widest = round(_WIDEST / self.stretch) * self.step
        piece = np.asarray(field[first : min(max(last, first + 1), first + widest)])
        with plugin_call(self.domain, "scene"):
            scene = np.asarray(self.domain.scene(piece), np.float32)
        scene = _largest(_largest(scene, self.bands).T, self.step).T
        low, high = _range(scene)
        shades = (scene - low) / (high - low) * (_SHADES - 1)
        return np.rint(np.clip(shades, 0, _SHADES - 1)).astype(np.uint8), first * self.row


def _shard_tiles(
    _: Backend, shard: Shard, jobs: Sequence[Sequence[tuple[float, float]]], scales: _Scales
) -> Iterator[Tile]:
    for record, times in zip(shard.corpus.records, jobs, strict=True):
        field = read_field(record)
        yield from (scales.tile(field, *each) for each in times)


def _range(scene: NDArray[np.float32]) -> tuple[float, float]:
    """Return the levels that are black and white: a quantile (`np.quantile` takes longer for it) and the largest."""
    levels, place = scene.reshape(-1), _BACKGROUND * (scene.size - 1)
    below = int(place)
    levels = np.partition(levels, (below, min(below + 1, scene.size - 1), -1))
    high, near = float(levels[-1]), levels[below : below + 2].tolist()
    low = near[0] + (place - below) * (near[-1] - near[0])
    return min(max(low, high - _DEPTH), high - _LEAST_DEPTH), high


def _largest(values: NDArray[np.float32], count: int) -> NDArray[np.float32]:
    """Return the largest of each `count` rows; the last group may be smaller."""
    if count == 1 or not len(values):
        return values
    return np.maximum.reduceat(values, np.arange(0, len(values), count), axis=0)
