"""Names of files that are valid on all systems."""

from __future__ import annotations

import re
from itertools import chain, count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_LONGEST = 120  # bytes of a file name: leaves room for folders, suffixes and the limits of old file systems
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)  # on Windows


def safe_names(files: Sequence[str]) -> dict[str, str]:
    """Return a distinct name for each recording that is a valid file name on all systems.

    Parameters
    ----------
    files
        Distinct names of recordings. Their order does not change the result.
    """
    taken: set[str] = set()
    numbers: dict[str, Iterator[int]] = {}  # the numbers that were not tried yet: 10,000 names may begin alike
    names: dict[str, str] = {}
    for file in sorted(files):
        stem = re.sub(r"\.[^./]*[A-Za-z][^./]*$", "", file)
        short = re.sub(r'[\x00-\x1f<>:"|?*\\/]+', "_", stem).strip(" .").encode()[:_LONGEST]
        plain = short.decode(errors="ignore").lstrip("-").rstrip(" .") or "_"
        plain = f"_{plain}" if _RESERVED.match(plain) else plain
        further = numbers.setdefault(plain.casefold(), count(2))
        candidates = chain([plain], (f"{plain}-{number}" for number in further))
        names[file] = next(name for name in candidates if name.casefold() not in taken)
        taken.add(names[file].casefold())
    return names
