"""What features are compared with: less costly ones of the same clips, and the classifier that all of them share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.errors import InputError
from audiosae.features import Pool, encoder, window_blocks, window_count
from audiosae.fold import whitener_of
from audiosae.ingest import read_field
from audiosae.sae import start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from audiosae.corpus import Corpus
    from audiosae.domain import Domain
    from audiosae.features import Code, Encode
    from audiosae.journal import Record
    from audiosae.model import Model

MODEL = "model"
BASELINES = ("random-weights", "field", "mfcc", "pca", "kmeans", "nmf")
COEFFICIENTS = 20
STRENGTHS: tuple[float, ...] = tuple(10.0 ** (1 - step / 2) for step in range(13))  # of the penalty: 10 down to 0.00001
INNER_FOLDS = 5
_LEARNED_WINDOWS, _LEARNED_BYTES = 2**16, 2**28  # what k-means, PCA and NMF learn from, evenly spaced
_BATCH_WINDOWS = 2048  # short clips are encoded together
_NMF_STEPS = 20
_PATIENCE = 2  # strengths without a gain
_MOST_STEPS = 500
_LEAST = 1e-13  # probability
_CONSTANT = 1e-6  # features that vary less, against their size, are left out


@dataclass(frozen=True)
class FeatureSet:
    """How a clip becomes codes: `encode` maps windows (count, width), or with `rows` rows of the field, to outputs."""

    encode: Encode
    rows: bool = False


def choose(text: str, domain: Domain) -> tuple[str, ...]:
    """Return the baselines of ``all``, ``none`` or a comma list; MFCC are for recordings alone.

    Raises
    ------
    InputError
        One is unknown, or does not suit the domain.
    """
    sound = domain.unit == "s" and len(domain.window) == 2  # noqa: PLR2004 (frames of bands)
    if text in {"all", "none"}:
        return tuple(name for name in BASELINES if text == "all" and (sound or name != "mfcc"))
    names = [name.strip() for name in text.split(",")]
    wrong = [name for name in names if name not in BASELINES]
    if wrong:
        raise InputError(f"--baselines {text}: no baseline {wrong[0]!r}; wanted all, none or {', '.join(BASELINES)}")
    if "mfcc" in names and not sound:
        raise InputError(f"--baselines {text}: mfcc are for recordings; the model's domain is {domain.name}")
    return tuple(name for name in BASELINES if name in names)


def feature_sets(names: Sequence[str], model: Model, corpus: Corpus, *, code: Code, seed: int) -> dict[str, FeatureSet]:
    """Return the model's features and, learned from a corpus where there is something to learn, the baselines'.

    Parameters
    ----------
    names
        Of `BASELINES`.
    model
        Trained; its whitening is that of `random-weights` and `kmeans`, its number of units that of all.
    corpus
        What PCA, k-means and NMF learn from; at most 65536 windows, evenly spaced.
    code
        See `audiosae.features.encoder`; for the model and for random weights.
    seed
        Of k-means and NMF.
    """
    windows = _windows(corpus) if {"pca", "kmeans", "nmf"} & set(names) else np.empty((0, 0), np.float32)
    window = corpus.domain.window
    by_rows = len(window) == 2 and all(r.shape[1:] == window[1:] for r in corpus.records)  # noqa: PLR2004
    makers: dict[str, Callable[[], FeatureSet]] = {
        "random-weights": lambda: FeatureSet(encoder(untrained(model), code)),
        "field": lambda: FeatureSet(np.asarray, rows=by_rows),
        "mfcc": lambda: FeatureSet(cepstra, rows=True),
        "pca": lambda: FeatureSet(_pca(windows, model.params.hidden)),
        "kmeans": lambda: FeatureSet(_kmeans(windows, model, seed)),
        "nmf": lambda: FeatureSet(_nmf(windows, model.params.hidden, seed)),
    }
    return {MODEL: FeatureSet(encoder(model, code))} | {name: makers[name]() for name in names}


def untrained(model: Model) -> Model:
    """Return the model as it was before its first step: the same start, the same whitening."""
    p, options = model.params, model.facts["options"]
    fresh = start(
        p.hidden, p.width, seed=options["seed"], rho=options["rho"], activation=p.activation, decoder=p.decoder,
        dtype=str(p.flat.dtype), spread=model.whitener.spread,
    )  # fmt: skip
    return replace(model, params=fresh)


def cepstra(rows: NDArray[np.float32]) -> NDArray[Any]:
    """Return 20 orthonormal DCT-II coefficients of rows in dB (count, bands): MFCC, where the bands are mel."""
    from scipy.fft import dct

    return np.asarray(dct(rows, type=2, axis=1, norm="ortho")[:, :COEFFICIENTS])


def _windows(corpus: Corpus) -> NDArray[np.float32]:
    count = min(_LEARNED_WINDOWS, max(1, _LEARNED_BYTES // (4 * corpus.width)))
    return np.concatenate(list(corpus.sample(count).blocks()))


def _pca(windows: NDArray[np.float32], outputs: int) -> Encode:
    """Learn as many principal components as there are units, at most the window's width; they are not scaled."""
    found = whitener_of([windows], kind="pca", power=0.0, keep=1.0)
    assert found.forward is not None  # noqa: S101
    forward = np.ascontiguousarray(found.forward[:, :outputs])

    def project(x: NDArray[np.float32]) -> NDArray[Any]:
        return (x - found.mean) @ forward

    return project


