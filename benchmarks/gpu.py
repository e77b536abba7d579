"""GPU: a step compared with its products and PyTorch, kernels with a copy and plain CuPy, and a whole training run."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.sae import start
from audiosae.backends import Backend, choose
from audiosae.corpus.sources import scan
from audiosae.corpus.windows import CHUNK_WINDOWS, SLAB_BYTES
from audiosae.domain import resolved
from audiosae.engine import LocalEngine
from audiosae.engine.corpus import read
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.system.progress import Progress
from audiosae.training.checkpoint import State
from audiosae.training.fit import fit
from audiosae.training.options import TrainOptions
from audiosae.training.steps import Steps
from benchmarks import parity
from benchmarks.kernels import sweeps
from benchmarks.measure import Figure, alternate, milliseconds
from benchmarks.reading import write_sounds
from benchmarks.steps import PENALTY, torch_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from audiosae.corpus.windows import Corpus
    from benchmarks.measure import Array

    Measure = Callable[..., dict[str, float]]
    Shape = tuple[int, int, int]

LARGE, SMALL = (8192, 1024, 8192), (1024, 256, 512)  # batch, inputs, units
PYTORCH, COMPILED = "PyTorch", "torch.compile"
_HOURS = 10
_LEAST = 0.05  # shortest measurement, seconds


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of a GPU, which take less than ten minutes; raise an error if there is no GPU."""
    backend, _ = choose("cupy")
    large, small = ((64, 32, 48), (32, 8, 16)) if short else (LARGE, SMALL)
    measure = partial(on_gpu, backend.xp, repeats=1 if short else 15, least=0.0 if short else _LEAST)
    yield from parity.figures(backend, small, short=short)
    yield from _large(backend, large, measure)
    yield from _small(backend, small, measure)
    for sweep in sweeps(backend, 256 if short else 8192):
        seconds = measure({"copy": sweep.copy, "ours": sweep.ours, "CuPy": sweep.plain})
        moved = sweep.moved / (2 * sweep.copied)
        name = f"{sweep.name}: its bytes over time, against a copy on the GPU"
        yield Figure(name, seconds["copy"] * moved / seconds["ours"], 0.8, at_least=True, detail=milliseconds(seconds))
        yield Figure(
            f"{sweep.name}: CuPy's expression over ours", seconds["CuPy"] / seconds["ours"], 1.0, at_least=True
        )
    backend.release()
    yield from _training(backend, 0.01 if short else _HOURS, 1 if short else 3)


def on_gpu(xp: ModuleType, calls: dict[str, Callable[[], Any]], *, repeats: int, least: float) -> dict[str, float]:
    """Time calls in turn, each repeated for `least` seconds, and wait for the GPU at the end of each turn."""

    def many(call: Callable[[], Any], count: int) -> None:
        for _ in range(count):
            call()
        xp.cuda.runtime.deviceSynchronize()

    counts = {}
    for name, call in calls.items():
        many(call, 3)  # the first loads the kernels
        began = time.perf_counter()
        many(call, 3)
        counts[name] = max(1, round(3 * least / max(1e-9, time.perf_counter() - began)))
    seconds = alternate({name: partial(many, call, counts[name]) for name, call in calls.items()}, repeats=repeats)
    return {name: value / counts[name] for name, value in seconds.items()}


def _large(backend: Backend, shape: Shape, measure: Measure) -> Iterator[Figure]:
    """Yield a step over its products in float32 and in TF32, float32 over TF32, and PyTorch over ours."""
    peers, missing = _peers(shape, (PYTORCH, COMPILED))
    seconds = measure({"products": _products(backend, shape), "ours": _step(backend, shape)} | peers)
    name = "Adam step " + " x ".join(map(str, shape))
    ratio = seconds["ours"] / seconds["products"]
    yield Figure(f"{name} over its five cuBLAS products", ratio, 1.12, at_least=False, detail=milliseconds(seconds))
    for peer, bar in ((PYTORCH, 1.2), (COMPILED, 1.05)):
        yield _over_ours(f"{peer} over ours, the same", peer, seconds, missing, bar)
    coarse, _ = choose("cupy", tf32=True)
    with coarse.session():
        rounded = measure({"products": _products(coarse, shape), "ours": _step(coarse, shape)})
    ratio = rounded["ours"] / rounded["products"]
    yield Figure(f"{name} in TF32 over its products in TF32", ratio, 1.35, at_least=False, detail=milliseconds(rounded))
    yield Figure("the step in float32 over that in TF32", seconds["ours"] / rounded["ours"], 1.0, at_least=True)


def _small(backend: Backend, shape: Shape, measure: Measure) -> Iterator[Figure]:
    """Yield PyTorch's time for a small step over ours."""
    peers, missing = _peers(shape, (PYTORCH,))
    seconds = measure({"ours": _step(backend, shape)} | peers)
    name = f"PyTorch over ours, small step {' x '.join(map(str, shape))}"
    yield _over_ours(name, PYTORCH, seconds, missing, 4.0)


def _over_ours(name: str, peer: str, seconds: dict[str, float], missing: dict[str, str], bar: float) -> Figure:
    value = seconds[peer] / seconds["ours"] if peer in seconds else None
    return Figure(name, value, bar, at_least=True, detail=missing.get(peer, milliseconds(seconds)))


def _windows(shape: Shape) -> Array:
    return np.random.default_rng(0).normal(size=shape[:2]).astype(np.float32)


