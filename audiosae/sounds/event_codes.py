"""Codes of events, and of evenly spaced samples of recordings; computed where the fields are stored."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.corpus.windows import CHUNK_WINDOWS
from audiosae.errors import InputError
from audiosae.features.codes import DEFAULT_POOL, Encoder, Pool
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.sounds.events import MIN_SECONDS, Stretch, stretches
from audiosae.sounds.noise_floor import SHORT_SECONDS, BandLevels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.journal import Record
    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard

    Codes = NDArray[np.float32]

ProgressBars = Literal["event", "short_recording", "recording"]  # what a window of an event shows, see `pooled_codes`
SAMPLES = 20000  # of all recordings together, for the colours of pictures
_SAMPLE_SECONDS = 1.0  # between samples, at least
_SAMPLE_WINDOWS = 2  # that the code of a sample is the mean of
_BATCH_EVENTS = 256
_AROUND = 0.25  # s before and after an event of a short recording: its onset and decay
_MARGIN = 0.08  # of all bands, to each side of an event's own
_STRENGTH, _LEAST_STRENGTH, _STRENGTH_QUANTILE = 20.0, 3.0, 0.95  # dB that loud parts of every event are brought to


def recordings_domain(model: Model, command: str) -> Spectrogram:
    """Return the model's domain; InputError where it is not that of recordings."""
    if not isinstance(model.domain, Spectrogram):
        raise InputError(f"{command} looks for sounds in recordings; this model is of {model.domain.name}: wanted one "
                         f"that was trained on recordings")  # fmt: skip
    return model.domain


def seconds_per_row(domain: Spectrogram) -> float:
    """Return the time between frames."""
    return domain.hop_length / domain.sample_rate


def are_short_recordings(records: Iterable[Record]) -> bool:
    """Return whether most recordings are under ten seconds: too short to distinguish noise from sound."""
    return float(np.median([record.extent for record in records])) < SHORT_SECONDS


@dataclass(frozen=True)
class Found:
    """Events of one recording with their pooled codes, (events, units x pools)."""

    stretches: list[Stretch]
    codes: Codes


def find_events(
    model: Model, corpus: EngineCorpus, *, shortest: float = MIN_SECONDS, shown: ProgressBars | None = None,
    done: Callable[[Record], None] = lambda _: None,
) -> Iterator[tuple[int, Found]]:  # fmt: skip
    """Yield (number of a used recording, at most 256 of its events) in order, found and encoded where they lie.

    Without `shown`, windows show all bands in short recordings, and the event alone in other recordings.
    """
    number = 0
    for part in corpus.map(_encode_events, model, shortest, shown):
        for found in part:
            if found is None:
                done(corpus.records[number])
                number += 1
            else:
                yield number, found


def _encode_events(
    backend: Backend, shard: Shard, model: Model, shortest: float, shown: ProgressBars | None
) -> Iterator[Found | None]:
    """Yield the encoded events of each recording of a shard, and None after the last event of a recording."""
    seconds = seconds_per_row(recordings_domain(model, "survey"))
    for record in shard.corpus.records:
        levels = BandLevels(read_field(record), seconds)
        events = stretches(levels, shortest=shortest)
        while batch := list(islice(events, _BATCH_EVENTS)):
            how = shown or ("short_recording" if levels.is_short_recording else "event")
            yield Found(batch, pooled_codes(model, levels, batch, backend, shown=how))
        yield None


def pooled_codes(
    model: Model, levels: BandLevels, events: Sequence[Stretch], backend: Backend | None = None, *,
    shown: ProgressBars = "event",
) -> Codes:  # fmt: skip
    """Return the codes of the windows in events, pooled by mean, maximum and deviation.

    A window shows the event alone, before the mean of the model's training windows: what does not stand above the
    running noise floor or lies in other bands is left out, and its strength is the same for all. So an event's code
    does not tell how near it was, nor what the wind did.

    In a ``short_recording`` it shows all bands, and a quarter of a second before and after: they are part of the same
    word or note; the strength is that of the whole recording. For ``recording`` it shows the same time as it was
    recorded, and the code is the units' shares, which describe a sound whether it is loud or soft.

    Returns
    -------
    array of shape (events, units x 3)
        Unit by unit.
    """
    encode = Encoder(model, "share" if shown == "recording" else "sqrt", backend=backend)
    found: list[NDArray[np.float32]] = []
    strength = _strength(levels.cleaned(0, len(levels.field))) if shown == "short_recording" else None
    held: list[NDArray[np.float32]] = []
    around, last = 0 if shown == "event" else round(_AROUND / levels.seconds_per_row), len(levels.field)
    for one in events:
        event = replace(one, start=max(0, one.start - around), end=min(last, one.end + around))
        held.append(_as_recorded(model, levels, event) if shown == "recording"
                    else _cleaned(model, levels, event, strength))  # fmt: skip
        if sum(map(len, held)) >= CHUNK_WINDOWS or len(found) + len(held) == len(events):
            codes, at = encode(np.concatenate(held)), 0
            for windows in held:
                pool = Pool(len(windows), 1)
                pool.add(codes[at : at + len(windows)])
                found.append(pool.result(DEFAULT_POOL).reshape(-1))
                at += len(windows)
            held = []
    return np.stack(found)


