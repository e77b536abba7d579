"""On a card: a step over its own products, over PyTorch; kernels over a copy and over plain CuPy; a whole training."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.sae import start
from audiosae.backends import Backend, choose
from audiosae.corpus.sources import scan
from audiosae.engine import LocalEngine
from audiosae.recordings.spectrogram import Spectrogram
from audiosae.training.checkpoint import State
from audiosae.training.options import TrainOptions
from audiosae.training.steps import Steps
from audiosae.training.train import train_sources
from benchmarks.kernels import sweeps
from benchmarks.measure import Figure, alternate, told
from benchmarks.reading import write_sounds
from benchmarks.steps import PENALTY, torch_step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LARGE, SMALL = (8192, 1024, 8192), (1024, 256, 512)  # batch, inputs, units
_HOURS = 10
_LEAST = 0.05  # seconds of a measurement


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of a card; without one, say why there is none."""
    backend, _ = choose("cupy")
    repeats, least = (1, 0.0) if short else (15, _LEAST)
    measure = partial(on_card, backend.xp, repeats=repeats, least=least)
    yield from _large(backend, (64, 32, 48) if short else LARGE, measure)
    yield from _small(backend, (32, 8, 16) if short else SMALL, measure)
    for sweep in sweeps(backend, 256 if short else 8192):
        seconds = measure({"copy": sweep.copy, "ours": sweep.ours, "CuPy": sweep.plain})
        moved = sweep.moved / (2 * sweep.copied)
        name = f"{sweep.name}: its bytes over time, against a copy on the card"
        yield Figure(name, seconds["copy"] * moved / seconds["ours"], 0.8, at_least=True, detail=told(seconds))
        yield Figure(
            f"{sweep.name}: CuPy's expression over ours", seconds["CuPy"] / seconds["ours"], 1.0, at_least=True
        )
    yield _training(backend, 0.01 if short else _HOURS)


def on_card(
    xp: Any, calls: dict[str, Callable[[], Any]], *, repeats: int, least: float  # noqa: ANN401
) -> dict[str, float]:  # fmt: skip
    """Time calls in turn, each as often as `least` seconds hold, waiting for the card at the end of each turn."""

    def many(call: Callable[[], Any], count: int) -> None:
        for _ in range(count):
            call()
        xp.cuda.runtime.deviceSynchronize()

    counts = {}
    for name, call in calls.items():
        many(call, 3)  # kernels are loaded, steps recorded
        began = time.perf_counter()
        many(call, 3)
        counts[name] = max(1, round(3 * least / max(1e-9, time.perf_counter() - began)))
    seconds = alternate({name: partial(many, call, counts[name]) for name, call in calls.items()}, repeats=repeats)
    return {name: value / counts[name] for name, value in seconds.items()}


def _large(backend: Backend, shape: tuple[int, int, int], measure: Callable[..., dict[str, float]]) -> Iterator[Figure]:
    calls = {"products": _products(backend, shape), "ours": _step(backend, shape)}
    seconds = measure(calls | _peers(shape, compiled=True))
    name = "Adam step " + " x ".join(map(str, shape))
    ratio = seconds["ours"] / seconds["products"]
    yield Figure(f"{name} over its five cuBLAS products", ratio, 1.12, at_least=False, detail=told(seconds))
    for peer, bar in (("PyTorch", 1.3), ("torch.compile", 1.1)):
        if peer in seconds:
            yield Figure(f"{peer} over ours, the same", seconds[peer] / seconds["ours"], bar, at_least=True)


def _small(backend: Backend, shape: tuple[int, int, int], measure: Callable[..., dict[str, float]]) -> Iterator[Figure]:
    seconds = measure({"ours": _step(backend, shape)} | _peers(shape, compiled=False))
    name = "PyTorch over ours, small step " + " x ".join(map(str, shape))
    if "PyTorch" in seconds:
        yield Figure(name, seconds["PyTorch"] / seconds["ours"], 5.0, at_least=True, detail=told(seconds))


def _windows(shape: tuple[int, int, int]) -> Any:  # noqa: ANN401
    return np.random.default_rng(0).normal(size=shape[:2]).astype(np.float32)


def _step(backend: Backend, shape: tuple[int, int, int]) -> Callable[[], None]:
    """Return a whole step as training takes it."""
    params = start(shape[2], shape[1], seed=0, rho=PENALTY.rho)
    state = State.fresh(params.flat, shape[2])
    state.move(backend.asarray)
    steps, x = Steps(backend, params.like(state.flat), state, PENALTY), backend.asarray(_windows(shape))
    return lambda: steps.take(x, 1e-3)


def _products(backend: Backend, shape: tuple[int, int, int]) -> Callable[[], None]:
    """Return a step's five products, into buffers."""
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


def _peers(shape: tuple[int, int, int], *, compiled: bool) -> dict[str, Callable[[], None]]:
    """Return the same step in PyTorch on the card, where PyTorch and its card are there."""
    try:
        import torch
    except ImportError:
        return {}
    if not torch.cuda.is_available():
        return {}
    kinds = {"PyTorch": False} | ({"torch.compile": True} if compiled else {})
    made = {name: torch_step(_windows(shape), shape[2], device="cuda", compiled=how) for name, how in kinds.items()}
    return {name: step for name, step in made.items() if step is not None}


def _training(backend: Backend, hours: float) -> Figure:
    """Train on hours of sound from an empty cache, by two cores alone and by the same two with the card."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cores[:2])
    try:
        with tempfile.TemporaryDirectory() as folder:
            sounds = Path(folder) / "sounds"
            sounds.mkdir()
            write_sounds(sounds, max(2, round(hours * 6)), min(600.0, hours * 1800), 22050)
            found = {which.name: _trained(which, sounds, Path(folder) / which.name) for which in (Backend(), backend)}
    finally:
        os.sched_setaffinity(0, cores)
    detail = "; ".join(f"{name}: {whole:.1f} s, {steps:.1f} of them training" for name, (whole, steps) in found.items())
    ratio = found["numpy"][0] / found["cupy"][0]
    return Figure(f"train on {hours:g} h: two cores over the card", ratio, 1.0, at_least=True, detail=detail)


def _trained(backend: Backend, sounds: Path, folder: Path) -> tuple[float, float]:
    """Return the seconds of a run, and those of its training."""
    options = TrainOptions.resolve(Spectrogram.defaults, {"solver": "adam", "epochs": 2})
    sources = scan([sounds], (".wav",))
    began = time.perf_counter()
    where = {"cache": folder / "cache", "workers": 2}
    outcome = train_sources(Spectrogram(), sources, folder / "run", options, LocalEngine(backend), **where)
    return time.perf_counter() - began, outcome.state.seconds
