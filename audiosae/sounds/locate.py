"""Location of the sounds of an archive: events and bouts of all recordings, and the settings by which they are found.

Settings that nobody gave follow from the archive: the length of the Fourier transforms from the frequencies of the
sounds in at most 12 recordings, and the rules for bouts from recordings with about 20,000 events. They are stored with
the sound types, so that later surveys find events in the same way.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from audiosae.corpus.cache import cache_folder
from audiosae.corpus.fields import read_field
from audiosae.corpus.sources import Source
from audiosae.engine.corpus import EngineCorpus, read
from audiosae.errors import InputError
from audiosae.sounds.beside import begin_if_many
from audiosae.sounds.bouts import SAMPLE, Group, Joining, learn_joining
from audiosae.sounds.broadband import BroadbandEvents, parts_of
from audiosae.sounds.detection import Detections, DetectorOptions, detect
from audiosae.sounds.noise_floor import BandLevels, seconds_per_row
from audiosae.sounds.sound_store import FLOOR, floor_key, key_of
from audiosae.system.progress import Progress
from audiosae.system.schema import Choice, Number, Object, Optional, Whole
from audiosae.system.stderr import CapturedStderr, capture_stderr

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from audiosae.domain import Json
    from audiosae.engine import Backend
    from audiosae.engine.shards import Shard
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.sounds.sound_store import SoundStore
    from audiosae.system.processes import Begin

_RECORDINGS, _SECONDS = 12, 60.0  # from which the length of the transforms follows, and the part of each that is used
_CYCLES, _SHORTEST, _LONGEST = 32.0, 0.0005, 0.008  # of the median frequency in a transform; bounds, s
_QUIET, _RISE = 0.25, 15.0  # quantile of a band's levels that is noise; least rise of a frame's loudest band, dB
_UNKNOWN = 0.008  # s, where nothing stands out
_LEAST_SECONDS = 1e-4  # of an event, as the tables write it

DETECTOR = Object(  # schema of `Detector.to_json`
    {
        "options": Object(
            {
                "min_gap": Optional(Number(0)),
                "min_duration": Optional(Number(0)),
                "min_level": Number(0),
                "low_hz": Number(0),
                "high_hz": Number(0),
            },
            rest=None,
        ),
        "transform_seconds": Number(above=0, most=1),
        "joining": Object(
            {
                "pause": Number(above=0),
                "offset": Number(),
                "slope": Number(),
                "least_parallel": Number(0),
                "group": Choice(*get_args(Group)),
            },
            rest=None,
        ),
        "channel": Whole(),
    },
    rest=None,
)


@dataclass(frozen=True)
class Detector:
    """Everything that determines which events and bouts are found.

    Attributes
    ----------
    options
        The user's options.
    transform_seconds
        Length of a Fourier transform for the broadband level, s.
    joining
        Rules for bouts.
    channel
        Number of the channel that was read, from 1; 0 is the mean of all channels.
    """

    options: DetectorOptions
    transform_seconds: float
    joining: Joining
    channel: int = 0

    def to_json(self) -> dict[str, Json]:
        """Return the settings as values for JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Detector:
        """Return the detector with settings from `to_json`."""
        return cls(
            DetectorOptions(**values["options"]),
            float(values["transform_seconds"]),
            Joining(**values["joining"]),
            int(values["channel"]),
        )


@dataclass(frozen=True)
class Spans:
    """Events or bouts of all recordings in order of recording and start, an array of (spans,) for each attribute.

    Attributes
    ----------
    record
        Index of the recording.
    start, end
        In seconds.
    low, high
        First and last band.
    peak
        Strongest level above the background, dB.
    bout
        Number of the bout of each event, from 0, in the whole archive.
    floors
        Noise floor of each recording in dB, a value per minute, NaN where it is not known.
    """

    record: NDArray[np.int32]
    start: NDArray[np.float64]
    end: NDArray[np.float64]
    low: NDArray[np.int32]
    high: NDArray[np.int32]
    peak: NDArray[np.float32]
    bout: NDArray[np.int32]
    floors: Sequence[NDArray[np.float32]] = ()

    def __len__(self) -> int:
        return len(self.record)

    def sounds(self, group: Group) -> Spans:
        """Return the events or the bouts, whichever are the sounds that get types."""
        return self.joined() if group == "bout" else self

    def joined(self) -> Spans:
        """Return the bouts, in the order of their numbers."""
        if not len(self):
            return self
        order = np.argsort(self.bout, kind="stable")
        first = np.flatnonzero(np.diff(self.bout[order], prepend=-1))
        start, low = (np.minimum.reduceat(part[order], first) for part in (self.start, self.low))
        end, high, peak = (np.maximum.reduceat(part[order], first) for part in (self.end, self.high, self.peak))
        return Spans(self.record[order][first], start, end, low, high, peak, np.arange(len(first), dtype=np.int32))


