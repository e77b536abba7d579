"""A pass over the shards of a corpus in several processes of this machine, with the results that one process gives."""

from __future__ import annotations

import os
from contextlib import closing
from functools import lru_cache
from math import prod
from multiprocessing import parent_process
from typing import TYPE_CHECKING, Any

from audiosae.backends import Backend
from audiosae.backends.cpu import THREADS
from audiosae.system.processes import can_start_processes, run_in_order

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audiosae.engine.shards import Shard

    Step = Callable[..., Iterable[Any]]
    Call = tuple[Step, Shard, tuple[Any, ...]]

LEAST_VALUES = 2**23  # of fields: half an hour of 40 bands, for which one process is as fast as the start of others
_ONE_BY_ONE = 2**30  # bytes: more than a batch of jobs


def is_worthwhile(shards: Sequence[Shard], workers: int, backend: Backend, step: Step) -> bool:
    """Return whether several processes, which have no GPU, make a pass over shards sooner than this one."""
    values = sum(prod(record.shape) for shard in shards for record in shard.corpus.records)
    several = min(workers, len(shards)) > 1 and values >= LEAST_VALUES
    return several and type(backend) is Backend and can_start_processes(step)


def spread_over_processes(
    step: Step, jobs: Iterable[tuple[Shard, tuple[Any, ...]]], shared: tuple[Any, ...], workers: int
) -> Iterator[list[Any]]:
    """Yield the results of ``step(backend, shard, *job, *shared)`` for each (shard, job), in order.

    The results of a few jobs are in memory at the same time.
    """
    calls = [(step, *job) for job in jobs]
    with closing(
        run_in_order(
            _results,
            calls,
            workers=workers,
            crashed=lambda call: _results(call, *shared),
            weigh=lambda _: _ONE_BY_ONE,
            shared=shared,
            keep=True,
        )
    ) as results:
        yield from results


def _results(call: Call, *shared: object) -> list[Any]:
    step, shard, job = call
    if parent_process() is not None:
        os.environ.setdefault(THREADS, "1")  # each process has a core
    return list(step(_backend(), shard, *job, *shared))


@lru_cache(maxsize=1)
def _backend() -> Backend:
    return Backend()
