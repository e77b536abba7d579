"""Stability of sound types: whether other events of the same recordings give the same types."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiosae.sounds.results import TypeStability
from audiosae.sounds.sound_types import learn_types, sampled
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.sounds.sound_types import Types

    Array = NDArray[np.float32]
    Labels = NDArray[np.int32]

_FEWEST_PER_TYPE = 4  # mean number of events per type for a measurement of stability


@one_blas_thread()
def stability_of(
    codes: Array,
    count: int | None = None,
    parts: Array | None = None,
    *,
    seed: int = 0,
    types: Types | None = None,
    others: Callable[[], Sequence[Labels]] | None = None,
) -> TypeStability | None:
    """Measure whether other events give the same types; None if there are fewer than four events per type.

    Parameters
    ----------
    count
        Number of types; None chooses it for each sample of the events.
    types
        Those that `learn_types` learned from the same codes; None to learn them.
    others
        Function that returns what `types_of_samples` returns for the same codes; None to call that.
    """
    sample = sampled(codes)
    first = types or learn_types(sample, count, parts)[0]
    if len(sample) < _FEWEST_PER_TYPE * len(first) or len(first) <= 1:
        return None
    most_of, left, right = others() if others else types_of_samples(sample, count, parts, seed)
    every = first.nearest(first.space.points(sample))[0]
    return TypeStability(agreement(every, most_of), agreement(left, right))


def types_of_samples(codes: Array, count: int | None, parts: Array | None, seed: int = 0) -> list[Labels]:
    """Return the types of events that are learned from a random four fifths of them, and from each of two halves."""
    codes = sampled(codes)
    order, half = np.random.default_rng(seed).permutation(len(codes)), len(codes) // 2
    numbers = []
    for index in (order[: 4 * len(codes) // 5], order[:half], order[half:]):
        types, _ = learn_types(codes[np.sort(index)], count, parts)
        numbers.append(types.nearest(types.space.points(codes))[0])
    return numbers


def agreement(a: Labels, b: Labels) -> float:
    """Return the adjusted Rand index (Hubert and Arabie 1985) of two groupings of the same events.

    It is `sklearn.metrics.adjusted_rand_score`, without the import of that package.
    """
    counts = np.zeros((int(a.max()) + 1, int(b.max()) + 1), np.int64)
    np.add.at(counts, (a, b), 1)
    both, of_a, of_b = (int(np.square(each).sum()) for each in (counts, counts.sum(axis=1), counts.sum(axis=0)))
    same, only_a, only_b, neither = both - len(a), of_a - both, of_b - both, len(a) ** 2 - of_a - of_b + both
    if not only_a and not only_b:
        return 1.0
    whole = (same + only_a) * (only_a + neither) + (same + only_b) * (only_b + neither)
    return 2.0 * (same * neither - only_a * only_b) / whole
