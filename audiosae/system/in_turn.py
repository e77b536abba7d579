"""Two computations from one stream that take turns, so that it is read once and little of it is in memory.

Each of them pulls the stream at its own pace. `in_turn` continues the one that is behind.
"""

from __future__ import annotations

from collections import deque
from contextvars import ContextVar
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Hashable, Sequence
    from typing import Any

Block = TypeVar("Block")
Result = TypeVar("Result")

_streams: ContextVar[dict[Hashable, _Shared[Any]] | None] = ContextVar("streams", default=None)


def shared(key: Hashable, read: Callable[[], Generator[Block, None, str]]) -> Generator[Block, None, str]:
    """Return the stream that `read` begins, or inside of `in_turn` the same stream for both computations.

    Its blocks must not be changed. An error of the stream is raised in both.
    """
    streams = _streams.get()
    if streams is None:
        return read()
    if key not in streams:
        streams[key] = _Shared(read())
        return streams[key].part(0)
    return streams[key].part(1)


def in_turn(first: Generator[object, None, Result], *others: Generator[object, None, object]) -> Result:
    """Run one or two generators, which read streams with `shared` and yield often; return the result of the first.

    Each of them may read a stream once.
    """
    streams: dict[Hashable, _Shared[Any]] = {}
    token = _streams.set(streams if others else None)
    results: list[Result] = []
    try:
        while not results:
            is_ahead = any(stream.waiting[1] for stream in streams.values())
            if not is_ahead or not _continue(others):
                try:
                    next(first)
                except StopIteration as end:
                    results.append(end.value)
        while _continue(others):
            pass
    finally:
        for each in (first, *others):
            each.close()
        _streams.reset(token)
    return results[0]


def _continue(generators: Sequence[Generator[object, None, object]]) -> bool:
    """Continue generators until they yield; return whether one of them was not at its end."""
    ended = [next(each, generators) is generators for each in generators]  # of all, not only to the first that goes on
    return not all(ended)


class _Shared(Generic[Block]):
    """A stream with the blocks that one of its two readers has not pulled yet."""

    def __init__(self, stream: Generator[Block, None, str]) -> None:
        self._stream = stream
        self.waiting: tuple[deque[Block], deque[Block]] = deque(), deque()
        self._end: str | Exception | None = None

    def part(self, number: int) -> Generator[Block, None, str]:
        own = self.waiting[number]
        while own or self._end is None:
            if not own:
                self._pull()
            if own:
                yield own.popleft()
        if isinstance(self._end, Exception):
            raise self._end
        return self._end or ""

    def _pull(self) -> None:
        try:
            block = next(self._stream)
        except StopIteration as end:
            self._end = end.value or ""
        except Exception as error:  # noqa: BLE001 (raised in both readers)
            self._end = error
        else:
            for waiting in self.waiting:
                waiting.append(block)
