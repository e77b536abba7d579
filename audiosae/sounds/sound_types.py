"""Sound types: events that sound alike, found in their pooled codes without labels, and kept for other recordings.

Codes are standardised and projected onto their principal components, the strongest of which are held back a little, and
compared by direction: how far a sound is from the usual one says little of its kind. Ward's clustering (1963) groups an
evenly drawn sample of them; all events go to the nearest centre, or nowhere when they are further from it than its own
events are.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from math import isqrt
from typing import TYPE_CHECKING, Any

import numpy as np

from audiosae.autoencoder.tensors import read_tensors, write_tensors
from audiosae.errors import InputError
from audiosae.sounds.results import NOWHERE, TypeStability

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Array = NDArray[np.float32]
    Labels = NDArray[np.int32]

FILE = "types.safetensors"
SAMPLE = 3000  # events that the types are learned from
_COMPONENTS = 50
MOST_TYPES = 40
NO_NUMBER = "no number of types stands out"
_FORMAT = 4
_NEAR_BEST = 0.95  # of the best silhouette: the fewest types that reach it are taken
_NO_STRUCTURE, _NEAR_EVEN = 0.25, 0.9  # a best silhouette under which it does not tell how many types there are
_LEAST_SILHOUETTE = 0.05  # under it there is but one type
_SPREADS = 4.0  # robust standard deviations above the median distance: a type's reach
_WIDE, _DIFFUSE = 1.5, 1.3  # median distances that it is at least, and that it may be where that is further than:
_NO_NEARER = 0.95  # as far as the middle of all sounds, which is 1 from each, about
_LEAST_REACH = 0.7  # what lies nearer is alike by any measure; sounds of new kinds were at least 0.87 away
_FEW = 8  # events that do not tell how far a type goes
_HELD_BACK = 0.25  # power of its spread that a component is divided by
_FLAT = 1e-6  # features that vary less than this share of the most varied one tell nothing


@dataclass(frozen=True)
class Space:
    """Where codes of events are compared.

    Attributes
    ----------
    mean, spread
        Of each feature, (features,); a spread of 0 leaves it out.
    components
        Principal components of standardised codes, (features, components).
    variance
        Of the events along each component, (components,).
    """

    mean: Array
    spread: Array
    components: Array
    variance: Array

    @classmethod
    def of(cls, codes: Array) -> Space:
        """Learn the space of codes (events, features), of at most 50 components."""
        mean, spread = codes.mean(axis=0), codes.std(axis=0)
        spread = np.where(spread > _FLAT * spread.max(initial=0), spread, 0).astype(np.float32)
        x = _standardised(codes, mean, spread).astype(np.float64)
        _, values, vectors = np.linalg.svd(x, full_matrices=False)
        keep = max(1, min(_COMPONENTS, len(codes) - 1, int((values > _FLAT * values.max(initial=0)).sum())))
        variance = np.square(values[:keep]) / max(1, len(codes))
        return cls(mean, spread, vectors[:keep].T.astype(np.float32), variance.astype(np.float32))

    def standardised(self, codes: Array) -> Array:
        """Return codes in standard deviations from the mean."""
        return _standardised(codes, self.mean, self.spread)

    def points(self, codes: Array) -> Array:
        """Return where codes lie when they are compared: on the sphere of radius 1, (events, components)."""
        spread = np.sqrt(np.maximum(self.variance, 1e-12))
        x = self.standardised(codes) @ self.components / spread ** np.float32(_HELD_BACK)
        return np.asarray(x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12))


def _standardised(codes: Array, mean: Array, spread: Array) -> Array:
    return np.asarray((codes - mean) * np.where(spread > 0, 1 / np.where(spread > 0, spread, 1), 0), np.float32)


@dataclass(frozen=True)
class Types:
    """What gives events their numbers.

    Attributes
    ----------
    centres
        Of types 1, 2, ..., (types, components).
    reach
        Distance from its centre at which a type ends, (types,).
    """

    space: Space
    centres: Array
    reach: Array
    names: Mapping[int, str] = field(default_factory=dict)

    def __len__(self) -> int:
        """Return the number of types."""
        return len(self.centres)

    def nearest(self, points: Array) -> tuple[Labels, Array]:
        """Return the number of the nearest type of points of the space, from 1, and their distance over its reach."""
        distance = _distances(points, self.centres)
        index = distance.argmin(axis=1)
        score = distance[np.arange(len(points)), index] / self.reach[index]
        return (index + 1).astype(np.int32), score.astype(np.float32)

    def assign(self, codes: Array) -> tuple[Labels, Array]:
        """Return type and score of codes (events, features); the type of what is out of reach is 0."""
        kinds, score = self.nearest(self.space.points(codes))
        return np.where(score > 1, NOWHERE, kinds).astype(np.int32), score

    def ordered(self, seconds: NDArray[np.float64]) -> Types:
        """Return the types numbered by how much they fill, (types,), most first."""
        order = np.argsort(-seconds, kind="stable")
        return replace(self, centres=self.centres[order], reach=self.reach[order])

    @property
    def novelty(self) -> Array:
        """Distance of each centre from the nearest other one over the median of these distances, (types,)."""
        if len(self) < 2:  # noqa: PLR2004
            return np.ones(len(self), np.float32)
        apart = _distances(self.centres, self.centres)
        np.fill_diagonal(apart, np.inf)
        nearest = apart.min(axis=1)
        return np.asarray(nearest / max(float(np.median(nearest)), 1e-12))

    @property
    def digest(self) -> str:
        """What tells these types from others, whatever their names."""
        found = hashlib.blake2b(digest_size=8)
        for part in (self.space.mean, self.space.spread, self.space.components, self.centres, self.reach):
            found.update(np.ascontiguousarray(part, np.float32).tobytes())
        return found.hexdigest()

    def save(self, path: Path, digest: str) -> None:
        """Write the types to a file, with the digest of the model that they belong to."""
        space = self.space
        tensors = {
            "mean": space.mean, "spread": space.spread, "components": space.components, "variance": space.variance,
            "centres": self.centres, "reach": self.reach,
        }  # fmt: skip
        names = {str(number): name for number, name in self.names.items()}
        write_tensors(path, tensors, {"format": _FORMAT, "kind": "sound types", "model_digest": digest, "names": names})


def load_types(path: Path, digest: str) -> Types:
    """Read types from a file or the folder of a survey; InputError: there are none, or they are another model's."""
    if not path.exists():
        raise InputError(f"--types-from {path}: no such file or folder; wanted the folder that audiosae survey wrote")
    path = path / FILE if path.is_dir() else path
    if not path.exists():
        raise InputError(f"--types-from: no {FILE} in {path.parent}; wanted the folder that audiosae survey wrote")
    content = read_tensors(path)
    if content.facts.get("kind") != "sound types" or content.facts.get("format") != _FORMAT:
        raise InputError(f"{path} holds no sound types of this version; wanted the {FILE} of audiosae survey")
    if content.facts.get("model_digest") != digest:
        raise InputError(f"--types-from {path.parent}: its types belong to another model; wanted the model that they "
                         f"were found with, or a survey without --types-from")  # fmt: skip
    parts = content.tensors
    space = Space(*(parts[name] for name in ("mean", "spread", "components", "variance")))
    names = {int(number): str(name) for number, name in content.facts["names"].items()}
    return Types(space, parts["centres"], parts["reach"], names)


