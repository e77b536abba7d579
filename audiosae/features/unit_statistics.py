"""What a report tells of each unit over all windows: one fold of one state that adds."""

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

    Array = Any

BINS = 20  # of the histogram of activity, over [0, 1]


@dataclass(frozen=True)
class Gathered:
    """What units do over windows; adds.

    Attributes
    ----------
    histogram
        Windows whose activity lies in each of `BINS` equal parts of [0, 1], (hidden, BINS).
    label_total, label_windows
        Sums of the activity per label, (labels, hidden), and the labels' windows, (labels,); none without labels.
    """

    usage: ActivityStatistics
    histogram: NDArray[np.int64]
    label_total: NDArray[np.float64]
    label_windows: NDArray[np.int64]
    tops: TopWindows

    def __add__(self, other: Gathered) -> Gathered:
        """Return what they do over both sets of windows."""
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Gathered(*(mine + theirs for mine, theirs in pairs))

    def lift(self) -> NDArray[np.float64]:
        """Return each label's mean activity over that of all windows, (labels, hidden)."""
        mean = self.label_total / np.maximum(self.label_windows, 1)[:, None]
        return np.asarray(mean / np.maximum(self.usage.mean, 1e-300))


@dataclass(frozen=True)
class Step:
    """What is done with a block of windows; goes to another process as it is.

    Attributes
    ----------
    keep
        Cells per unit (see `TopWindows`).
    labels
        Index of each record's label, (records,); -1 for none.
    """

    model: Model
    corpus: Corpus
    near: Neighbourhoods
    keep: int
    labels: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    classes: int = 0

    def __call__(self, backend: Backend, block: tuple[int, Array]) -> Gathered:
        """Return what the units do over a block: the number of its first window, and the windows (count, width)."""
        first, windows = block
        numbers = first + np.arange(len(windows), dtype=np.int64)
        records, starts = self.corpus.locate(numbers)
        codes = backend.to_host(self.model.codes(windows, backend))
        act = self.model.activity(codes)
        member = self.labels[records] == np.arange(self.classes)[:, None] if self.classes else np.empty((0, len(act)))
        tops = TopWindows.of(codes, numbers, self.near.cells(records, starts), self.keep)
        label_total = member.astype(np.float64) @ act
        return Gathered(
            ActivityStatistics.of(act), _histogram(act), label_total, member.sum(axis=1).astype(np.int64), tops
        )


def gather(
    model: Model, corpus: EngineCorpus, *, top: int, labels: NDArray[np.int64] | None = None, classes: int = 0,
    done: Callable[[int], None] = lambda _: None,
) -> Gathered:  # fmt: skip
    """Encode all windows of a corpus once and say what the units do.

    Parameters
    ----------
    corpus
        Of the model's domain, with at least one window; encoded where it lies.
    labels, classes
        Index of each record's label, and the number of labels.
    done
        Called with the number of windows of each block that has been encoded here.
    """
    near = Neighbourhoods.of(corpus)
    none = np.full(len(corpus.records), -1, np.int64)
    step = Step(model, corpus, near, top * near.crowd, none if labels is None else labels, classes)
    found: Gathered = corpus.reduce(_gathered, step, None if corpus.engine.remote else done)
    return found


def _gathered(backend: Backend, shard: Shard, step: Step, done: Callable[[int], None] | None) -> Gathered:
    """Return the statistics of the windows of a shard."""
    total: Any = None
    for block in numbered(shard.windows(backend), shard.first):
        total = added(total, step(backend, block))
        if done is not None:
            done(len(block[1]))
    found: Gathered = total
    return found


def numbered(blocks: Iterable[Array], first: int = 0) -> Iterator[tuple[int, Array]]:
    """Yield blocks with the number of the first window of each."""
    for windows in blocks:
        yield first, windows
        first += len(windows)


def _histogram(act: NDArray[Any]) -> NDArray[np.int64]:
    """Count activity, (windows, hidden), into bins, (hidden, BINS)."""
    hidden = act.shape[1]
    bins = np.clip(act * BINS, 0, BINS - 1).astype(np.int64) + BINS * np.arange(hidden)
    return np.bincount(bins.ravel(), minlength=hidden * BINS).reshape(hidden, BINS)
