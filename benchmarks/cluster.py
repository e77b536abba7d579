"""Cluster: two workers compared with one process on the same two cores, and a prediction for more machines.

The model is a calculation, not a measurement of a cluster. An iteration on n workers with one core each takes

    windows * per_window / n + levels * (sent / bandwidth) + (2 + levels) * per_level + 2 n * per_task

with levels = ceil(log2 n): parameters are passed from worker to worker, and Sums back the same way, level by level;
each level of the tree waits for the scheduler, which handles 2 n tasks. The times are those measured here, bandwidth
and levels through this machine's loopback interface; for a network, its own bandwidth is used.
"""

from __future__ import annotations

import math
import os
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from audiosae.autoencoder.sae import Sums, accumulate, start
from audiosae.autoencoder.whitening import Whitening
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine, start_engine
from audiosae.engine.corpus import read
from audiosae.engine.feed import Feed
from audiosae.engine.learn_whitening import learn_whitener
from audiosae.recordings.spectrogram import Spectrogram
from benchmarks import survey
from benchmarks.measure import Figure, alternate, milliseconds
from benchmarks.reading import write_sounds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from audiosae.autoencoder.sae import Params
    from audiosae.backends import Backend
    from audiosae.engine import Engine
    from audiosae.engine.cluster.calls import Calls
    from benchmarks.commands import Cost
    from benchmarks.measure import Array

_HOURS = 100.0  # of sound in the predicted run
_WINDOWS_A_SECOND = 100
_NETWORKS = {"1 Gbit/s": 0.117e9, "10 Gbit/s": 1.17e9}
_WORKERS = (2, 8, 64, 512)
_SUMS = 1.5  # size relative to the parameters: the gradient, and the slopes of the encoder


@dataclass
class Timed:
    """Sums, and the seconds that each process took to compute them; both are additive."""

    sums: Sums
    seconds: dict[int, float]

    def __add__(self, other: Timed) -> Timed:
        """Return the total."""
        seconds = {p: self.seconds.get(p, 0) + other.seconds.get(p, 0) for p in {*self.seconds, *other.seconds}}
        return Timed(self.sums + other.sums, seconds)


def _step(backend: Backend, x: Array, params: Params) -> Timed:
    began = time.perf_counter()
    sums = accumulate(backend, params.on(backend), x)
    return Timed(sums, {os.getpid(): time.perf_counter() - began})


