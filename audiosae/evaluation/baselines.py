"""Baselines: random weights, PCA, k-means, NMF, MFCC and the log-mel on the same clips."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.whitening import Whitening
from audiosae.backends import Backend
from audiosae.engine.learn_whitening import whitener_of
from audiosae.errors import InputError
from audiosae.evaluation.classifier import load_for_threads
from audiosae.features import codes
from audiosae.features.codes import Encoder, FeatureSet, shares
from audiosae.system.threads import one_blas_thread
from audiosae.training.learner import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.features.codes import Code, Encode

MODEL = "model"
BASELINES = ("random-weights", "field", "mfcc", "pca", "kmeans", "nmf")
COEFFICIENTS = 20
_LEARNED_WINDOWS, _LEARNED_BYTES = 2**16, 2**28  # what k-means, PCA and NMF learn from, evenly spaced
_NMF_STEPS = 20
_NMF_LEAST = 5e-5  # of the largest eigenvalue: FISTA goes about steps^2 / 4 times that part of the way
_NMF_ROWS = 256  # at a time: four arrays of them stay in the L2 cache


def choose(wanted: str | Sequence[str], domain: Domain) -> tuple[str, ...]:
    """Return the baselines of ``all``, ``none``, a comma list or a list; MFCC are for recordings alone.

    Raises
    ------
    InputError
        One is unknown, or does not suit the domain.
    """
    text = wanted if isinstance(wanted, str) else ",".join(wanted)
    sound = domain.kind == "sound" and len(domain.window) == 2  # noqa: PLR2004 (frames of bands)
    if text in {"all", "none"}:
        return tuple(name for name in BASELINES if text == "all" and (sound or name != "mfcc"))
    names = [name.strip() for name in text.split(",")]
    wrong = [name for name in names if name not in BASELINES]
    if wrong:
        raise InputError(f"--baselines {text}: no baseline {wrong[0]!r}; wanted all, none or {', '.join(BASELINES)}")
    if "mfcc" in names and not sound:
        raise InputError(f"--baselines {text}: mfcc are for recordings; the model's domain is {domain.name}")
    return tuple(name for name in BASELINES if name in names)


@one_blas_thread()
def feature_sets(
    names: Sequence[str], model: Model, corpus: EngineCorpus, *, code: Code, seed: int
) -> dict[str, FeatureSet]:
    """Return the model's features and, learned from a corpus where there is something to learn, the baselines'.

    Parameters
    ----------
    names
        Of `BASELINES`.
    model
        Trained; its whitening is that of `random-weights` and `kmeans`, its number of units that of all.
    corpus
        What PCA, k-means and NMF learn from, in this process; at most 65536 windows, evenly spaced.
    code
        See `audiosae.features.codes.encoder`; for the model and for random weights. With ``share``, whose codes have
        length 1, those of k-means have, too.
    seed
        Of k-means and NMF.
    """
    windows = _windows(corpus) if {"pca", "kmeans", "nmf"} & set(names) else np.empty((0, 0), np.float32)
    window = corpus.domain.window
    by_rows = len(window) == 2 and all(r.shape[1:] == window[1:] for r in corpus.records)  # noqa: PLR2004
    makers: dict[str, Callable[[], FeatureSet]] = {
        "random-weights": lambda: FeatureSet(Encoder(untrained(model), code)),
        "field": lambda: FeatureSet(np.asarray, rows=by_rows),
        "mfcc": lambda: FeatureSet(cepstra, rows=True),
        "pca": lambda: FeatureSet(_pca(windows, model.params.hidden)),
        "kmeans": lambda: FeatureSet(_kmeans(windows, model, seed, code)),
        "nmf": lambda: FeatureSet(_nmf(windows, model.params.hidden, seed)),
    }
    load_for_threads()
    with ThreadPoolExecutor(corpus.workers) as threads:  # what takes longest, the last ones, begins first
        learned = {name: threads.submit(makers[name]) for name in reversed(names)}
    return {MODEL: FeatureSet(Encoder(model, code))} | {name: learned[name].result() for name in names}


def untrained(model: Model) -> Model:
    """Return the untrained model (random weights): the same initialisation, the same whitening."""
    return replace(model, params=options_of(model).start(model.whitener))


def cepstra(rows: NDArray[np.float32]) -> NDArray[Any]:
    """Return 20 orthonormal DCT-II coefficients of rows in dB (count, bands): MFCC, where the bands are mel."""
    from scipy.fft import dct

    return np.asarray(dct(rows, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS])


def _windows(corpus: EngineCorpus) -> NDArray[np.float32]:
    some = corpus.sample(min(_LEARNED_WINDOWS, max(1, _LEARNED_BYTES // (4 * corpus.width))))
    found, at = np.empty((len(some), some.width), np.float32), 0
    for block in some.gathered():
        found[at : at + len(block)] = block
        at += len(block)
    return found


def _pca(windows: NDArray[np.float32], outputs: int) -> Encode:
    """Learn as many principal components as there are units, at most the window's width; they are not scaled."""
    found = whitener_of([windows], Whitening("pca", power=0.0, keep=1.0))
    assert found.forward is not None  # noqa: S101
    forward = np.ascontiguousarray(found.forward[:, :outputs])

    def project(x: NDArray[np.float32]) -> NDArray[Any]:
        return (x - found.mean) @ forward

    return project


