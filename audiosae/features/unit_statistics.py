"""Statistics of each unit over all windows, computed in one pass."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.engine.shards import added
from audiosae.features.activity import ActivityStatistics
from audiosae.features.top_windows import Neighbourhoods, TopWindows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.windows import Corpus
    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard

BINS = 20  # of the histogram of activity, over [0, 1]


@dataclass(frozen=True)
class Gathered:
    """Statistics of units over windows; those of two sets of windows can be added.

    Attributes
    ----------
    histogram
        Number of windows with an activity in each of `BINS` equal parts of [0, 1], (hidden, BINS).
    label_total, label_windows
        Sum of the activity over the windows of each label, (labels, hidden), and their number, (labels,).
    tops
        The windows in which each unit is most active.
    """

    usage: ActivityStatistics
    histogram: NDArray[np.int64]
    label_total: NDArray[np.float64]
    label_windows: NDArray[np.int64]
    tops: TopWindows

    def __add__(self, other: Gathered) -> Gathered:
        return Gathered(*(a + b for a, b in zip(vars(self).values(), vars(other).values(), strict=True)))

    def lift(self) -> NDArray[np.float64]:
        """Return the mean activity in the windows of each label divided by that in all windows, (labels, hidden)."""
        mean = self.label_total / np.maximum(self.label_windows, 1)[:, None]
        return np.asarray(mean / np.maximum(self.usage.mean, 1e-300))


@dataclass(frozen=True)
class Step:
    """Function that computes the statistics of a block of windows; can be sent to another process.

    Attributes
    ----------
    keep
        Number of cells per unit (see `TopWindows`).
    labels
        Index of each record's label, (records,); -1 for none.
    classes
        Number of labels.
    """

    model: Model
    corpus: Corpus
    near: Neighbourhoods
    keep: int
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    classes: int = 0

    def __call__(self, backend: Backend, block: tuple[int, Any]) -> Gathered:
        """Return the statistics of a block: the number of its first window, and the windows (count, width)."""
        first, windows = block
        numbers = first + np.arange(len(windows), dtype=np.int64)
        records, starts = self.corpus.locate(numbers)
        codes = backend.to_host(self.model.codes(windows, backend))
        act = self.model.activity(codes)
        member = self.labels[records] == np.arange(self.classes)[:, None] if self.classes else np.empty((0, len(act)))
        return Gathered(
            usage=ActivityStatistics.of(act),
            histogram=_histogram(act),
            label_total=member.astype(np.float64) @ act,
            label_windows=member.sum(axis=1).astype(np.int64),
            tops=TopWindows.of(codes, numbers, self.near.cells(records, starts), self.keep),
        )


def gather(
    model: Model,
    corpus: EngineCorpus,
    *,
    top: int,
    labels: NDArray[np.int64] | None = None,
    classes: int = 0,
    done: Callable[[int], None] = lambda _: None,
) -> Gathered:
    """Compute the statistics of a model's units over all windows of a corpus.

    Parameters
    ----------
    corpus
        Corpus of the model's domain with at least one window, which is encoded where it is stored.
    top
        Number of top windows per unit.
    labels, classes
        Index of each record's label, -1 for none, and the number of labels.
    done
        Called with the number of windows of each block that has been encoded in this process.
    """
    near = Neighbourhoods.of(corpus)
    labels = np.full(len(corpus.records), -1, np.int64) if labels is None else labels
    step = Step(model, corpus, near, top * near.crowd, labels, classes)
    statistics: Gathered = corpus.reduce(_shard_statistics, step, None if corpus.engine.remote else done)
    return statistics


def _shard_statistics(backend: Backend, shard: Shard, step: Step, done: Callable[[int], None] | None) -> Gathered:
    total: Any = None
    for block in numbered(shard.windows(backend), shard.first):
        total = added(total, step(backend, block))
        if done is not None:
            done(len(block[1]))
    statistics: Gathered = total
    return statistics


def numbered(blocks: Iterable[Any], first: int = 0) -> Iterator[tuple[int, Any]]:
    """Yield the number of the first window of each block, and the block."""
    for windows in blocks:
        yield first, windows
        first += len(windows)


def _histogram(act: NDArray[Any]) -> NDArray[np.int64]:
    hidden = act.shape[1]
    bins = np.clip(act * BINS, 0, BINS - 1).astype(np.int64) + BINS * np.arange(hidden)
    return np.bincount(bins.ravel(), minlength=hidden * BINS).reshape(hidden, BINS)
