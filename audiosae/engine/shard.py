"""The windows of one shard, read and whitened wherever the work is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.ingest import ingest
from audiosae.corpus.sources import Source
from audiosae.corpus.windows import CHUNK_WINDOWS, SLAB_BYTES
from audiosae.engine.shards import over
from audiosae.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.backends import Backend
    from audiosae.corpus.journal import Record
    from audiosae.corpus.windows import Corpus

    Array = Any


class Shard:
    """Windows of a shard, in the same blocks on every machine. It travels as a recipe, without what it holds.

    Parameters
    ----------
    first
        Number of the first window in the corpus that this is a part of: `blocks` come in its order.
    hold
        Whether whitened windows are kept for the next pass.
    cache
        Gives the folder where fields are read anew that are not where the records say: they were another machine's.
        None where nothing is read anew.
    """

    def __init__(
        self, corpus: Corpus, whitener: Whitener | None = None, *, first: int = 0, dtype: str = "float32",
        hold: bool = False, cache: Callable[[], Path] | None = None,
    ) -> None:  # fmt: skip
        self.first = first
        self._recipe = (corpus, whitener, first, dtype, hold, cache)
        self._corpus: Corpus | None = None
        self._held: list[Array] | None = None

    def __len__(self) -> int:
        """Return the number of windows."""
        return len(self._recipe[0])

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel as a recipe."""
        return _made, self._recipe

    @property
    def corpus(self) -> Corpus:
        """The windows, with fields that can be read here."""
        if self._corpus is None:
            corpus, cache = self._recipe[0], self._recipe[5]
            if cache is not None and any(r.status == "used" and not Path(r.field).exists() for r in corpus.records):
                corpus = over(corpus, read_again(corpus, cache()))
            self._corpus = corpus
        return self._corpus

    def blocks(self, backend: Backend) -> Iterator[Array]:
        """Yield all windows in order, in blocks of at most 4096."""
        if self._held is not None:
            yield from self._held
            return
        _, whitener, _, dtype, hold, _ = self._recipe
        if whitener is None:
            yield from self.windows(backend)
            return
        kept, moved = [], backend.once(whitener, lambda: whitener.moved(backend.asarray))
        for slab in backend.slabs(self.corpus, None, SLAB_BYTES):
            for at in range(0, len(slab), CHUNK_WINDOWS):
                x = backend.windows(slab, slice(at, at + CHUNK_WINDOWS), moved, dtype)
                if hold:
                    kept.append(x)
                yield x
        self._held = kept if hold else None

    def windows(self, backend: Backend) -> Iterator[Array]:
        """Yield the windows as they lie in the fields, (up to 4096, width), where the backend is."""
        for slab in backend.slabs(self.corpus, None, SLAB_BYTES):
            for at in range(0, len(slab), CHUNK_WINDOWS):
                yield backend.windows(slab, slice(at, at + CHUNK_WINDOWS), None, np.float32)


def _made(*recipe: Any) -> Shard:  # noqa: ANN401
    corpus, whitener, first, dtype, hold, cache = recipe
    return Shard(corpus, whitener, first=first, dtype=dtype, hold=hold, cache=cache)


def read_again(corpus: Corpus, cache: Path, *, workers: int = 1) -> list[Record]:
    """Decode the sources of a corpus here; what is used of them stays as it was."""
    sources = [Source(record.file, Path(record.path)) for record in corpus.records]
    found = ingest(corpus.domain, sources, cache=cache, workers=workers)
    for before, now in zip(corpus.records, found, strict=True):
        if before.status == "used" and before.digest != now.digest:
            raise InputError(f"{before.path} is not what it was when the run began: it was changed, or its storage is "
                             f"not the same everywhere; run again")  # fmt: skip
    return [replace(was, field=now.field) for was, now in zip(corpus.records, found, strict=True)]
