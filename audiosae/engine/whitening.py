"""Whitening learned from all the windows of a corpus."""

from __future__ import annotations

from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.whitening import Moments, make_whitener, prepare
from audiosae.backends import Backend
from audiosae.engine.feed import reduce_blocks

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from audiosae.autoencoder.whitening import Whitener, Whitening
    from audiosae.engine.corpus import PlacedCorpus
    from audiosae.engine.shards import Shard

    Array = Any


_ROWS, _PARTS = 1024, 4  # worth a thread, and as many totals at once
MOMENT_WINDOWS = 2**16  # evenly spaced over all; more change the eigenvectors less than the sources differ


def learn_whitener(corpus: PlacedCorpus, how: Whitening) -> Whitener:
    """Learn the whitening of a corpus, the training windows, from at most 65536 of them, evenly spaced."""
    return make_whitener(corpus.sample(MOMENT_WINDOWS).reduce(moments_of, how), how)


def whitener_of(blocks: Iterable[NDArray[np.floating]], how: Whitening) -> Whitener:
    """Learn the whitening of windows that come in blocks (count, width)."""
    prepared = (prepare(block, **how.preparation) for block in blocks)
    return make_whitener(reduce(add, (Moments.of(x, full=how.full) for x in prepared)), how)


def moments_of(backend: Backend, shard: Shard, how: Whitening) -> Moments:
    """Return the moments of a shard's windows, on the cores where a card has no room for squares of the width."""
    try:
        return _moments(backend, shard, how)
    except MemoryError:
        if backend.xp is np:
            raise
        backend.release()
        backend.say("no room on the card for the moments of the windows: they are added up on the cores")
        return _moments(Backend(), shard, how)


def _moments(backend: Backend, shard: Shard, how: Whitening) -> Moments:
    """Add up the moments of a shard's windows, runs of a thousand rows side by side."""

    def of_block(x: Array) -> Moments:
        edges = np.linspace(0, len(x), max(1, min(_PARTS, len(x) // _ROWS)) + 1).astype(int)
        found: dict[int, Moments] = {}

        def part(low: int, high: int) -> None:
            found[low] = Moments.of(prepare(x[low:high], **how.preparation), full=how.full)

        backend.run([partial(part, low, high) for low, high in pairwise(edges.tolist())])
        return reduce(add, (found[low] for low in sorted(found)))

    found = reduce_blocks(of_block, shard.windows(backend))
    return Moments(found.count, backend.to_host(found.total), backend.to_host(found.outer))