def _kmeans(windows: NDArray[np.float32], model: Model, seed: int, code: Code) -> Encode:
    """Learn centres of whitened windows; codes are the "triangle" of Coates, Ng and Lee (AISTATS 2011)."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    x = model.whitener.apply(windows)
    means = MiniBatchKMeans(min(model.params.hidden, len(x)), batch_size=4096, n_init=1, max_iter=20, random_state=seed)
    with threadpool_limits(1, user_api="openmp"):  # their sums would depend on how many threads there are
        centres = means.fit(x).cluster_centers_.astype(np.float32)
    lengths = np.square(centres).sum(axis=1)

    def triangle(windows: NDArray[np.float32]) -> NDArray[Any]:
        x = model.whitener.apply(windows)
        squares = np.square(x).sum(axis=1, keepdims=True) + lengths - 2 * (x @ centres.T)
        distances = np.sqrt(np.maximum(squares, 0))
        return np.asarray(np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0))

    return triangle if code != "share" else lambda windows: shares(np.square(triangle(windows)))


def _nmf(windows: NDArray[np.float32], components: int, seed: int) -> Encode:
    """Learn parts of windows that are shifted to be nonnegative; codes by 20 steps of accelerated projected gradient.

    The components start at windows drawn at random: a random start stays near the mean window for many passes.
    """
    from sklearn.decomposition import MiniBatchNMF

    low = windows.min()
    x, count = windows - low, min(components, len(windows))
    drawn = x[np.random.default_rng(seed).choice(len(x), count, replace=False)] + np.float32(1e-3)
    learner = MiniBatchNMF(
        count, init="custom", batch_size=1024, max_iter=1, tol=0, max_no_improvement=None, random_state=seed
    )
    learner.fit_transform(x, W=np.full((len(x), count), 1 / count, np.float32), H=drawn)
    parts = learner.components_.astype(np.float32)
    parts /= np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-12)
    solve = _nonnegative(parts @ parts.T)

    def parts_of(windows: NDArray[np.float32]) -> NDArray[Any]:
        return solve(np.maximum(windows - low, 0) @ parts.T)

    return parts_of


def _nonnegative(gram: NDArray[np.float32]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the map from x H^T to a >= 0 that makes |x - a H|^2 least, by 20 steps of FISTA (Beck and Teboulle 2009).

    `gram` is H H^T. Axes of it along which all steps together would move by less than half a per cent of the way are
    left out: of overlapping windows of spectrograms these are nine in ten, and they were most of the work.
    """
    values, axes = np.linalg.eigh(gram.astype(float))
    largest = max(float(values[-1]), 1e-12)
    telling = values > _NMF_LEAST * largest
    half = (axes[:, telling] * np.sqrt(values[telling] / largest)).astype(np.float32)
    few = 2 * half.shape[1] < len(gram)  # then two thin products are less than a square one
    pull = [half, np.ascontiguousarray(half.T)] if few else [gram / np.float32(largest)]

    def solve(target: NDArray[Any]) -> NDArray[Any]:
        found = np.empty_like(target)

        def part(at: int) -> None:
            found[at : at + _NMF_ROWS] = _stepped(target[at : at + _NMF_ROWS] / np.float32(largest), pull)

        Backend().run([partial(part, at) for at in range(0, len(target), _NMF_ROWS)])
        return found

    return solve


def _stepped(target: NDArray[Any], pull: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Go the steps of FISTA for a few rows; `target` and `pull` are divided by the largest eigenvalue."""
    found, ahead, stepped = np.zeros_like(target), np.zeros_like(target), np.empty_like(target)
    pace = 1.0
    for _ in range(_NMF_STEPS):
        np.subtract(ahead, reduce(np.matmul, pull, ahead), out=stepped)
        stepped += target
        np.maximum(stepped, 0, out=stepped)
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        np.subtract(stepped, found, out=ahead)
        ahead *= np.float32((pace - 1) / faster)
        ahead += stepped
        found, stepped, pace = stepped, found, faster
    return found


def pooled_files(
    corpus: EngineCorpus, features: FeatureSet, *, pools: Sequence[str], segments: int = 1,
    done: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float32]:  # fmt: skip
    """Return the features of files, (files, outputs x pools x segments); `done` is called with 1 after each file."""
    found = []
    for values in codes.file_features(corpus, features, pools=pools, segments=segments):
        found.append(values)
        done(1)
    return np.stack(found)
