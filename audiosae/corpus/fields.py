"""The fields of records: from the cache, or decoded again if they were not kept because it has too little room.

`Record.field` of a field that is not kept has the suffix `AGAIN`, in the folder of its domain. The description of the
domain in that folder has all options, so any process of this machine can decode the field. The disk has at most two of
these fields for each process: the steps of a command read one recording after the other.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.corpus.cache import described_domain
from audiosae.corpus.entries import AGAIN, LostFieldError, mapped_field
from audiosae.corpus.ingest import decode
from audiosae.domain import domain_from_json
from audiosae.errors import InputError
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.domain import Domain

_left: list[Path] = []  # files that Windows does not remove while they are mapped


def read_field(record: Record) -> NDArray[np.float32]:
    """Return the field of a record, memory-mapped and read-only.

    A packed field is a `PackedField`, which behaves as a float32 array that is read in parts.

    Raises
    ------
    LostFieldError
        The field is no longer in the cache.
    InputError
        The field was not kept, and its source was changed or can no longer be read.
    """
    return _decoded_again(record) if record.field.endswith(AGAIN) else mapped_field(record)


@lru_cache(maxsize=1)
def _decoded_again(record: Record) -> NDArray[np.float32]:
    entry = Path(record.field)
    target = entry.with_suffix(f".{os.getpid()}.tmp")
    try:
        entry.parent.stat()
        domain = _domain(entry.parent)
    except (OSError, ValueError) as error:
        raise LostFieldError(f"the folder {entry.parent} was removed; run the same command again") from error
    try:
        with one_blas_thread():  # as in the process that decoded it first
            now = decode((domain, Path(record.path), target, *record.stretches))
        if now.status != "used":
            raise InputError(f"{record.path} can no longer be read: {now.reason}; run the same command again")
        if now.digest != record.digest:
            raise InputError(f"{record.path} was changed during the command; run the same command again")
        return mapped_field(replace(record, field=now.field))
    finally:
        _remove(target)


@lru_cache(maxsize=4)
def _domain(folder: Path) -> Domain:
    return domain_from_json(described_domain(folder))


def _remove(path: Path) -> None:
    _left.append(path)
    for each in [*_left]:
        with suppress(OSError):  # on Windows, while it is used
            each.unlink(missing_ok=True)
            _left.remove(each)
