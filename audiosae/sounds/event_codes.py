"""Codes of events and of evenly spaced samples of recordings, computed where the fields are stored."""

from __future__ import annotations

import tempfile
from contextlib import closing
from itertools import chain, islice, pairwise
from typing import TYPE_CHECKING

import numpy as np

from audiosae.corpus.entries import AGAIN
from audiosae.corpus.fields import read_field
from audiosae.corpus.windows import CHUNK_WINDOWS
from audiosae.errors import InputError
from audiosae.features.codes import Encoder
from audiosae.features.pooling import DEFAULT_POOL, Pool
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.noise_floor import BandLevels, seconds_per_row
from audiosae.sounds.sound_store import FLOOR, SoundStore, floor_key, key_of
from audiosae.sounds.sound_types import evenly
from audiosae.system.mapped import MappedArray

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.corpus.windows import Corpus
    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard
    from audiosae.sounds.locate import Spans
    from audiosae.sounds.noise_floor import Stretch

    Codes = NDArray[np.float32]
    Job = tuple[NDArray[np.float64], list[NDArray[np.float64]]]  # times of all events of a recording, and batches
    WindowsOf = Callable[[Model, BandLevels, Stretch], Codes]

SAMPLES = 20000  # of all recordings together, for the colours of pictures
_SAMPLE_SECONDS = 1.0  # least time between samples
_SAMPLE_WINDOWS = 2  # windows whose mean code is the code of a sample
_BATCH_EVENTS = 256
_PARTS = 3  # of an event
_PART_EVENTS = 1000  # from whose parts the metric is learned
# quantile of an event's levels that is its strength; dB to which that is scaled; smallest strength, dB
_STRENGTH_QUANTILE, _STRENGTH, _LEAST_STRENGTH = 0.95, 20.0, 3.0


def recordings_domain(model: Model, command: str, corpus: Corpus | None = None) -> Spectrogram:
    """Return the domain of a model of recordings, as a corpus was read with it; InputError for any other model."""
    if corpus is not None and isinstance(corpus.domain, Spectrogram):
        return corpus.domain
    if not isinstance(model.domain, Spectrogram):
        raise InputError(
            f"{command} needs a model trained on recordings; this model has the domain {model.domain.name}"
        )
    return model.domain


def encode_sounds(
    model: Model,
    corpus: EngineCorpus,
    spans: Spans,
    codes: CodeFile,
    *,
    parts: bool,
    store: SoundStore | None = None,
    windows: WindowsOf | None = None,
    done: Callable[[Record], None] = lambda _: None,
) -> Codes | None:
    """Append the pooled codes of events or bouts, in order, to a file.

    Parameters
    ----------
    corpus
        The recordings. The work is done where their fields are stored.
    parts
        Whether to encode three equal parts of at most 1,000 evenly spaced events, too.
    store
        Codes of earlier surveys, for windows of `event_windows`; None to encode all events.
    windows
        Function of a module that returns the windows of an event; None for `event_windows`.
    done
        Called once for each recording after its last event.

    Where fields are not kept, the codes that `sample_codes` wants are stored, too: they do not need another pass.

    Returns
    -------
    array of shape (parts, features), or None
        The codes of the parts of each event minus their mean.
    """
    boxes = np.stack([spans.start, spans.end, spans.low, spans.high, spans.peak], axis=1)
    chosen = evenly(len(spans), _PART_EVENTS if parts else 0)
    edges = np.arange(len(corpus.records) + 1)
    whole = np.split(boxes, np.searchsorted(spans.record, edges[1:-1]))
    thirds = np.split(_thirds(boxes[chosen]), _PARTS * np.searchsorted(spans.record[chosen], edges[1:-1]))
    jobs = [(own[:, :2], [*_batches(own), *_batches(third)]) for own, third in zip(whole, thirds, strict=True)]
    blocks, of_parts = _encoded(model, corpus, jobs, store, windows), [np.empty((0, codes.width), np.float32)]
    for record, own, third in zip(corpus.records, whole, thirds, strict=True):
        for _ in _batches(own):
            codes.append(next(blocks))
        of_parts += [next(blocks) for _ in _batches(third)]
        done(record)
    next(blocks, None)  # stores the samples of the last recordings
    if not parts:
        return None
    residuals = np.concatenate(of_parts).reshape(len(chosen), _PARTS, codes.width)
    return np.asarray(residuals - residuals.mean(axis=1, keepdims=True)).reshape(-1, codes.width)