def _kmeans(windows: NDArray[np.float32], model: Model, seed: int) -> Encode:
    """Learn centres of whitened windows; codes are the "triangle" of Coates, Ng and Lee (AISTATS 2011)."""
    from sklearn.cluster import MiniBatchKMeans

    x = model.whitener.apply(windows)
    means = MiniBatchKMeans(min(model.params.hidden, len(x)), batch_size=4096, n_init=1, max_iter=20, random_state=seed)
    centres = means.fit(x).cluster_centers_.astype(np.float32)
    lengths = np.square(centres).sum(axis=1)

    def triangle(windows: NDArray[np.float32]) -> NDArray[Any]:
        x = model.whitener.apply(windows)
        squares = np.square(x).sum(axis=1, keepdims=True) + lengths - 2 * (x @ centres.T)
        distances = np.sqrt(np.maximum(squares, 0))
        return np.asarray(np.maximum(distances.mean(axis=1, keepdims=True) - distances, 0))

    return triangle


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
    codes = ahead = np.zeros_like(target)
    pace = 1.0
    for _ in range(_NMF_STEPS):
        stepped = np.maximum(ahead - step * (ahead @ gram - target), 0)
        faster = (1 + np.sqrt(1 + 4 * pace**2)) / 2
        ahead = stepped + np.float32((pace - 1) / faster) * (stepped - codes)
        codes, pace = stepped, faster
    return codes


def pooled_clips(
    domain: Domain, records: Sequence[Record], features: FeatureSet, *, pools: Sequence[str], segments: int = 1,
    done: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float32]:  # fmt: skip
    """Return the features of clips, (clips, outputs x pools x segments); `done` hears how many more are there."""
    found: list[Any] = []
    pool, current = Pool(0, segments), -1
    for batch in _batches(_blocks(domain, records, rows=features.rows)):
        codes, at = features.encode(np.concatenate([block for _, block in batch])), 0
        for clip, block in batch:
            if clip != current:
                found += [pool.result(pools).reshape(-1)] if current >= 0 else []
                windows = records[clip].shape[0] if features.rows else window_count(domain, records[clip])
                done(clip - max(current, 0))
                pool, current = Pool(windows, segments), clip
            pool.add(codes[at : at + len(block)])
            at += len(block)
    done(1)
    return np.stack([*found, pool.result(pools).reshape(-1)])


