"""Compressed excerpts of recordings in the store: the page of a survey that is continued encodes only new ones."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.corpus.cache import source_digest
from audiosae.sounds.sound_store import SoundStore, key_of
from audiosae.views.event_excerpts import EventExcerpts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from audiosae.views.excerpts import SourceRange

_PACKAGE = "audiosae"


class StoredExcerpts(EventExcerpts):
    """Excerpts of recordings around events, without pictures, of which those of earlier pages are in a store.

    A recording has one block, with the excerpts of the last page. An excerpt with a fault is not stored.
    """

    store: SoundStore | None = None

    def pieces(self, ranges: Sequence[SourceRange]) -> Iterator[dict[str, Any]]:
        """Yield the pieces of several ranges, in order, as `piece` makes them."""
        if self.store is None:
            yield from super().pieces(ranges)
            return
        stored = {record: self._stored(record) for record in sorted({part.record for part in ranges})}
        new = super().pieces([part for part in ranges if _name(part) not in stored[part.record]])
        shown: defaultdict[int, dict[str, dict[str, Any]]] = defaultdict(dict)
        try:
            for part in ranges:
                known = stored[part.record].get(_name(part))
                piece = known | {"file": self._corpus.records[part.record].file} if known else next(new)
                if "fault" not in piece:
                    shown[part.record][_name(part)] = piece
                yield piece
        finally:
            for record, pieces in shown.items():
                if not pieces.keys() <= stored[record].keys():
                    self._save(record, pieces)

    def _stored(self, record: int) -> dict[str, dict[str, Any]]:
        block = self.store.load(self._key(record)) if self.store else None
        return {name: json.loads(content.tobytes()) for name, content in (block or {}).items()}

    def _save(self, record: int, pieces: dict[str, dict[str, Any]]) -> None:
        block = {name: np.frombuffer(json.dumps(piece).encode(), np.uint8) for name, piece in pieces.items()}
        if self.store:
            self.store.save(self._key(record), block)

    def _key(self, record: int) -> str:
        own = self._corpus.records[record]
        return key_of("excerpts", own.digest, Path(own.field).stem, own.shape, self._writer)

    @cached_property
    def _writer(self) -> str:
        """What writes excerpts: the version of the encoder, and of this package where it is under development."""
        import soundfile

        return f"{soundfile.__libsndfile_version__} {source_digest(_PACKAGE, f'{_PACKAGE}.views.x')}"


def _name(part: SourceRange) -> str:
    return f"{part.low}-{part.high}"
