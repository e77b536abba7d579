"""Work on the workers of a Dask cluster: whose it is, and how what they find comes together."""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass, replace
from itertools import accumulate, groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from audiosae.backends import Backend
from audiosae.corpus.windows import Corpus
from audiosae.domain import domain_to_json
from audiosae.engine.cluster import worker
from audiosae.engine.cluster.calls import not_seen
from audiosae.engine.shards import ShardTotals, divide, over, size_of, source_key, split
from audiosae.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audiosae.autoencoder.whitening import Whitener
    from audiosae.corpus.journal import Record
    from audiosae.corpus.sources import Source
    from audiosae.domain import Domain
    from audiosae.engine.cluster.calls import Calls

Jobs = list[tuple[int, Any]]
_READ_BYTES = 2**26  # of files that a worker reads for one answer: often enough for a bar


@dataclass(frozen=True)
class WorkerShards:
    """Shards of one thread of one worker.

    Attributes
    ----------
    address
        Of the worker that has their fields.
    bounds
        The first shard, and the one after the last.
    numbers
        Of the shards that are there.
    shards
        Future of `audiosae.engine.cluster.worker.make_shards`; made again by another worker when this one is lost.
    """

    address: str
    bounds: tuple[int, int]
    numbers: list[int]
    shards: Any


