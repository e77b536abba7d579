"""The windows of a corpus that show more than background, found where the fields are stored."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.fields import read_field
from audiosae.corpus.selection import ranges_of
from audiosae.corpus.windows import Corpus
from audiosae.domain import Domain, plugin_call
from audiosae.domain.guard import plugin_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from audiosae.backends import Backend
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.engine.shards import Shard

_SHARE = 4  # a window shows more than background if a quarter of its rows does


def can_stand_out(domain: Domain) -> bool:
    """Return whether a domain knows what stands out."""
    return type(domain).stands_out is not Domain.stands_out


def prominent_windows(corpus: EngineCorpus) -> list[NDArray[np.int64]]:
    """Return, for each record, the ranges of its windows that show more than background, picked or not; see `Ranges`.

    Windows are numbered over the whole corpus. The domain must know what stands out.
    """
    every = corpus.part(corpus.records)  # shards of a corpus with picked windows may have none
    own = [ranges for part in every.map(_shard_ranges) for ranges in part]
    first = accumulate(every.windows_per_record(), initial=0)
    return [ranges + at for ranges, at in zip(own, first, strict=False)]


def _shard_ranges(_: Backend, shard: Shard) -> Iterator[NDArray[np.int64]]:
    """Yield the ranges of each record of a shard; its windows are numbered from 0."""
    domain = shard.corpus.domain
    for record in shard.corpus.records:
        chunks = Corpus(domain, [record]).chunks
        if not chunks:
            yield np.empty((0, 2), np.int64)
            continue
        with plugin_call(domain, "stands_out"):
            rows: Any = domain.stands_out(read_field(record))
        if np.shape(rows) != (record.shape[0],):
            raise plugin_error(domain, f"stands_out() returned {np.shape(rows)}, wanted {record.shape[0]} truth values")
        before = np.concatenate([[0], np.cumsum(rows, dtype=np.int64)])
        inside = before[domain.window[0] :] - before[: -domain.window[0]]
        shown = _SHARE * inside >= domain.window[0]
        of_chunks = (shown[chunk.row :: domain.stride[0]][: chunk.starts].repeat(chunk.columns) for chunk in chunks)
        yield ranges_of(np.concatenate([*of_chunks]))
