"""Baselines: random weights, PCA, k-means, NMF, MFCC and log-mel features of the same files."""

from __future__ import annotations

from dataclasses import replace
from functools import partial, reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.whitening import Whitening
from audiosae.backends import Backend
from audiosae.engine.learn_whitening import whitener_of
from audiosae.errors import InputError
from audiosae.evaluation.classifier import load_for_threads
from audiosae.features.codes import FeatureSet, file_features, shares
from audiosae.features.stretches import stretch_features
from audiosae.system.threads import Threads, one_blas_thread
from audiosae.training.learner import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain
    from audiosae.engine.corpus import EngineCorpus
    from audiosae.features.codes import Code, Encode
    from audiosae.features.stretches import Stretches

MODEL = "model"
BASELINES = ("random-weights", "field", "mfcc", "pca", "kmeans", "nmf")
COEFFICIENTS = 20
_LEARNED_WINDOWS, _LEARNED_BYTES = 2**16, 2**28  # most windows that k-means, PCA and NMF learn from, evenly spaced
_NMF_STEPS = 20
# eigenvalues below this share of the largest are ignored: along them FISTA covers only steps^2 / 4 times that share
_NMF_LEAST = 5e-5
_NMF_ROWS = 256  # rows at a time: four arrays of this size fit into the L2 cache
_MATRIX = 2  # dimensions of a window of frames and bands


def choose_baselines(wanted: str | Sequence[str], domain: Domain) -> tuple[str, ...]:
    """Return the baselines named by ``all``, ``none``, a comma-separated list or a sequence.

    Raises
    ------
    InputError
        A name is unknown, or MFCC were requested for a domain other than recordings.
    """
    text = wanted if isinstance(wanted, str) else ",".join(wanted)
    sound = domain.kind == "sound" and len(domain.window) == _MATRIX
    if text in {"all", "none"}:
        return tuple(name for name in BASELINES if text == "all" and (sound or name != "mfcc"))
    names = [name.strip() for name in text.split(",")]
    if wrong := [name for name in names if name not in BASELINES]:
        raise InputError(f"--baselines {text}: no baseline {wrong[0]!r}; wanted all, none or {', '.join(BASELINES)}")
    if "mfcc" in names and not sound:
        raise InputError(
            f"--baselines {text}: mfcc needs recordings, but the model has the domain {domain.name}; leave mfcc out"
        )
    return tuple(name for name in BASELINES if name in names)


@one_blas_thread()
def feature_sets(
    names: Sequence[str], model: Model, corpus: EngineCorpus, *, code: Code, seed: int
) -> dict[str, FeatureSet]:
    """Return the feature sets of the model and of baselines; PCA, k-means and NMF learn from the corpus.

    Parameters
    ----------
    names
        Some of `BASELINES`.
    model
        Trained model; `random-weights` and `kmeans` use its whitening, all baselines its number of units. If it has
        windows of two lengths, so have the baselines.
    corpus
        Windows for PCA, k-means and NMF, which learn in this process from at most 65536 of them, evenly spaced.
    code
        Code of the model and of random weights; see `audiosae.features.codes.Encoder`. With ``share``, the codes of
        k-means have length 1, too.
    seed
        Random seed of k-means and NMF.
    """
    if len(parts := model.parts()) > 1:
        each = [feature_sets(names, part, corpus.seen_by(part.domain), code=code, seed=seed) for part in parts]
        return {name: _side_by_side(parts, [sets[name] for sets in each]) for name in (MODEL, *names)}
    windows = _windows(corpus) if {"pca", "kmeans", "nmf"} & set(names) else np.empty((0, 0), np.float32)
    window = corpus.domain.window
    by_rows = len(window) == _MATRIX and all(r.shape[1:] == window[1:] for r in corpus.records)
    makers: dict[str, Callable[[], FeatureSet]] = {
        "random-weights": lambda: FeatureSet.of(untrained(model), code),
        "field": lambda: FeatureSet(np.asarray, rows=by_rows),
        "mfcc": lambda: FeatureSet(cepstra, rows=True),
        "pca": lambda: FeatureSet(_pca(windows, model.params.hidden)),
        "kmeans": lambda: FeatureSet(_kmeans(windows, model, seed, code)),
        "nmf": lambda: FeatureSet(_nmf(windows, model.params.hidden, seed)),
    }
    load_for_threads()
    with Threads(corpus.workers) as threads:  # the last ones take longest and start first
        learned = {name: threads.submit(makers[name]) for name in reversed(names)}
    return {MODEL: FeatureSet.of(model, code)} | {name: learned[name].result() for name in names}


def _side_by_side(parts: Sequence[Model], sets: Sequence[FeatureSet]) -> FeatureSet:
    """Return the feature sets of several lengths of windows as one; features of rows are the same for all lengths."""
    if sets[0].rows:
        return sets[0]
    first, *others = (replace(each, domain=part.domain) for part, each in zip(parts, sets, strict=True))
    return replace(first, beside=tuple(others))


def untrained(model: Model) -> Model:
    """Return the model before training: random weights with the same initialisation and whitening."""
    return replace(model, params=options_of(model).start(model.whitener))


def cepstra(rows: NDArray[np.float32]) -> NDArray[Any]:
    """Return 20 orthonormal DCT-II coefficients of rows in dB, (rows, bands); with mel bands these are MFCC."""
    from scipy.fft import dct

    return np.asarray(dct(rows, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS])


