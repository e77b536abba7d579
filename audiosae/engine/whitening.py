"""Whitening learned from all the windows of a corpus."""

from __future__ import annotations

from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.whitening import Moments, make_whitener, prepare
from audiosae.engine import LocalEngine

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.corpus.windows import Corpus
    from audiosae.engine import Engine
    from audiosae.engine.shard import Shard


_ROWS, _PARTS = 1024, 4  # worth a thread, and as many totals at once


MOMENT_WINDOWS = 2**16  # evenly spaced over all; more change the eigenvectors less than the sources differ


def learn_whitener(corpus: Corpus, engine: Engine | None = None, **options: Any) -> Whitener:  # noqa: ANN401
    """Learn the whitening of a corpus from at most 65536 of its windows, evenly spaced.

    Parameters
    ----------
    corpus
        The training windows.
    engine
        Where it is done; here, unless one is given.
    options
        As in `audiosae.autoencoder.whitening.make_whitener`.
    """
    engine, how = engine or LocalEngine(), _preparation(options)
    moments = engine.reduce(moments_of, engine.place(corpus.sample(MOMENT_WINDOWS)), how, _full(options))
    return make_whitener(moments, **options)


def whitener_of(blocks: Iterable[NDArray[np.floating]], **options: Any) -> Whitener:  # noqa: ANN401
    """Learn the whitening of windows that come in blocks (count, width); `options` as in `learn_whitener`."""
    how, full = _preparation(options), _full(options)
    return make_whitener(reduce(add, (Moments.of(prepare(block, **how), full=full) for block in blocks)), **options)


def _preparation(options: dict[str, Any]) -> dict[str, bool]:
    return {"contrast": options.get("contrast", False), "remove_mean": options.get("remove_mean", False)}


def _full(options: dict[str, Any]) -> bool:
    return options["kind"] in ("pca", "zca")


def moments_of(backend: Backend, shard: Shard, how: dict[str, bool], full: bool) -> Moments:  # noqa: FBT001
    """Return the moments of a shard's windows, runs of a thousand rows side by side."""

    def of_block(x: NDArray[np.floating]) -> Moments:
        edges = np.linspace(0, len(x), max(1, min(_PARTS, len(x) // _ROWS)) + 1).astype(int)
        found: dict[int, Moments] = {}

        def part(low: int, high: int) -> None:
            found[low] = Moments.of(prepare(x[low:high], **how), full=full)

        backend.run([partial(part, low, high) for low, high in pairwise(edges.tolist())])
        return reduce(add, (found[low] for low in sorted(found)))

    return reduce(add, map(of_block, shard.fields()))