def locate(
    domain: Spectrogram,
    corpus: EngineCorpus,
    options: DetectorOptions,
    *,
    known: Detector | None = None,
    group: Group | None = None,
    store: SoundStore | None = None,
    begin: Begin | None = None,
    progress: Progress | None = None,
) -> tuple[Detector, Spans]:
    """Find the events of all recordings, and the bouts that they form.

    Parameters
    ----------
    domain
        Domain with which the recordings were read.
    corpus
        The recordings; all are used.
    known
        Detector of an earlier survey; its derived settings are used.
    group
        Whether events or bouts get types; None chooses it.
    store
        Events of earlier surveys; None to find all events.
    begin
        Begins work in another process, see `helpers`; None to learn the rules of bouts in this one.
    """
    progress = progress or Progress()
    bands = _band_range(domain, options)
    seconds = known.transform_seconds if known else transform_seconds(domain, corpus)
    broadband = _broadband(domain, options, seconds)
    levels = _broadband_fields(broadband, corpus, progress)
    sample = [] if known else _sample([len(events) for _, events in map(parts_of, levels)])
    everything = len(sample) == len(levels)
    progress.stage("detecting", len(sample) + len(levels) * (not everything), "files")
    find = partial(_detections, second=seconds_per_row(domain), bands=bands, options=options, store=store)
    detections = list(find(corpus.only(sample), [levels[i] for i in sample], progress=progress))
    if known:
        joining = known.joining
    else:  # SciPy's optimization takes 20 MiB until a process ends
        learn = begin_if_many(begin, sum(map(len, detections)))
        joining = learn(learn_joining, detections, broadband.seconds_per_frame, group)()
    if group:
        joining = replace(joining, group=group)
    whole = detections if everything else find(corpus, levels, progress=progress)
    progress.close()
    spans = replace(_columns(whole, joining, bands[0], corpus), floors=[parts_of(field)[0] for field in levels])
    return Detector(options, seconds, joining, domain.channel), spans


def _broadband(domain: Spectrogram, options: DetectorOptions, seconds: float) -> BroadbandEvents:
    return BroadbandEvents(domain.sample_rate, seconds, options.low_hz, options.high_hz, domain.channel)


def expected_broadband(
    domain: Spectrogram, paths: Sequence[Path], options: DetectorOptions, known: Detector | None = None
) -> BroadbandEvents:
    """Return the domain of broadband events that `locate` will most probably use, so that a recording is read once.

    The length of the transforms follows from parts that are decoded now, before the recordings are.
    """
    if known:
        return _broadband(domain, options, known.transform_seconds)
    rows, weights = _sampled_rows(domain), []
    for number in _sampled(len(paths)):
        with suppress(InputError, OSError), capture_stderr(CapturedStderr()):
            field = np.concatenate(list(domain.part(paths[number], 0, rows)))
            domain.finish(field)
            weights.append(_weights(field))
    return _broadband(domain, options, _suitable_seconds(domain, weights))


def _columns(
    detections: Sequence[Detections] | Iterator[Detections],
    joining: Joining,
    lowest: int,
    corpus: EngineCorpus,
) -> Spans:
    parts: list[Spans] = []
    bouts = 0
    for number, (each, record) in enumerate(zip(detections, corpus.records, strict=True)):
        own = joining.bouts_of(each)
        used = each.only(own >= 0)
        end = np.minimum(used.end, record.extent)
        start = np.maximum(0, np.minimum(used.start, end - _LEAST_SECONDS))
        same = np.full(len(used), number, np.int32)
        bout = (bouts + own[own >= 0]).astype(np.int32)
        parts.append(Spans(same, start, end, used.low + lowest, used.high + lowest, used.peak, bout))
        bouts += int(own.max(initial=-1)) + 1
    names = [field.name for field in fields(Spans) if field.name != "floors"]
    columns: dict[str, Any] = {name: np.concatenate([getattr(part, name) for part in parts]) for name in names}
    return _renumbered(Spans(**columns))


def _renumbered(events: Spans) -> Spans:
    """Return the events with the bouts numbered in the order of their start."""
    bouts = events.joined()
    order = np.lexsort((bouts.start, bouts.record))
    number = np.empty(len(order), np.int32)
    number[order] = np.arange(len(order), dtype=np.int32)
    return replace(events, bout=number[events.bout])