def _windows(corpus: EngineCorpus) -> NDArray[np.float32]:
    sample = corpus.sample(min(_LEARNED_WINDOWS, max(1, _LEARNED_BYTES // (4 * corpus.width))))
    windows, at = np.empty((len(sample), sample.width), np.float32), 0
    for block in sample.gathered():
        windows[at : at + len(block)] = block
        at += len(block)
    return windows


def _pca(windows: NDArray[np.float32], outputs: int) -> Encode:
    """Learn unscaled principal components: as many as units, but at most the window's width."""
    whitener = whitener_of([windows], Whitening("pca", power=0.0, keep=1.0))
    forward = np.ascontiguousarray(np.asarray(whitener.forward)[:, :outputs])
    return lambda x: (x - whitener.mean) @ forward


def _kmeans(windows: NDArray[np.float32], model: Model, seed: int, code: Code) -> Encode:
    """Learn cluster centres of whitened windows; the codes are the "triangle" of Coates, Ng and Lee (AISTATS 2011)."""
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    x = model.whitener.apply(windows)
    means = MiniBatchKMeans(min(model.params.hidden, len(x)), batch_size=4096, n_init=1, max_iter=20, random_state=seed)
    with threadpool_limits(1, user_api="openmp"):  # the sums would depend on the number of threads
        centres = means.fit(x).cluster_centers_.astype(np.float32)
    lengths = np.square(centres).sum(axis=1)

    def triangle(windows: NDArray[np.float32]) -> NDArray[Any]:
        x = model.whitener.apply(windows)
        squares = np.square(x).sum(axis=1, keepdims=True) + lengths - 2 * (x @ centres.T)
        distances = np.sqrt(np.maximum(squares, 0))
        return np.asarray(np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0))

    return triangle if code != "share" else lambda windows: shares(np.square(triangle(windows)))


def _nmf(windows: NDArray[np.float32], components: int, seed: int) -> Encode:
    """Learn nonnegative parts of windows shifted to be nonnegative; codes are 20 steps of accelerated gradient descent.

    The components are initialised with random windows; random numbers would stay near the mean window for many passes.
    """
    from sklearn.decomposition import MiniBatchNMF

    low = windows.min()
    x, count = windows - low, min(components, len(windows))
    initial = x[np.random.default_rng(seed).choice(len(x), count, replace=False)] + np.float32(1e-3)
    learner = MiniBatchNMF(
        count, init="custom", batch_size=1024, max_iter=1, tol=0, max_no_improvement=None, random_state=seed
    )
    learner.fit_transform(x, W=np.full((len(x), count), 1 / count, np.float32), H=initial)
    parts = learner.components_.astype(np.float32)
    parts /= np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-12)
    solve = _nonnegative(parts @ parts.T)
    return lambda windows: solve(np.maximum(windows - low, 0) @ parts.T)


def _nonnegative(gram: NDArray[np.float32]) -> Callable[[NDArray[Any]], NDArray[Any]]:
    """Return the map from x H^T to the a >= 0 that minimises |x - a H|^2: 20 steps of FISTA (Beck and Teboulle 2009).

    `gram` is H H^T. Eigenvectors along which all steps together cover less than 0.5 % of the way are left out. With
    overlapping windows of spectrograms these are nine in ten, and would take most of the time.
    """
    values, axes = np.linalg.eigh(gram.astype(float))
    largest = max(float(values[-1]), 1e-12)
    relevant = values > _NMF_LEAST * largest
    half = (axes[:, relevant] * np.sqrt(values[relevant] / largest)).astype(np.float32)
    few = 2 * half.shape[1] < len(gram)  # then two thin products are cheaper than a square one
    pull = [half, np.ascontiguousarray(half.T)] if few else [gram / np.float32(largest)]

    def solve(target: NDArray[Any]) -> NDArray[Any]:
        codes = np.empty_like(target)

        def part(at: int) -> None:
            codes[at : at + _NMF_ROWS] = _fista(target[at : at + _NMF_ROWS] / np.float32(largest), pull)

        Backend().run([partial(part, at) for at in range(0, len(target), _NMF_ROWS)])
        return codes

    return solve


def _fista(target: NDArray[Any], pull: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Run FISTA on a few rows; `target` and `pull` are divided by the largest eigenvalue."""
    codes, ahead, stepped = np.zeros_like(target), np.zeros_like(target), np.empty_like(target)
    pace = 1.0
    for _ in range(_NMF_STEPS):
        np.subtract(ahead, reduce(np.matmul, pull, ahead), out=stepped)
        stepped += target
        np.maximum(stepped, 0, out=stepped)
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        np.subtract(stepped, codes, out=ahead)
        ahead *= np.float32((pace - 1) / faster)
        ahead += stepped
        codes, stepped, pace = stepped, codes, faster
    return codes


def pooled_files(
    corpus: EngineCorpus,
    features: FeatureSet,
    *,
    pools: Sequence[str],
    segments: int = 1,
    done: Callable[[int], None] = lambda _: None,
    stretches: Stretches | None = None,
) -> NDArray[np.float32]:
    """Return the pooled features of files, or of stretches of them, (files, outputs x pools x segments).

    Calls `done(1)` after each file or stretch.
    """
    rows = []
    for values in (
        file_features(corpus, features, pools=pools, segments=segments)
        if stretches is None
        else stretch_features(corpus, features, stretches, pools=pools, segments=segments)
    ):
        rows.append(values)
        done(1)
    return np.stack(rows)
