"""One BLAS thread per call; worker threads in a decoding process if there are fewer recordings than cores."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, TypeVar

from audiosae.system.interrupts import hold_interrupts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from threadpoolctl import LibController

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # BLAS reads them when it is loaded

Piece = TypeVar("Piece")
Result = TypeVar("Result")

_AHEAD = 4  # pieces submitted per thread
_count = 1


class Threads(ThreadPoolExecutor):
    """A thread pool that a Ctrl-C ends: it does not wait for calls under way, and no thread is started by halves.

    A Ctrl-C inside the start of a thread would leave a thread that is unknown to the pool, so that the process would
    wait for it without end.
    """

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        try:
            if kind is None:
                self.shutdown(wait=True)
        finally:
            self.shutdown(wait=False, cancel_futures=True)

    def start_all(self) -> Self:
        """Start all threads now, so that later calls start none."""
        started = threading.Event()
        try:
            for _ in range(self._max_workers):
                self.submit(started.wait)  # a waiting thread takes no other call, so that the next one starts another
        finally:
            started.set()
        return self

    def submit(self, work: Callable[..., Result], /, *arguments: Any, **keywords: Any) -> Future[Result]:  # noqa: ANN401
        """Call a function in a thread."""
        with nullcontext() if len(self._threads) == self._max_workers else hold_interrupts():
            return super().submit(work, *arguments, **keywords)


def allow(count: int) -> None:
    """Set the number of threads that `in_order` may use in this process."""
    global _count  # noqa: PLW0603 (one number per process, as in BLAS)
    _count = count


def in_order(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Yield ``work(piece)`` in the order of the pieces; further pieces are produced while threads work."""
    if _count == 1:
        yield from map(work, pieces)
        return
    with Threads(_count) as threads:
        running: deque[Future[Result]] = deque()
        for piece in pieces:
            running.append(threads.submit(work, piece))
            if len(running) > _AHEAD * _count:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()


class _BlasLimit:
    """Limit of one thread for every BLAS in this process, from the first `begin` to the last `end`.

    `threadpool_limits` cannot be used: the first caller to begin may not be the last one to end. It would then restore
    the number too early, or never, since some BLAS accept the number from one thread of the process only.
    """

    def __init__(self) -> None:
        self._callers, self._modules = 0, 0
        self._libraries: list[LibController] = []
        self._before: dict[str, tuple[LibController, int]] = {}
        self.lock = threading.Lock()

    def begin(self) -> None:
        """Add a caller; limit every BLAS, including one loaded since the first caller began."""
        with self.lock:
            self._callers += 1
            if changed := len(sys.modules) != self._modules:  # the search for libraries takes milliseconds
                from threadpoolctl import ThreadpoolController

                import_module("numpy")  # loads a BLAS
                self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
                self._modules = len(sys.modules)
            if changed or self._callers == 1:
                for library in self._libraries:
                    self._before.setdefault(library.filepath, (library, library.num_threads))
                    _set_threads(library, 1)

    def end(self) -> None:
        """Remove a caller; after the last one, restore the numbers of threads before the first."""
        with self.lock:
            self._callers -= 1
            if not self._callers:
                for library, count in self._before.values():
                    _set_threads(library, count)
                self._before.clear()

    def after_fork(self) -> None:
        """Replace the lock, which a thread of the parent process may have acquired."""
        self.lock = threading.Lock()


def _set_threads(library: LibController, count: int) -> None:
    """Set the number of threads of a library, also if another thread of this process set it first."""
    getattr(library, "_real_set_num_threads", library.set_num_threads)(count)


_blas = _BlasLimit()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_blas.after_fork)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Limit BLAS to one thread per call in this process; contexts may be nested and entered by several threads at once.

    BLAS divides a product between its threads, and rounding depends on the division: the same command would give
    different numbers on machines with different numbers of cores. BLAS threads also leave the operations between
    products to one core, and busy-wait while another program uses the other cores. The threads of
    `audiosae.backends.cpu.Backend.parts` divide the work by its shape only.
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
