"""Whitening learned from all the windows of a corpus."""

from __future__ import annotations

from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.whitening import Whitener, Whitening, WindowMoments, make_whitener, prepare
from audiosae.backends import Backend
from audiosae.engine.shards import Array, Shard, Total, added

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from audiosae.engine.corpus import EngineCorpus

_MIN_ROWS, _MAX_PARTS = 1024, 4  # rows of a part; parts of a block
MOMENT_WINDOWS = 2**16  # with more, the eigenvectors change less than between sources


def learn_whitener(corpus: EngineCorpus, how: Whitening) -> Whitener:
    """Learn the whitening of the windows of a corpus, from at most 65536 of them, evenly spaced."""
    return make_whitener(corpus.sample(MOMENT_WINDOWS).reduce(window_moments, how), how)


def whitener_of(blocks: Iterable[NDArray[np.floating]], how: Whitening) -> Whitener:
    """Learn the whitening of windows that come in blocks (count, width)."""
    prepared = (prepare(block, **how.preparation) for block in blocks)
    return make_whitener(reduce(add, (WindowMoments.of(x, full=how.full) for x in prepared)), how)


def window_moments(backend: Backend, shard: Shard, how: Whitening) -> WindowMoments:
    """Return the moments of the windows of a shard. Parts of each block are summed in parallel.

    If the GPU memory does not suffice, the CPU computes them.
    """
    parts: dict[int, WindowMoments] = {}
    total: Total = None

    def part(x: Array, start: int) -> None:
        parts[start] = WindowMoments.of(prepare(x, **how.preparation), full=how.full)

    try:
        for x in shard.windows(backend):
            edges = np.linspace(0, len(x), max(1, min(_MAX_PARTS, len(x) // _MIN_ROWS)) + 1).astype(int)
            backend.run([partial(part, x[start:stop], start) for start, stop in pairwise(edges.tolist())])
            del x  # before the next block is read
            total = added(total, reduce(add, (parts.pop(start) for start in sorted(parts))))
        return WindowMoments(total.count, backend.to_host(total.total), backend.to_host(total.outer))
    except MemoryError:
        if backend.xp is np:
            raise
        del total, parts  # GPU memory
        backend.release()
        backend.say("not enough GPU memory for the covariance of the windows; it is computed on the CPU")
        return window_moments(Backend(), shard, how)
