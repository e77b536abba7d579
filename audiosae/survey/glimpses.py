"""Glimpses of recordings: what the units do in a bounded number of moments, evenly spread, to colour pictures by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from audiosae.corpus.entries import read_field
from audiosae.corpus.windows import CHUNK_WINDOWS
from audiosae.features.codes import Encoder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.backends import Backend
    from audiosae.engine.placed import PlacedCorpus
    from audiosae.engine.shard import Shard

    Codes = NDArray[np.float32]

MOST = 20000  # moments, of all recordings together
SECONDS = 1.0  # between moments, at least
EACH = 2  # windows of a moment


def glimpses(model: Model, corpus: PlacedCorpus, most: int = MOST) -> list[Codes]:
    """Return mean square-root codes of moments of each recording, (moments, units): one of each, and `most` more."""
    pitch = max(SECONDS, sum(record.extent for record in corpus.records) / most)
    return [codes for part in corpus.map(_seen, model, pitch) for codes in part]


def _seen(backend: Backend, shard: Shard, model: Model, pitch: float) -> Iterator[Codes]:
    encode, frames = Encoder(model, backend=backend), model.domain.window[0]
    for record in shard.corpus.records:
        field = read_field(record)
        if len(field) < frames:  # the one window that repeating its last row fills, as everywhere
            field = np.pad(field, ((0, frames - len(field)), (0, 0)), "edge")
        count = EACH * (1 + int(record.extent / pitch))
        starts = ((np.arange(count) + 0.5) / count * max(1, len(field) - frames + 1)).astype(int)
        found = [
            encode(np.stack([np.asarray(field[at : at + frames]).reshape(-1) for at in starts[i : i + CHUNK_WINDOWS]]))
            for i in range(0, count, CHUNK_WINDOWS)
        ]
        codes = np.concatenate(found)
        yield np.asarray(codes.reshape(count // EACH, EACH, -1).mean(axis=1), np.float32)
