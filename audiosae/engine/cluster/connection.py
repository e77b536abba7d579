"""Start a cluster on this machine or connect to a scheduler, check its workers, and disconnect at the end."""

from __future__ import annotations

import logging
import os
import platform
import tempfile
import warnings
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from audiosae.engine.cluster import worker
from audiosae.engine.cluster.calls import Calls, Client, mismatch
from audiosae.engine.cluster.cluster import Cluster
from audiosae.errors import EngineError, InputError
from audiosae.system.interrupts import block_sigint
from audiosae.system.processes import can_start_processes, main_hidden, prepare, worker_count
from audiosae.system.progress import counted
from audiosae.system.threads import Threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_CONNECT_SECONDS = 10
_WORKER_SECONDS = 60
_LOGGERS = ("distributed", "distributed.client", "tornado", "tornado.application", "asyncio", "bokeh")
# Dask watches itself up to a hundred times a second, which takes two to three per cent of a core in each process
_QUIET = {
    "logging": dict.fromkeys(_LOGGERS, "critical"),
    "distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS}s",
    "distributed.worker.profile.enabled": False,
    "distributed.admin.tick.interval": "1s",
    "distributed.admin.system-monitor.interval": "10s",
}
_PRELOADED = ("distributed.nanny", "audiosae.engine.cluster.worker")


@contextmanager
def connected(
    name: str, processes: int | None, *, backend: str, cache: Path | None, say: Callable[[str], None]
) -> Iterator[Cluster]:
    """Start `processes` workers on this machine; if it is None, connect to the scheduler at `name`. Yield the engine.

    The workers are checked first. At the end the engine disconnects, and workers that were started here are stopped.
    """
    _import_quietly(name)
    with ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.filterwarnings("ignore", module="distributed")
        warnings.filterwarnings("ignore", message="Sending large graph")
        if processes:
            cores = worker_count()
            warning = f" on {cores} cores; more workers than cores are no faster" if processes > cores else ""
            say(f"starting {counted(processes, 'worker')}{warning}")
        elif name.startswith("tcp:"):
            _check_scheduler(name)
        address = name
        if processes:
            with block_sigint():
                address = stack.enter_context(_started(processes))
        client = stack.enter_context(_client(name, address))
        _check_versions(client)
        calls = Calls(client, name)
        chosen, threads = _check_backends(calls, backend, say), calls.threads()
        say(f"engine {name}: {counted(len(set(threads)), 'worker')}, {counted(len(threads), 'thread')}")
        yield Cluster(name, calls, backend=chosen, cache=cache)


def _import_quietly(name: str) -> None:
    try:
        import dask.config

        dask.config.set(_QUIET)
        import distributed  # noqa: F401
    except ImportError as error:
        raise InputError(f"--engine {name} needs Dask: pip install 'audiosae[cluster]'") from error
    for logger in _LOGGERS:
        logging.getLogger(logger).setLevel(logging.CRITICAL)


@contextmanager
def _started(processes: int) -> Iterator[str]:
    """Start workers on this machine with one thread each; yield the address of their scheduler."""
    from distributed import LocalCluster, Nanny

    class Worker(Nanny):
        """Process that starts a worker, and starts it again after a crash, without importing the main module."""

        async def instantiate(self) -> Any:  # noqa: ANN401
            for variables in (self.pre_spawn_env, self.env):
                variables.pop(worker.TRIMMING, None)
            with main_hidden:
                return await super().instantiate()

    if not can_start_processes():
        raise EngineError(
            f"--engine local:{processes}: a process of multiprocessing.Pool or joblib cannot start others; leave "
            "--engine out, or call audiosae from the main process"
        )
    with tempfile.TemporaryDirectory(prefix="audiosae-") as folder, ExitStack() as stack:
        stack.enter_context(_forked())
        try:
            cluster = LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                worker_class=Worker,
                dashboard_address="127.0.0.1:0",
                local_directory=folder,
                memory_limit=0,
                silence_logs=logging.CRITICAL,
                env=_environment(),
            )
        except (OSError, RuntimeError) as error:
            reason = error.__cause__ or error
            raise EngineError(
                f"--engine local:{processes}: no worker process can start ({reason}); leave --engine out"
            ) from error
        stack.enter_context(cluster)
        yield cluster.scheduler_address


