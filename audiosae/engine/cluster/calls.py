"""Calls to a cluster's workers through Dask, and what is said when they fail."""

from __future__ import annotations

import time
import uuid
from asyncio import CancelledError as Cancelled
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as TimedOut
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audiosae.domain import domain_to_json
from audiosae.engine.cluster import worker
from audiosae.errors import AudiosaeError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from audiosae.domain import Domain

Found = TypeVar("Found")

_ATTEMPTS = 5
_LOOK_SECONDS = 5.0  # between looks whether anyone is left to wait for
_ALONE_SECONDS = 120.0  # without any worker before it is given up
_KILLED = 4
_AGAIN = "a checkpoint is kept: the same train command with --resume goes on from it"
_LOST = (OSError, Cancelled, CancelledError, TimedOut, KeyError)


class Calls:
    """A client of Dask's, `distributed.Client`."""

    def __init__(self, client: Any, name: str) -> None:  # noqa: ANN401
        self._client, self._name = client, name

    def threads(self) -> list[str]:
        """Return the address of a worker once for each of its threads."""
        found = self._guarded(self._client.nthreads)
        return [address for address in sorted(found) for _ in range(found[address])]

    def living(self, lanes: list[str]) -> list[str]:
        """Return the workers of lanes; those of lost workers go to the others in turn."""
        there = self.threads()
        if not there:
            return lanes
        spare = [address for address in there if address not in lanes] or there
        return [address if address in there else spare[i % len(spare)] for i, address in enumerate(lanes)]

    def submit(self, work: Callable[..., Any], *arguments: Any, at: str | None = None) -> Any:  # noqa: ANN401
        """Have a worker call a function: the one `at` an address while it lives, else any."""
        key = f"audiosae-{work.__name__}-{uuid.uuid4().hex}"
        where = {"workers": [at], "allow_other_workers": True} if at else {}
        return self._guarded(lambda: self._client.submit(work, *arguments, key=key, pure=False, **where))

    def constant(self, value: Any) -> Any:  # noqa: ANN401
        """Return the future of a value that goes to one worker, and from worker to worker as it is needed.

        It is the result of a task and not scattered: it can be had again when those that had it are lost, and a
        broadcast of Dask's (2026.8) waits for ever when a worker dies in the middle of it.
        """
        return self.submit(worker.itself, value)

    def persistent(self, work: Callable[[], Found]) -> Found:
        """Do what hangs on values that were sent out; again, when a worker took the last copy of one with it."""
        for attempt in range(_ATTEMPTS):
            try:
                return work()
            except _LOST as error:
                self._check_alive(error)
                if attempt == _ATTEMPTS - 1:
                    raise EngineError(f"{self._name}: lost again and again: {error or type(error).__name__}") from error
                time.sleep(0.2 * 2**attempt)
        raise AssertionError

    def result(self, future: Any) -> Any:  # noqa: ANN401
        """Wait for a result; Ctrl-C is heard. EngineError: scheduler or workers are gone, or the work killed them."""
        alone = 0.0
        while True:
            try:
                return self._guarded(lambda: future.result(timeout=_LOOK_SECONDS))
            except TimedOut:
                alone = 0.0 if self.threads() else alone + _LOOK_SECONDS
                if alone >= _ALONE_SECONDS:
                    raise EngineError(f"{self._name}: no worker has been there for two minutes; {_AGAIN}") from None

    def as_ready(self, futures: list[Any]) -> Iterator[Any]:
        """Yield futures as they are done."""
        from distributed import as_completed

        ready = iter(as_completed(futures, loop=self._client.loop))
        while (future := self._guarded(lambda: next(ready, None))) is not None:
            yield future

    def check_storage(self, domain: Domain, paths: Sequence[str]) -> None:
        """Refuse, by its name, a worker without the domain's package or sight of the first and the last source."""
        facts = domain_to_json(domain)
        mine = str(facts["version"])
        for address, theirs in self.run(worker.version_of, str(facts["package"])).items():
            if theirs != mine:
                raise EngineError(mismatch(address, str(facts["package"]), theirs, mine))
        ends = [path for path in {paths[0], paths[-1]} if Path(path).exists()]
        for address, missing in self.run(worker.unseen, ends).items():
            if missing:
                raise EngineError(not_seen(address, missing[0]))

    def run(self, work: Callable[..., Any], *arguments: Any) -> dict[str, Any]:  # noqa: ANN401
        """Call a function on every worker, one after the other in the result by address."""
        found: dict[str, Any] = self._guarded(lambda: self._client.run(work, *arguments, on_error="return"))
        for address, result in sorted(found.items()):
            if isinstance(result, ModuleNotFoundError):
                raise EngineError(
                    f"worker {address} has no {result.name}; install on every machine what is installed here"
                )
            if isinstance(result, BaseException):
                raise EngineError(f"worker {address}: {type(result).__name__}: {result}")
        return dict(sorted(found.items()))

    def _guarded(self, call: Callable[[], Found]) -> Found:
        """Tell a scheduler that is gone, and work that kills workers, in a line each."""
        from distributed import KilledWorker

        try:
            return call()
        except KilledWorker as error:
            raise EngineError(f"{self._name}: the work killed {_KILLED} workers, one after the other: most likely they "
                              f"have not enough memory; see their logs, or lower --memory") from error  # fmt: skip
        except AudiosaeError:
            raise
        except _LOST as error:
            self._check_alive(error)
            raise

    def _check_alive(self, error: BaseException) -> None:
        if self._client.status != "running":
            raise EngineError(f"the scheduler at {self._name} was lost; {_AGAIN}") from error


def mismatch(address: str, package: str, theirs: str, mine: str) -> str:
    """Return the line on a worker with another version."""
    has = f"{package} {theirs}" if theirs else f"no {package}"
    return f"worker {address} has {has}, this machine {package} {mine}; install the same on both"


def not_seen(address: str, path: str) -> str:
    """Return the line on storage that a worker does not see."""
    return (f"worker {address} does not see {path}, which is there on this machine; workers read sources themselves: "
            f"give them the same storage under the same path")  # fmt: skip
