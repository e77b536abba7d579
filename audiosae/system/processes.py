"""A process pool that yields results in order and survives the crash of a process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from itertools import islice
from typing import TYPE_CHECKING, Protocol, TypeVar

from audiosae.errors import BackendError
from audiosae.system.files import remove_temporary_files
from audiosae.system.interrupts import block_sigint, hold_interrupts
from audiosae.system.memory import keep_freed, return_freed
from audiosae.system.threads import THREAD_VARIABLES, allow, one_blas_thread, one_blas_thread_for_good

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Sequence
    from multiprocessing.context import BaseContext
    from types import ModuleType


Job = TypeVar("Job")
Result = TypeVar("Result")


class Begin(Protocol):
    """Begins ``work(*arguments)``, and returns a function that waits for its result; see `helpers`."""

    def __call__(self, work: Callable[..., Result], /, *arguments: object) -> Callable[[], Result]:
        """Begin the work."""


_MOST_ON_WINDOWS = 61  # processes: Python waits for all of them at once, and Windows waits for at most 63 handles
_BATCH, _BATCH_BYTES = 16, 2**21  # maximum jobs per batch, and maximum bytes that they read
_AHEAD = 4  # batches submitted per worker
_END_SECONDS = 2.0  # until a process that was asked to end is killed
_FORKSERVER = "forkserver"
_shared: tuple[object, ...] = ()
_is_worker = False
_PRELOADED = [
    "audiosae.system.lean_imports",
    "audiosae.corpus.ingest",
    "audiosae.recordings.spectrogram",
    "scipy.fft",
    "soundfile",
]


def worker_count(workers: int | None = None) -> int:
    """Return the number of decoding processes: `workers`, or one per core that this process may use."""
    return workers or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1


def most_workers() -> int | None:
    """Return the maximum number of processes of a pool on this system; None for no limit."""
    return _MOST_ON_WINDOWS if sys.platform == "win32" else None


def can_start_processes(*arguments: object) -> bool:
    """Return whether this process may start others that receive some arguments.

    The worker processes of multiprocessing.Pool and joblib may not. Other processes cannot import what was defined in
    a notebook.
    """
    main, method = sys.modules["__main__"], multiprocessing.get_start_method(allow_none=True)
    known = method is None or method in multiprocessing.get_all_start_methods()  # false in a worker of joblib (loky)
    importable = any(getattr(main, name, None) is not None for name in ("__spec__", "__file__"))
    return known and not multiprocessing.current_process().daemon and (importable or not _of_main(arguments))


def lean_in_worker(*packages: str) -> AbstractContextManager[None]:
    """Import without some optional packages in a process of a pool, and as usual in one that the user started."""
    if not _is_worker:
        return nullcontext()
    from audiosae.system.lean_imports import without_unused  # it imports SciPy

    return without_unused(*packages)


def run_in_order(
    work: Callable[..., Result],
    jobs: Sequence[Job],
    *,
    workers: int,
    crashed: Callable[[Job], Result],
    weigh: Callable[[Job], int] = lambda _: 0,
    shared: tuple[object, ...] = (),
    keep: bool = False,
) -> Generator[Result, None, None]:
    """Yield ``work(job, *shared)`` for every job, in the order of the jobs, computed by `workers` processes.

    A job that kills its process gives ``crashed(job)``; the other jobs still run. ``weigh(job)`` is the number of
    bytes that a job reads: small jobs are sent in batches. Processes use threads if there are fewer jobs than workers.
    Each process receives `shared` once. Where no process can be started, this process does the jobs. With `keep`, the
    processes keep freed memory for further jobs.
    """
    workers = min(workers, most_workers() or workers)
    batches = _batches(jobs, weigh)
    threads = max(1, workers // max(1, len(batches)))
    if can_start_processes(work, [*jobs[:1]]):
        with suppress(_NoProcessError):
            while batches:
                try:
                    yield from _run(work, jobs, batches, workers, threads, shared=shared, keep=keep)
                except BrokenProcessPool:
                    batch = _of(jobs, batches[0])
                    _check_start(work, batch)
                    batches.popleft()
                    yield from _run_one_by_one(work, batch, crashed, shared)
    while batches:
        yield from _run_here(work, _of(jobs, batches.popleft()), shared)


class _NoProcessError(Exception):
    """No process can be started, and this is not the fault of a job."""


@contextmanager
def helpers(workers: int) -> Iterator[Begin]:
    """Yield a function that begins work in one of some processes and returns a function that waits for the result.

    The work is ``work(*arguments)``, with a function of a module. Where no process can be started, or one ends early,
    this process does the work when its result is wanted. The result is the same.
    """
    with ExitStack() as stack:
        pools: list[ProcessPoolExecutor] = []

        def begin(work: Callable[..., Result], *arguments: object) -> Callable[[], Result]:
            begun = None
            if can_start_processes(work, arguments):
                with suppress(_NoProcessError, BrokenProcessPool):
                    pools[:] = pools or [stack.enter_context(_pool(workers, keep=None))]
                    begun = _submit(pools[0], work, *arguments)

            def wait() -> Result:
                if begun is not None:
                    with suppress(BrokenProcessPool):
                        return begun.result()
                return next(_run_here(lambda _: work(*arguments), [None], ()))

            return wait

        yield begin


def _run_here(work: Callable[..., Result], jobs: Sequence[Job], shared: tuple[object, ...]) -> Iterator[Result]:
    for job in jobs:
        with one_blas_thread():  # as in other processes: the results must be the same
            result = work(job, *shared)
        yield result


def _batches(jobs: Sequence[Job], weigh: Callable[[Job], int]) -> deque[range]:
    """Return the numbers of the jobs of each batch."""
    batches: deque[range] = deque()
    size = 0
    for number, job in enumerate(jobs):
        weight = weigh(job)
        if not batches or len(batches[-1]) == _BATCH or size + weight > _BATCH_BYTES:
            batches.append(range(number, number))
            size = 0
        batches[-1] = range(batches[-1].start, number + 1)
        size += weight
    return batches


def _of(jobs: Sequence[Job], batch: range) -> list[Job]:
    return [*jobs[batch.start : batch.stop]]


def _run(
    work: Callable[..., Result],
    jobs: Sequence[Job],
    batches: deque[range],
    workers: int,
    threads: int,
    *,
    shared: tuple[object, ...],
    keep: bool,
) -> Iterator[Result]:
    """Yield the results of batches; remove a batch from the queue when its results have arrived."""
    with _pool(workers, threads, shared, keep=keep) as pool:
        running = deque(_submit(pool, _each, work, _of(jobs, batch)) for batch in islice(batches, workers * _AHEAD))
        while running:
            results = running.popleft().result()
            batches.popleft()
            yield from results  # before the next batch is sent: a broken pool would raise, and these would be lost
            if len(batches) > len(running):
                running.append(_submit(pool, _each, work, _of(jobs, batches[len(running)])))


def _run_one_by_one(
    work: Callable[..., Result], jobs: Sequence[Job], crashed: Callable[[Job], Result], shared: tuple[object, ...]
) -> Iterator[Result]:
    """Yield the results of a batch that crashed, job by job in one process; a new process follows each crash."""
    left = deque(jobs)
    while left:
        try:
            with _pool(1, shared=shared) as pool:
                while left:
                    results = _submit(pool, _each, work, [left[0]]).result()
                    left.popleft()
                    yield from results
        except BrokenProcessPool:
            yield crashed(left.popleft())


def _check_start(work: Callable[..., object], batch: Sequence[Job]) -> None:
    """Raise an error if no process can start and receive a batch: then the crash is not the fault of a job.

    Raises
    ------
    BackendError
        The main module defines the work or a job, and it cannot be imported without running it.
    _NoProcessError
        There is another reason.
    """
    try:
        with _pool(1) as pool:
            _submit(pool, _nothing, work, batch).result()
    except BrokenProcessPool as error:
        if _of_main((work, batch)):
            raise BackendError(
                "decoding processes cannot start, because they import what the script defines, and so run it again; "
                "put the calls of audiosae below: if __name__ == '__main__':"
            ) from error
        raise _NoProcessError from error


def _nothing(*_: object) -> None: ...


def _each(work: Callable[..., Result], batch: Sequence[Job]) -> list[Result]:
    return [work(job, *_shared) for job in batch]


@contextmanager
def _pool(
    workers: int, threads: int = 1, shared: tuple[object, ...] = (), *, keep: bool | None = False
) -> Iterator[ProcessPoolExecutor]:
    """Open a pool whose processes have one BLAS thread each, ignore Ctrl-C, and end with this process.

    They keep freed memory (True), return it at once (None), or do as the C library does.
    """
    with _one_thread:
        try:
            arguments = threads, shared, keep
            pool = ProcessPoolExecutor(workers, mp_context=_context(), initializer=_init_worker, initargs=arguments)
        except (OSError, ImportError, NotImplementedError) as error:  # the system has no semaphores
            raise _NoProcessError from error
        try:
            yield pool
        except BaseException:
            _end_processes(pool)  # they may be in the middle of long recordings
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _end_processes(pool: ProcessPoolExecutor) -> None:
    processes = list((pool._processes or {}).values())  # noqa: SLF001 (Python 3.14 has a public method)
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(_END_SECONDS)
        if process.is_alive():
            process.kill()


def prepare(*more: str) -> bool:
    """Start to import the modules of decoding processes, and more, in the background.

    Return whether other processes can be forks of the one that imports them.
    """
    if _FORKSERVER not in multiprocessing.get_all_start_methods() or not can_start_processes():
        return False
    from multiprocessing import forkserver

    with _one_thread, block_sigint():
        _context(*more)
        forkserver.ensure_running()
    return True


def _context(*more: str) -> BaseContext:
    """Return the context of `multiprocessing`: forks of a server process that has imported the modules.

    The server has no threads; a fork of this process would copy locks of BLAS threads. On systems without fork, every
    process imports the modules.
    """
    if _FORKSERVER not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context(_FORKSERVER)
    context.set_forkserver_preload([*_PRELOADED, *more])
    return context


class Overlapping(AbstractContextManager[None]):
    """A context that several threads may enter: it begins with the first of them and ends with the last.

    Contexts that each restore what they found would end in the wrong order.
    """

    def __init__(self, begin: Callable[[], AbstractContextManager[object]]) -> None:
        self._begin, self._lock, self._depth = begin, threading.Lock(), 0

    def __enter__(self) -> None:
        """Begin the context unless another thread has."""
        with hold_interrupts(), self._lock:
            if not self._depth:
                self._context = self._begin()
                self._context.__enter__()
            self._depth += 1

    def __exit__(self, *error: object) -> None:
        """End the context unless another thread is in it."""
        with hold_interrupts(), self._lock:
            self._depth -= 1
            if not self._depth:
                self._context.__exit__(None, None, None)


@contextmanager
def _one_thread_variables() -> Iterator[None]:
    """Limit BLAS to one thread in processes that start in this context."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update(dict.fromkeys(THREAD_VARIABLES, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


