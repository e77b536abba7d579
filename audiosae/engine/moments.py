"""Moments of a portion, for the whitening."""

from __future__ import annotations

from functools import partial, reduce
from itertools import pairwise
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.whitening import Moments, prepare

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.backends import Backend
    from audiosae.engine.portion import Portion

_ROWS, _PARTS = 1024, 4  # worth a thread, and as many totals at once


def moments_of(backend: Backend, portion: Portion, how: dict[str, bool], full: bool) -> Moments:  # noqa: FBT001
    """Return the moments of a portion's windows, runs of a thousand rows side by side."""

    def of_block(x: NDArray[np.floating]) -> Moments:
        edges = np.linspace(0, len(x), max(1, min(_PARTS, len(x) // _ROWS)) + 1).astype(int)
        found: dict[int, Moments] = {}

        def part(low: int, high: int) -> None:
            found[low] = Moments.of(prepare(x[low:high], **how), full=full)

        backend.run([partial(part, low, high) for low, high in pairwise(edges.tolist())])
        return reduce(add, (found[low] for low in sorted(found)))

    return reduce(add, map(of_block, portion.fields()))