def learn_types(codes: Array, count: int | None = None) -> tuple[Types, str]:
    """Find sound types.

    Parameters
    ----------
    codes
        Of events, (events, features); of more than 3000 a sample, evenly drawn.
    count
        How many types; None chooses, between 2 and the root of the number of events, at most 40, the fewest whose mean
        silhouette (Rousseeuw 1987) is at least 95 % of the best. Where that is under 0.25, "no substantial structure"
        (Kaufman and Rousseeuw 1990), two halves are as good as anything: there it is multiplied by the chance that two
        events are of different types (Simpson 1949), and 90 % will do.

    Returns
    -------
    Types, str
        The types, and how their number was chosen.
    """
    sample = np.asarray(codes[evenly(len(codes), SAMPLE)])
    space = Space.of(sample)
    points = space.points(sample)
    labels, told = _clusters(points, count)
    centres = np.stack([points[labels == number].mean(axis=0) for number in range(labels.max() + 1)])
    return Types(space, centres, _reach(points, labels, centres)), told


def evenly(count: int, most: int) -> NDArray[np.int64]:
    """Return the numbers of at most `most` of `count` things, evenly spaced."""
    few = min(count, most)
    return np.arange(few, dtype=np.int64) * count // max(1, few)


def stability_of(codes: Array, count: int, *, seed: int = 0) -> TypeStability | None:
    """Measure whether the same types are found from other events; None with fewer than four a type."""
    from sklearn.metrics import adjusted_rand_score

    sample = np.asarray(codes[evenly(len(codes), SAMPLE)])
    if len(sample) < 4 * count or count < 2:  # noqa: PLR2004
        return None
    order = np.random.default_rng(seed).permutation(len(sample))
    half, most = len(sample) // 2, max(2 * count, 4 * len(sample) // 5)
    found = [
        _labels_from(sample[part], count, sample)
        for part in (slice(None), np.sort(order[:most]), np.sort(order[:half]), np.sort(order[half:]))
    ]
    return TypeStability(float(adjusted_rand_score(*found[:2])), float(adjusted_rand_score(*found[2:])))