def _environment() -> dict[str, str]:
    """Return the environment of workers: a fork has that of its server, which may have started before a change."""
    cache = {"AUDIOSAE_CACHE": os.environ.get("AUDIOSAE_CACHE", "")}  # empty: none, also if the server has one
    return os.environ | cache | {"DASK_LOGGING__DISTRIBUTED": "critical"}


@contextmanager
def _forked() -> Iterator[None]:
    """Let workers that start here be forks of one process that has imported what they need, if the system can do so."""
    import dask.config
    from distributed import utils

    utils._forkserver_preload_set = True  # noqa: SLF001 (Dask would import pandas, in this process too)
    method = "forkserver" if prepare(*_PRELOADED) else "spawn"
    with dask.config.set({"distributed.worker.multiprocessing-method": method}):
        yield


def _check_scheduler(name: str) -> None:
    """Raise EngineError if no scheduler answers at an address: Dask's client would wait without end."""
    import asyncio

    from distributed.core import rpc

    async def ask() -> str:
        async with rpc(name) as server:
            return str((await server.identity())["type"])

    try:
        with Threads(1) as thread:  # the thread of the caller may run an event loop
            kind = thread.submit(lambda: asyncio.run(asyncio.wait_for(ask(), _CONNECT_SECONDS))).result()
    except Exception as error:
        raise _no_scheduler(name) from error
    if kind != "Scheduler":
        raise EngineError(f"--engine {name}: that is a Dask {kind.lower()}; give the address of its scheduler")


def _no_scheduler(name: str) -> EngineError:
    return EngineError(
        f"--engine {name}: no Dask scheduler answers there within {_CONNECT_SECONDS} s; start one with dask scheduler, "
        f"or use --engine local:2 on this machine"
    )


@contextmanager
def _client(name: str, address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_SECONDS, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise _no_scheduler(name) from error
    try:
        client.wait_for_workers(1, timeout=_WORKER_SECONDS)
    except TimeoutError as error:
        client.close()
        raise EngineError(
            f"--engine {name}: its scheduler has had no worker for {_WORKER_SECONDS} s; start some with "
            f"dask worker {name}"
        ) from error
    try:
        yield client
    finally:
        client.close(timeout=2)


def _check_versions(client: Client) -> None:
    """Raise EngineError if a worker has another version of Python, NumPy or audiosae.

    Its results could differ, and it could fail to read pickles.
    """
    expected = {"Python": ".".join(platform.python_version_tuple()[:2]), "numpy": version("numpy")}
    for address, report in sorted(client.get_versions()["workers"].items()):
        python = ".".join(str(report["host"]["python"]).split(".")[:2])
        for package, installed in (("Python", python), ("numpy", str(report["packages"].get("numpy") or ""))):
            if installed != expected[package]:
                raise mismatch(address, package, installed, expected[package])
    Calls(client, "").check_versions("audiosae", version("audiosae"))


def _check_backends(calls: Calls, backend: str, say: Callable[[str], None]) -> str:
    choices = calls.run(worker.describe, backend)
    for address, (name, reason) in choices.items():
        if not name:
            raise EngineError(f"worker {address}: {reason}")
    names = {name: address for address, (name, _) in choices.items()}
    if len(names) > 1:
        description = ", ".join(f"{address} has {name}" for name, address in sorted(names.items()))
        raise EngineError(
            f"the workers have different backends ({description}), so their results would differ; use --backend numpy "
            f"for all"
        )
    name, reason = next(iter(choices.values()))
    say(f"backend {reason}, on every worker")
    return str(name)
