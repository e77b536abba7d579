"""Sources that are the same: links to one file, and files with the same content."""

from __future__ import annotations

import hashlib
import stat
from array import array
from collections import defaultdict
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np

from audiosae.system.files import file_digest
from audiosae.system.text import some_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from pathlib import Path

    from audiosae.corpus.sources import Source

_START = 2**14  # bytes at both ends that are compared before the whole content is


def find_links(sources: Sequence[Source]) -> list[list[Source]]:
    """Return groups of sources that are one file under several names (symbolic or hard links)."""
    return _equal(sources, _file)


def find_copies(sources: Sequence[Source], links: Sequence[Sequence[Source]]) -> list[list[Source]]:
    """Return groups of sources that are different files with the same bytes.

    Of links to one file, only the first is compared. Files are read only as far as they are equal to others: size
    first, then both ends, then everything.

    Parameters
    ----------
    links
        The groups that `find_links` returns.
    """
    linked = {id(source) for group in links for source in group[1:]}
    groups = [[source for source in sources if id(source) not in linked]]
    for of in (_size, _ends, file_digest):
        groups = [equal for group in groups for equal in _equal(group, of)]
    return groups


def report_same(groups: Sequence[Sequence[Source]], total: int, what: str) -> list[str]:
    """Return a line that counts the sources that repeat another one; no line if there are none."""
    if not groups:
        return []
    pairs = [" = ".join(source.name for source in group) for group in groups]
    return [f"{sum(len(group) - 1 for group in groups)} of {total} sources are {what}: {some_of(pairs)}"]


def _equal(sources: Sequence[Source], of: Callable[[Path], Hashable]) -> list[list[Source]]:
    """Return the groups of two or more sources with the same value; None is no value.

    Values are compared by their hashes of 64 bits: two of a million agree by chance in one of 40 million cases.
    """
    numbers, keys = array("L"), array("q")
    for number, source in enumerate(sources):
        with suppress(OSError):  # reported as a skipped source
            if (key := of(source.path)) is not None:
                keys.append(hash(key))
                numbers.append(number)
    _, which, counts = np.unique(np.array(keys, np.int64), return_inverse=True, return_counts=True)
    groups: defaultdict[int, list[Source]] = defaultdict(list)
    for at in np.flatnonzero(counts[which] > 1).tolist():
        groups[keys[at]].append(sources[numbers[at]])
    return [*groups.values()]


def _file(path: Path) -> tuple[int, int] | None:
    status = path.stat()
    return (status.st_dev, status.st_ino) if stat.S_ISREG(status.st_mode) and status.st_ino else None


def _size(path: Path) -> int | None:
    status = path.stat()
    return status.st_size if stat.S_ISREG(status.st_mode) and status.st_size else None


def _ends(path: Path) -> bytes:
    with path.open("rb", buffering=0) as file:
        start = file.read(_START)
        file.seek(max(0, path.stat().st_size - _START))
        return hashlib.blake2b(start + file.read(_START), digest_size=16).digest()