def _labels_from(part: Array, count: int, sample: Array) -> Labels:
    types, _ = learn_types(part, count)
    return types.nearest(types.space.points(sample))[0]


def _clusters(points: Array, count: int | None) -> tuple[Labels, str]:
    """Return each point's cluster, from 0, and how many there are in words."""
    if len(points) < 3:  # noqa: PLR2004
        return np.zeros(len(points), np.int32), "one type: there are too few events for more"
    from scipy.cluster.hierarchy import ward
    from scipy.spatial.distance import pdist, squareform

    flat = pdist(points.astype(np.float64))
    tree = ward(flat)
    if count is not None:
        return _cut(tree, min(count, len(points))), "as given"
    apart = squareform(flat)
    most = max(2, min(MOST_TYPES, isqrt(len(points))))
    tried = {number: _cut(tree, number) for number in range(2, most + 1)}
    values = {number: _silhouette(apart, labels) for number, labels in tried.items()}
    best = max(values.values())
    if best < _LEAST_SILHOUETTE:
        return np.zeros(len(points), np.int32), f"one type: silhouette at most {best:.2f}"
    worth, near = values, _NEAR_BEST
    if best < _NO_STRUCTURE:
        worth, near = {number: values[number] * _diversity(labels) for number, labels in tried.items()}, _NEAR_EVEN
    chosen = min(number for number, value in worth.items() if value >= near * max(worth.values()))
    told = f"silhouette {values[chosen]:.2f}, the fewest of 2 to {max(tried)} that come near the best"
    return tried[chosen], told + (f"; {NO_NUMBER}" if best < _NO_STRUCTURE else "")


def _cut(tree: NDArray[Any], count: int) -> Labels:
    from scipy.cluster.hierarchy import fcluster

    return np.asarray(fcluster(tree, count, "maxclust") - 1, np.int32)


def _silhouette(apart: NDArray[np.float64], labels: Labels) -> float:
    from sklearn.metrics import silhouette_score

    return float(silhouette_score(apart, labels, metric="precomputed")) if 0 < labels.max() < len(labels) - 1 else -1.0


def _diversity(labels: Labels) -> float:
    """Return the chance that two events, drawn at random, are of different types."""
    return float(1 - np.square(np.bincount(labels) / len(labels)).sum())


def _reach(points: Array, labels: Labels, centres: Array) -> Array:
    """Return the distance from each centre at which its type ends, as far as its own events go.

    That of a small type is at least the usual one. None but a diffuse type goes as far as the middle of all sounds is
    from each: what is there is no nearer to this type than to none.
    """
    distance = np.linalg.norm(points - centres[labels], axis=1)
    usual, reach = _robust_most(distance), []
    for number in range(len(centres)):
        own = distance[labels == number]
        middle = float(np.median(own))
        most = max(_robust_most(own), _WIDE * middle, usual if len(own) < _FEW else 0)
        reach.append(max(_LEAST_REACH, min(most, max(_NO_NEARER, _DIFFUSE * middle))))
    return np.asarray(reach, np.float32)


def _robust_most(values: NDArray[Any]) -> float:
    middle = np.median(values)
    return float(middle + _SPREADS * 1.4826 * np.median(np.abs(values - middle)))


def _distances(a: Array, b: Array) -> Array:
    squares = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
