"""Room for decoded fields on the disk: where it is too small, they are not kept; see `audiosae.corpus.fields`."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from audiosae.corpus.archive_sample import estimated_values
from audiosae.corpus.cache import bound_of
from audiosae.domain import domain_from_json, domain_to_json
from audiosae.errors import AudiosaeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain

MOST_TEMPORARY = 2**30  # bytes of fields that are kept for the time of a command only
_EXACT_BYTES = 4  # of a value; rounded values have one, few have two


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
            limits.append((max(0, bound - beside), "what audiosae cache --size leaves of the cache"))
        most, what = min(limits)
        if size <= most or not _is_described(self.domain):
            return False
        self.say(
            f"the decoded sources would take about {_amount(size)}, more than {_amount(most)} ({what}): they are not "
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