class Cluster:
    """Work on the workers of a Dask cluster.

    Every thread of every worker has a lane: shards that follow one another, about as many bytes as the others'. Its
    fields stay with the worker, its work goes there, and one task a lane and pass is all that the scheduler sees.

    Parameters
    ----------
    cache
        Folder for fields on every worker; None for the worker's own.
    """

    name: str
    backend: Backend
    remote: bool = True

    def __init__(self, name: str, calls: Calls, *, chosen: str, cache: Path | None) -> None:
        self.name, self.backend = name, Backend()
        self.shards: dict[str, int] = {}
        self._calls, self._chosen, self._storage = calls, chosen, worker.Storage(cache)
        self._lanes = calls.threads()
        self._lane_of: dict[int, int] = {}
        self._interleaved = False
        self._known: dict[tuple[str, str], Record] = {}

    @property
    def width(self) -> int:
        """Number of workers."""
        return len(set(self._lanes))

    def ingest(
        self, domain: Domain, sources: Sequence[Source], *, cache: Path, workers: int,  # noqa: ARG002
        done: Callable[[Record], None] = lambda _: None, say: Callable[[str], None] = lambda _: None,  # noqa: ARG002
        interleaved: bool = False,
    ) -> list[Record]:  # fmt: skip
        """Bring the field of every source into the cache of the worker that its shard belongs to.

        `cache` and `workers` are those of this machine and are not used.
        """
        described = json.dumps(domain_to_json(domain), sort_keys=True)
        keys = [(described, source_key(source.path)) for source in sources]
        known = [self._known[key] for key in keys if key in self._known]
        if len(known) < len(keys):
            self._calls.check_storage(domain, [key[1] for key in keys])
            lanes = self._assigned(sources, interleaved=interleaved)
            for index, record in self._read(domain, sources, lanes):
                self._known[keys[index]] = record
                done(record)
            found = [self._known[key] for key in keys]
            self._divide(sources, Corpus(domain, found), lanes, interleaved=interleaved)
        for record in known if len(known) == len(keys) else []:
            done(record)
        return [replace(self._known[k], file=s.name, path=str(s.path)) for s, k in zip(sources, keys, strict=True)]

    def distribute(
        self, corpus: Corpus, whitener: Whitener | None = None, *, dtype: str = "float32", hold: bool = False
    ) -> list[WorkerShards]:
        """Return the shards of a corpus, each with the worker that has its fields."""
        self._lanes = self._calls.living(self._lanes)
        sent = self._calls.constant(whitener)
        found = []
        mine: dict[int, list[worker.Part]] = {lane: [] for lane in range(len(self._lanes))}
        first = 0
        for number, part in split(corpus, self.shards):
            sent_part = over(part, [_absolute(r) for r in part.records])
            mine[self._lane_of.get(number, 0)].append((number, sent_part, first))
            first += len(part)
        for lane, address in enumerate(self._lanes):
            numbers = [number for number, _, _ in mine[lane]]
            if numbers:
                made = self._calls.submit(worker.make_shards, mine[lane], self._storage, dtype, hold, sent, at=address)
                found.append(WorkerShards(address, (numbers[0], numbers[-1] + 1), numbers, made))
        return found

    def reduce(self, step: Callable[..., Any], shards: list[WorkerShards], *shared: Any) -> Any:  # noqa: ANN401
        """Add ``step(backend, shard, *shared)`` over all shards, neighbours first, between the workers."""
        if self._interleaved:
            raise ValueError("shards that were interleaved have no neighbours: read them with interleaved=False")
        starts = [*(lane.bounds[0] for lane in shards[1:]), shards[-1].bounds[1]] if shards else []

        def once() -> Any:  # noqa: ANN401
            sent = [self._calls.constant(value) for value in shared]
            parts = [
                self._calls.submit(
                    worker.reduce_shards, step, lane.shards, (lane.bounds[0], stop), self._chosen, *sent,
                    at=lane.address,
                )
                for lane, stop in zip(shards, starts, strict=True)
            ]  # fmt: skip
            while len(parts) > 1:
                pairs = [parts[at : at + 2] for at in range(0, len(parts), 2)]
                parts = [self._calls.submit(worker.joined, *pair) if len(pair) > 1 else pair[0] for pair in pairs]
            return self._calls.result(parts[0])

        totals: ShardTotals = self._calls.persistent(once) if shards else ShardTotals()
        return totals.total()

    def map(
        self, step: Callable[..., Any], shards: list[WorkerShards], *shared: Any, jobs: Jobs | None = None  # noqa: ANN401
    ) -> Iterator[Any]:  # fmt: skip
        """Yield what ``step(backend, shard, *shared)`` yields, shard by shard; one task a lane at a time.

        Of shards that were not interleaved all of a lane's are one task.
        """
        lanes = {number: lane for lane in shards for number in lane.numbers}
        sent = [self._calls.constant(value) for value in shared]
        tasks: list[tuple[WorkerShards, list[tuple[Any, ...]]]] = [
            (lanes[number], [(number, job)]) for number, job in jobs or []
        ]
        if jobs is None and self._interleaved:
            tasks = [(lanes[number], [(number,)]) for number in sorted(lanes)]
        elif jobs is None:
            tasks = [(lane, [(number,) for number in lane.numbers]) for lane in shards]

        def start(lane: WorkerShards, which: list[tuple[Any, ...]]) -> Any:  # noqa: ANN401
            return self._calls.submit(worker.map_shards, step, lane.shards, which, self._chosen, *sent, at=lane.address)

        waiting = deque(start(*task) for task in tasks[: len(shards)])
        for at in range(len(tasks)):
            yield from self._calls.result(waiting.popleft())
            waiting.extend(start(*task) for task in tasks[at + len(shards) : at + len(shards) + 1])

    def blocks(self, shards: list[WorkerShards]) -> Iterator[tuple[int, list[Any]]]:
        """Yield each shard's number and blocks, brought here."""
        numbers = sorted(number for lane in shards for number in lane.numbers)
        yield from zip(numbers, self.map(worker.blocks_of, shards), strict=True)

    def _assigned(self, sources: Sequence[Source], *, interleaved: bool) -> list[int]:
        """Return the lane of each source: shards in a row, with equal shares of the bytes, or in turn."""
        places, lanes = divide(sources, interleaved=interleaved), len(self._lanes)
        shards = [places[source_key(source.path)] for source in sources]
        if interleaved:
            return [shard % lanes for shard in shards]
        sizes = [0] * (shards[-1] + 1)
        for source, shard in zip(sources, shards, strict=True):
            sizes[shard] += size_of(source)
        middles = [after - size / 2 for after, size in zip(accumulate(sizes), sizes, strict=True)]
        return [int(middles[shard] * lanes / sum(sizes)) for shard in shards]

    def _divide(self, sources: Sequence[Source], corpus: Corpus, lanes: list[int], *, interleaved: bool) -> None:
        """Settle the shards once it is known what can be used; each belongs to the lane of its middle source."""
        self.shards, self._interleaved = (
            divide(sources, None if interleaved else corpus.windows_per_record(), interleaved=interleaved),
            interleaved,
        )
        numbers = [self.shards[source_key(source.path)] for source in sources]
        for number, members in groupby(range(len(sources)), key=lambda i: numbers[i]):
            mine = list(members)
            self._lane_of[number] = lanes[mine[len(mine) // 2]]

    def _read(self, domain: Domain, sources: Sequence[Source], lanes: list[int]) -> Iterator[tuple[int, Record]]:
        """Yield (number of the source, record) as they come."""
        jobs: dict[Any, list[int]] = {}
        order = sorted(range(len(sources)), key=lambda i: lanes[i])
        for lane, indices in groupby(order, key=lambda i: lanes[i]):
            for chunk in _chunks(list(indices), sources):
                named = [replace(sources[i], path=Path(source_key(sources[i].path))) for i in chunk]
                jobs[self._calls.submit(worker.read, domain, named, self._storage, at=self._lanes[lane])] = chunk
        for job in self._calls.as_ready(list(jobs)):
            address, records, missing = self._calls.result(job)
            _check_seen(address, missing)
            yield from zip(jobs[job], records, strict=True)


def _chunks(indices: list[int], sources: Sequence[Source]) -> Iterator[list[int]]:
    """Cut a lane's sources into what is read for one answer."""
    chunk, size = [], 0
    for index in indices:
        chunk.append(index)
        size += size_of(sources[index])
        if size >= _READ_BYTES:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _check_seen(address: str, missing: Sequence[str]) -> None:
    """Refuse a worker that does not see what is here."""
    for path in missing:
        if Path(path).exists():
            raise EngineError(not_seen(address, path))


def _absolute(record: Record) -> Record:
    return replace(record, path=source_key(record.path))
