"""One thread a call for BLAS; threads of our own within a decoding process, for fewer recordings than cores."""

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


THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # read when BLAS is loaded

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


class _BlasLimit:
    """The number of threads of every BLAS in this process: one, as long as somebody wants it.

    Not `threadpool_limits`: who begins first may not be who ends last, and what it set is then restored too soon, or,
    where it lets only one thread of the process set anything, never.
    """

    def __init__(self) -> None:
        self._wanted, self._modules = 0, 0
        self._libraries: list[Any] = []
        self._before: dict[str, tuple[Any, int]] = {}
        self.lock = threading.Lock()

    def begin(self) -> None:
        """Limit every BLAS that is loaded; one that has come since the first began is limited too."""
        with self.lock:
            self._wanted += 1
            if changed := len(sys.modules) != self._modules:  # looking for libraries takes milliseconds
                self._look()
            if changed or self._wanted == 1:
                for library in self._libraries:
                    self._before.setdefault(library.filepath, (library, library.num_threads))
                    _set_threads(library, 1)

    def end(self) -> None:
        """Restore what was before the first began, once the last has ended."""
        with self.lock:
            self._wanted -= 1
            if not self._wanted:
                for library, count in self._before.values():
                    _set_threads(library, count)
                self._before.clear()

    def _look(self) -> None:
        import numpy as np  # noqa: F401 (brings a BLAS)
        from threadpoolctl import ThreadpoolController

        self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        self._modules = len(sys.modules)

    def after_fork(self) -> None:
        """Begin with a free lock: a thread that is not in this process may have held it."""
        self.lock = threading.Lock()


def _set_threads(library: Any, count: int) -> None:  # noqa: ANN401
    """Set a library's threads, whichever thread of the process was the first to set them."""
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


_blas = _BlasLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blas.after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Have BLAS use one thread a call in all of this process; may be nested, and entered by several threads at once.

    BLAS cuts a product by its number of threads, and rounds by where it cuts: the same command would give other numbers
    with other cores. Its threads also leave the sweeps between products to one core, and spin while another program
    has the other. Our own threads cut by shape alone (`audiosae.backends.cpu.Backend.parts`).
    """
    _blas.begin()
    try:
        yield
    finally:
        _blas.end()


def one_blas_thread_for_good() -> None:
    """Have BLAS use one thread a call until this process ends, libraries that are still to be loaded among them."""
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    _blas.begin()
