"""Baselines: random weights, PCA, k-means, NMF, MFCC and the log-mel on the same clips."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.whitening import Whitening
from audiosae.engine.whitening import whitener_of
from audiosae.errors import InputError
from audiosae.features import codes
from audiosae.features.codes import Encoder, FeatureSet, shares
from audiosae.system.threads import one_blas_thread
from audiosae.training.learner import options_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from audiosae.autoencoder.model import Model
    from audiosae.domain import Domain
    from audiosae.engine.placed import PlacedCorpus
    from audiosae.features.codes import Code, Encode

MODEL = "model"
BASELINES = ("random-weights", "field", "mfcc", "pca", "kmeans", "nmf")
COEFFICIENTS = 20
_LEARNED_WINDOWS, _LEARNED_BYTES = 2**16, 2**28  # what k-means, PCA and NMF learn from, evenly spaced
_NMF_STEPS = 20


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
    names: Sequence[str], model: Model, corpus: PlacedCorpus, *, code: Code, seed: int
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
    return {MODEL: FeatureSet(Encoder(model, code))} | {name: makers[name]() for name in names}


def untrained(model: Model) -> Model:
    """Return the untrained model (random weights): the same initialisation, the same whitening."""
    return replace(model, params=options_of(model).start(model.whitener))


def cepstra(rows: NDArray[np.float32]) -> NDArray[Any]:
    """Return 20 orthonormal DCT-II coefficients of rows in dB (count, bands): MFCC, where the bands are mel."""
    from scipy.fft import dct

    return np.asarray(dct(rows, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS])


def _windows(corpus: PlacedCorpus) -> NDArray[np.float32]:
    count = min(_LEARNED_WINDOWS, max(1, _LEARNED_BYTES // (4 * corpus.width)))
    return np.concatenate(list(corpus.sample(count).gathered()))


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
        count, init="custom", batch_size=1024, max_iter=2, tol=0, max_no_improvement=None, random_state=seed
    )
    learner.fit_transform(x, W=np.full((len(x), count), 1 / count, np.float32), H=drawn)
    parts = learner.components_.astype(np.float32)
    parts /= np.maximum(np.linalg.norm(parts, axis=1, keepdims=True), 1e-12)
    gram = parts @ parts.T
    step = np.float32(1 / max(float(np.linalg.eigvalsh(gram.astype(float))[-1]), 1e-12))

    def parts_of(windows: NDArray[np.float32]) -> NDArray[Any]:
        return _nonnegative(np.maximum(windows - low, 0) @ parts.T, gram, step)

    return parts_of


def _nonnegative(target: NDArray[Any], gram: NDArray[Any], step: np.float32) -> NDArray[Any]:
    """Solve min |x - a H|^2 over a >= 0 given x H^T and H H^T, by FISTA (Beck and Teboulle 2009)."""
    found = ahead = np.zeros_like(target)
    pace = 1.0
    for _ in range(_NMF_STEPS):
        stepped = np.maximum(ahead - step * (ahead @ gram - target), 0)
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = stepped + np.float32((pace - 1) / faster) * (stepped - found)
        found, pace = stepped, faster
    return found


def pooled_clips(
    corpus: PlacedCorpus, features: FeatureSet, *, pools: Sequence[str], segments: int = 1,
    done: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float32]:  # fmt: skip
    """Return the features of clips, (clips, outputs x pools x segments); `done` hears how many more are there."""
    found = []
    for values in codes.clip_features(corpus, features, pools=pools, segments=segments):
        found.append(values)
        done(1)
    return np.stack(found)