def _sample(events: Sequence[int]) -> list[int]:
    """Return evenly spaced recordings with at most `SAMPLE` events in total, at least one."""
    count = len(events)
    while count > 1 and sum(events[i * len(events) // count] for i in range(count)) > SAMPLE:
        count = max(1, count * 3 // 4)
    return [i * len(events) // count for i in range(count)]


def _band_range(domain: Spectrogram, options: DetectorOptions) -> tuple[int, int]:
    """Return the first band of the user's range of frequencies, and the band after the last."""
    centres = domain.frequencies
    inside = np.flatnonzero((centres >= options.low_hz) & (centres <= (options.high_hz or np.inf)))
    if not len(inside):
        raise InputError(
            f"--band {options.low_hz:g}-{options.high_hz:g}: no band of the model lies in it; its bands are at "
            f"{centres[0]:.0f} to {centres[-1]:.0f} Hz"
        )
    return int(inside[0]), int(inside[-1]) + 1


def _broadband_fields(domain: BroadbandEvents, corpus: EngineCorpus, progress: Progress) -> list[NDArray[np.float32]]:
    """Return the broadband events of each recording; InputError if one can no longer be read."""
    levels = read(
        domain,
        [Source(record.file, record.path) for record in corpus.records],
        corpus.engine,
        cache=cache_folder(corpus.cache),
        workers=corpus.workers,
        progress=progress,
        interleaved=True,
        stage="measuring levels",
    )
    for record in levels.skipped:
        raise InputError(f"{record.file} cannot be read any more: {record.reason}; run the command again")
    return [field for part in levels.map(_fields) for field in part]


def _fields(_: Backend, shard: Shard) -> Iterator[NDArray[np.float32]]:
    for record in shard.corpus.records:
        yield np.array(read_field(record))


def _detections(
    corpus: EngineCorpus,
    fields: Sequence[NDArray[np.float32]],
    *,
    second: float,
    bands: tuple[int, int],
    options: DetectorOptions,
    store: SoundStore | None,
    progress: Progress,
) -> Iterator[Detections]:
    """Yield the events of each recording; they are found where the fields of the recordings are stored."""
    stored = bool(store) and bands == (0, corpus.domain.window[1])  # codes need the noise floor of all bands

    def found(numbers: Sequence[int]) -> Iterator[dict[str, NDArray[Any]]]:
        some = corpus.only(numbers)
        jobs = some.jobs([fields[number] for number in numbers])
        for part in some.map(_detect_shard, second, bands, options, stored, jobs=jobs, spread=True) if numbers else ():
            yield from part

    keys = [
        [
            key_of("detections", record.digest, second, bands, options, field.tobytes()),
            *([floor_key(record)] if stored else []),
        ]
        for record, field in zip(corpus.records, fields, strict=True)
    ]
    blocks = store.through(keys, found) if store else found(range(len(fields)))
    for each in islice(blocks, None, None, 2) if stored else blocks:
        progress.advance(1)
        yield Detections(**each)


def _detect_shard(  # noqa: PLR0917 (what is sent to other processes has no keywords)
    _: Backend,
    shard: Shard,
    fields: Sequence[NDArray[np.float32]],
    second: float,
    bands: tuple[int, int],
    options: DetectorOptions,
    with_floor: bool,  # noqa: FBT001
) -> Iterator[dict[str, NDArray[Any]]]:
    """Yield the events of each recording, and its noise floor if that is wanted."""
    for record, field in zip(shard.corpus.records, fields, strict=True):
        levels = BandLevels(read_field(record)[:, slice(*bands)], second)
        yield vars(detect(levels, field, options))
        if with_floor:
            yield {FLOOR: levels.middle}


def transform_seconds(domain: Spectrogram, corpus: EngineCorpus) -> float:
    """Return a length of Fourier transforms that suits the frequencies of the sounds.

    It is 32 periods of the median frequency of what stands out in evenly spaced recordings, weighted by level above
    noise, and 0.5 to 8 ms.
    """
    chosen, rows = corpus.only(_sampled(len(corpus.records))), _sampled_rows(domain)
    return _suitable_seconds(domain, [each for part in chosen.map(_band_weights, rows) for each in part])


def _sampled(count: int) -> list[int]:
    """Return the numbers of evenly spaced recordings, of so many."""
    chosen = min(_RECORDINGS, count)
    return [i * count // chosen for i in range(chosen)]


def _sampled_rows(domain: Spectrogram) -> int:
    return max(1, round(_SECONDS / seconds_per_row(domain)))


def _suitable_seconds(domain: Spectrogram, weights: Sequence[NDArray[np.float64]]) -> float:
    """Return the length of transforms for the weights of the bands in some recordings."""
    total = np.array(weights).sum(axis=0)
    if not total.sum():
        return _UNKNOWN
    middle = domain.frequencies[np.searchsorted(np.cumsum(total), total.sum() / 2)]
    return float(np.clip(_CYCLES / max(float(middle), 1.0), _SHORTEST, _LONGEST))


def _band_weights(_: Backend, shard: Shard, rows: int) -> Iterator[NDArray[np.float64]]:
    yield from (_weights(np.asarray(read_field(record)[:rows])) for record in shard.corpus.records)


def _weights(field: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return the total rise (dB) of each band in the frames in which a band stands out."""
    rise = np.maximum(field - np.quantile(field, _QUIET, axis=0), 0)
    top = rise.max(axis=1, keepdims=True)
    rise[rise < top / 2] = 0
    return np.asarray(rise[top[:, 0] >= _RISE].sum(axis=0, dtype=np.float64))
