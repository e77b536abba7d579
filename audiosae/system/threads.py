"""One BLAS thread per call; worker threads in a decoding process if there are fewer recordings than cores."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future


THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # BLAS reads them when it is loaded

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_AHEAD = 4  # pieces submitted per thread
_count = 1


def allow(count: int) -> None:
    """Set the number of threads that `in_order` may use in this process."""
    global _count  # noqa: PLW0603 (one number per process, as in BLAS)
    _count = count


def in_order(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Yield ``work(piece)`` in the order of the pieces; the next pieces are produced while threads work."""
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


class _BlasLimit:
    """The limit of one thread for every BLAS in this process, in force while at least one caller wants it.

    `threadpool_limits` does not serve: the first caller to begin may not be the last one to end. It would then restore
    the number too early, or never, since some BLAS accept the number from one thread of the process only.
    """

    def __init__(self) -> None:
        self._wanted, self._modules = 0, 0
        self._libraries: list[Any] = []
        self._before: dict[str, tuple[Any, int]] = {}
        self.lock = threading.Lock()

    def begin(self) -> None:
        """Limit every BLAS that is loaded, including one loaded since the first caller began."""
        with self.lock:
            self._wanted += 1
            if changed := len(sys.modules) != self._modules:  # the search for libraries takes milliseconds
                self._find_libraries()
            if changed or self._wanted == 1:
                for library in self._libraries:
                    self._before.setdefault(library.filepath, (library, library.num_threads))
                    _set_threads(library, 1)

    def end(self) -> None:
        """Restore the number before the first caller, once the last one has ended."""
        with self.lock:
            self._wanted -= 1
            if not self._wanted:
                for library, count in self._before.values():
                    _set_threads(library, count)
                self._before.clear()

    def _find_libraries(self) -> None:
        import numpy as np  # noqa: F401 (loads a BLAS)
        from threadpoolctl import ThreadpoolController

        self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self._modules = len(sys.modules)

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent process may have acquired."""
        self.lock = threading.Lock()


def _set_threads(library: Any, count: int) -> None:  # noqa: ANN401
    """Set the number of threads of a library, also if another thread of this process set it first."""
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


_blas = _BlasLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blas.after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread per call in this process; contexts may be nested and entered by several threads at once.

    BLAS divides a product by its number of threads, and rounding depends on the division: the same command would give
    other numbers on another number of cores. Its threads also leave the operations between products to one core, and
    busy-wait while another program uses the other cores. The threads of `audiosae.backends.cpu.Backend.parts` divide
    by shape only.
    """
    _blas.begin()
    try:
        yield
    finally:
        _blas.end()


def one_blas_thread_for_good() -> None:
    """Limit BLAS to one thread per call until this process ends, including libraries that are loaded later."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    _blas.begin()
