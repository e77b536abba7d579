"""Calls to the workers of a cluster through Dask, and the error messages of failed calls."""

from __future__ import annotations

import time
import uuid
from asyncio import CancelledError as Cancelled
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as TimedOut
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from audiosae.domain import Domain, domain_to_json
from audiosae.engine.cluster import worker
from audiosae.errors import AudiosaeError, EngineError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Client = Any  # distributed.Client
Future = Any  # distributed.Future
Value = Any
Result = TypeVar("Result")

_ATTEMPTS = 5
_POLL_SECONDS = 5.0  # a call waits this long for a result, then checks that there are workers
_NOTICE_SECONDS = 0.1  # as Dask waits: a result may come before the wait for it begins
_ALONE_SECONDS = 120.0  # a call fails after this time without workers
_RESUME = "start the cluster and the command again; train continues from its checkpoint with --resume"
_LOST = (OSError, Cancelled, CancelledError, TimedOut, KeyError)


class Calls:
    """Calls of functions on the workers of a Dask client."""

    def __init__(self, client: Client, name: str) -> None:
        self._client, self._name = client, name

    def threads(self) -> list[str]:
        """Return the address of each worker, once for each of its threads."""
        threads = self._guarded(self._client.nthreads)
        return [address for address in sorted(threads) for _ in range(threads[address])]

    def living(self, lanes: list[str]) -> list[str]:
        """Return the worker of each lane; other workers, in turn, replace those that were lost."""
        alive = self.threads()
        if not alive:
            return lanes
        spare = [address for address in alive if address not in lanes] or alive
        return [address if address in alive else spare[i % len(spare)] for i, address in enumerate(lanes)]

    def submit(self, function: Callable[..., Any], *arguments: object, at: str | None = None) -> Future:
        """Call a function on the worker with the address `at`, or on any if that is lost or None."""
        key = f"audiosae-{function.__name__}-{uuid.uuid4().hex}"
        target = {"workers": [at], "allow_other_workers": True} if at else {}
        return self._guarded(lambda: self._client.submit(function, *arguments, key=key, pure=False, **target))

    def constant(self, value: object) -> Future:
        """Return the future of a value that is sent to one worker, and from worker to worker on demand.

        It is the result of a task instead of scattered data, so that Dask can restore it when workers are lost. A
        broadcast by Dask (2026.8) never returns if a worker dies during it.
        """
        return self.submit(worker.identity, value)

    def persistent(self, attempt: Callable[[], Result]) -> Result:
        """Call a function that depends on sent values; repeat it if a worker was lost with the last copy of a value."""
        for retry in range(_ATTEMPTS):
            try:
                return attempt()
            except _LOST as error:
                self._check_alive(error)
                if retry == _ATTEMPTS - 1:
                    raise EngineError(
                        f"{self._name}: workers were lost {_ATTEMPTS} times ({error or type(error).__name__}); see "
                        "their logs"
                    ) from error
                time.sleep(0.2 * 2**retry)
        raise AssertionError

    def result(self, future: Future) -> Value:
        """Wait for a result; Ctrl-C interrupts. EngineError if scheduler or workers are lost or the call kills them."""
        alone = 0.0
        while True:
            try:
                return self._guarded(lambda: future.result(timeout=_POLL_SECONDS))
            except TimedOut:
                alone = self._alone(alone)

    def _alone(self, seconds: float) -> float:
        """Return for how long there has been no worker, `seconds` at the last call; EngineError if it is too long."""
        seconds = 0.0 if self.threads() else seconds + _POLL_SECONDS
        if seconds >= _ALONE_SECONDS:
            raise EngineError(f"{self._name} has had no worker for two minutes; {_RESUME}") from None
        return seconds

    def as_ready(self, futures: list[Future]) -> Iterator[Future]:
        """Yield futures in the order in which they are done; EngineError if scheduler or workers are lost."""
        from distributed import as_completed

        ready, alone, checked = as_completed(futures, loop=self._client.loop), 0.0, time.monotonic()
        while not ready.is_empty():
            if ready.has_ready():
                yield self._guarded(lambda: next(ready))
                alone, checked = 0.0, time.monotonic()
                continue
            with ready.thread_condition:  # next() would wait for ever without workers
                ready.thread_condition.wait(timeout=_NOTICE_SECONDS)
            if time.monotonic() - checked >= _POLL_SECONDS:
                alone, checked = self._alone(alone), time.monotonic()

    def check_storage(self, domain: Domain, paths: Sequence[str]) -> None:
        """Raise EngineError if a worker lacks the package of the domain, or the first or last source."""
        facts = domain_to_json(domain)
        self.check_versions(str(facts["package"]), str(facts["version"]))
        ends = [path for path in {paths[0], paths[-1]} if Path(path).exists()]
        for address, missing in self.run(worker.missing_paths, ends).items():
            if missing:
                raise not_seen(address, missing[0])

    def check_versions(self, package: str, expected: str) -> None:
        """Raise EngineError if a worker has another version of a package."""
        for address, version in self.run(worker.version_of, package).items():
            if version != expected:
                raise mismatch(address, package, version, expected)

    def run(self, function: Callable[..., Any], *arguments: object) -> dict[str, Any]:
        """Call a function on every worker; return the results by address, in order."""
        results = self._guarded(lambda: self._client.run(function, *arguments, on_error="return"))
        for address, result in sorted(results.items()):
            if isinstance(result, ModuleNotFoundError):
                raise EngineError(f"worker {address} has no {result.name}; install the same packages on every machine")
            if isinstance(result, BaseException):
                raise EngineError(f"worker {address}: {type(result).__name__}: {result}")
        return dict(sorted(results.items()))

    def _guarded(self, call: Callable[[], Result]) -> Result:
        """Call a function; turn a lost scheduler, and work that kills workers, into errors of one line."""
        from distributed import KilledWorker

        try:
            return call()
        except KilledWorker as error:
            raise EngineError(
                f"{self._name}: four workers died one after the other in the same task, probably for lack of memory; "
                f"see their logs, or lower --memory"
            ) from error
        except AudiosaeError:
            raise
        except _LOST as error:
            self._check_alive(error)
            raise

    def _check_alive(self, error: BaseException) -> None:
        if self._client.status != "running":
            raise EngineError(f"the scheduler at {self._name} was lost; {_RESUME}") from error


def mismatch(address: str, package: str, version: str, expected: str) -> EngineError:
    """Return the error for a worker with another version of a package, or "" if it is not installed there."""
    installed = f"{package} {version}" if version else f"no {package}"
    return EngineError(f"worker {address} has {installed}, this machine {package} {expected}; install the same on both")


def not_seen(address: str, path: str) -> EngineError:
    """Return the error for a source that is missing on a worker."""
    return EngineError(
        f"worker {address} cannot find {path}, which exists on this machine; workers read sources themselves, so "
        f"give them the same storage under the same path"
    )
