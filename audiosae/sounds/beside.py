"""Work on many sounds in another process, whose memory ends with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from audiosae.system.processes import Begin

_MANY = 500  # sounds of which other processes learn rules, types and map


def begin_if_many(begin: Begin | None, count: int) -> Begin:
    """Return what begins work on some sounds: in another process if there are many, or in this one when it is wanted.

    The process ends with its memory, but it takes time to start.
    """
    return begin if begin and count >= _MANY else partial