@contextmanager
def _hidden_main() -> Iterator[None]:
    """Keep a new process from importing the main module.

    `multiprocessing` finds the main module by its `__spec__` or `__file__` and imports it in each new process. This
    takes time, and it would run a script without a ``__main__`` guard once more in each process.
    """
    main: ModuleType = sys.modules["__main__"]
    original = {name: getattr(main, name) for name in ("__spec__", "__file__") if hasattr(main, name)}
    main.__spec__ = None
    main.__dict__.pop("__file__", None)
    try:
        yield
    finally:
        main.__dict__.update(original)


_one_thread: Overlapping = Overlapping(_one_thread_variables)
main_hidden: Overlapping = Overlapping(_hidden_main)


def _submit(pool: ProcessPoolExecutor, work: Callable[..., Result], *arguments: object) -> Future[Result]:
    with block_sigint(), nullcontext() if _of_main((work, arguments)) else main_hidden:
        try:
            return pool.submit(work, *arguments)
        except (OSError, EOFError) as error:
            raise _NoProcessError from error


def _of_main(value: object) -> bool:
    """Return whether a value, or one inside of tuples and lists, is defined in the main module."""
    if isinstance(value, tuple | list):
        return any(map(_of_main, value))
    return getattr(value, "__module__", "") == "__main__"


def _init_worker(threads: int, shared: tuple[object, ...], keep: bool | None) -> None:  # noqa: FBT001 (of initargs)
    global _shared, _is_worker
    _shared, _is_worker = shared, True
    allow(threads)
    if keep is not False:
        keep_freed() if keep else return_freed()
    one_blas_thread_for_good()  # also if the server was not started in `_one_thread`
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end())
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        _end()


def _end() -> None:
    """End this process without the files that it has begun."""
    remove_temporary_files()
    os._exit(1)
