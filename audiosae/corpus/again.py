"""Fields that are not kept, because they would take too much room on the disk: they are decoded when they are read.

`Record.field` of such a record has the suffix `AGAIN` in the folder of its domain, whose description has all options,
so any process of this machine can decode it. The disk has at most two of these fields for each process: the steps of a
command read one recording after the other.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from audiosae.corpus.archive_sample import estimated_values
from audiosae.corpus.cache import bound_of, described_domain
from audiosae.corpus.entries import LostFieldError, read_field
from audiosae.corpus.ingest import decode
from audiosae.domain import domain_from_json, domain_to_json
from audiosae.errors import AudiosaeError, InputError
from audiosae.system.threads import one_blas_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain

MOST_TEMPORARY = 2**30  # bytes of fields that are kept for the time of a command only
_EXACT_BYTES = 4  # of a value; rounded values have one, few have two
_left: list[Path] = []  # files that Windows does not remove while they are mapped


@dataclass(frozen=True)
class Room:
    """Room for the decoded fields of a command.

    Attributes
    ----------
    domain
        Domain of the fields.
    cache
        Folder for them.
    is_lasting
        Whether it is kept after the command.
    say
        Receives the message that there is too little room.
    """

    domain: Domain
    cache: Path
    is_lasting: bool
    say: Callable[[str], None]

    def is_too_small(self, sources: Sequence[Source], beside: int) -> bool:
        """Return whether the fields of sources would take too much room, and say it.

        Parameters
        ----------
        sources
            Sources that are not in the cache.
        beside
            Bytes of the fields in the cache that are used together with these.
        """
        size = estimated_values(self.domain, sources) * (1 if self.domain.resolution else _EXACT_BYTES)
        free, bound = shutil.disk_usage(self.cache).free, bound_of(self.cache)
        limits = [(free / 2, f"half of what is free on the disk of {self.cache}")]
        if not self.is_lasting:
            limits.append((MOST_TEMPORARY, "the most that --cache none takes"))
        if bound is not None:
            limits.append((max(0, bound - beside), "what the bound of the cache leaves (audiosae cache --size)"))
        most, what = min(limits)
        if size <= most or not _is_described(self.domain):
            return False
        self.say(
            f"the decoded sources would take about {_amount(size)}, more than {_amount(most)}, {what}: they are not "
            "kept but decoded again in each step, which takes longer"
        )
        return True


def _is_described(domain: Domain) -> bool:
    """Return whether other processes can make the same domain from its description."""
    with suppress(AudiosaeError):
        return domain_from_json(domain_to_json(domain)) == domain
    return False


def _amount(size: float) -> str:
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"  # noqa: PLR2004


@lru_cache(maxsize=1)
def decoded_again(record: Record) -> NDArray[np.float32]:
    """Decode the field of a record to a file without a name, and return it as `read_field` does.

    Raises
    ------
    InputError
        The source has changed since it was read first, or can no longer be read.
    """
    entry = Path(record.field)
    target = entry.with_suffix(f".{os.getpid()}.tmp")
    try:
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
        return read_field(replace(record, field=now.field))
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
