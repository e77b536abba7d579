"""Clusters: started on this machine or found at an address, checked, and left quietly."""

from __future__ import annotations

import logging
import platform
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from audiosae.engine.cluster import worker
from audiosae.engine.cluster.calls import Calls, mismatch
from audiosae.engine.cluster.cluster import Cluster
from audiosae.errors import EngineError, InputError
from audiosae.system.interrupts import block_sigint
from audiosae.system.processes import worker_count
from audiosae.system.progress import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CONNECT_SECONDS = 10
_WORKER_SECONDS = 60
_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio", "bokeh")


@contextmanager
def connected(
    name: str, processes: int | None, *, backend: str, cache: Path | None, say: Callable[[str], None]
) -> Iterator[Cluster]:
    """Start so many workers here, or find the scheduler at `name`; check that all fits, and leave at the end."""
    _import_quietly(name)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module="distributed")
        warnings.filterwarnings("ignore", message="Sending large graph")
        if processes:
            cores = worker_count()
            busy = f" on {cores} cores: more than that wait for each other" if processes > cores else ""
            say(f"starting {counted(processes, 'worker')}{busy}")
        elif name.startswith("tcp:"):
            _check_scheduler(name)
        with block_sigint():
            address = stack.enter_context(_started(processes)) if processes else name
            client = stack.enter_context(_client(name, address))
        _check_versions(client)
        calls = Calls(client, name)
        chosen = _check_backends(calls, backend, say)
        threads = calls.threads()
        say(f"engine {name}: {counted(len(set(threads)), 'worker')}, {counted(len(threads), 'thread')}")
        yield Cluster(name, calls, chosen=chosen, cache=cache)


def _import_quietly(name: str) -> None:
    """Import Dask with its logs off: what a user must know is said in our own words."""
    try:
        import dask.config

        dask.config.set({"logging": dict.fromkeys(_LOGGERS, "critical")})
        dask.config.set({"distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS}s"})
        import distributed  # noqa: F401
    except ImportError as error:
        raise InputError(f"--engine {name} needs Dask: pip install 'audiosae[cluster]'") from error
    for logger in _LOGGERS:
        logging.getLogger(logger).setLevel(logging.CRITICAL)


@contextmanager
def _started(processes: int) -> Iterator[str]:
    """Start workers on this machine, a thread each, for as long as the block."""
    from distributed import LocalCluster

    quiet = {f"DASK_LOGGING__{logger.upper().replace('.', '__')}": "critical" for logger in ("distributed",)}
    with tempfile.TemporaryDirectory(prefix="audiosae-") as folder:
        cluster: Any = LocalCluster(
            n_workers=processes, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0",
            local_directory=folder, memory_limit=0, silence_logs=logging.CRITICAL, env=quiet,
        )  # fmt: skip
        with cluster:
            yield cluster.scheduler_address


def _check_scheduler(name: str) -> None:
    """Ask who answers at an address: Dask's client waits for ever for one that is no scheduler."""
    import asyncio

    from distributed.core import rpc

    async def who() -> str:
        async with rpc(name) as there:
            return str((await there.identity())["type"])

    def ask() -> str:
        return asyncio.run(asyncio.wait_for(who(), _CONNECT_SECONDS))

    try:
        with ThreadPoolExecutor(1) as thread:  # the caller's may have a loop of its own
            kind = thread.submit(ask).result()
    except Exception as error:
        raise _nobody(name) from error
    if kind != "Scheduler":
        raise EngineError(f"--engine {name}: that is a Dask {kind.lower()}; give the address of its scheduler")


def _nobody(name: str) -> EngineError:
    return EngineError(f"--engine {name}: no Dask scheduler answers there within {_CONNECT_SECONDS} s; start one "
                       f"with dask scheduler, or use --engine local:2 on this machine")  # fmt: skip


@contextmanager
def _client(name: str, address: str) -> Iterator[Any]:
    """Connect to a scheduler that has workers."""
    from distributed import Client

    try:
        client: Any = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise _nobody(name) from error
    try:
        client.wait_for_workers(1, timeout=_WORKER_SECONDS)
    except TimeoutError as error:
        client.close()
        raise EngineError(f"--engine {name}: its scheduler has had no worker for {_WORKER_SECONDS} s; start some with "
                          f"dask worker {name}") from error  # fmt: skip
    try:
        yield client
    finally:
        client.close(timeout=2)


def _check_versions(client: Any) -> None:  # noqa: ANN401
    """Refuse workers of another Python, NumPy or audiosae: their numbers, or their pickles, would be others."""
    minor = ".".join(platform.python_version_tuple()[:2])
    for address, told in sorted(client.get_versions()["workers"].items()):
        theirs = ".".join(str(told["host"]["python"]).split(".")[:2])
        if theirs != minor:
            raise EngineError(mismatch(address, "Python", theirs, minor))
        numpy = str(told["packages"].get("numpy") or "")
        if numpy != version("numpy"):
            raise EngineError(mismatch(address, "numpy", numpy, version("numpy")))
    calls = Calls(client, "")
    for address, own in calls.run(worker.version_of, "audiosae").items():
        if own != version("audiosae"):
            raise EngineError(mismatch(address, "audiosae", own, version("audiosae")))


def _check_backends(calls: Calls, backend: str, say: Callable[[str], None]) -> str:
    """Return the backend that all workers choose."""
    found = calls.run(worker.describe, backend)
    for address, (name, reason) in found.items():
        if not name:
            raise EngineError(f"worker {address}: {reason}")
    names = {name: address for address, (name, _) in found.items()}
    if len(names) > 1:
        told = ", ".join(f"{address} has {name}" for name, address in sorted(names.items()))
        raise EngineError(f"workers with different backends ({told}): their sums would not be the same; choose one for "
                          f"all with --backend numpy")  # fmt: skip
    name, reason = next(iter(found.values()))
    say(f"backend {reason}, on every worker")
    return str(name)