def _no_work(_backend: Backend, _x: Array, _params: Params) -> int:
    return 1


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of a cluster on this machine, and the prediction of the model."""
    hidden, count, duration = (16, 4, 4.0) if short else (256, 16, 60.0)
    with tempfile.TemporaryDirectory() as folder:
        sounds = Path(folder) / "sounds"
        sounds.mkdir()
        write_sounds(sounds, count, duration, 22050)
        cache = Path(folder) / "cache"
        alone, params = _feed(LocalEngine(), sounds, cache, hidden)
        with start_engine("local:2", cache=cache) as engine:
            feed, _ = _feed(engine, sounds, cache, hidden)
            seconds = alternate(
                {
                    "one process": lambda: alone.sum_over(_step, params),
                    "two workers": lambda: feed.sum_over(_step, params),
                    "no work": lambda: feed.sum_over(_no_work, params),
                },
                repeats=2 if short else 7,
            )
            runs = [_computing(feed, params) for _ in range(2 if short else 5)]
            sent, per_task = _bandwidth(engine._calls), _per_task(engine._calls)  # noqa: SLF001
    ratio = seconds["two workers"] / seconds["one process"]
    name = "an iteration on two workers over one process, the same two cores"
    detail = f"{milliseconds(seconds)}; {len(alone)} windows of {params.width}, {hidden} units"
    yield Figure(name, ratio, 1.15, at_least=False, detail=detail)
    busy, share = (statistics.median(values) for values in zip(*runs, strict=True))
    detail = f"{1000 * busy:.3g} ms of computing by the slower; {sent / 1e6:.0f} MB/s by loopback"
    name = "share of an iteration on two workers in which the slower does not compute"
    yield Figure(name, share, 0.15, at_least=False, detail=detail)
    costs = _Costs(2 * busy / len(alone), seconds["no work"] / 3, per_task, sent)
    yield _predicted(costs, params)
    yield _surveys(short=short)


def _surveys(*, short: bool) -> Figure:
    """Compare a survey on two workers with one process that decodes in two, in turn, each from an empty cache."""
    rounds, count, seconds = (1, 2, 60) if short else (3, 6, 600)
    costs: dict[str, list[Cost]] = {"here": [], "local:2": []}
    with tempfile.TemporaryDirectory() as where:
        folder = Path(where)
        survey.write_recordings(folder / "sounds", count, seconds)
        few = ["--max-windows", "40000", "--epochs", "2"]
        survey.run(folder, "train", "sounds", "-o", "run", *few, cache="training")
        for number in range(rounds):
            for engine, taken in costs.items():
                command = ["survey", "run", "sounds", "-o", f"{engine[:4]}-{number}", "--engine", engine]
                taken.append(survey.run(folder, *command, cache=f"cache-{engine[:4]}-{number}"))
    of = {engine: sorted(taken, key=lambda each: each.seconds)[rounds // 2] for engine, taken in costs.items()}
    detail = f"{', '.join(f'{engine} {cost.text}' for engine, cost in of.items())}; {count * seconds / 3600:g} h"
    name = "a survey on two workers over one process, the same two cores"
    return Figure(name, of["local:2"].seconds / of["here"].seconds, 1.2, at_least=False, detail=detail)


def _computing(feed: Feed, params: Params) -> tuple[float, float]:
    """Return the seconds that the slower worker computes in an iteration, and the share of the other time."""
    began = time.perf_counter()
    busy = max(feed.sum_over(_step, params).seconds.values())
    return busy, 1 - busy / (time.perf_counter() - began)


@dataclass(frozen=True)
class _Costs:
    """Seconds per window and core, per level of the tree and per task; bytes per second of the loopback interface."""

    per_window: float
    per_level: float
    per_task: float
    loopback: float

    def gain(self, workers: int, params: Params, bandwidth: float) -> float:
        """Return the speed-up over one core."""
        alone = _HOURS * 3600 * _WINDOWS_A_SECOND * self.per_window
        levels = math.ceil(math.log2(workers))
        exchanged = levels * (1 + _SUMS) * params.flat.nbytes / bandwidth
        waiting = (2 + levels) * self.per_level + 2 * workers * self.per_task
        return alone / (alone / workers + exchanged + waiting)


def _feed(engine: Engine, sounds: Path, cache: Path, hidden: int) -> tuple[Feed, Params]:
    """Return whitened windows in the memory of the engine, and an autoencoder for them."""
    sources = scan([sounds], (".wav",))
    domain = Spectrogram().resolve([source.path for source in sources])
    corpus = read(domain, sources, engine, cache=cache, workers=2)
    whitener = learn_whitener(corpus, Whitening("pca", power=0.25, keep=0.98))
    params = start(hidden, whitener.n_components, seed=0, rho=0.02, spread=whitener.spread)
    return Feed(corpus, whitener, memory=2**30), params


def _bandwidth(calls: Calls) -> float:
    """Return the bytes per second of an array that is sent to a worker and back."""
    sizes = (1, 2**24)
    times = []
    for size in sizes:
        each = []
        for number in range(5):
            value = np.full(size, number, np.float32)
            began = time.perf_counter()
            calls.result(calls.constant(value))
            each.append(time.perf_counter() - began)
        times.append(min(each))
    return 2 * 4 * sizes[1] / max(1e-6, times[1] - times[0])


def _per_task(calls: Calls) -> float:
    """Return the seconds per task of many tasks."""
    count = 300
    began = time.perf_counter()
    futures = [calls.constant(number) for number in range(count)]
    for future in futures:
        calls.result(future)
    return (time.perf_counter() - began) / count


def _predicted(costs: _Costs, params: Params) -> Figure:
    """Return the speed-up that the model predicts for 64 workers on 10 Gbit/s, with others in the detail."""
    tables = []
    for name, bandwidth in {"loopback": costs.loopback, **_NETWORKS}.items():
        gains = ", ".join(f"{workers}: {costs.gain(workers, params, bandwidth):.3g}" for workers in _WORKERS)
        tables.append(f"{name} {gains}")
    detail = (
        f"a model, not measured: {_HOURS:.0f} h of sound, {1e6 * costs.per_window:.2f} us per window and core, "
        f"parameters of {params.flat.nbytes / 1e6:.2f} MB, {1000 * costs.per_level:.1f} ms per level, "
        f"{1000 * costs.per_task:.2f} ms per task; speed-up by workers: {'; '.join(tables)}"
    )
    value = costs.gain(64, params, _NETWORKS["10 Gbit/s"])
    name = "predicted speed-up of an iteration, 64 workers, 10 Gbit/s (model)"
    return Figure(name, value, 50.0, at_least=True, detail=detail)
