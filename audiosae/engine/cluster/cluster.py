"""Engine that works on the workers of a Dask cluster: distribution of shards, and merging of their results."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, groupby
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.backends import Backend
from audiosae.corpus.ingest import report_damaged
from audiosae.corpus.sources import Source
from audiosae.corpus.windows import Corpus
from audiosae.domain import Domain, domain_to_json
from audiosae.engine.cluster import worker
from audiosae.engine.cluster.calls import Calls, Future, not_seen
from audiosae.engine.shards import Total, divide, size_of, source_key, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record

_READ_BYTES = 2**26  # size of the files of one call, small enough for a progress bar


@dataclass(frozen=True)
class WorkerShards:
    """Shards of one thread of one worker.

    Attributes
    ----------
    address
        Address of the worker that has their fields.
    numbers
        Numbers of the shards, ascending.
    shards
        Future of `audiosae.engine.cluster.worker.make_shards`. If the worker is lost, another one makes them again.
    """

    address: str
    numbers: list[int]
    shards: Future


class Cluster:
    """Engine that works on the workers of a Dask cluster.

    Every thread of every worker has a lane: consecutive shards, with about the same number of bytes in each lane. Their
    fields and their work stay with the worker. The scheduler gets one task per lane and pass.

    Parameters
    ----------
    backend
        Name of the backend of all workers.
    cache
        Folder for fields on every worker; None for the worker's own folder.
    """

    remote: bool = True

    def __init__(self, name: str, calls: Calls, *, backend: str, cache: Path | None) -> None:
        self.name: str = name
        self.backend: Backend = Backend()
        self.shards: dict[str, int] = {}
        self._calls, self._worker_backend = calls, backend
        self._cache_folder = partial(worker.cache_folder, cache)
        self._lanes = calls.threads()
        self._lane_of: dict[int, int] = {}
        self._interleaved = False
        self._records: dict[tuple[str, str], Record] = {}

    @property
    def arithmetic(self) -> str:
        """Name of what computes; see `Engine`."""
        return self._worker_backend if self.name.startswith("local:") else f"{self._worker_backend}, other machines"

    @property
    def n_workers(self) -> int:
        """Number of workers."""
        return len(set(self._lanes))

    def ingest(
        self,
        domain: Domain,
        sources: Sequence[Source],
        *,
        done: Callable[[Record], None] = lambda _: None,
        say: Callable[[str], None] = lambda _: None,
        interleaved: bool = False,
        **_: object,
    ) -> list[Record]:
        """Decode every source into the cache of the worker of its shard.

        The parameters `cache` and `workers` of other engines are for one machine and are ignored.
        """
        description = json.dumps(domain_to_json(domain), sort_keys=True)
        keys = [(f"{description} {source.stretches}", source_key(source.path)) for source in sources]
        if all(key in self._records for key in keys):
            for key in keys:
                done(self._records[key])
        else:
            self._calls.check_storage(domain, [path for _, path in keys])
            lanes = self._assigned(sources, interleaved=interleaved)
            for index, record in self._read(domain, sources, lanes, say):
                self._records[keys[index]] = record
                done(record)
            windows = None if interleaved else Corpus(domain, [self._records[k] for k in keys]).windows_per_record()
            self._divide(sources, windows, lanes)
        return [replace(self._records[k], file=s.name, path=str(s.path)) for s, k in zip(sources, keys, strict=True)]

    def distribute(
        self, corpus: Corpus, whitener: Whitener | None = None, *, dtype: str = "float32", cached: bool = False
    ) -> list[WorkerShards]:
        """Return the shards of a corpus, each with the worker that has its fields."""
        self._lanes = self._calls.living(self._lanes)
        sent = self._calls.constant(whitener)
        parts: list[list[worker.Part]] = [[] for _ in self._lanes]
        first = 0
        for number, part in split(corpus, self.shards):
            records = [replace(record, path=source_key(record.path)) for record in part.records]
            absolute = Corpus(part.domain, records, part.picked)
            parts[self._lane_of.get(number, 0)].append((number, absolute, first))
            first += len(part)
        options = {"dtype": dtype, "cached": cached, "cache_folder": self._cache_folder}
        return [
            WorkerShards(
                address,
                [number for number, _, _ in parts[lane]],
                self._calls.submit(worker.make_shards, parts[lane], sent, options, at=address),
            )
            for lane, address in enumerate(self._lanes)
            if parts[lane]
        ]

    def reduce(self, step: Callable[..., Total], shards: list[WorkerShards], *shared: object) -> Total:
        """Add ``step(backend, shard, *shared)`` over all shards on the workers, neighbours first."""
        if self._interleaved:
            raise ValueError("interleaved shards have no neighbours to add: read them with interleaved=False")
        stops = [*(lane.numbers[0] for lane in shards[1:]), shards[-1].numbers[-1] + 1] if shards else []

        def attempt() -> Total:
            sent = [self._calls.constant(value) for value in shared]
            parts = []
            for lane, stop in zip(shards, stops, strict=True):
                arguments = (lane.shards, (lane.numbers[0], stop), self._worker_backend, *sent)
                parts.append(self._calls.submit(worker.reduce_shards, step, *arguments, at=lane.address))
            while len(parts) > 1:
                pairs = [parts[i : i + 2] for i in range(0, len(parts), 2)]
                parts = [self._calls.submit(add, *pair) if len(pair) > 1 else pair[0] for pair in pairs]
            return self._calls.result(parts[0]).total()

        return self._calls.persistent(attempt) if shards else None

    def map(
        self,
        step: Callable[..., Iterable[Any]],
        shards: list[WorkerShards],
        *shared: object,
        jobs: list[tuple[int, Any]] | None = None,
    ) -> Iterator[Any]:
        """Yield the results of ``step(backend, shard, *shared)``, shard by shard; each lane has one task at a time.

        If the shards are not interleaved, a task has all shards of its lane.
        """
        lanes = {number: lane for lane in shards for number in lane.numbers}
        sent = [self._calls.constant(value) for value in shared]
        tasks: list[tuple[WorkerShards, list[tuple[Any, ...]]]]
        if jobs is not None:
            tasks = [(lanes[number], [(number, job)]) for number, job in jobs]
        elif self._interleaved:
            tasks = [(lanes[number], [(number,)]) for number in sorted(lanes)]
        else:
            tasks = [(lane, [(number,) for number in lane.numbers]) for lane in shards]

        def start(lane: WorkerShards, jobs: list[tuple[Any, ...]]) -> Future:
            return self._calls.submit(
                worker.map_shards, step, lane.shards, jobs, self._worker_backend, *sent, at=lane.address
            )

        running = deque(start(*task) for task in tasks[: len(shards)])
        for done in range(len(tasks)):
            yield from self._calls.result(running.popleft())
            running.extend(start(*task) for task in tasks[done + len(shards) : done + len(shards) + 1])

    def blocks(self, shards: list[WorkerShards]) -> Iterator[tuple[int, list[Any]]]:
        """Yield the number and the blocks of each shard, copied to this process."""
        numbers = sorted(number for lane in shards for number in lane.numbers)
        yield from zip(numbers, self.map(worker.blocks_of, shards), strict=True)

    def _assigned(self, sources: Sequence[Source], *, interleaved: bool) -> list[int]:
        """Return the lane of each source: consecutive shards with equal shares of the bytes, or round-robin."""
        shard_of, lanes = divide(sources, interleaved=interleaved), len(self._lanes)
        shards = [shard_of[source_key(source.path)] for source in sources]
        if interleaved:
            return [shard % lanes for shard in shards]
        sizes = [0] * (shards[-1] + 1)
        for source, shard in zip(sources, shards, strict=True):
            sizes[shard] += size_of(source)
        middles = [after - size / 2 for after, size in zip(accumulate(sizes), sizes, strict=True)]
        return [int(middles[shard] * lanes / sum(sizes)) for shard in shards]

    def _divide(self, sources: Sequence[Source], windows: Sequence[int] | None, lanes: list[int]) -> None:
        """Divide the sources into shards; each shard has the lane of its middle source.

        `windows` has the number of windows of each source; None for interleaved shards.
        """
        self._interleaved = windows is None
        self.shards = divide(sources, windows, interleaved=windows is None)
        numbers = [self.shards[source_key(source.path)] for source in sources]
        for number, members in groupby(range(len(sources)), key=lambda i: numbers[i]):
            indices = list(members)
            self._lane_of[number] = lanes[indices[len(indices) // 2]]

    def _read(
        self, domain: Domain, sources: Sequence[Source], lanes: list[int], say: Callable[[str], None]
    ) -> Iterator[tuple[int, Record]]:
        """Yield (index of the source, record) in the order in which they are done; report the workers' messages."""
        chunks: dict[Future, list[int]] = {}
        order = sorted(range(len(sources)), key=lambda i: lanes[i])
        for lane, indices in groupby(order, key=lambda i: lanes[i]):
            for chunk in _chunks(list(indices), sources):
                some = [sources[i] for i in chunk]
                absolute = [Source(each.name, source_key(each.path), each.fault, each.stretches) for each in some]
                future = self._calls.submit(worker.read, domain, absolute, self._cache_folder, at=self._lanes[lane])
                chunks[future] = chunk
        damaged: list[str] = []
        said: set[str] = set()
        for future in self._calls.as_ready(list(chunks)):
            result: worker.SourcesRead = self._calls.result(future)
            for path in result.missing:
                if Path(path).exists():
                    raise not_seen(result.address, path)
            damaged += result.damaged
            for line in result.messages:
                if line not in said:  # workers may share a folder
                    said.add(line)
                    say(f"worker {result.address}: {line}")
            yield from zip(chunks[future], result.records, strict=True)
        report_damaged(sorted(damaged), len(sources), say)


def _chunks(indices: list[int], sources: Sequence[Source]) -> Iterator[list[int]]:
    chunk, size = [], 0
    for index in indices:
        chunk.append(index)
        size += size_of(sources[index])
        if size >= _READ_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
