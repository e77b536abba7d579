"""Whole commands: training compared with its parts, encoding with scikit-learn, start-up time, memory."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.commands import measured
from benchmarks.measure import Figure, alternate, milliseconds
from benchmarks.reading import write_sounds

if TYPE_CHECKING:
    from collections.abc import Iterator

_HELP_BAR = 0.3
SAMPLES = Path(__file__).parents[1] / "samples" / "sounds"


def figures(*, short: bool) -> Iterator[Figure]:
    """Yield the figures of whole commands."""
    yield _help(3 if short else 9)
    yield _encoding(short=short)
    for units in (32,) if short else (256, 512):
        yield _window_encoding(units, repeats=3 if short else 15)
    yield _pooling(short=short)
    yield _training(short=short)
    yield _memory(short=short)


def _help(repeats: int) -> Figure:
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "audiosae", "--help"], stdout=subprocess.DEVNULL, check=True)
        times.append(time.perf_counter() - began)
    return Figure("audiosae --help, seconds", statistics.median(times), _HELP_BAR, at_least=False)


def _encoding(*, short: bool) -> Figure:
    """Compare the encoding of windows with sparse coding of the same size by orthogonal matching pursuit."""
    from sklearn.decomposition import MiniBatchDictionaryLearning

    from audiosae import SparseAutoencoder

    count, units = (500, 32) if short else (4000, 256)
    x = np.random.default_rng(0).normal(size=(count, 100)).astype(np.float32)
    ours = SparseAutoencoder(n_components=units, max_iter=1, random_state=0).fit(x)
    theirs = MiniBatchDictionaryLearning(
        units, max_iter=1, batch_size=256, transform_algorithm="omp", transform_n_nonzero_coefs=10, random_state=0
    ).fit(x)
    calls = {"scikit-learn": lambda: theirs.transform(x), "ours": lambda: ours.transform(x)}
    seconds = alternate(calls, repeats=3)
    name = "MiniBatchDictionaryLearning with OMP over our encoding"
    return Figure(name, seconds["scikit-learn"] / seconds["ours"], 8.0, at_least=True, detail=milliseconds(seconds))


def _window_encoding(units: int, repeats: int) -> Figure:
    """Compare the encoding of coloured noise with its two matrix products: by the whitening, and by the units."""
    from audiosae import SparseAutoencoder
    from audiosae.backends import Backend

    rng, width = np.random.default_rng(0), 640
    # about 200 components, as for spectrograms
    coloured = rng.normal(size=(4096, width)) / (1 + np.arange(width) / 20) ** 1.3
    x = np.asarray(coloured @ np.linalg.qr(rng.normal(size=(width, width)))[0], np.float32)
    model = SparseAutoencoder(n_components=units, max_iter=1, random_state=0).fit(x).to_model()
    backend, count = Backend(), model.whitener.n_components
    first, second = (rng.normal(size=shape).astype(np.float32) for shape in ((width, count), (count, units)))
    components, codes = np.empty((len(x), count), np.float32), np.empty((len(x), units), np.float32)

    def products() -> None:
        np.matmul(np.matmul(x, first, out=components), second, out=codes)

    calls = {"products": products, "ours": lambda: model.codes(x, backend)}
    seconds = alternate(calls, repeats=repeats, least=0.2, within={"ours": backend.session})
    name = f"encoding 4096 windows of {width} ({count} components, {units} units) over its two products"
    return Figure(name, seconds["ours"] / seconds["products"], 1.25, at_least=False, detail=milliseconds(seconds))


def _pooling(*, short: bool) -> Figure:
    """Compare pooling the codes of a recording (the samples, repeated) with the products for as many windows."""
    import soundfile

    from audiosae import SparseAutoencoder
    from audiosae.backends import Backend
    from audiosae.corpus.ingest import ingest
    from audiosae.corpus.sources import scan
    from audiosae.features.codes import Encoder, pooled_files, window_blocks
    from audiosae.features.pooling import DEFAULT_POOL
    from audiosae.recordings.spectrogram import Spectrogram

    units = 32 if short else 512
    with tempfile.TemporaryDirectory() as folder:
        sounds = [soundfile.read(path, dtype="float32")[0] for path in sorted(SAMPLES.rglob("*.flac"))]
        length = 22050 * (20 if short else 1800)
        soundfile.write(Path(folder) / "long.wav", np.resize(np.concatenate(sounds), length), 22050)
        sources = scan([Path(folder)], (".wav",))
        domain = Spectrogram().resolve([source.path for source in sources])
        records = ingest(domain, sources, cache=Path(folder) / "cache", workers=1)
        windows = [np.ascontiguousarray(block) for _, block in window_blocks(domain, records[0])]
        some = np.concatenate([block[::20] for block in windows])
        model = SparseAutoencoder(n_components=units, max_iter=1, random_state=0).fit(some).to_model(domain)
        rng, backend, count = np.random.default_rng(0), Backend(), model.whitener.n_components
        shapes = ((windows[0].shape[1], count), (count, units))
        first, second = (rng.normal(size=shape).astype(np.float32) for shape in shapes)
        components, codes = (np.empty((len(windows[0]), size), np.float32) for size in (count, units))

        def products() -> None:
            for block in windows:
                rows = slice(len(block))
                np.matmul(np.matmul(block, first, out=components[rows]), second, out=codes[rows])

        encode = Encoder(model, backend=backend)
        calls = {"products": products, "ours": lambda: list(pooled_files(domain, records, encode, pools=DEFAULT_POOL))}
        seconds = alternate(calls, repeats=3 if short else 5, within={"ours": backend.session})
    name = f"pooled codes of half an hour ({count} components, {units} units) over their two products"
    return Figure(name, seconds["ours"] / seconds["products"], 1.25, at_least=False, detail=milliseconds(seconds))


def _training(*, short: bool) -> Figure:
    """Compare training with an empty cache with reading alone and steps alone, each as in training."""
    from audiosae.backends import Backend
    from audiosae.corpus.ingest import ingest
    from audiosae.corpus.sources import scan
    from audiosae.engine import LocalEngine
    from audiosae.engine.corpus import read
    from audiosae.recordings.spectrogram import Spectrogram
    from audiosae.training.fit import fit
    from audiosae.training.options import TrainOptions
    from benchmarks.steps import our_step

    ratios, details = [], []
    for number in range(1 if short else 3):
        with tempfile.TemporaryDirectory() as folder:
            sounds = Path(folder) / "sounds"
            sounds.mkdir()
            write_sounds(sounds, 20 if short else 600, 2.0, 22050)
            sources = scan([sounds], (".wav",))
            domain = Spectrogram().resolve([source.path for source in sources])
            options = TrainOptions.resolve(Spectrogram.defaults, {"epochs": 2 if short else 12, "seed": number})
            began = time.perf_counter()
            ingest(domain, sources, cache=Path(folder) / "alone", workers=2)
            reading = time.perf_counter() - began
            began = time.perf_counter()
            outcome = fit(read(domain, sources, LocalEngine(), cache=Path(folder) / "c", workers=2), options)
            whole = time.perf_counter() - began
            steps, width = outcome.history[-1].step, outcome.model.params.width
            x = np.random.default_rng(0).normal(size=(options.batch_size, width)).astype(np.float32)
            step = our_step(x, options.hidden)
            with Backend().session():
                step()
                began = time.perf_counter()
                for _ in range(steps):
                    step()
                stepping = time.perf_counter() - began
            ratios.append(whole / (reading + stepping))
            details.append(f"{whole:.1f} s over {reading:.1f} + {stepping:.1f} s")
    name = "train end to end over reading alone + steps alone"
    return Figure(name, statistics.median(ratios), 1.25, at_least=False, detail="; ".join(details))


def _memory(*, short: bool) -> Figure:
    """Compare the peak memory of training on much and on little sound."""
    peaks: list[float] = []
    hours = (0.02, 0.1) if short else (1 / 6, 10)
    for length in hours:
        with tempfile.TemporaryDirectory() as folder:
            sounds = Path(folder) / "sounds"
            sounds.mkdir()
            write_sounds(sounds, max(1, round(length * 6)), min(600.0, length * 3600), 22050)
            command = [sys.executable, "-m", "audiosae", "train", str(sounds), "-o", f"{folder}/run"]
            peaks.append(measured([*command, "--epochs", "1", "--cache", f"{folder}/cache", "--quiet"]).peak)
    detail = f"{peaks[1]:.0f} MiB for {hours[1]:g} h over {peaks[0]:.0f} MiB for {hours[0]:.2g} h"
    return Figure("peak memory of training, much over little", peaks[1] / peaks[0], 1.2, at_least=False, detail=detail)


def show(figures: list[Figure], machine: dict[str, Any]) -> str:
    """Return the table of figures, in Markdown."""
    lines = ["| figure | measured | bar | |", "|---|---|---|---|"]
    for figure in figures:
        bar = f"{'at least' if figure.at_least else 'at most'} {figure.bar:g}"
        lines.append(f"| {figure.name} | {figure.shown} | {bar} | {'' if figure.reached else 'missed'} |")
    lines += ["", *(f"- {figure.name}: {figure.detail}" for figure in figures if figure.detail)]
    lines += ["", ", ".join(f"{key} {value}" for key, value in machine.items() if value is not None)]
    return "\n".join(lines)


def dump(figures: list[Figure], machine: dict[str, Any], path: Path) -> None:
    """Write the figures as JSON."""
    facts = {"machine": machine, "figures": [figure.to_json() for figure in figures]}
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
