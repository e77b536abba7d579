"""Threads within a decoding process, for when there are fewer recordings than cores."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future


Piece = TypeVar("Piece")
Result = TypeVar("Result")

_AHEAD = 4  # pieces under way per thread
_count = 1


def allow(count: int) -> None:
    """Set how many threads `in_order` may use in this process."""
    global _count  # noqa: PLW0603 (one number of the process, as BLAS's own)
    _count = count


def in_order(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Yield ``work(piece)`` in the order of the pieces; what makes the next ones runs meanwhile."""
    if _count == 1:
        yield from map(work, pieces)
        return
    with ThreadPoolExecutor(_count) as threads:
        waiting: deque[Future[Result]] = deque()
        for piece in pieces:
            waiting.append(threads.submit(work, piece))
            if len(waiting) > _AHEAD * _count:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
