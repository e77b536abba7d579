"""Features of stretches of recordings, such as annotated sounds, pooled over the windows in each of them."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.domain import SECONDS, plugin_call
from audiosae.errors import InputError
from audiosae.features.codes import Part

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain
    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard
    from audiosae.features.codes import FeatureSet


@dataclass(frozen=True)
class Stretches:
    """Stretches of the recordings of a corpus, in order of the recordings.

    Attributes
    ----------
    record
        Number of the recording of each stretch, ascending, (stretches,).
    start, end
        Seconds from the beginning of the recording, (stretches,).
    """

    record: NDArray[np.int64]
    start: NDArray[np.float64]
    end: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.record)

    def of(self, record: int) -> NDArray[np.float64]:
        """Return the starts and ends of the stretches of a recording, (stretches, 2)."""
        low, high = np.searchsorted(self.record, [record, record + 1])
        return np.stack([self.start[low:high], self.end[low:high]], axis=1)


def check_domain(domain: Domain, option: str) -> None:
    """Raise InputError if the sources of a domain have no times."""
    if domain.unit != SECONDS:
        raise InputError(f"{option} needs a model of recordings; this model has the domain {domain.name}")


def stretch_features(
    corpus: EngineCorpus, features: FeatureSet, stretches: Stretches, *, pools: Sequence[str], segments: int = 1
) -> Iterator[NDArray[np.float32]]:
    """Yield the pooled features (outputs x pools x segments,) of each stretch, computed where the fields are stored.

    The windows whose centres lie in the stretch are pooled. A stretch that is shorter than the step between windows
    may have none; then the window whose centre is nearest to its centre is taken.
    """
    jobs = corpus.jobs([stretches.of(number) for number in range(len(corpus.records))])
    yield from chain.from_iterable(corpus.map(_pooled_shard, features, (pools, segments), jobs=jobs))


def _pooled_shard(
    backend: Backend,
    shard: Shard,
    times: Sequence[NDArray[np.float64]],
    features: FeatureSet,
    how: tuple[Sequence[str], int],
) -> Iterator[NDArray[np.float32]]:
    corpus, (pools, segments) = shard.corpus, how

    def parts(domain: Domain) -> Iterator[Part]:
        for record, own in zip(corpus.records, times, strict=True):
            yield from (Part(record, *positions) for positions in _positions(domain, record, own, rows=features.rows))

    yield from features.pooled(corpus.domain, parts, backend, pools=pools, segments=segments)


def _positions(domain: Domain, record: Record, times: NDArray[np.float64], *, rows: bool) -> list[tuple[int, int]]:
    """Return the first position of a window, or of a row, in each stretch, and the position after the last."""
    origin = (0,) * len(domain.window)
    with plugin_call(domain, "span"):
        first, second = (domain.span(Path(record.path), (row, *origin[1:])).start[0] for row in (0, 1))
    window, stride = (1, 1) if rows else (domain.window[0], domain.stride[0])
    count = max(0, (record.shape[0] - window) // stride) + 1
    at = (times / (second - first) - window / 2) / stride  # position of a window whose centre is at that time
    low, high = np.clip(np.ceil(np.round(at, 6)), 0, count).astype(int).T
    nearest = np.clip(np.round(at.mean(axis=1)), 0, count - 1).astype(int)
    empty = high <= low
    return list(zip(np.where(empty, nearest, low).tolist(), np.where(empty, nearest + 1, high).tolist(), strict=True))
