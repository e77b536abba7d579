"""Which sources a model was trained on: short digests of all of them as one text, kept in the model file."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record

_BYTES = 5  # of a digest: two of 65,536 sources and 10,000 files agree by chance in one of 1,700 evaluations
_MOST = 2**16  # sources: the text has 0.4 MiB


def text_of(records: Sequence[Record]) -> str:
    """Return the digests of sources as text, in ascending order; "" for more than 65,536 sources."""
    if len(records) > _MOST:
        return ""
    own = sorted({_short(record) for record in records})
    return base64.b64encode(b"".join(own)).decode()


def known(text: str, records: Sequence[Record]) -> NDArray[np.bool_] | None:
    """Return which records are among the sources of a text; None if the text does not say it."""
    try:
        packed = base64.b64decode(text, validate=True)
    except ValueError:
        return None
    if not packed or len(packed) % _BYTES:
        return None
    sources = {packed[at : at + _BYTES] for at in range(0, len(packed), _BYTES)}
    return np.array([_short(record) in sources for record in records], np.bool_)


def _short(record: Record) -> bytes:
    return hashlib.blake2b(record.digest.encode(), digest_size=_BYTES).digest()