def _step(backend: Backend, shape: Shape) -> Callable[[], None]:
    """Return a whole training step."""
    params = start(shape[2], shape[1], seed=0, rho=PENALTY.rho)
    state = State.fresh(params.flat, shape[2])
    state.move(backend.asarray)
    steps, x = Steps(backend, params.like(state.flat), state, PENALTY), backend.asarray(_windows(shape))
    return lambda: steps.take(x, 1e-3)


def _products(backend: Backend, shape: Shape) -> Callable[[], None]:
    """Return the five matrix products of a step, into buffers."""
    (rows, width, hidden), xp = shape, backend.xp
    x, w = backend.asarray(_windows(shape)), backend.asarray(_windows((hidden, width, 0)))
    a, y, g = (xp.empty(size, np.float32) for size in ((rows, hidden), (rows, width), (hidden, width)))

    def run() -> None:
        xp.matmul(x, w.T, out=a)
        xp.matmul(a, w, out=y)
        xp.matmul(a.T, y, out=g)
        xp.matmul(y, w.T, out=a)
        xp.matmul(a.T, x, out=g)

    return run


def _peers(shape: Shape, names: tuple[str, ...]) -> tuple[dict[str, Callable[[], None]], dict[str, str]]:
    """Return the same step by the peers in PyTorch on the GPU, and why others are missing."""
    try:
        import torch
    except ImportError:
        return {}, dict.fromkeys(names, "PyTorch is not installed")
    if not torch.cuda.is_available():
        return {}, dict.fromkeys(names, "PyTorch finds no GPU")
    steps, missing = {}, {}
    for peer in names:
        step = torch_step(_windows(shape), shape[2], device="cuda", compiled=peer == COMPILED)
        try:
            step()  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001 (the compiler is missing or does not support the GPU)
            missing[peer] = f"{peer} fails: {' '.join(str(error).split())[:120]}"
        else:
            steps[peer] = step
    return steps, missing  # type: ignore[return-value]


def _training(backend: Backend, hours: float, repeats: int) -> Iterator[Figure]:
    """Train on hours of sound from an empty cache, on two cores alone and on the same two cores with the GPU."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:2])
    try:
        with tempfile.TemporaryDirectory() as folder:
            sounds = Path(folder) / "sounds"
            sounds.mkdir()
            write_sounds(sounds, max(2, round(hours * 6)), min(600.0, hours * 1800), 22050)
            runs = {which.name: _train(which, sounds, Path(folder) / which.name) for which in (Backend(), backend)}
            passes = _passes(backend, sounds, Path(folder) / backend.name / "cache", repeats)
    finally:
        os.sched_setaffinity(0, cores)
    whole = {name: sum(stages.values()) for name, stages in runs.items()}
    parts = {name: ", ".join(f"{title} {took:.1f}" for title, took in stages.items()) for name, stages in runs.items()}
    detail = "; ".join(f"{name}: {whole[name]:.1f} s ({parts[name]})" for name in runs)
    name = f"train on {hours:g} h: two cores over the GPU"
    yield Figure(name, whole["numpy"] / whole["cupy"], 1.0, at_least=True, detail=detail)
    name = f"all windows of {hours:g} h gathered from streamed fields over those from cached fields"
    yield Figure(name, passes["streamed"] / passes["cached"], 1.0, at_least=True, detail=milliseconds(passes))


def _passes(backend: Backend, sounds: Path, cache: Path, repeats: int) -> dict[str, float]:
    """Return the seconds of a pass over all windows, with streamed fields and with fields in the GPU's memory."""
    sources = scan([sounds], (".wav",))
    domain = Spectrogram().resolve([source.path for source in sources])
    corpus = read(domain, sources, LocalEngine(backend), cache=cache, workers=2)

    def gather(windows: Corpus) -> None:
        for slab in backend.slabs(windows, None, SLAB_BYTES):
            for at in range(0, len(slab), CHUNK_WINDOWS):
                backend.windows(slab, slice(at, at + CHUNK_WINDOWS), None, np.float32)
        backend.xp.cuda.runtime.deviceSynchronize()

    with backend.session():  # a corpus is streamed unless its fields were cached
        streamed = alternate({"streamed": lambda: gather(corpus.part(corpus.records))}, repeats=repeats)
        backend.keep_fields(corpus)
        return streamed | alternate({"cached": lambda: gather(corpus)}, repeats=repeats)


class _Stages(Progress):
    """Progress that records when each stage of a run began."""

    def __init__(self) -> None:
        self.began = [("start", time.perf_counter())]

    def stage(self, title: str, total: float | None, unit: str) -> None:  # noqa: ARG002
        """Record the time."""
        self.began.append((title, time.perf_counter()))

    def seconds(self) -> dict[str, float]:
        """Return the seconds of each stage, of the last one until now."""
        ends = [*self.began, ("end", time.perf_counter())]
        return {title: after - at for (title, at), (_, after) in pairwise(ends)}


def _train(backend: Backend, sounds: Path, folder: Path) -> dict[str, float]:
    """Return the seconds of each stage of a run, including the whitening of all windows and the final scores."""
    options = TrainOptions.resolve(Spectrogram.defaults, {"solver": "adam", "epochs": 2})
    sources, stages = scan([sounds], (".wav",)), _Stages()
    domain = resolved(Spectrogram(), [source.path for source in sources])
    corpus = read(domain, sources, LocalEngine(backend), cache=folder / "cache", workers=2, progress=stages)
    fit(corpus, options, progress=stages)
    return stages.seconds()