def _strength(rise: Codes) -> float:
    return max(float(np.quantile(rise, _STRENGTH_QUANTILE)), _LEAST_STRENGTH)


def _rows(model: Model, levels: BandLevels, event: Stretch) -> tuple[int, int]:
    """Return the first of the rows of the windows whose middles lie in an event, at least the nearest; and the end."""
    frames, rows = model.domain.window[0], len(levels.field)
    first = max(0, min(event.start - frames // 2, rows - frames))
    return first, min(rows, max(first, min(event.end - 1 - frames // 2, rows - frames)) + frames)


def _as_recorded(model: Model, levels: BandLevels, event: Stretch) -> Codes:
    """Return the windows (count, width) of an event."""
    first, end = _rows(model, levels, event)
    return _cut(model, _filled(model, np.asarray(levels.field[first:end], np.float32), "edge"))


def _cleaned(model: Model, levels: BandLevels, event: Stretch, strength: float | None) -> Codes:
    """Return the windows (count, width) of an event, cleaned; if `strength` is None, its own bands alone."""
    first, end = _rows(model, levels, event)
    rise = levels.cleaned(first, end)
    if strength is None:
        margin = max(1, round(_MARGIN * levels.bands))
        rise[:, : max(0, event.low - margin)] = 0
        rise[:, event.high + margin + 1 :] = 0
        strength = _strength(rise[event.start - first : event.end - first, event.low : event.high + 1])
    behind = model.whitener.mean.reshape(model.domain.window).mean(axis=0).astype(np.float32)
    return _cut(model, _filled(model, rise * np.float32(_STRENGTH / strength), "constant") + behind)


def _filled(model: Model, rows: Codes, mode: Literal["edge", "constant"]) -> Codes:
    """Return rows, and as many more as a window needs."""
    return np.pad(rows, ((0, max(0, model.domain.window[0] - len(rows))), (0, 0)), mode)


def _cut(model: Model, rows: Codes) -> Codes:
    view = np.lib.stride_tricks.sliding_window_view(rows, model.domain.window)[:: model.domain.stride[0], 0]
    return view.reshape(len(view), -1)


class CodeFile:
    """Pooled codes of events, `width` numbers each, in a file in `folder` (None: the system's) until `close`."""

    width: int

    def __init__(self, folder: Path | None, width: int) -> None:
        self.width, self._count = width, 0
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by `close`)

    def __len__(self) -> int:
        """Return the number of events."""
        return self._count

    def append(self, codes: Codes) -> None:
        """Add events."""
        self._file.write(np.ascontiguousarray(codes, np.float32).data)
        self._count += len(codes)

    @property
    def codes(self) -> Codes:
        """All of them, memory-mapped, (events, width)."""
        self._file.flush()
        if not self._count:
            return np.empty((0, self.width), np.float32)
        return np.memmap(self._file, np.float32, "r", shape=(self._count, self.width))

    def blocks(self, rows: int = 4096) -> Iterator[Codes]:
        """Yield all of them in order."""
        codes: NDArray[Any] = self.codes
        yield from (np.asarray(codes[at : at + rows]) for at in range(0, self._count, rows))

    def close(self) -> None:
        """Let the file go."""
        self._file.close()


def sample_codes(model: Model, corpus: EngineCorpus, most: int = SAMPLES) -> list[Codes]:
    """Return mean square-root codes of evenly spaced samples of each recording, (samples, units).

    There is one sample of each recording, and at most `most` more of all recordings together.
    """
    pitch = max(_SAMPLE_SECONDS, sum(record.extent for record in corpus.records) / most)
    return [codes for part in corpus.map(_sample_shard, model, pitch) for codes in part]


def _sample_shard(backend: Backend, shard: Shard, model: Model, pitch: float) -> Iterator[Codes]:
    """Yield the sample codes of each recording of a shard; samples are `pitch` seconds apart."""
    encode, frames = Encoder(model, backend=backend), model.domain.window[0]
    for record in shard.corpus.records:
        field = read_field(record)
        if len(field) < frames:  # repeat the last row to fill one window, as everywhere
            field = np.pad(field, ((0, frames - len(field)), (0, 0)), "edge")
        count = _SAMPLE_WINDOWS * (1 + int(record.extent / pitch))
        starts = ((np.arange(count) + 0.5) / count * max(1, len(field) - frames + 1)).astype(int)
        found = [
            encode(np.stack([np.asarray(field[at : at + frames]).reshape(-1) for at in starts[i : i + CHUNK_WINDOWS]]))
            for i in range(0, count, CHUNK_WINDOWS)
        ]
        codes = np.concatenate(found)
        yield np.asarray(codes.reshape(count // _SAMPLE_WINDOWS, _SAMPLE_WINDOWS, -1).mean(axis=1), np.float32)