def _blocks(domain: Domain, records: Sequence[Record], *, rows: bool) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Yield (clip, windows or rows) in order."""
    for clip, record in enumerate(records):
        if rows:
            field = read_field(record)
            yield from ((clip, np.asarray(field[at : at + 4096])) for at in range(0, len(field), 4096))
        else:
            yield from ((clip, windows) for _, windows in window_blocks(domain, record))


def _batches(blocks: Iterator[tuple[int, Any]]) -> Iterator[list[tuple[int, Any]]]:
    """Put the blocks of short clips together."""
    held, size = [], 0
    for clip, block in blocks:
        held.append((clip, block))
        size += len(block)
        if size >= _BATCH_WINDOWS:
            yield held
            held, size = [], 0
    if held:
        yield held


def classify(
    train: NDArray[np.float32], classes: NDArray[np.int64], test: NDArray[np.float32], inner: NDArray[np.int64]
) -> tuple[NDArray[np.int64], float]:
    """Predict test clips by L2-regularised multinomial logistic regression on standardised features.

    Parameters
    ----------
    train, classes
        Features (clips, features) and class numbers of the training part.
    test
        Features; nothing but the predictions depends on them.
    inner
        Fold number of each training clip: held out in turn, they choose the strength with the least log loss.

    Returns
    -------
    tuple
        Class numbers of the test clips, and the strength: the cost is the mean log loss plus strength / 2 |w|^2.
    """
    from sklearn.linear_model import LogisticRegression

    x, y = _rotated(*_standardised(train, test))
    strength = _strength(x, classes, inner)
    fitted = LogisticRegression(C=1 / (strength * len(x)), max_iter=_MOST_STEPS, tol=1e-5).fit(x, classes)
    return np.asarray(fitted.predict(y)), strength


def _strength(x: NDArray[Any], classes: NDArray[np.int64], inner: NDArray[np.int64]) -> float:
    """Choose the strength by inner folds, from strong to weak, each fit begun at the last; stop once it gets worse."""
    from sklearn.linear_model import LogisticRegression

    held = [inner == fold for fold in np.unique(inner) if len(np.unique(classes[inner != fold])) > 1]
    folds = [(x[~out], classes[~out], x[out], classes[out]) for out in held]
    fits = [LogisticRegression(max_iter=_MOST_STEPS, warm_start=True) for _ in folds]
    best, chosen, worse = np.inf, STRENGTHS[0], 0
    for strength in STRENGTHS:
        loss = 0.0
        for (kept, labels, others, wanted), fit in zip(folds, fits, strict=True):
            fit.set_params(C=1 / (strength * len(kept))).fit(kept, labels)
            said = fit.predict_proba(others)[wanted[:, None] == fit.classes_]  # of the right class, where it is known
            loss -= float(np.log(np.maximum(said, _LEAST)).sum(dtype=np.float64))
        if loss < best:
            best, chosen, worse = loss, strength, 0
        else:
            worse += 1
        if worse == _PATIENCE:
            break
    return chosen


def _standardised(train: NDArray[np.float32], test: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[Any]]:
    mean, spread = train.mean(axis=0, dtype=np.float64), train.std(axis=0, dtype=np.float64)
    kept = spread > _CONSTANT * np.maximum(np.abs(mean), _CONSTANT)
    if not kept.any():
        kept[0], spread[0] = True, 1.0
    mean, gain = mean[kept].astype(np.float32), (1 / spread[kept]).astype(np.float32)
    return (train[:, kept] - mean) * gain, (test[:, kept] - mean) * gain


def _rotated(train: NDArray[Any], test: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Rotate more features than clips into as many as clips; the classifier is the same, as its penalty is a length."""
    from scipy.linalg import qr

    if train.shape[1] <= len(train):
        return train, test
    axes, rotated = qr(train.T, mode="economic", check_finite=False)
    return np.ascontiguousarray(rotated.T), test @ axes