def _thirds(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return three equal parts of each stretch, (3 x stretches, 5)."""
    parts = np.repeat(boxes, _PARTS, axis=0)
    length = (parts[:, 1] - parts[:, 0]) / _PARTS
    parts[:, 0] += np.tile(np.arange(_PARTS), len(boxes)) * length
    parts[:, 1] = parts[:, 0] + length
    return parts


def _batches(boxes: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return stretches in the batches that are encoded together; the parts of events are never among whole ones."""
    return [boxes[at : at + _BATCH_EVENTS] for at in range(0, len(boxes), _BATCH_EVENTS)]


def _encoded(
    model: Model, corpus: EngineCorpus, jobs: Sequence[Job], store: SoundStore | None, windows: WindowsOf | None
) -> Iterator[Codes]:
    """Yield the codes of each batch of stretches: start, end (s), low, high (bands) and peak, (stretches, 5)."""
    floors, pitch = store.folder if store else None, 0.0
    if store and any(record.field.endswith(AGAIN) for record in corpus.records):
        pitch = _pitch(corpus)

    def encoded(numbers: Sequence[int]) -> Iterator[dict[str, Codes]]:
        some = corpus.only(numbers)
        own = some.jobs([jobs[number] for number in numbers])
        for block in chain.from_iterable(
            some.map(_encode_shard, model, windows, floors, pitch, jobs=own, spread=True) if numbers else ()
        ):
            yield {"codes": block}

    if store is None:
        yield from (block["codes"] for block in encoded(range(len(jobs))))
        return
    keys = [
        [key_of("codes", record.digest, times.tobytes(), batch.tobytes()) for batch in batches]
        + ([_sample_key(record, pitch)] if pitch else [])
        for record, (times, batches) in zip(corpus.records, jobs, strict=True)
    ]
    blocks = store.through(keys, encoded)
    for _, batches in jobs:
        yield from (block["codes"] for block in islice(blocks, len(batches)))
        if pitch:
            next(blocks)


def _encode_shard(  # noqa: PLR0917 (what is sent to other processes has no keywords)
    backend: Backend,
    shard: Shard,
    jobs: Sequence[Job],
    model: Model,
    windows: WindowsOf | None,
    floors: Path | None,
    pitch: float,
) -> Iterator[Codes]:
    """Yield the codes of each batch of stretches of a recording of a shard, then of its samples if `pitch` is not 0.

    The folder `floors` has the noise floors that were measured when events were found; another machine lacks it.
    """
    second = seconds_per_row(recordings_domain(model, "survey"))
    for record, (times, batches) in zip(shard.corpus.records, jobs, strict=True):
        known = SoundStore(floors).load(floor_key(record)) if floors else None
        levels = BandLevels(read_field(record), second, events=times, known=known[FLOOR] if known else None)
        for batch in batches:
            yield pooled_codes(
                model, levels, [levels.stretch(*box) for box in batch.tolist()], backend, windows=windows
            )
        if pitch:
            yield _sampled(Encoder(model, backend=backend), record, pitch)


def pooled_codes(
    model: Model,
    levels: BandLevels,
    events: Sequence[Stretch],
    backend: Backend | None = None,
    *,
    windows: WindowsOf | None = None,
) -> Codes:
    """Return the codes of the windows in events, pooled by mean, maximum and deviation.

    A window shows the levels above the running noise floor in all bands, in front of the mean of the model's training
    windows, and all events are scaled to the same strength. So the code does not depend on the distance of the source
    or on the background noise. With `windows`, another function determines what a window shows.

    Returns
    -------
    array of shape (events, units x 3)
        The three pooled values of a unit are next to each other.
    """
    encode = Encoder(model, "sqrt", backend=backend)
    pooled: list[Codes] = []
    pending: list[Codes] = []  # windows of events that are encoded together
    for event in events:
        pending.append((windows or event_windows)(model, levels, event))
        if sum(map(len, pending)) >= CHUNK_WINDOWS or len(pooled) + len(pending) == len(events):
            runs, pending = pending, []
            for part in encode.runs(runs):
                pool = Pool(len(part), 1)
                pool.add(part)
                pooled.append(pool.result(DEFAULT_POOL).reshape(-1))
    return np.stack(pooled)


def event_windows(model: Model, levels: BandLevels, event: Stretch) -> Codes:
    """Return the windows (count, width) whose centres lie in an event, or the nearest window."""
    frames, rows = model.domain.window[0], len(levels.field)
    first = max(0, min(event.start - frames // 2, rows - frames))
    end = min(rows, max(first, min(event.end - 1 - frames // 2, rows - frames)) + frames)
    rise = levels.cleaned(first, end)
    field = rise if len(rise) >= frames else np.pad(rise, ((0, frames - len(rise)), (0, 0)))
    return scaled_windows(model, field, rise[event.start - first : event.end - first])


def scaled_windows(model: Model, rise: Codes, own: Codes) -> Codes:
    """Return the windows (count, width) of levels above the noise, (rows, bands), in front of the background.

    They are scaled so that the levels `own` of the sound have the same strength in every sound.
    """
    strength = max(_quantile(own, _STRENGTH_QUANTILE), _LEAST_STRENGTH)
    background = model.whitener.mean.reshape(model.domain.window).mean(axis=0).astype(np.float32)
    field = rise * np.float32(_STRENGTH / strength) + background
    view = np.lib.stride_tricks.sliding_window_view(field, model.domain.window)[:: model.domain.stride[0], 0]
    return view.reshape(len(view), -1)


def _quantile(values: Codes, share: float) -> float:
    """Return ``numpy.quantile(values, share)``, a third of whose time this takes."""
    ordered = np.sort(values, axis=None)
    place = (len(ordered) - 1) * share
    at = int(place)
    low, high, weight = ordered[at], ordered[min(at + 1, len(ordered) - 1)], place - at
    step = high - low
    return float(low + step * weight if weight < 0.5 else high - step * (1 - weight))  # noqa: PLR2004 (as NumPy does)


class CodeFile:
    """Pooled codes of events in a temporary file, which is removed by `close`.

    Parameters
    ----------
    folder
        Where the file is created; None for the system's temporary directory.
    width
        Number of values per event.
    """

    width: int

    def __init__(self, folder: Path | None, width: int) -> None:
        self.width, self._count = width, 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)

    def __len__(self) -> int:
        return self._count

    def append(self, codes: Codes) -> None:
        """Append the codes (events, width) of some events."""
        self._file.write(np.ascontiguousarray(codes, np.float32).data)
        self._count += len(codes)

    @property
    def codes(self) -> Codes:
        """The codes of all events, memory-mapped, (events, width)."""
        self._file.flush()
        shape = (self._count, self.width)
        return MappedArray(self._file, np.float32, "r", shape=shape) if self._count else np.empty(shape, np.float32)

    def blocks(self, rows: int = 4096) -> Iterator[Codes]:
        """Yield the codes of all events in order, at most `rows` events at a time."""
        codes = self.codes
        yield from (np.asarray(codes[at : at + rows]) for at in range(0, self._count, rows))

    def close(self) -> None:
        """Close and remove the file."""
        self._file.close()


def sample_codes(
    model: Model,
    corpus: EngineCorpus,
    most: int = SAMPLES,
    *,
    store: SoundStore | None = None,
    spread: bool = True,
    folder: Path | None = None,
) -> list[Codes]:
    """Return mean square-root codes of evenly spaced samples of each recording, (samples, units).

    Each recording has one sample. At most `most` further samples are divided between the recordings. The time between
    samples is doubled where there would be more, so that those in `store` last while an archive grows.

    Parameters
    ----------
    spread
        Whether several processes compute them; False for this one alone, while others are at work.
    folder
        For the temporary file that has the codes; None for the system's temporary directory.
    """
    pitch = _pitch(corpus, most)

    def encoded(numbers: Sequence[int]) -> Iterator[dict[str, Codes]]:
        some = corpus.only(numbers)
        for part in some.map(_sample_shard, model, pitch, spread=spread) if numbers else ():
            yield from ({"codes": codes} for codes in part)

    keys = [[_sample_key(record, pitch)] for record in corpus.records]
    blocks = store.through(keys, encoded) if store else encoded(range(len(keys)))
    with closing(CodeFile(folder, model.params.hidden)) as file:
        ends = [0]
        for block in blocks:
            file.append(block["codes"])
            ends.append(len(file))
        codes = file.codes
    return [codes[low:high] for low, high in pairwise(ends)]


def _pitch(corpus: Corpus, most: int = SAMPLES) -> float:
    """Return the time between samples, s."""
    pitch = _SAMPLE_SECONDS
    while sum(record.extent for record in corpus.records) > most * pitch:
        pitch *= 2
    return pitch


def _sample_key(record: Record, pitch: float) -> str:
    return key_of("samples", record.digest, record.extent, pitch)


def _sample_shard(backend: Backend, shard: Shard, model: Model, pitch: float) -> Iterator[Codes]:
    encode = Encoder(model, backend=backend)
    yield from (_sampled(encode, record, pitch) for record in shard.corpus.records)


def _sampled(encode: Encoder, record: Record, pitch: float) -> Codes:
    """Return the mean codes of the samples of a recording, (samples, units)."""
    field, frames = read_field(record), encode.model.domain.window[0]
    if len(field) < frames:  # repeat the last row to fill one window, as in `window_blocks`
        field = np.pad(field, ((0, frames - len(field)), (0, 0)), "edge")
    count = _SAMPLE_WINDOWS * (1 + int(record.extent / pitch))
    starts = ((np.arange(count) + 0.5) / count * max(1, len(field) - frames + 1)).astype(int)
    codes = np.concatenate(
        [
            encode(np.stack([np.asarray(field[at : at + frames]).reshape(-1) for at in starts[i : i + CHUNK_WINDOWS]]))
            for i in range(0, count, CHUNK_WINDOWS)
        ]
    )
    return np.asarray(codes.reshape(count // _SAMPLE_WINDOWS, _SAMPLE_WINDOWS, -1).mean(axis=1), np.float32)
