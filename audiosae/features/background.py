"""Units that show the background: those whose strongest windows mostly show nothing that stands out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.selection import contains
from audiosae.engine.prominent import can_stand_out, prominent_windows
from audiosae.engine.shards import added
from audiosae.features.top_windows import NONE, Neighbourhoods, TopWindows
from audiosae.features.unit_statistics import numbered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.corpus.windows import Corpus
    from audiosae.engine import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard

BACKGROUND = "most of their strongest windows show nothing that stands out"
_TOP = 20  # windows of a unit, at most one per neighbourhood
_SAMPLED = 2**16  # windows, evenly spaced, among which they are sought


def background_units(model: Model, corpus: EngineCorpus) -> NDArray[np.bool_] | None:
    """Return which units show the background, (hidden,); None if the domain does not know what stands out.

    A unit shows the background if less than half of its 20 strongest windows show more than background. The windows are
    at most 65,536 evenly spaced ones. A dead unit does not count.
    """
    if not can_stand_out(model.domain):
        return None
    sample = corpus.sample(_SAMPLED)
    tops: TopWindows = sample.reduce(_shard_tops, model, sample, Neighbourhoods.of(sample))
    numbers = np.where(tops.numbers == NONE, 0, tops.numbers)
    windows = numbers if sample.picked is None else sample.picked[numbers]
    shown = contains(np.concatenate(prominent_windows(corpus)), windows)
    there = tops.numbers != NONE
    share = (shown & there).sum(axis=1) / np.maximum(there.sum(axis=1), 1)
    return np.asarray((share < 1 / 2) & ~model.dead)


def _shard_tops(backend: Backend, shard: Shard, model: Model, corpus: Corpus, near: Neighbourhoods) -> TopWindows:
    total: Any = None
    for first, windows in numbered(shard.windows(backend), shard.first):
        numbers = first + np.arange(len(windows), dtype=np.int64)
        codes = backend.to_host(model.codes(windows, backend))
        total = added(total, TopWindows.of(codes, numbers, near.cells(*corpus.locate(numbers)), _TOP))
    tops: TopWindows = total
    return tops
